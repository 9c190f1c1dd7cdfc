//! The policies of administrators.

use palisade_abi::{Direction, Protocol};
use palisade_identity::{LabelKey, Requirement, Selector, Source};

use super::kubernetes::NAMESPACE_LABELS;
use super::tree::Tree;
use super::{Error, cannot, selector};
use crate::rule::{
    Effect, Kind, Peer, PeerKind, Peers, Policy, PortMatch, PortRule, Ports, Priority, Rule,
    Subject, Tier,
};

/// The spec of a policy whose rules stand in the order of the two lists.
pub(super) fn spec(policy: &Policy) -> Result<Tree, Error> {
    let Some(first) = policy.rules.first() else {
        let resource = (*policy.resource).clone();
        return Err(Error::NoRules { resource });
    };
    let kind = policy.resource.kind;
    let Subject::Endpoints(subject) = &first.subject else {
        return Err(cannot(first, "nodes"));
    };
    let mut entries = Vec::new();
    if kind == Kind::ClusterNetworkPolicy {
        entries.push(("tier", Tree::text(tier(first)?)));
    }
    if kind != Kind::BaselineAdminNetworkPolicy {
        entries.push(("priority", Tree::Raw(whole(first).to_string())));
    }
    let pods = pods(subject).ok_or_else(|| cannot(first, "pods of no namespace"))?;
    entries.push(("subject", pods));
    let ingress = policy.rules.iter();
    let ingress = ingress.take_while(|rule| rule.direction == Direction::Ingress);
    let (ingress, egress) = policy.rules.split_at(ingress.count());
    for (name, peers, rules) in [("ingress", "from", ingress), ("egress", "to", egress)] {
        let items: Result<Vec<_>, _> = (0..=u8::MAX)
            .zip(rules)
            .map(|(nth, one)| rule(one, first, nth, peers))
            .collect();
        if !rules.is_empty() {
            entries.push((name, Tree::List(items?)));
        }
    }
    Ok(Tree::map(entries))
}

fn tier(rule: &Rule) -> Result<&'static str, Error> {
    match rule.tier {
        Tier::Admin => Ok("Admin"),
        Tier::Baseline => Ok("Baseline"),
        Tier::Normal => Err(cannot(rule, "this tier")),
    }
}

/// The priority of a rule's policy: a number up to 1001, and the place of the rule behind it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number that is out of range stands for no priority, which is found"
)]
fn whole(rule: &Rule) -> u16 {
    rule.priority.get() as u16
}

/// The `nth` item of a list.
fn rule(rule: &Rule, first: &Rule, nth: u8, way: &'static str) -> Result<Tree, Error> {
    let is_plain = !rule.default_deny && rule.auth.is_none() && rule.log.is_none();
    let is_ordered = rule.tier == first.tier && rule.priority == Priority::nth(whole(first), nth);
    let is_there = (rule.direction == Direction::Ingress) == (way == "from");
    if !is_ordered || !is_there || rule.subject != first.subject {
        return Err(cannot(rule, "rules in this order"));
    }
    if !is_plain {
        return Err(cannot(rule, "more than what it decides"));
    }
    let is_newest = rule.resource.kind == Kind::ClusterNetworkPolicy;
    let action = match rule.effect {
        Effect::Allow if is_newest => "Accept",
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
        Effect::Pass => "Pass",
    };
    let Peers::Some { list, .. } = &rule.peers else {
        return Err(cannot(rule, "everybody"));
    };
    let mut items = Vec::new();
    for peers in list
        .chunk_by(share_an_item)
        .flat_map(|all| all.chunks(MAX_IN_ITEM))
    {
        items.extend(item(rule, peers)?);
    }
    if items.is_empty() {
        return Err(cannot(rule, "nobody"));
    }
    let mut entries = vec![("action", Tree::text(action)), (way, Tree::List(items))];
    if let Ports::Some(list) = &rule.ports {
        let field = if is_newest { "protocols" } else { "ports" };
        entries.push((field, Tree::List(ports(rule, list, is_newest)?)));
    }
    Ok(Tree::map(entries))
}

/// Networks stand together, and so do the peers that the nodes of one selector become.
fn share_an_item(first: &Peer, second: &Peer) -> bool {
    match (&first.kind, &second.kind) {
        (PeerKind::Cidr { .. }, PeerKind::Cidr { .. }) => true,
        (PeerKind::Nodes, PeerKind::Nodes) => {
            is_node(first, HOST)
                && is_node(second, REMOTE_NODE)
                && of_node(first) == of_node(second)
        }
        _ => false,
    }
}

