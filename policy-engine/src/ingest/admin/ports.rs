//! `ports` of v1alpha1 and `protocols` of v1alpha2.

use std::ops::RangeInclusive;

use palisade_abi::Protocol;

use super::super::error::Cause;
use super::super::ports::is_name;
use super::super::reader::{Field, Fields, Reader};
use super::dialect::Dialect;
use super::{check_count, check_some, only, required};
use crate::rule::{PeerKind, Peers, PortMatch, PortRule, Ports};
use crate::yaml::{Entry, Node};

/// Reads the ports of a rule; without the field it is every protocol.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    dialect: &Dialect,
) -> Option<Ports> {
    let Some(entry) = fields.get(dialect.ports) else {
        return Some(Ports::All);
    };
    check_some(reader, entry, "an item");
    let item = if dialect.ports == "protocols" {
        protocol
    } else {
        port
    };
    let list = reader.field(entry, |reader, node| {
        check_count(reader, node, dialect.max_items);
        reader.items(node, item)
    })?;
    Some(Ports::Some(list.into_iter().flatten().collect()))
}

/// Refuses names of ports beside peers that have no named ports.
pub(super) fn check<'a>(reader: &mut Reader<'a>, entry: Entry<'a>, ports: &Ports, peers: &Peers) {
    let Ports::Some(ports) = ports else {
        return;
    };
    let named = ports.iter().any(|port| port.numbers().is_none());
    let nameless = peers.list().iter().any(|peer| {
        matches!(
            peer.kind,
            PeerKind::Cidr { .. } | PeerKind::Fqdn(_) | PeerKind::Nodes
        )
    });
    if named && nameless {
        let (rule, instead) = (
            "a port is named beside networks, nodes or domain names, which name no ports",
            "write the number, or a rule of its own for them",
        );
        reader.field(entry, |reader, _| {
            reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
        });
    }
}

/// An item of `ports`: a number, a range or a name.
fn port<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Vec<PortRule>> {
    let entry = only(
        reader,
        node,
        &PORT,
        "portNumber, portRange or namedPort",
        "an item says its ports in two ways",
    )?;
    let known: &[Field] = match entry.key {
        "namedPort" => return reader.field(entry, |reader, value| named(reader, node, value)),
        "portNumber" => &PORT_NUMBER,
        _ => &PORT_RANGE,
    };
    reader.field(entry, |reader, inner| {
        let fields = reader.fields(inner, known)?;
        let protocol = match fields.get("protocol") {
            Some(entry) => reader.field(entry, |reader, node| {
                reader.one_of(node, "the protocol", &PROTOCOLS)
            }),
            None => Some(Protocol::TCP),
        };
        let numbers = if entry.key == "portNumber" {
            required(reader, &fields, "port", number).map(|port| port..=port)
        } else {
            range(reader, &fields)
        };
        Some(vec![numbered(reader, node, protocol?, numbers?)])
    })
}

/// An item of `protocols`: a protocol and its ports, or a name.
fn protocol<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Vec<PortRule>> {
    let entry = only(
        reader,
        node,
        &PROTOCOL,
        "tcp, udp, sctp or destinationNamedPort",
        "an item names two protocols",
    )?;
    let protocol = match entry.key {
        "destinationNamedPort" => {
            return reader.field(entry, |reader, value| named(reader, node, value));
        }
        "tcp" => Protocol::TCP,
        "udp" => Protocol::UDP,
        _ => Protocol::SCTP,
    };
    let numbers = reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &[Field::Known("destinationPort")])?;
        required(reader, &fields, "destinationPort", destination)
    })?;
    Some(vec![numbered(reader, node, protocol, numbers)])
}

fn destination<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<RangeInclusive<u16>> {
    let entry = only(
        reader,
        node,
        &DESTINATION,
        "number or range",
        "a destination is a port and a range",
    )?;
    reader.field(entry, |reader, node| {
        if entry.key == "number" {
            return number(reader, node).map(|port| port..=port);
        }
        let fields = reader.fields(node, &RANGE)?;
        range(reader, &fields)
    })
}

fn range<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<RangeInclusive<u16>> {
    let first = required(reader, fields, "start", number);
    let last = required(reader, fields, "end", number);
    let (first, last) = (first?, last?);
    if first < last {
        return Some(first..=last);
    }
    let (rule, instead) = (
        "a range of ports ends before it starts",
        "`end` must be above `start`; write a single port by its number",
    );
    reader.refuse(fields.span, Cause::Conflict { rule, instead });
    None
}

fn number<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<u16> {
    let number = reader.integer(node)?;
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    if port.is_none() {
        let found = number.to_string();
        reader.refuse(node.span, Cause::PortRange { found });
    }
    port
}

/// A name stands for a port of whichever protocol the container gave it to.
fn named<'a>(reader: &mut Reader<'a>, item: Node<'a>, node: Node<'a>) -> Option<Vec<PortRule>> {
    let name = reader.text(node)?;
    if !is_name(name) {
        let found = name.to_owned();
        reader.refuse(node.span, Cause::Port { found });
        return None;
    }
    let name = name.to_ascii_lowercase();
    let rule = |(_, protocol)| PortRule {
        protocol,
        ports: PortMatch::Named(name.as_str().into()),
        redirect: None,
        location: reader.location(item.span.start),
    };
    Some(PROTOCOLS.into_iter().map(rule).collect())
}

fn numbered(
    reader: &Reader<'_>,
    node: Node<'_>,
    protocol: Protocol,
    numbers: RangeInclusive<u16>,
) -> PortRule {
    PortRule {
        protocol,
        ports: PortMatch::Numbers(numbers),
        redirect: None,
        location: reader.location(node.span.start),
    }
}

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("SCTP", Protocol::SCTP),
    ("TCP", Protocol::TCP),
    ("UDP", Protocol::UDP),
];

const PORT: [Field; 3] = [
    Field::Known("namedPort"),
    Field::Known("portNumber"),
    Field::Known("portRange"),
];

const PORT_NUMBER: [Field; 2] = [Field::Known("port"), Field::Known("protocol")];

const PORT_RANGE: [Field; 3] = [
    Field::Known("end"),
    Field::Known("protocol"),
    Field::Known("start"),
];

const PROTOCOL: [Field; 4] = [
    Field::Known("destinationNamedPort"),
    Field::Known("sctp"),
    Field::Known("tcp"),
    Field::Known("udp"),
];

const DESTINATION: [Field; 2] = [Field::Known("number"), Field::Known("range")];

const RANGE: [Field; 2] = [Field::Known("end"), Field::Known("start")];
