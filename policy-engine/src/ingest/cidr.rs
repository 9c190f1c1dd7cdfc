//! Prefixes and their exceptions.

use std::net::IpAddr;

use palisade_identity::{LabelKey, Prefix, Requirement, Selector};

use super::error::Cause;
use super::reader::{Field, Reader};
use super::scope::reserved;
use crate::options::Stack;
use crate::rule::{Peer, PeerKind};
use crate::yaml::{Node, Span};

/// An item of `fromCIDR` or `toCIDR`: a prefix or a bare address.
pub(super) fn plain<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<Peer> {
    let prefix = address_or_prefix(reader, node)?;
    peer(reader, node, prefix, Vec::new())
}

/// A prefix; an address stands for the prefix of itself.
pub(super) fn address_or_prefix<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<Prefix> {
    let text = reader.text(node)?;
    match text.parse::<IpAddr>() {
        Ok(address) if !is_mapped(address) => Some(Prefix::exact(address)),
        Ok(_) | Err(_) => parse(reader, node.span, text, "an address or a prefix"),
    }
}

/// A prefix as it stands, without exceptions.
pub(super) fn network<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<Peer> {
    let text = reader.text(node)?;
    let prefix = parse(reader, node.span, text, "a prefix")?;
    peer(reader, node, prefix, Vec::new())
}

/// An item of `fromCIDRSet` or `toCIDRSet`: a prefix less its exceptions.
pub(super) fn set<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<Peer> {
    rule(reader, node, &CIDR_RULE)
}

/// An `ipBlock` of a Kubernetes peer.
pub(super) fn block<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<Peer> {
    rule(reader, node, &IP_BLOCK)
}

fn rule<'a>(reader: &mut Reader<'a>, node: &'a Node, known: &[Field]) -> Option<Peer> {
    let before = reader.error_count();
    let fields = reader.fields(node, known)?;
    let Some(entry) = fields.get("cidr") else {
        // Where a group stands in its place that has been said already.
        if reader.error_count() == before {
            reader.refuse(fields.span, Cause::Missing { field: "cidr" });
        }
        return None;
    };
    let prefix = reader.field(entry, |reader, node| {
        let text = reader.text(node)?;
        parse(reader, node.span, text, "a prefix")
    });
    let except = match fields.get("except") {
        Some(entry) => reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| exception(reader, node, prefix))
        })?,
        None => Vec::new(),
    };
    peer(reader, node, prefix?, except)
}

/// An exception counts as inside if its address is: one that is wider takes everything out.
fn exception<'a>(reader: &mut Reader<'a>, node: &'a Node, outer: Option<Prefix>) -> Option<Prefix> {
    let text = reader.text(node)?;
    let except = parse(reader, node.span, text, "a prefix")?;
    let outer = outer?;
    let address = text.split('/').next().and_then(|text| text.parse().ok());
    if address.is_some_and(|address| outer.covers(Prefix::exact(address))) {
        return Some(except);
    }
    let (except, cidr) = (text.to_owned(), outer.to_string());
    reader.refuse(node.span, Cause::ExceptOutside { except, cidr });
    None
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

fn peer(reader: &Reader<'_>, node: &Node, prefix: Prefix, except: Vec<Prefix>) -> Option<Peer> {
    let selector = if prefix.length() == 0 {
        let world = match reader.options.stack {
            Stack::Single => "world",
            Stack::Dual if prefix.address().is_ipv4() => "world-ipv4",
            Stack::Dual => "world-ipv6",
        };
        except.iter().fold(reserved(world)?, |selector, inner| {
            selector.with(Requirement::does_not_exist(LabelKey::cidr(*inner)))
        })
    } else {
        Selector::cidr(prefix, except.iter().copied())
    };
    Some(Peer {
        selector,
        kind: PeerKind::Cidr { prefix, except },
        location: reader.location(node.span.start),
    })
}

const CIDR_RULE: [Field; 4] = [
    Field::Known("cidr"),
    Field::NotModelled("cidrGroupRef"),
    Field::NotModelled("cidrGroupSelector"),
    Field::Known("except"),
];

const IP_BLOCK: [Field; 2] = [Field::Known("cidr"), Field::Known("except")];
