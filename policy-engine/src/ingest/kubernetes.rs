//! The spec of a Kubernetes `NetworkPolicy`.

use std::sync::Arc;

use palisade_abi::{Direction, Protocol};
use palisade_identity::Selector;

use super::error::Cause;
use super::ports::First;
use super::reader::{Field, Fields, Reader};
use super::scope::Scope;
use super::selector::Keys;
use super::{cidr, peers, ports, selector};
use crate::options::IpBlocks;
use crate::rule::{Effect, Peer, Peers, PortRule, Ports, Priority, Rule, Subject};
use crate::span::Location;
use crate::yaml::{Entry, Meaning, Node, Value};

/// A list of rules and the names of its fields.
struct Section {
    name: &'static str,
    direction: Direction,
    peers: &'static str,
}

/// Reads a spec and adds its rules.
///
/// A direction that the policy is about and has no rule for gets one that allows nothing: it is
/// what switches default deny on.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    scope: &Scope,
    rules: &mut Vec<Rule>,
) {
    let Some(fields) = reader.fields(node, &SPEC) else {
        return;
    };
    let subject = match fields.get("podSelector") {
        Some(entry) => reader.field(entry, |reader, node| {
            let parts = selector::read(reader, node, Keys::Pod)?;
            Some(scope.kubernetes_subject(parts.selector()))
        }),
        // Absent means empty: every pod of the namespace.
        None => Some(scope.kubernetes_subject(Selector::everything())),
    };
    let subject = subject.unwrap_or_else(Selector::everything);
    let types = policy_types(reader, &fields);
    for section in &SECTIONS {
        let before = rules.len();
        if let Some(entry) = fields.get(section.name) {
            let more = reader.field(entry, |reader, node| {
                let at = reader.location(entry.key_span.start);
                reader.items(node, |reader, node| {
                    let (peers, ports) = rule(reader, node, section, scope)?;
                    let location = reader.location(node.span.start);
                    let mut rule = bare(scope, &subject, section, location, at.clone());
                    (rule.peers, rule.ports) = (peers, ports);
                    Some(rule)
                })
            });
            rules.extend(more.unwrap_or_default());
        }
        if rules.len() == before && types.has(section.direction) {
            let at = section_location(reader, &fields, section);
            rules.push(bare(scope, &subject, section, at.clone(), at));
        }
    }
}

/// The directions that a policy is about.
struct Types {
    ingress: bool,
    egress: bool,
}

impl Types {
    const fn has(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

fn policy_types<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Types {
    let words = [
        ("Egress", Direction::Egress),
        ("Ingress", Direction::Ingress),
    ];
    let listed = fields.get("policyTypes").and_then(|entry| {
        reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| {
                reader.one_of(node, "the policy type", &words)
            })
        })
    });
    let listed = listed.unwrap_or_default();
    let egress = listed.contains(&Direction::Egress);
    Types {
        ingress: listed.contains(&Direction::Ingress) || !egress,
        egress,
    }
}

fn bare(
    scope: &Scope,
    subject: &Selector,
    section: &Section,
    location: Location,
    at: Location,
) -> Rule {
    Rule {
        resource: Arc::clone(&scope.resource),
        index: 0,
        location,
        section: at,
        subject: Subject::Endpoints(subject.clone()),
        direction: section.direction,
        effect: Effect::Allow,
        default_deny: true,
        peers: Peers::Some {
            location: None,
            list: Vec::new(),
        },
        ports: Ports::All,
        tier: scope.tier,
        priority: Priority::ZERO,
        auth: None,
        log: None,
    }
}

/// Where the reader finds what made a direction denied: its list, else `policyTypes`, else the
/// spec itself.
fn section_location(reader: &Reader<'_>, fields: &Fields<'_>, section: &Section) -> Location {
    let entry = fields
        .get(section.name)
        .or_else(|| fields.get("policyTypes"));
    let span = entry.map_or(fields.span, |entry| entry.key_span);
    reader.location(span.start)
}

fn rule<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    section: &Section,
    scope: &Scope,
) -> Option<(Peers, Ports)> {
    let known = [Field::Known(section.peers), Field::Known("ports")];
    let fields = reader.fields(node, &known)?;
    let peers = match fields.get(section.peers).filter(|entry| !is_empty(*entry)) {
        Some(entry) => {
            let list = reader.field(entry, |reader, node| {
                reader.items(node, |reader, node| peer(reader, node, section, scope))
            });
            everybody_or(
                list.unwrap_or_default().into_iter().flatten().collect(),
                reader.location(entry.key_span.start),
            )
        }
        None => Peers::Any { location: None },
    };
    let ports = match fields.get("ports").filter(|entry| !is_empty(*entry)) {
        Some(entry) => {
            let list = reader.field(entry, |reader, node| reader.items(node, port));
            Ports::Some(list.unwrap_or_default())
        }
        None => Ports::All,
    };
    Some((peers, ports))
}

fn is_empty(entry: Entry<'_>) -> bool {
    matches!(&entry.node.value, Value::Sequence(items) if items.is_empty())
}

fn everybody_or(list: Vec<Peer>, location: Location) -> Peers {
    let location = Some(location);
    if list.iter().any(|peer| peer.selector.is_everything()) {
        Peers::Any { location }
    } else {
        Peers::Some { location, list }
    }
}

