//! The specs of `AdminNetworkPolicy`, `BaselineAdminNetworkPolicy` and `ClusterNetworkPolicy`.
//!
//! The rules of one policy decide in the order they stand in, each direction for itself, so each
//! has a [`Priority`] of its own. None of them switches default deny on.

mod dialect;
mod peers;
mod ports;
mod subject;

use std::sync::Arc;

use palisade_abi::Direction;
use palisade_identity::Selector;

use self::dialect::Dialect;
use super::error::Cause;
use super::reader::{Field, Fields, Reader};
use super::scope::Scope;
use crate::rule::{Effect, Peers, Ports, Priority, Rule, Subject, Tier};
use crate::yaml::{Entry, Node, Value};

/// A list of rules and the name of the field that holds the peers of each.
struct Section {
    name: &'static str,
    direction: Direction,
    peers: &'static str,
}

/// Where a policy stands among the others.
struct Place {
    tier: Tier,
    priority: u16,
}

/// Reads a spec and adds its rules, ingress first.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    scope: &Scope,
    rules: &mut Vec<Rule>,
) {
    let Some(dialect) = Dialect::of(scope.resource.kind) else {
        return;
    };
    let Some(fields) = reader.fields(node, dialect.spec) else {
        return;
    };
    let place = place(reader, &fields, &dialect);
    let subject = subject::read(reader, &fields, &dialect);
    let subject = Subject::Endpoints(subject.unwrap_or_else(Selector::everything));
    for section in &SECTIONS {
        let Some(list) = fields.get(section.name) else {
            continue;
        };
        let parts = reader.field(list, |reader, node| {
            check_count(reader, node, dialect.max_rules);
            reader.items(node, |reader, node| {
                rule(reader, node, section, &dialect, scope)
            })
        });
        let first = reader.location(list.key_span.start);
        // No document has more rules than a byte counts: `check_count` refuses it.
        let parts = (0..=u8::MAX).zip(parts.unwrap_or_default());
        rules.extend(parts.map(|(nth, (node, part))| Rule {
            resource: Arc::clone(&scope.resource),
            index: 0,
            location: reader.location(node.span.start),
            section: first.clone(),
            subject: subject.clone(),
            direction: section.direction,
            tier: place.tier,
            priority: Priority::nth(place.priority, nth),
            effect: part.effect,
            default_deny: false,
            peers: part.peers,
            ports: part.ports,
            auth: None,
            log: None,
        }));
    }
}

/// The name that the only `BaselineAdminNetworkPolicy` of a cluster has.
pub(super) const BASELINE_NAME: &str = "default";

fn place<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, dialect: &Dialect) -> Place {
    let tier = match dialect.tier {
        Some(tier) => Some(tier),
        None => required(reader, fields, "tier", |reader, node| {
            reader.one_of(node, "the tier", &TIERS)
        }),
    };
    let priority = match dialect.priority {
        Some(priority) => Some(priority),
        None => required(reader, fields, "priority", priority),
    };
    // What is missing has been refused; the document goes no further.
    Place {
        tier: tier.unwrap_or_default(),
        priority: priority.unwrap_or_default(),
    }
}

fn priority<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<u16> {
    let number = reader.integer(node)?;
    let priority = u16::try_from(number).ok().filter(|number| *number <= 1000);
    if priority.is_none() {
        let (rule, instead) = (
            "the priority is out of range",
            "a priority is 0 to 1000, and the lower one decides first",
        );
        reader.refuse(node.span, Cause::Conflict { rule, instead });
    }
    priority
}

/// What an item of a list of rules says.
struct Part {
    effect: Effect,
    peers: Peers,
    ports: Ports,
}

fn rule<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    section: &Section,
    dialect: &Dialect,
    scope: &Scope,
) -> Option<(Node<'a>, Part)> {
    let fields = reader.fields(node, &dialect.rule(section.peers))?;
    if let Some(entry) = fields.get("name") {
        reader.field(entry, check_name);
    }
    let effect = required(reader, &fields, "action", |reader, node| {
        reader.one_of(node, "the action", dialect.actions)
    });
    let peers = peers::read(reader, &fields, section, effect, dialect, scope);
    let ports = ports::read(reader, &fields, dialect);
    if let (Some(ports), Some(entry)) = (&ports, fields.get(dialect.ports)) {
        ports::check(reader, entry, ports, &peers);
    }
    let part = Part {
        effect: effect?,
        peers,
        ports: ports?,
    };
    Some((node, part))
}

fn check_name<'a>(reader: &mut Reader<'a>, node: Node<'a>) {
    let long = |text: &str| text.chars().count() > MAX_NAME;
    if reader.text(node).is_some_and(long) {
        let (rule, instead) = (
            "the name of a rule is too long",
            "a name has up to 100 characters",
        );
        reader.refuse(node.span, Cause::Conflict { rule, instead });
    }
}

/// Reads a field that must be there.
fn required<'a, T>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'a>, Node<'a>) -> Option<T>,
) -> Option<T> {
    if let Some(entry) = fields.get(field) {
        reader.field(entry, read)
    } else {
        reader.refuse(fields.span, Cause::Missing { field });
        None
    }
}

/// The one field of a mapping that holds one of several; refuses none and two.
fn only<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    known: &[Field],
    missing: &'static str,
    several: &'static str,
) -> Option<Entry<'a>> {
    let before = reader.error_count();
    let fields = reader.fields(node, known)?;
    let mut entries = fields.entries();
    match (entries.next(), entries.next()) {
        (Some(one), None) => return Some(one),
        (None, _) => {
            // A field that the mapping may not have has been refused already.
            if reader.error_count() == before {
                let field = missing;
                reader.refuse(node.span, Cause::Missing { field });
            }
        }
        (Some(_), Some(second)) => {
            let (rule, instead) = (several, "keep one, and say the other apart from it");
            reader.field(second, |reader, _| {
                reader.refuse(second.key_span, Cause::Conflict { rule, instead });
            });
        }
    }
    None
}

/// Refuses a list that has more items than the schema of the resource allows.
fn check_count(reader: &mut Reader<'_>, node: Node<'_>, max: usize) {
    if let Some(found) = count(node).filter(|found| *found > max) {
        reader.refuse(node.span, Cause::TooMany { found, max });
    }
}

/// Refuses a list without items, which the schema does not take either.
fn check_some<'a>(reader: &mut Reader<'a>, entry: Entry<'a>, field: &'static str) {
    if count(entry.node) == Some(0) {
        reader.field(entry, |reader, node| {
            reader.refuse(node.span, Cause::Missing { field });
        });
    }
}

/// The items of a list; `None` if it is no list.
fn count(node: Node<'_>) -> Option<usize> {
    match &node.value {
        Value::Sequence(items) => Some(items.len()),
        Value::Mapping(_) | Value::Scalar(_) => None,
    }
}

const MAX_NAME: usize = 100;

const TIERS: [(&str, Tier); 2] = [("Admin", Tier::Admin), ("Baseline", Tier::Baseline)];

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