fn item(rule: &Rule, peers: &[Peer]) -> Result<Option<Tree>, Error> {
    let Some(last) = peers.last() else {
        return Ok(None);
    };
    Ok(Some(match &last.kind {
        PeerKind::Cidr { .. } => {
            let network = |peer: &Peer| match &peer.kind {
                PeerKind::Cidr { prefix, except } if except.is_empty() => {
                    Ok(Tree::text(prefix.to_string()))
                }
                _ => Err(cannot(rule, "networks less others")),
            };
            let networks: Result<Vec<_>, _> = peers.iter().map(network).collect();
            Tree::map([("networks", Tree::List(networks?))])
        }
        PeerKind::Endpoints => {
            pods(&last.selector).ok_or_else(|| cannot(rule, "pods of no namespace"))?
        }
        PeerKind::Fqdn(pattern) => {
            let name = match pattern.as_str().strip_prefix("**.") {
                Some(name) if !name.contains('*') => format!("*.{name}"),
                None if !pattern.as_str().contains('*') => pattern.as_str().to_owned(),
                Some(_) | None => return Err(cannot(rule, "this pattern of names")),
            };
            Tree::map([("domainNames", Tree::List(vec![Tree::text(name)]))])
        }
        PeerKind::Nodes if is_node(last, REMOTE_NODE) => {
            let nodes = selector::without_source(of_node(last));
            Tree::map([("nodes", nodes)])
        }
        PeerKind::CidrGroup { .. }
        | PeerKind::Entity(_)
        | PeerKind::Group(_)
        | PeerKind::Nodes
        | PeerKind::Service(_) => return Err(cannot(rule, "peers of this kind")),
    }))
}

fn is_node(peer: &Peer, key: LabelKey) -> bool {
    let node = Requirement::exists(key);
    peer.selector.requirements().contains(&node)
}

/// What a peer asks of a node, besides being one.
fn of_node(peer: &Peer) -> Vec<&Requirement> {
    let all = peer.selector.requirements().iter();
    all.filter(|one| one.key().source() != Source::Reserved)
        .collect()
}

/// Pods by the labels of their namespaces and by their own; `None` if they need no namespace.
fn pods(selector: &Selector) -> Option<Tree> {
    let all = selector.requirements();
    let in_namespace = Requirement::exists(NAMESPACE);
    if !all.contains(&in_namespace) || all.iter().any(|one| one.key().source() != Source::K8s) {
        return None;
    }
    let of_namespace = |one: &&Requirement| one.key().key().starts_with(NAMESPACE_LABELS);
    let namespaces = all.iter().filter(of_namespace);
    let own = all
        .iter()
        .filter(|one| !of_namespace(one) && **one != in_namespace);
    let pods = Tree::map([
        (
            "namespaceSelector",
            selector::stripped(namespaces, NAMESPACE_LABELS),
        ),
        ("podSelector", selector::without_source(own)),
    ]);
    Some(Tree::map([("pods", pods)]))
}

fn ports(rule: &Rule, list: &[PortRule], is_newest: bool) -> Result<Vec<Tree>, Error> {
    let mut items = Vec::new();
    let mut rest = list;
    while let Some((first, more)) = rest.split_first() {
        items.push(match &first.ports {
            PortMatch::Named(name) => {
                let field = if is_newest {
                    "destinationNamedPort"
                } else {
                    "namedPort"
                };
                let (item, more) = rest
                    .split_at_checked(PROTOCOLS.len())
                    .filter(|(item, _)| is_named(item, name))
                    .ok_or_else(|| cannot(rule, "a name of a port of one protocol"))?;
                debug_assert_eq!(item.len(), PROTOCOLS.len());
                rest = more;
                Tree::map([(field, Tree::text(&**name))])
            }
            PortMatch::Numbers(numbers) => {
                rest = more;
                let (start, end) = (*numbers.start(), *numbers.end());
                let protocol = PROTOCOLS.iter().find(|one| one.1 == first.protocol);
                let (Some((name, _)), true, None) = (protocol, start > 0, &first.redirect) else {
                    return Err(cannot(rule, "these ports"));
                };
                numbered(name, start, end, is_newest)
            }
        });
    }
    if items.is_empty() {
        return Err(cannot(rule, "no ports"));
    }
    Ok(items)
}

/// Whether the items are what a name becomes.
fn is_named(items: &[PortRule], name: &str) -> bool {
    items.iter().zip(PROTOCOLS).all(|(item, (_, protocol))| {
        let same = matches!(&item.ports, PortMatch::Named(other) if **other == *name);
        same && item.protocol == protocol && item.redirect.is_none()
    })
}

fn numbered(protocol: &'static str, start: u16, end: u16, is_newest: bool) -> Tree {
    let raw = |number: u16| Tree::Raw(number.to_string());
    let range = [("start", raw(start)), ("end", raw(end))];
    if is_newest {
        let port = if start == end {
            Tree::map([("number", raw(start))])
        } else {
            Tree::map([("range", Tree::map(range))])
        };
        let destination = Tree::map([("destinationPort", port)]);
        return Tree::map([(protocol.to_ascii_lowercase(), destination)]);
    }
    let protocol = ("protocol", Tree::text(protocol));
    if start == end {
        Tree::map([("portNumber", Tree::map([protocol, ("port", raw(start))]))])
    } else {
        let [start, end] = range;
        Tree::map([("portRange", Tree::map([protocol, start, end]))])
    }
}

/// Networks of one item.
const MAX_IN_ITEM: usize = 25;

/// The protocols that a name stands for, in the order in which reading lists them.
const PROTOCOLS: [(&str, Protocol); 3] = [
    ("SCTP", Protocol::SCTP),
    ("TCP", Protocol::TCP),
    ("UDP", Protocol::UDP),
];

const HOST: LabelKey = LabelKey::of_static(Source::Reserved, "host");
const REMOTE_NODE: LabelKey = LabelKey::of_static(Source::Reserved, "remote-node");
const NAMESPACE: LabelKey = LabelKey::of_static(Source::K8s, "io.kubernetes.pod.namespace");
