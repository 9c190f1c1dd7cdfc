use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::cast::PODS;
use crate::error::Error;
use crate::grid::show;
use crate::report::Report;

use super::line;

/// Says what the agent made of the policies.
pub(super) fn play(
    agent: &Agent,
    status: &Value,
    took: Duration,
    report: &mut Report,
) -> Result<(), Error> {
    let text = |path| status.pointer(path).and_then(Value::as_str).unwrap_or("?");
    let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    show(&format!(
        "palisade demo · kernel {} · {} · {} pods in namespaces · nothing leaves this machine\n\n",
        text("/datapath/kernel"),
        text("/datapath/attached"),
        PODS.len(),
    ))?;
    let identities = agent.ask("identity list")?.as_array().map_or(0, Vec::len);
    report.set(
        "policies",
        json!({
            "files": number("/policy/files"),
            "rules": number("/policy/rules"),
            "identities": identities,
            "start_milliseconds": took.as_secs_f64() * 1_000.0,
        }),
    );
    line(
        "1  policies",
        &format!(
            "{} files, {} rules, {identities} identities: in force on {} pods after {} ms",
            number("/policy/files"),
            number("/policy/rules"),
            number("/endpoints/in_force"),
            took.as_millis(),
        ),
    )
}
