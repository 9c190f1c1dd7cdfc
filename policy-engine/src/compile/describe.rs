//! What a rule says, in words.

use std::fmt::Write as _;

use palisade_abi::{Direction, Prefix};

use super::cookies::Part;
use crate::rule::{Effect, Entity, Peer, PeerKind, Peers, PortMatch, PortRule, Ports, Rule};

/// Peers named before the rest is only counted.
const PEERS_NAMED: usize = 3;

/// One line for a part of a rule.
pub(crate) fn part(rule: &Rule, part: Part) -> String {
    let denied = match rule.effect {
        Effect::Allow => "",
        Effect::Deny => "deny ",
        Effect::Pass => "pass ",
    };
    match part {
        Part::DefaultDeny => "default deny".to_owned(),
        Part::Peer(place) => {
            let peer = rule.peers.list().get(place as usize);
            format!(
                "{denied}{}",
                peer.map_or_else(|| peers(rule), |one| self::peer(rule, one))
            )
        }
        Part::Port(place) => {
            let item = match &rule.ports {
                Ports::All => None,
                Ports::Some(list) => list.get(place as usize),
            };
            let ports = item.map(port).unwrap_or_default();
            format!("{denied}{}, {ports}", peers(rule))
        }
        Part::Whole => format!("{denied}{}", peers(rule)),
    }
}

/// A peer with the field that names it: `fromEndpoints app=web`.
pub(crate) fn peer(rule: &Rule, peer: &Peer) -> String {
    format!(
        "{}{} {}",
        prefix(rule.direction),
        field(&peer.kind),
        value(peer)
    )
}

/// A port item: `port 8443/TCP`, `ports 1-1023/UDP`, `every UDP port`.
pub(crate) fn port(item: &PortRule) -> String {
    let protocol = item.protocol;
    let ports = match &item.ports {
        PortMatch::Named(name) => return format!("port {name}/{protocol}"),
        PortMatch::Numbers(ports) => ports,
    };
    let (first, last) = (ports.start(), ports.end());
    if *ports == PortRule::EVERY_PORT {
        return format!("every {protocol} packet");
    }
    let noun = if protocol.has_ports() { "port" } else { "type" };
    if first == last {
        format!("{noun} {first}/{protocol}")
    } else {
        format!("{noun}s {first}-{last}/{protocol}")
    }
}

/// The peers of a rule.
fn peers(rule: &Rule) -> String {
    let list = match &rule.peers {
        Peers::Any { .. } => return "any peer".to_owned(),
        Peers::Some { list, .. } => list,
    };
    let Some(first) = list.first() else {
        return "no peer".to_owned();
    };
    let mut text = peer(rule, first);
    for peer in list.iter().take(PEERS_NAMED).skip(1) {
        let _written = write!(text, " or {}", value(peer));
    }
    if let Some(more) = list.len().checked_sub(PEERS_NAMED).filter(|more| *more > 0) {
        let _written = write!(text, " or {more} more");
    }
    text
}

const fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

const fn field(kind: &PeerKind) -> &'static str {
    match kind {
        PeerKind::Cidr { .. } => "CIDR",
        PeerKind::CidrGroup { .. } => "CIDRSet",
        PeerKind::Endpoints => "Endpoints",
        PeerKind::Entity(_) => "Entities",
        PeerKind::Fqdn(_) => "FQDNs",
        PeerKind::Group(_) => "Groups",
        PeerKind::Nodes => "Nodes",
        PeerKind::Service(_) => "Services",
    }
}

fn less(what: &str, except: &[Prefix]) -> String {
    if except.is_empty() {
        return what.to_owned();
    }
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    format!("{what} except {}", except.join(", "))
}

fn value(peer: &Peer) -> String {
    match &peer.kind {
        PeerKind::Cidr { prefix, except } => less(&prefix.to_string(), except),
        PeerKind::CidrGroup { text, except } => less(text, except),
        PeerKind::Endpoints | PeerKind::Nodes => selector_text(peer),
        PeerKind::Group(group) => group.to_string(),
        PeerKind::Service(service) => service.to_string(),
        PeerKind::Entity(entity) => entity_text(*entity).to_owned(),
        PeerKind::Fqdn(pattern) => pattern.to_string(),
    }
}

/// The selector without what its scope forced in, unless nothing else is left.
fn selector_text(peer: &Peer) -> String {
    let own = peer.selector.without(|one| {
        let key = one.key().key();
        key.starts_with("io.kubernetes.pod.namespace") || key.starts_with("io.cilium.k8s.policy.")
    });
    if own.is_everything() {
        peer.selector.to_string()
    } else {
        own.to_string()
    }
}

const fn entity_text(entity: Entity) -> &'static str {
    match entity {
        Entity::All => "all",
        Entity::Cluster => "cluster",
        Entity::Health => "health",
        Entity::Host => "host",
        Entity::Ingress => "ingress",
        Entity::Init => "init",
        Entity::KubeApiserver => "kube-apiserver",
        Entity::None => "none",
        Entity::RemoteNode => "remote-node",
        Entity::Unmanaged => "unmanaged",
        Entity::World => "world",
        Entity::WorldIpv4 => "world-ipv4",
        Entity::WorldIpv6 => "world-ipv6",
    }
}
