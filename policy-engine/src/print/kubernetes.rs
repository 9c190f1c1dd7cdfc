//! Kubernetes' own `NetworkPolicy`.

use palisade_abi::{Direction, Protocol};
use palisade_identity::{LabelKey, Operator, Requirement, Selector, Source};

use super::tree::Tree;
use super::{Error, cannot, peers, selector};
use crate::rule::{
    Effect, Peer, PeerKind, Peers, Policy, PortMatch, PortRule, Ports, Priority, ResourceName,
    Rule, Subject,
};

/// The spec of a policy whose rules stand in the order of the two lists.
pub(super) fn spec(policy: &Policy) -> Result<Tree, Error> {
    let resource = &policy.resource;
    let Some(first) = policy.rules.first() else {
        let resource = (**resource).clone();
        return Err(Error::NoRules { resource });
    };
    for (rule, next) in policy.rules.iter().zip(policy.rules.iter().skip(1)) {
        let is_ordered = rule.direction == next.direction || rule.direction == Direction::Ingress;
        if !is_ordered || next.subject != first.subject {
            return Err(cannot(next, "rules in this order"));
        }
    }
    let Subject::Endpoints(subject) = &first.subject else {
        return Err(cannot(first, "nodes"));
    };
    let pods = subject
        .requirements()
        .iter()
        .filter(|requirement| !is_own_namespace(requirement, resource));
    let mut entries = vec![("podSelector", selector::without_source(pods))];
    let mut types = Vec::new();
    for (direction, name, word) in [
        (Direction::Ingress, "ingress", "Ingress"),
        (Direction::Egress, "egress", "Egress"),
    ] {
        let rules: Vec<&Rule> = policy
            .rules
            .iter()
            .filter(|rule| rule.direction == direction)
            .collect();
        if rules.is_empty() {
            continue;
        }
        types.push(Tree::text(word));
        // A rule that allows nothing is what a direction without rules becomes.
        if !matches!(rules.as_slice(), [only] if is_bare(only)) {
            let items: Result<Vec<_>, _> = rules.iter().map(|one| rule(one, resource)).collect();
            entries.push((name, Tree::List(items?)));
        }
    }
    entries.push(("policyTypes", Tree::List(types)));
    Ok(Tree::map(entries))
}

fn is_bare(rule: &Rule) -> bool {
    rule.ports == Ports::All && matches!(&rule.peers, Peers::Some { list, .. } if list.is_empty())
}

fn rule(rule: &Rule, resource: &ResourceName) -> Result<Tree, Error> {
    let is_plain = rule.effect == Effect::Allow
        && rule.default_deny
        && rule.priority == Priority::ZERO
        && rule.auth.is_none()
        && rule.log.is_none();
    if !is_plain {
        return Err(cannot(rule, "more than what it allows"));
    }
    let mut entries = Vec::new();
    match &rule.peers {
        Peers::Any { .. } => {}
        Peers::Some { list, .. } if list.is_empty() => return Err(cannot(rule, "nobody")),
        Peers::Some { list, .. } => {
            let items: Result<Vec<_>, _> =
                list.iter().map(|one| peer(rule, resource, one)).collect();
            let name = match rule.direction {
                Direction::Ingress => "from",
                Direction::Egress => "to",
            };
            entries.push((name, Tree::List(items?)));
        }
    }
    match &rule.ports {
        Ports::All => {}
        Ports::Some(list) if list.is_empty() => return Err(cannot(rule, "no ports")),
        Ports::Some(list) => {
            let items: Result<Vec<_>, _> = list.iter().map(|item| port(rule, item)).collect();
            entries.push(("ports", Tree::List(items?)));
        }
    }
    Ok(Tree::map(entries))
}

fn peer(rule: &Rule, resource: &ResourceName, peer: &Peer) -> Result<Tree, Error> {
    match &peer.kind {
        PeerKind::Cidr { prefix, except } => {
            let block = peers::block(*prefix, except);
            Ok(Tree::map([("ipBlock", block)]))
        }
        PeerKind::Endpoints => {
            pods(&peer.selector, resource).ok_or_else(|| cannot(rule, "pods without a namespace"))
        }
        PeerKind::CidrGroup { .. }
        | PeerKind::Entity(_)
        | PeerKind::Fqdn(_)
        | PeerKind::Group(_)
        | PeerKind::Nodes
        | PeerKind::Service(_) => Err(cannot(rule, "peers of this kind")),
    }
}

/// Pods of the own namespace, of all, or of those whose labels are asked for.
fn pods(selector: &Selector, resource: &ResourceName) -> Option<Tree> {
    let all = selector.requirements();
    if all.iter().any(|one| is_own_namespace(one, resource)) {
        let pods = all.iter().filter(|one| !is_own_namespace(one, resource));
        return Some(Tree::map([("podSelector", selector::without_source(pods))]));
    }
    let is_any = |one: &Requirement| is_namespace(one.key()) && *one.operator() == Operator::Exists;
    let of_namespace = |one: &Requirement| one.key().key().starts_with(NAMESPACE_LABELS);
    let namespaces: Vec<_> = all.iter().filter(|one| of_namespace(one)).collect();
    if namespaces.is_empty() && !all.iter().any(is_any) {
        return None;
    }
    let is_said = |one: &Requirement| {
        if namespaces.is_empty() {
            is_any(one)
        } else {
            of_namespace(one)
        }
    };
    let rest: Vec<_> = all.iter().filter(|one| !is_said(one)).collect();
    let mut entries = vec![(
        "namespaceSelector",
        selector::stripped(namespaces, NAMESPACE_LABELS),
    )];
    if !rest.is_empty() {
        entries.push(("podSelector", selector::without_source(rest)));
    }
    Some(Tree::map(entries))
}

fn port(rule: &Rule, item: &PortRule) -> Result<Tree, Error> {
    let protocol = [
        (Protocol::TCP, "TCP"),
        (Protocol::UDP, "UDP"),
        (Protocol::SCTP, "SCTP"),
    ];
    let protocol = protocol
        .into_iter()
        .find(|(protocol, _)| *protocol == item.protocol)
        .ok_or_else(|| cannot(rule, "this protocol"))?;
    if item.redirect.is_some() {
        return Err(cannot(rule, "a proxy"));
    }
    let mut entries = Vec::new();
    match &item.ports {
        PortMatch::Named(name) => entries.push(("port", Tree::text(&**name))),
        PortMatch::Numbers(range) if *range == PortRule::EVERY_PORT => {}
        PortMatch::Numbers(range) if range.is_empty() || *range.start() == 0 => {
            return Err(cannot(rule, "this range of ports"));
        }
        PortMatch::Numbers(range) => {
            entries.push(("port", Tree::Raw(range.start().to_string())));
            if range.end() > range.start() {
                entries.push(("endPort", Tree::Raw(range.end().to_string())));
            }
        }
    }
    entries.push(("protocol", Tree::text(protocol.1)));
    Ok(Tree::map(entries))
}

fn is_namespace(key: &LabelKey) -> bool {
    key.source() == Source::K8s && key.key() == "io.kubernetes.pod.namespace"
}

fn is_own_namespace(requirement: &Requirement, resource: &ResourceName) -> bool {
    is_namespace(requirement.key())
        && match (requirement.operator(), &resource.namespace) {
            (Operator::In(values), Some(own)) => {
                matches!(values.as_slice(), [value] if value.as_str() == &**own)
            }
            _ => false,
        }
}

pub(super) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
