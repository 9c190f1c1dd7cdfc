//! One flow from the command line.

use std::net::IpAddr;

use palisade_abi::{Action, Protocol};
use palisade_fqdn::DnsName;
use palisade_node::{Node, Party};
use serde::Serialize;

use super::world::{self, OfflineError};
use crate::cli::{Expected, FlowArgs, Format};
use crate::config::Config;
use crate::print;

/// What is decided, as JSON has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Decided {
    /// `allow`, `deny` or `redirect`.
    pub(super) verdict: Action,
    /// The line that decides.
    pub(super) location: Option<String>,
    /// The same with its column.
    pub(super) position: Option<String>,
    /// By the source's egress policy.
    pub(super) egress: Option<HalfDecided>,
    /// By the destination's ingress policy.
    pub(super) ingress: Option<HalfDecided>,
}

/// What one side decides.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct HalfDecided {
    pub(super) verdict: Action,
    pub(super) default_deny: bool,
    pub(super) location: Option<String>,
    pub(super) position: Option<String>,
    pub(super) rule: Option<String>,
}

/// A flow to be judged.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) source: Party,
    pub(super) destination: Party,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// Says what is decided for a flow.
pub(crate) fn verdict(args: &FlowArgs) -> Result<(), OfflineError> {
    let (node, flow) = prepare(args)?;
    let decided = decide(&node, &flow);
    let line = match args.output {
        Format::Json => serde_json::json!(decided).to_string(),
        Format::Text => format!(
            "{} {}",
            word(decided.verdict),
            decided.location.as_deref().unwrap_or("no rule")
        ),
    };
    print::line(&line).map_err(OfflineError::Print)?;
    expect(args.expect, decided.verdict)
}

/// Says what is decided for a flow, and why.
pub(crate) fn explain(args: &FlowArgs) -> Result<(), OfflineError> {
    let (node, flow) = prepare(args)?;
    let (source, destination) = (&flow.source, &flow.destination);
    let explanation = node.explain(source, destination, flow.protocol, flow.port);
    let line = match args.output {
        Format::Json => serde_json::json!(explanation).to_string(),
        Format::Text => explanation.to_string(),
    };
    print::line(&line).map_err(OfflineError::Print)?;
    expect(args.expect, explanation.action)
}

/// What a node decides for a flow.
pub(super) fn decide(node: &Node, flow: &Flow) -> Decided {
    let verdict = node.verdict(&flow.source, &flow.destination, flow.protocol, flow.port);
    let half = |verdict: palisade_abi::Verdict| {
        let origin = node.origin(verdict.cookie());
        HalfDecided {
            verdict: verdict.action(),
            default_deny: verdict.is_default_deny(),
            location: origin.as_ref().map(|origin| origin.location.to_string()),
            position: origin
                .as_ref()
                .map(|origin| format!("{:#}", origin.location)),
            rule: origin.map(|origin| origin.description.to_string()),
        }
    };
    let decisive = verdict.decisive().map(|(_, verdict)| half(verdict));
    Decided {
        // Where neither end is the node's there is nobody to deny it.
        verdict: decisive.as_ref().map_or(Action::Allow, |half| half.verdict),
        location: decisive.as_ref().and_then(|half| half.location.clone()),
        position: decisive.and_then(|half| half.position),
        egress: verdict.egress.map(half),
        ingress: verdict.ingress.map(half),
    }
}

/// An endpoint's name or an address.
pub(super) fn party(node: &Node, text: &str) -> Result<Party, OfflineError> {
    if let Some(member) = node.endpoint(text) {
        return Ok(Party::Endpoint(member.endpoint.name.clone()));
    }
    text.trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .map(Party::Address)
        .map_err(|_| OfflineError::Flow {
            text: text.into(),
            allowed: "the name of an endpoint, an address",
        })
}

fn prepare(args: &FlowArgs) -> Result<(Node, Flow), OfflineError> {
    let config = args.endpoints.as_deref().map(Config::read).transpose()?;
    let mut node = world::node(config.as_ref(), &args.files)?;
    let (destination, protocol) = match args.destination.rsplit_once('/') {
        // An endpoint's name has a slash too: what follows the last one must be a protocol.
        Some((rest, protocol)) => match protocol.parse() {
            Ok(protocol) => (rest, protocol),
            Err(_) => (args.destination.as_str(), Protocol::TCP),
        },
        None => (args.destination.as_str(), Protocol::TCP),
    };
    let (destination, port) = split_port(&node, destination);
    let flow = Flow {
        source: party(&node, &args.source)?,
        destination: party(&node, destination)?,
        protocol,
        port,
    };
    if let (Some(name), Party::Address(address)) = (&args.name, &flow.destination) {
        let name = DnsName::parse(name).map_err(|_| OfflineError::Flow {
            text: name.clone(),
            allowed: "a DNS name",
        })?;
        node = world::having_learnt(&node, &name, *address)?;
    }
    Ok((node, flow))
}

/// Cuts `:PORT` off, unless the whole text is a name or an address already.
fn split_port<'a>(node: &Node, text: &'a str) -> (&'a str, u16) {
    let whole = (text, 0);
    if party(node, text).is_ok() {
        return whole;
    }
    let parts = text.rsplit_once(':');
    parts
        .and_then(|(rest, port)| Some((rest, port.parse().ok()?)))
        .unwrap_or(whole)
}

fn expect(expected: Option<Expected>, found: Action) -> Result<(), OfflineError> {
    let passes = match found {
        Action::Allow | Action::Redirect => Expected::Allow,
        Action::Deny => Expected::Deny,
    };
    match expected {
        Some(expected) if expected != passes => Err(OfflineError::Expectation {
            found: word(found),
            expected: match expected {
                Expected::Allow => "ALLOW",
                Expected::Deny => "DENY",
            },
        }),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "ALLOW",
        Action::Deny => "DENY",
        Action::Redirect => "REDIRECT",
    }
}
