//! Prefixes and their exceptions.

use std::net::IpAddr;
use std::sync::Arc;

use palisade_identity::{LabelKey, Prefix, Requirement, Selector};

use super::error::Cause;
use super::reader::{Field, Fields, Reader};
use super::scope::reserved;
use super::selector::Keys;
use super::warning::Doubt;
use super::{cidr_group, name, selector};
use crate::options::{CidrMatch, Level, Stack};
use crate::rule::{Peer, PeerKind};
use crate::yaml::{Node, Span};

/// An item of `fromCIDR` or `toCIDR`: a prefix or a bare address.
pub(super) fn plain<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let prefix = address_or_prefix(reader, node)?;
    peer(reader, node, prefix, Vec::new())
}

/// A prefix; to the agent an address stands for the prefix of itself.
pub(super) fn address_or_prefix<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Prefix> {
    let text = reader.text(node)?;
    let address = Some(text).filter(|text| !text.contains('/'));
    let address = address.and_then(|text| text.parse::<IpAddr>().ok());
    match (address, reader.options.level) {
        (Some(address), Level::Agent) if !is_mapped(address) => Some(Prefix::exact(address)),
        (_, Level::Agent) => parse(reader, node.span, text, "an address or a prefix"),
        (_, Level::Cluster) => parse(reader, node.span, text, "a prefix"),
    }
}

/// A prefix as it stands, without exceptions.
pub(super) fn network<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let text = reader.text(node)?;
    let prefix = parse(reader, node.span, text, "a prefix")?;
    peer(reader, node, prefix, Vec::new())
}

/// An item of `fromCIDRSet` or `toCIDRSet`: exactly one of three ways to name prefixes, less the
/// exceptions.
pub(super) fn set<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let fields = reader.fields(node, &CIDR_RULE)?;
    let is_there = |name: &&str| {
        fields
            .get(name)
            .is_some_and(|entry| reader.is_cluster() || !Reader::is_empty_text(entry.node))
    };
    let ways: Vec<&str> = WAYS.into_iter().filter(is_there).collect();
    match ways.as_slice() {
        ["cidr"] => block_of(reader, node, &fields, Excepting::Inside),
        ["cidrGroupRef" | "cidrGroupSelector"] => group(reader, node, &fields),
        [] => {
            let field = "cidr, cidrGroupRef or cidrGroupSelector";
            reader.refuse(fields.span, Cause::Missing { field });
            None
        }
        [..] => {
            reader.refuse(
                fields.span,
                Cause::Conflict {
                    rule: "an item names its prefixes in two ways",
                    instead: "write an item of its own for each",
                },
            );
            None
        }
    }
}

/// An `ipBlock` of a Kubernetes peer.
pub(super) fn block<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Peer> {
    let fields = reader.fields(node, &IP_BLOCK)?;
    if !fields.has("cidr") {
        reader.refuse(fields.span, Cause::Missing { field: "cidr" });
        return None;
    }
    let excepting = if reader.is_cluster() {
        Excepting::Smaller
    } else {
        Excepting::Inside
    };
    block_of(reader, node, &fields, excepting)
}

/// What an exception must be.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Excepting {
    /// Its address is one of the prefix: one that is wider takes everything out.
    Inside,
    /// It is smaller than the prefix.
    Smaller,
}

fn block_of<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    fields: &Fields<'a>,
    excepting: Excepting,
) -> Option<Peer> {
    let prefix = fields.get("cidr").and_then(|entry| {
        reader.field(entry, |reader, node| {
            let text = reader.text(node)?;
            parse(reader, node.span, text, "a prefix")
        })
    });
    let except = exceptions(reader, fields, |reader, node| {
        exception(reader, node, prefix, excepting)
    })?;
    peer(reader, node, prefix?, except)
}

fn exceptions<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    read: impl FnMut(&mut Reader<'a>, Node<'a>) -> Option<Prefix>,
) -> Option<Vec<Prefix>> {
    match fields.get("except") {
        Some(entry) => reader.field(entry, |reader, node| reader.items(node, read)),
        None => Some(Vec::new()),
    }
}

