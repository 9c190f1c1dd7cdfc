//! `toPorts`: protocols, ports, and the proxy that has the last word.

use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{Direction, Protocol};

use super::error::Cause;
use super::fqdn;
use super::reader::{Field, Fields, Reader};
use crate::options::{ExtendedProtocols, L7Proxy, Level};
use crate::rule::{Effect, PortMatch, PortRule, Redirect};
use crate::yaml::{Entry, Node, Value};

/// Ports of one item of `toPorts`, fields of one item of `icmps`.
pub(super) const MAX_ITEMS: usize = 40;

/// Reads an item of `toPorts`; one without ports matches nothing.
pub(super) fn item<'a>(
    reader: &mut Reader<'a>,
    node: &'a Node,
    direction: Direction,
    effect: Effect,
) -> Option<Vec<PortRule>> {
    let fields = reader.fields(
        node,
        match effect {
            Effect::Allow => &PORT_RULE,
            Effect::Deny | Effect::Pass => &PORT_DENY_RULE,
        },
    )?;
    let redirect = match fields.get("rules") {
        Some(entry) if effect == Effect::Allow => reader.field(entry, |reader, node| {
            redirect(reader, entry, node, direction)
        }),
        Some(_) | None => None,
    };
    let Some(entry) = fields.get("ports") else {
        if redirect.is_some() {
            let field = "ports";
            reader.refuse(fields.span, Cause::Missing { field });
        }
        return Some(Vec::new());
    };
    reader.field(entry, |reader, node| {
        let found = reader.list(node)?.len();
        if found > MAX_ITEMS {
            let max = MAX_ITEMS;
            reader.refuse(entry.key_span, Cause::TooMany { found, max });
        }
        if found == 0 && redirect.is_some() {
            refuse_redirect(reader, node, "rules need a port to hold for");
        }
        let rules = reader.items(node, |reader, node| port(reader, node, redirect.as_ref()))?;
        Some(rules.into_iter().flatten().collect())
    })
}

/// An item of `ports`, once for each protocol that it stands for.
fn port<'a>(
    reader: &mut Reader<'a>,
    node: &'a Node,
    redirect: Option<&Redirect>,
) -> Option<Vec<PortRule>> {
    let fields = reader.fields(node, &PORT)?;
    let protocols = protocols(reader, &fields);
    let ports = range(reader, &fields);
    let (protocols, (entry, ports)) = (protocols?, ports?);
    if let (true, Some(entry)) = (redirect.is_some(), entry) {
        reader.field(entry, |reader, node| match (*ports.start(), *ports.end()) {
            (0, _) => refuse_redirect(reader, node, "rules cannot hold for every port"),
            (first, last) if first != last => {
                refuse_redirect(reader, node, "rules cannot hold for a range of ports");
            }
            _ => {}
        });
    }
    if let ([VRRP | IGMP], Some(entry)) = (protocols, entry)
        && ports != PortRule::EVERY_PORT
    {
        reader.field(entry, |reader, node| {
            reader.refuse(
                node.span,
                Cause::Conflict {
                    rule: "the protocol has no ports",
                    instead: "write 0",
                },
            );
        });
    }
    let location = reader.location(node.span.start);
    let rule = |protocol: &Protocol| PortRule {
        protocol: *protocol,
        ports: PortMatch::Numbers(ports.clone()),
        redirect: redirect.cloned().map(Arc::new),
        location: location.clone(),
    };
    Some(protocols.iter().map(rule).collect())
}

fn protocols<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<&'static [Protocol]> {
    let Some(entry) = fields.get("protocol") else {
        return Some(&ANY);
    };
    reader.field(entry, |reader, node| {
        let text = reader.text(node)?;
        // The agent takes any case and an empty text; the schema of the resource neither.
        let word = match reader.options.level {
            Level::Agent if text.is_empty() => "ANY".to_owned(),
            Level::Agent => text.to_ascii_uppercase(),
            Level::Cluster => text.to_owned(),
        };
        let found = PROTOCOLS.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let (what, found) = ("the protocol", text.to_owned());
            let allowed = PROTOCOLS.iter().map(|(name, _)| *name).collect();
            reader.refuse(
                node.span,
                Cause::NotOneOf {
                    what,
                    found,
                    allowed,
                },
            );
        }
        found.map(|(_, protocols)| *protocols)
    })
}

