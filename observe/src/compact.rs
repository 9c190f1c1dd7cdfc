use std::fmt;
use std::net::SocketAddr;

use palisade_abi::{Direction, Identity};
use palisade_identity::reserved;

use crate::clean::Clean;
use crate::flow::{Flow, FlowVerdict, Heading, Outcome, Peer};

/// A flow as `hubble observe --output compact` prints it, and the line of the policy after it.
#[derive(Clone, Copy, Debug)]
pub struct Compact<'a> {
    flow: &'a Flow,
}

impl Flow {
    /// The flow on one line, for people. Safe to print on a terminal.
    pub const fn compact(&self) -> Compact<'_> {
        Compact { flow: self }
    }
}

impl fmt::Display for Compact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.flow;
        let ports = flow.transport.ports();
        let source = Host(&flow.source, ports.map(|(source, _)| source));
        let destination = Host(&flow.destination, ports.map(|(_, destination)| destination));
        write!(f, "{}: ", flow.time.stamp())?;
        // Who opened the flow stands on the left.
        match flow.heading {
            Heading::Original => write!(f, "{source} -> {destination} ")?,
            Heading::Reply => write!(f, "{destination} <- {source} ")?,
        }
        write_kind(f, flow)?;
        match &flow.dns {
            Some(dns) => write!(
                f,
                " (DNS Query {}. {})",
                Clean(&dns.name),
                Clean(&dns.record)
            )?,
            None => write!(f, " ({})", flow.transport)?,
        }
        match &flow.decided_by {
            Some(decider) => match &decider.origin {
                Some(origin) => write!(f, " by {}", Clean(&origin.location)),
                None => write!(f, " by a rule that is gone (cookie {})", decider.cookie),
            },
            None => write_stranger(f, flow),
        }
    }
}

/// What kind of event it is, and the verdict.
fn write_kind(f: &mut fmt::Formatter<'_>, flow: &Flow) -> fmt::Result {
    if flow.dns.is_some() {
        return write!(f, "dns-request proxy {}", flow.verdict());
    }
    let direction = match flow.direction {
        Direction::Ingress => "INGRESS",
        Direction::Egress => "EGRESS",
    };
    match flow.outcome {
        Outcome::Dropped(reason) => write!(f, "{reason} {}", FlowVerdict::Dropped),
        Outcome::Forwarded => write!(f, "policy-verdict {direction} ALLOWED"),
        Outcome::Redirected { .. } => write!(f, "policy-verdict {direction} REDIRECTED"),
        Outcome::Audited => write!(f, "policy-verdict {direction} AUDITED"),
    }
}

/// Who sent or got a packet that no rule was asked about, if its addresses do not tell.
fn write_stranger(f: &mut fmt::Formatter<'_>, flow: &Flow) -> fmt::Result {
    let Some((_, Some(name))) = &flow.endpoint else {
        return Ok(());
    };
    let told = flow
        .peers()
        .iter()
        .any(|peer| peer.endpoint.as_ref() == Some(name));
    if told {
        return Ok(());
    }
    write!(f, " at {}", Clean(&name.to_string()))
}

/// One end: name, port and identity.
struct Host<'a>(&'a Peer, Option<u16>);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(peer, port) = self;
        match (&peer.endpoint, peer.dns_names.first(), port) {
            (Some(endpoint), _, _) => write!(f, "{}", Clean(&endpoint.to_string()))?,
            (None, Some(name), _) => write!(f, "{}", Clean(name))?,
            (None, None, Some(port)) => write!(f, "{}", SocketAddr::new(peer.address, *port))?,
            (None, None, None) => write!(f, "{}", peer.address)?,
        }
        let named = peer.endpoint.is_some() || !peer.dns_names.is_empty();
        if let Some(port) = port.filter(|_| named) {
            write!(f, ":{port}")?;
        }
        match reserved::name(peer.identity) {
            Some(name) => write!(f, " ({name})"),
            None if peer.identity == Identity::UNKNOWN => f.write_str(" (unknown)"),
            None => write!(f, " (ID:{})", peer.identity),
        }
    }
}