/// The prefixes of CIDR groups, by a group's name or by the labels of groups.
fn group<'a>(reader: &mut Reader<'a>, node: Node<'a>, fields: &Fields<'a>) -> Option<Peer> {
    let except = exceptions(reader, fields, |reader, node| {
        let text = reader.text(node)?;
        parse(reader, node.span, text, "a prefix")
    });
    let (text, selector) = if let Some(entry) = fields.get("cidrGroupSelector") {
        reader.field(entry, |reader, node| {
            let selector = selector::read(reader, node, Keys::CidrGroup)?.selector();
            if selector.is_everything() {
                reader.doubt(node.span, Doubt::EveryGroup);
            }
            Some((Arc::from(selector.to_string()), selector))
        })?
    } else {
        let entry = fields.get("cidrGroupRef")?;
        reader.field(entry, |reader, node| {
            let name = reader.text(node)?;
            name::check(reader, node, name, "the name of the group");
            Some((Arc::from(name), cidr_group::by_name(name)?))
        })?
    };
    let except = except?;
    Some(Peer {
        selector: less(selector, &except),
        kind: PeerKind::CidrGroup { text, except },
        location: reader.location(node.span.start),
    })
}

/// A selector, less some prefixes.
fn less(selector: Selector, except: &[Prefix]) -> Selector {
    except.iter().fold(selector, |selector, inner| {
        selector.with(Requirement::does_not_exist(LabelKey::cidr(*inner)))
    })
}

fn exception<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    outer: Option<Prefix>,
    excepting: Excepting,
) -> Option<Prefix> {
    let text = reader.text(node)?;
    let inner = parse(reader, node.span, text, "a prefix")?;
    let outer = outer?;
    let address = text.split('/').next().and_then(|text| text.parse().ok());
    let is_inside = address.is_some_and(|address| outer.covers(Prefix::exact(address)));
    let (except, cidr) = (text.to_owned(), outer.to_string());
    if !is_inside || (excepting == Excepting::Smaller && inner.covers(outer)) {
        reader.refuse(node.span, Cause::ExceptOutside { except, cidr });
        return None;
    }
    if inner.covers(outer) {
        reader.doubt(node.span, Doubt::ExceptsEverything { except, cidr });
    }
    Some(inner)
}

fn parse(
    reader: &mut Reader<'_>,
    span: Span,
    text: &str,
    expected: &'static str,
) -> Option<Prefix> {
    let prefix = text.split_once('/').and_then(|(address, length)| {
        let address = address
            .parse::<IpAddr>()
            .ok()
            .filter(|ip| !is_mapped(*ip))?;
        let digits = length.bytes().all(|b| b.is_ascii_digit());
        let plain = digits && (length.len() == 1 || !length.starts_with('0'));
        Prefix::new(address, length.parse().ok().filter(|_| plain)?).ok()
    });
    if prefix.is_none() {
        let found = text.to_owned();
        reader.refuse(span, Cause::Cidr { found, expected });
    }
    prefix
}

/// IPv4 written as IPv6 would be taken for IPv4 by some readers and for IPv6 by others.
const fn is_mapped(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    }
}

fn peer(reader: &Reader<'_>, node: Node<'_>, prefix: Prefix, except: Vec<Prefix>) -> Option<Peer> {
    let outside = reader.options.cidr_match == CidrMatch::Outside;
    let selector = if prefix.length() == 0 && outside {
        let world = match reader.options.stack {
            Stack::Single => "world",
            Stack::Dual if prefix.address().is_ipv4() => "world-ipv4",
            Stack::Dual => "world-ipv6",
        };
        less(reserved(world)?, &except)
    } else {
        Selector::cidr(prefix, except.iter().copied())
    };
    Some(Peer {
        selector,
        kind: PeerKind::Cidr { prefix, except },
        location: reader.location(node.span.start),
    })
}

const WAYS: [&str; 3] = ["cidr", "cidrGroupRef", "cidrGroupSelector"];

const CIDR_RULE: [Field; 4] = [
    Field::Known("cidr"),
    Field::Known("cidrGroupRef"),
    Field::Known("cidrGroupSelector"),
    Field::Known("except"),
];

const IP_BLOCK: [Field; 2] = [Field::Known("cidr"), Field::Known("except")];
