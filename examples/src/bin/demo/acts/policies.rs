use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::cast::PODS;
use crate::error::Error;
use crate::grid::show;
use crate::report::Report;

use super::line;

/// Says what the agent made of the policies.
pub(super) fn play(agent: &Agent, status: &Value, report: &mut Report) -> Result<(), Error> {
    let text = |path| status.pointer(path).and_then(Value::as_str).unwrap_or("?");
    let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    show(&format!(
        "palisade demo · kernel {} · {} · {} pods in namespaces · nothing leaves this machine\n\n",
        text("/datapath/kernel"),
        text("/datapath/attached"),
        PODS.len(),
    ))?;
    let identities = agent.ask("identity list")?.as_array().map_or(0, Vec::len);
    let time = Duration::from_micros(number("/policy/last_change_microseconds"));
    report.set(
        "policies",
        json!({
            "files": number("/policy/files"),
            "rules": number("/policy/rules"),
            "identities": identities,
            "writes": number("/policy/last_change_writes"),
        }),
    );
    line(
        "1  policies",
        &format!(
            "{} files, {} rules, {identities} identities → {} map writes {:>8.1} ms",
            number("/policy/files"),
            number("/policy/rules"),
            number("/policy/last_change_writes"),
            time.as_secs_f64() * 1_000.0,
        ),
    )
}
