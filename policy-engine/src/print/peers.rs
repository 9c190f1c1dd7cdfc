//! The other side of a rule.

use std::sync::Arc;

use palisade_abi::{Direction, Prefix};
use palisade_identity::{Operator, Selector, Source};

use super::selector;
use super::tree::Tree;
use super::{Error, cannot};
use crate::rule::{Entity, GroupReference, Peer, PeerKind, Peers, Ports, Rule, ServiceReference};

/// The list of peers of a rule; none where a rule with ports is about everybody.
pub(super) fn entries(rule: &Rule) -> Result<Vec<(&'static str, Tree)>, Error> {
    let list = match &rule.peers {
        Peers::Any { location } => {
            let has_ports = matches!(rule.ports, Ports::Some(_));
            return Ok(if location.is_none() && has_ports {
                Vec::new()
            } else {
                let all = Tree::List(vec![Tree::text(Entity::All.name())]);
                vec![(field(rule, "fromEntities", "toEntities"), all)]
            });
        }
        Peers::Some { location, list } if list.is_empty() => {
            let is_bare = location.is_none() && rule.ports == Ports::All;
            return Ok(if is_bare {
                Vec::new()
            } else {
                let name = field(rule, "fromEndpoints", "toEndpoints");
                vec![(name, Tree::List(Vec::new()))]
            });
        }
        Peers::Some { list, .. } => list,
    };
    let name = list.first().map(|peer| list_name(rule, peer));
    if list.iter().any(|peer| Some(list_name(rule, peer)) != name) {
        return Err(cannot(rule, "peers of two kinds"));
    }
    let name = name
        .flatten()
        .ok_or_else(|| cannot(rule, "peers like these"))?;
    let mut items = Vec::new();
    let mut rest = list.as_slice();
    while let Some((peer, more)) = rest.split_first() {
        let (item, taken) = item(rule, peer)?;
        items.push(item);
        rest = more.get(taken.saturating_sub(1)..).unwrap_or_default();
    }
    Ok(vec![(name, Tree::List(items))])
}

fn field(rule: &Rule, from: &'static str, to: &'static str) -> &'static str {
    match rule.direction {
        Direction::Ingress => from,
        Direction::Egress => to,
    }
}

fn list_name(rule: &Rule, peer: &Peer) -> Option<&'static str> {
    Some(match &peer.kind {
        PeerKind::Cidr { .. } | PeerKind::CidrGroup { .. } => {
            field(rule, "fromCIDRSet", "toCIDRSet")
        }
        PeerKind::Endpoints => field(rule, "fromEndpoints", "toEndpoints"),
        PeerKind::Entity(_) => field(rule, "fromEntities", "toEntities"),
        PeerKind::Fqdn(_) if rule.direction == Direction::Egress => "toFQDNs",
        PeerKind::Group(_) => field(rule, "fromGroups", "toGroups"),
        PeerKind::Nodes => field(rule, "fromNodes", "toNodes"),
        PeerKind::Service(_) if rule.direction == Direction::Egress => "toServices",
        PeerKind::Fqdn(_) | PeerKind::Service(_) => return None,
    })
}

/// An item, and of how many peers it is made.
fn item(rule: &Rule, peer: &Peer) -> Result<(Tree, usize), Error> {
    let tree = match &peer.kind {
        PeerKind::Cidr { prefix, except } => block(*prefix, except),
        PeerKind::CidrGroup { text, except } => group(text, &peer.selector, except),
        PeerKind::Endpoints if peer.selector.is_everything() => {
            return Err(cannot(rule, "every known endpoint and nobody else"));
        }
        PeerKind::Endpoints => selector::cilium(&peer.selector),
        PeerKind::Entity(entity) => {
            return Ok((Tree::text(entity.name()), entity.selector_count()));
        }
        PeerKind::Fqdn(pattern) => {
            let field = if pattern.is_name() {
                "matchName"
            } else {
                "matchPattern"
            };
            Tree::map([(field, Tree::text(pattern.as_str()))])
        }
        PeerKind::Group(reference) => cloud_group(reference),
        PeerKind::Nodes => selector::cilium(&peer.selector.without(|requirement| {
            let key = requirement.key();
            let is_added = key.source() == Source::Reserved && key.key() == "remote-node";
            is_added && *requirement.operator() == Operator::Exists
        })),
        PeerKind::Service(reference) => service(reference),
    };
    Ok((tree, 1))
}

/// A prefix, and what is taken out of it.
pub(super) fn block(prefix: Prefix, except: &[Prefix]) -> Tree {
    let text = |one: &Prefix| {
        if one.covers(prefix) {
            // Readers ask that the address of an exception lies in the prefix, and no more.
            format!("{}/{}", prefix.address().ip(), one.length())
        } else {
            one.to_string()
        }
    };
    let cidr = ("cidr", Tree::text(prefix.to_string()));
    less(cidr, except.iter().map(text))
}

/// Prefixes, named in one of the ways that there are, and what is taken out of them.
fn less((way, tree): (&'static str, Tree), except: impl ExactSizeIterator<Item = String>) -> Tree {
    let mut entries = vec![(way, tree)];
    if except.len() > 0 {
        entries.push(("except", Tree::List(except.map(Tree::text).collect())));
    }
    Tree::map(entries)
}

/// A group by its name if that is all that the selector asks for.
fn group(text: &Arc<str>, selector: &Selector, except: &[Prefix]) -> Tree {
    let groups: Vec<_> = selector
        .requirements()
        .iter()
        .filter(|requirement| requirement.key().source() == Source::CidrGroup)
        .collect();
    let by_name = match groups.as_slice() {
        [one] if *one.operator() == Operator::Exists => {
            let name = one
                .key()
                .key()
                .strip_prefix("io.cilium.policy.cidrgroupname/");
            name.filter(|name| *name == &**text)
        }
        _ => None,
    };
    let way = match by_name {
        Some(name) => ("cidrGroupRef", Tree::text(name)),
        None => ("cidrGroupSelector", selector::without_source(groups)),
    };
    less(way, except.iter().map(ToString::to_string))
}

fn cloud_group(group: &GroupReference) -> Tree {
    let texts =
        |texts: &[Arc<str>]| Tree::List(texts.iter().map(|text| Tree::text(&**text)).collect());
    let mut entries = Vec::new();
    if !group.labels.is_empty() {
        let labels = group.labels.iter();
        let labels = labels.map(|(key, value)| (&**key, Tree::text(&**value)));
        entries.push(("labels", Tree::map(labels)));
    }
    if !group.region.is_empty() {
        entries.push(("region", Tree::text(&*group.region)));
    }
    if !group.ids.is_empty() {
        entries.push(("securityGroupsIds", texts(&group.ids)));
    }
    if !group.names.is_empty() {
        entries.push(("securityGroupsNames", texts(&group.names)));
    }
    Tree::map([("aws", Tree::map(entries))])
}

fn service(service: &ServiceReference) -> Tree {
    let (field, namespace, what) = match service {
        ServiceReference::Name { namespace, name } => (
            "k8sService",
            namespace,
            ("serviceName", Tree::text(&**name)),
        ),
        ServiceReference::Labels {
            namespace,
            selector,
        } => (
            "k8sServiceSelector",
            namespace,
            (
                "selector",
                selector::without_source(selector.requirements()),
            ),
        ),
    };
    let mut entries = vec![what];
    if let Some(namespace) = namespace {
        entries.push(("namespace", Tree::text(&**namespace)));
    }
    Tree::map([(field, Tree::map(entries))])
}
