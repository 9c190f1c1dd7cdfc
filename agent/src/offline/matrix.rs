//! Many flows at once, as JSON lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use palisade_abi::{Action, Protocol};
use palisade_fqdn::DnsName;
use palisade_node::{DnsOutcome, Node, Party};
use serde::Deserialize;
use serde_json::Value;

use super::flow::{self, Decided, Flow, word};
use super::world::{self, OfflineError};
use crate::cli::Format;
use crate::config::Config;
use crate::print;

/// A line of the probes. Fields that it does not name are handed through to the answer.
#[derive(Debug, Deserialize)]
struct Probe {
    /// Who sends: an endpoint's name or an address.
    src: String,
    /// To whom: the same.
    dst: String,
    proto: String,
    /// The port; for ICMP the type.
    #[serde(default)]
    port: u16,
    /// The name that the destination's address was learnt for.
    name: Option<String>,
    /// The name that is asked for: what is judged is the question.
    query: Option<String>,
}

/// Prints what is decided for each probe, in their order.
pub(crate) fn matrix(
    config: &Path,
    probes: Option<&Path>,
    output: Format,
) -> Result<(), OfflineError> {
    let config = Config::read(config)?;
    let node = world::node(Some(&config), &[])?;
    let probes: Box<dyn BufRead> = match probes.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let file = File::open(path).map_err(|source| OfflineError::Probes {
                path: path.to_owned(),
                source,
            })?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(io::stdin().lock()),
    };
    for (index, line) in probes.lines().enumerate() {
        let line = line.map_err(OfflineError::Print)?;
        if line.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let wrong = |source| OfflineError::Probe {
            line: number,
            source,
        };
        let probe: Probe = serde_json::from_str(&line).map_err(wrong)?;
        let decided = judge(&node, &probe)?;
        let line = match output {
            Format::Json => answer(&line, &decided).map_err(wrong)?.to_string(),
            Format::Text => text(&probe, &decided),
        };
        print::line(&line).map_err(OfflineError::Print)?;
    }
    Ok(())
}

/// What is decided for a probe.
fn judge(node: &Node, probe: &Probe) -> Result<Decided, OfflineError> {
    let unknown = |text: &str, allowed| OfflineError::Flow {
        text: text.into(),
        allowed,
    };
    let protocol: Protocol = probe
        .proto
        .parse()
        .map_err(|_| unknown(&probe.proto, "TCP, UDP, SCTP, ICMP, ICMPv6, a number"))?;
    let flow = Flow {
        source: flow::party(node, &probe.src)?,
        destination: flow::party(node, &probe.dst)?,
        protocol,
        port: probe.port,
    };
    let name = |text: &String| DnsName::parse(text).map_err(|_| unknown(text, "a DNS name"));
    if let Some(asked) = &probe.query {
        return Ok(question(node, &flow, &name(asked)?));
    }
    match (&probe.name, &flow.destination) {
        (Some(learnt), Party::Address(address)) => {
            let node = world::having_learnt(node, &name(learnt)?, *address)?;
            Ok(flow::decide(&node, &flow))
        }
        (Some(_) | None, Party::Address(_) | Party::Endpoint(_)) => Ok(flow::decide(node, &flow)),
    }
}

/// What is decided for a question: by the flow that carries it, then by the DNS rules.
fn question(node: &Node, flow: &Flow, name: &DnsName) -> Decided {
    let mut decided = flow::decide(node, flow);
    if decided.verdict != Action::Redirect {
        return decided;
    }
    let judged = node.dns_verdict(
        &flow.source,
        &flow.destination,
        flow.protocol,
        flow.port,
        name,
    );
    decided.verdict = match judged.outcome {
        DnsOutcome::Allowed => Action::Allow,
        DnsOutcome::Refused => Action::Deny,
    };
    decided.location = judged.location.as_ref().map(ToString::to_string);
    decided.position = judged.location.map(|location| format!("{location:#}"));
    decided
}

/// The probe with what is decided for it.
fn answer(line: &str, decided: &Decided) -> Result<Value, serde_json::Error> {
    let mut probe: BTreeMap<String, Value> = serde_json::from_str(line)?;
    probe.extend(serde_json::from_value::<BTreeMap<String, Value>>(
        serde_json::to_value(decided)?,
    )?);
    serde_json::to_value(probe)
}

fn text(probe: &Probe, decided: &Decided) -> String {
    let question = probe.query.as_deref().or(probe.name.as_deref());
    let subject = question
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!(
        "{:8} {} → {}:{} {}{subject}  {}",
        word(decided.verdict),
        probe.src,
        probe.dst,
        probe.port,
        probe.proto,
        decided.location.as_deref().unwrap_or("no rule"),
    )
}