/// An item of `from` or `to`: a block of addresses, or pods by their own and their namespace's
/// labels. An item with both names both.
fn peer<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    section: &Section,
    scope: &Scope,
) -> Option<Vec<Peer>> {
    let fields = reader.fields(node, &PEER)?;
    let mut found = Vec::new();
    if let Some(entry) = fields.get("ipBlock") {
        found.extend(reader.field(entry, cidr::block));
    }
    let (pods, namespaces) = (fields.get("podSelector"), fields.get("namespaceSelector"));
    if let (Some(entry), true) = (fields.get("ipBlock"), reader.is_cluster())
        && (pods.is_some() || namespaces.is_some())
    {
        reader.field(entry, |reader, _| {
            reader.refuse(
                entry.key_span,
                Cause::Conflict {
                    rule: "a peer is addresses and pods",
                    instead: "write a peer of its own for each",
                },
            );
        });
    }
    if pods.is_none() && namespaces.is_none() {
        if !fields.has("ipBlock") {
            let field = "ipBlock, podSelector or namespaceSelector";
            reader.refuse(fields.span, Cause::Missing { field });
        }
        if upstream_adds_namespace(reader, section) {
            let selector = scope.kubernetes_peer(&Selector::everything(), None);
            found.push(peers::endpoints_peer(reader, node, selector));
        }
        return Some(found);
    }
    let mut read = |entry: Option<Entry<'a>>, keys| match entry {
        Some(entry) => reader
            .field(entry, |reader, node| selector::read(reader, node, keys))
            .map(|parts| Some(parts.selector())),
        None => Some(None),
    };
    let (pods, namespaces) = (read(pods, Keys::Pod), read(namespaces, Keys::Namespace));
    let pods = pods?.unwrap_or_else(Selector::everything);
    let selector = scope.kubernetes_peer(&pods, namespaces?.as_ref());
    found.push(peers::endpoints_peer(reader, node, selector));
    Some(found)
}

/// Upstream confines a peer to the cluster by adding to its pod selector, and so gives one to a
/// block of addresses that had none; only under `from`.
fn upstream_adds_namespace(reader: &Reader<'_>, section: &Section) -> bool {
    reader.options.ip_blocks == IpBlocks::AddressesAndNamespace
        && reader.options.policy_cluster.is_some()
        && section.direction == Direction::Ingress
}

/// An item of `ports`; without a port it is every packet of the protocol.
fn port<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<PortRule> {
    let fields = reader.fields(node, &PORT)?;
    let protocol = match fields.get("protocol") {
        Some(entry) => reader.field(entry, |reader, node| {
            reader.one_of(node, "the protocol", &PROTOCOLS)
        }),
        None => Some(Protocol::TCP),
    };
    let first = match fields.get("port") {
        Some(entry) => reader.field(entry, first_port),
        None => Some(First::Number(0)),
    };
    check_end(reader, &fields, first.as_ref());
    let ports = ports::port_match(reader, first, fields.get("endPort"));
    Some(PortRule {
        protocol: protocol?,
        ports: ports?,
        redirect: None,
        location: reader.location(node.span.start),
    })
}

/// A number, or a name as text. A cluster takes no number as text and no name in capitals.
fn first_port<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<First> {
    let text = match &node.value {
        Value::Scalar(scalar) if scalar.meaning() == Meaning::Text => Some(scalar.text),
        Value::Mapping(_) | Value::Scalar(_) | Value::Sequence(_) => None,
    };
    if let Some(text) = text {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_name = text.bytes().any(|b| b.is_ascii_lowercase()) && text.bytes().all(is_plain);
        if reader.is_cluster() && !is_name {
            let found = text.to_owned();
            reader.refuse(node.span, Cause::Port { found });
            return None;
        }
        return ports::first_port(reader, node, text);
    }
    let number = reader.integer(node)?;
    let lowest = u16::from(reader.is_cluster());
    let port = u16::try_from(number).ok().filter(|port| *port >= lowest);
    if port.is_none() {
        let found = number.to_string();
        reader.refuse(node.span, Cause::PortRange { found });
    }
    port.map(First::Number)
}

/// What a cluster asks of `endPort`: a number before it that is not above it.
fn check_end<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, first: Option<&First>) {
    let (Some(entry), true) = (fields.get("endPort"), reader.is_cluster()) else {
        return;
    };
    let conflict = match first {
        Some(First::Name(_)) => Some((
            "a named port starts no range",
            "remove endPort, or write the port by number",
        )),
        Some(First::Number(0)) => Some(("a range without a first port", "add port")),
        Some(First::Number(first)) => {
            let last = match &entry.node.value {
                Value::Scalar(scalar) => match scalar.meaning() {
                    Meaning::Integer(last) => Some(last),
                    _ => None,
                },
                Value::Mapping(_) | Value::Sequence(_) => None,
            };
            last.is_some_and(|last| last < i64::from(*first))
                .then_some((
                    "the range ends before it starts",
                    "write the higher port as endPort",
                ))
        }
        None => None,
    };
    if let Some((rule, instead)) = conflict {
        reader.field(entry, |reader, node| {
            reader.refuse(node.span, Cause::Conflict { rule, instead });
        });
    }
}

const SECTIONS: [Section; 2] = [
    Section {
        name: "ingress",
        direction: Direction::Ingress,
        peers: "from",
    },
    Section {
        name: "egress",
        direction: Direction::Egress,
        peers: "to",
    },
];

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("SCTP", Protocol::SCTP),
    ("TCP", Protocol::TCP),
    ("UDP", Protocol::UDP),
];

const SPEC: [Field; 4] = [
    Field::Known("egress"),
    Field::Known("ingress"),
    Field::Known("podSelector"),
    Field::Known("policyTypes"),
];

const PEER: [Field; 3] = [
    Field::Known("ipBlock"),
    Field::Known("namespaceSelector"),
    Field::Known("podSelector"),
];

const PORT: [Field; 3] = [
    Field::Known("endPort"),
    Field::Known("port"),
    Field::Known("protocol"),
];