/// The ports of an item and the field that names the first.
fn range<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
) -> Option<(Option<&'a Entry>, RangeInclusive<u16>)> {
    let last = match fields.get("endPort") {
        Some(entry) => Some(reader.field(entry, end_port)?),
        None => None,
    };
    // An empty text is as good as none.
    let entry = fields.get("port").filter(|entry| !is_empty(entry));
    let first = match entry {
        Some(entry) => Some(reader.field(entry, number)?),
        None => None,
    };
    let first = match (first, reader.options.extended_protocols) {
        (Some(first), _) => first,
        (None, ExtendedProtocols::Enabled) => 0,
        (None, ExtendedProtocols::Disabled) => {
            reader.refuse(fields.span, Cause::Missing { field: "port" });
            return None;
        }
    };
    Some((entry, ports(first, last)))
}

/// The ports from `first` to `last`; 0 alone stands for all.
///
/// A last port that is not above the first counts for nothing, as it does upstream.
pub(super) fn ports(first: u16, last: Option<u16>) -> RangeInclusive<u16> {
    match last.filter(|last| *last > first) {
        Some(last) => first..=last,
        None if first == 0 => PortRule::EVERY_PORT,
        None => first..=first,
    }
}

pub(super) fn end_port<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<u16> {
    let number = reader.integer(node)?;
    let port = u16::try_from(number).ok();
    if port.is_none() {
        let found = number.to_string();
        reader.refuse(node.span, Cause::PortRange { found });
    }
    port
}

fn is_empty(entry: &Entry) -> bool {
    matches!(&entry.node.value, Value::Scalar(scalar) if scalar.text.is_empty())
}

/// A port as text: a number or a name.
fn number<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<u16> {
    let text = reader.text(node)?;
    let found = text.to_owned();
    let cause = if is_name(text) {
        let what = format!("the named port {text:?}");
        Cause::NotModelled { what }
    } else if !text.bytes().all(|b| b.is_ascii_digit()) {
        Cause::Port { found }
    } else if text.len() > 1 && text.starts_with('0') {
        Cause::OctalPort { found }
    } else {
        match text.parse() {
            Ok(number) => return Some(number),
            Err(_) => Cause::PortRange { found },
        }
    };
    reader.refuse(node.span, cause);
    None
}

/// Whether a text is a service name: up to 15 letters, digits and single inner dashes, of which
/// one is a letter.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 15
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// The proxy that `rules` ask for; an empty list asks for none.
fn redirect<'a>(
    reader: &mut Reader<'a>,
    entry: &Entry,
    node: &'a Node,
    direction: Direction,
) -> Option<Redirect> {
    let fields = reader.fields(node, &RULES)?;
    let dns = fields.get("dns")?;
    let rules = reader.field(dns, |reader, node| reader.items(node, fqdn::rules))?;
    if matches!(&dns.node.value, Value::Sequence(items) if items.is_empty()) {
        return None;
    }
    let conflict = if direction == Direction::Ingress {
        Some((
            "DNS rules stand at ingress",
            "they are about what a pod asks: move them to egress",
        ))
    } else if reader.options.l7_proxy == L7Proxy::Disabled {
        Some((
            "there is no proxy on this node",
            "remove the rules, or switch it on",
        ))
    } else {
        None
    };
    if let Some((rule, instead)) = conflict {
        reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
    }
    let rules: Vec<_> = rules.into_iter().flatten().collect();
    Some(Redirect::dns(rules))
}

fn refuse_redirect(reader: &mut Reader<'_>, node: &Node, rule: &'static str) {
    let instead = "name one port";
    reader.refuse(node.span, Cause::Conflict { rule, instead });
}

const IGMP: Protocol = Protocol::new(2);
const VRRP: Protocol = Protocol::new(112);

const ANY: [Protocol; 3] = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];

const PROTOCOLS: [(&str, &[Protocol]); 6] = [
    ("ANY", &ANY),
    ("IGMP", &[IGMP]),
    ("SCTP", &[Protocol::SCTP]),
    ("TCP", &[Protocol::TCP]),
    ("UDP", &[Protocol::UDP]),
    ("VRRP", &[VRRP]),
];

const PORT_RULE: [Field; 6] = [
    Field::NotModelled("listener"),
    Field::NotModelled("originatingTLS"),
    Field::Known("ports"),
    Field::Known("rules"),
    Field::NotModelled("serverNames"),
    Field::NotModelled("terminatingTLS"),
];

const PORT_DENY_RULE: [Field; 6] = [
    Field::Dropped("listener"),
    Field::Dropped("originatingTLS"),
    Field::Known("ports"),
    Field::Dropped("rules"),
    Field::Dropped("serverNames"),
    Field::Dropped("terminatingTLS"),
];

const PORT: [Field; 3] = [
    Field::Known("endPort"),
    Field::Known("port"),
    Field::Known("protocol"),
];

const RULES: [Field; 5] = [
    Field::Known("dns"),
    Field::NotModelled("http"),
    Field::NotModelled("kafka"),
    Field::NotModelled("l7"),
    Field::NotModelled("l7proto"),
];
