//! `toPorts`: protocols, ports, and the proxy that has the last word.

use std::sync::Arc;

use palisade_abi::{Direction, Protocol};

use super::error::Cause;
use super::l7::{self, Asked, Rules};
use super::reader::{Field, Fields, Reader};
use super::scope::Scope;
use super::warning::Doubt;
use crate::options::{ExtendedProtocols, Level};
use crate::rule::{Effect, PortMatch, PortRule};
use crate::yaml::{Entry, Items, Node};

/// Ports of one item of `toPorts`, fields of one item of `icmps`.
pub(super) const MAX_ITEMS: usize = 40;

/// Where an item of `toPorts` stands.
pub(super) struct Site<'s> {
    pub(super) direction: Direction,
    pub(super) effect: Effect,
    /// Whether the rule is about nodes.
    pub(super) is_host: bool,
    pub(super) scope: &'s Scope,
}

impl Site<'_> {
    /// The namespace of the policy.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.scope.resource.namespace.as_deref()
    }
}

/// Reads an item of `toPorts`; one without ports matches nothing.
pub(super) fn item<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    site: &Site<'_>,
    rules: &mut Vec<PortRule>,
) {
    let known = match site.effect {
        Effect::Allow => &PORT_RULE,
        Effect::Deny | Effect::Pass => &PORT_DENY_RULE,
    };
    let Some(fields) = reader.fields(node, known) else {
        return;
    };
    let asked = match site.effect {
        Effect::Allow => l7::read(reader, &fields, site),
        Effect::Deny | Effect::Pass => Asked::default(),
    };
    let Some(entry) = fields.get("ports") else {
        if asked.rules == Rules::Dns {
            let field = "ports";
            reader.refuse(fields.span, Cause::Missing { field });
        } else {
            reader.doubt(fields.span, Doubt::NoPorts);
        }
        return;
    };
    reader.field(entry, |reader, node| {
        let Some(found) = reader.list(node).map(Items::len) else {
            return;
        };
        if found > MAX_ITEMS {
            let max = MAX_ITEMS;
            reader.refuse(entry.key_span, Cause::TooMany { found, max });
        }
        if found == 0 && asked.rules == Rules::Dns {
            refuse(reader, node, "rules need a port to hold for", "name a port");
        } else if found == 0 {
            reader.doubt(entry.key_span, Doubt::NoPorts);
        }
        rules.reserve_exact(found);
        reader.each(node, |reader, node| {
            port(reader, node, &asked, rules);
        });
    });
}

/// An item of `ports`, once for each protocol that it stands for.
fn port<'a>(
    reader: &mut Reader<'a>,
    node: Node<'a>,
    asked: &Asked,
    rules: &mut Vec<PortRule>,
) -> Option<()> {
    let fields = reader.fields(node, &PORT)?;
    let protocols = protocols(reader, &fields);
    let ports = ports(reader, &fields);
    let (protocols, (entry, ports)) = (protocols?, ports?);
    if let Some(entry) = entry {
        reader.field(entry, |reader, node| {
            check_port(reader, node, protocols, &ports, asked.rules);
        });
    }
    if asked.rules == Rules::Tcp && protocols != [Protocol::TCP] {
        let (span, instead) = (fields.span, "write protocol: TCP, or remove the rules");
        let rule = "application rules other than DNS need TCP";
        match fields.get("protocol") {
            Some(entry) => reader.field(entry, |reader, node| {
                reader.refuse(node.span, Cause::Conflict { rule, instead });
            }),
            None => reader.refuse(span, Cause::Conflict { rule, instead }),
        }
    }
    rules.extend(protocols.iter().map(|protocol| PortRule {
        protocol: *protocol,
        ports: ports.clone(),
        redirect: asked.redirect.clone(),
        location: reader.location(node.span.start),
    }));
    Some(())
}

/// What rules and protocols demand of a port that is named.
fn check_port(
    reader: &mut Reader<'_>,
    node: Node<'_>,
    protocols: &[Protocol],
    ports: &PortMatch,
    rules: Rules,
) {
    let PortMatch::Numbers(range) = ports else {
        return;
    };
    let (first, last) = (*range.start(), *range.end());
    if rules != Rules::None && first == 0 {
        refuse(
            reader,
            node,
            "rules cannot hold for every port",
            "name one port",
        );
    } else if rules == Rules::Dns && first != last {
        refuse(
            reader,
            node,
            "rules cannot hold for a range of ports",
            "name one port",
        );
    }
    if let ([VRRP | IGMP], true) = (protocols, *range != PortRule::EVERY_PORT) {
        refuse(reader, node, "the protocol has no ports", "write 0");
    }
}

fn protocols<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>) -> Option<&'static [Protocol]> {
    let Some(entry) = fields.get("protocol") else {
        return Some(&ANY);
    };
    reader.field(entry, |reader, node| {
        let text = reader.text(node)?;
        // The agent takes any case and an empty text; the schema of the resource neither.
        let is_it = |name: &str| match reader.options.level {
            Level::Agent if text.is_empty() => name == "ANY",
            Level::Agent => name.eq_ignore_ascii_case(text),
            Level::Cluster => name == text,
        };
        let found = PROTOCOLS.iter().find(|(name, _)| is_it(name));
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
fn ports<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
) -> Option<(Option<Entry<'a>>, PortMatch)> {
    // An empty text is as good as none.
    let entry = fields
        .get("port")
        .filter(|entry| !Reader::is_empty_text(entry.node));
    let first = match entry {
        Some(entry) => reader.field(entry, |reader, node| {
            let text = reader.text(node)?;
            first_port(reader, node, text)
        }),
        None if reader.options.extended_protocols == ExtendedProtocols::Enabled => {
            Some(First::Number(0))
        }
        None => {
            reader.refuse(fields.span, Cause::Missing { field: "port" });
            None
        }
    };
    let last = fields.get("endPort");
    Some((entry, port_match(reader, first, last)?))
}

/// What `port` says.
pub(super) enum First {
    Name(Arc<str>),
    Number(u16),
}

/// The ports from `first` to `last`; 0 alone stands for all.
///
/// A last port that is not above the first counts for nothing, as it does upstream, and so does
/// one beside a name.
pub(super) fn port_match<'a>(
    reader: &mut Reader<'a>,
    first: Option<First>,
    last: Option<Entry<'a>>,
) -> Option<PortMatch> {
    let last = match last {
        Some(entry) => Some((entry, reader.field(entry, end_port)?)),
        None => None,
    };
    let first = match first? {
        First::Number(first) => first,
        First::Name(name) => {
            if let Some((entry, 1..)) = last {
                let doubt = Doubt::EndPortOfName {
                    name: name.to_string(),
                };
                reader.field(entry, |reader, node| reader.doubt(node.span, doubt));
            }
            return Some(PortMatch::Named(name));
        }
    };
    Some(PortMatch::Numbers(match last {
        Some((_, last)) if last > first => first..=last,
        Some((entry, last)) if last > 0 && last < first => {
            let doubt = Doubt::EndPort { first, last };
            reader.field(entry, |reader, node| reader.doubt(node.span, doubt));
            first..=first
        }
        Some(_) | None if first == 0 => PortRule::EVERY_PORT,
        Some(_) | None => first..=first,
    }))
}

fn end_port<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<u16> {
    let number = reader.integer(node)?;
    let port = u16::try_from(number).ok();
    if port.is_none() {
        let found = number.to_string();
        reader.refuse(node.span, Cause::PortRange { found });
    }
    port
}

/// A port as text: a number or a name.
pub(super) fn first_port(reader: &mut Reader<'_>, node: Node<'_>, text: &str) -> Option<First> {
    match parse(text) {
        Ok(first) => Some(first),
        Err(cause) => {
            reader.refuse(node.span, cause);
            None
        }
    }
}

fn parse(text: &str) -> Result<First, Cause> {
    let found = || text.to_owned();
    if is_name(text) {
        Ok(First::Name(text.to_ascii_lowercase().into()))
    } else if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        Err(Cause::Port { found: found() })
    } else if text.len() > 1 && text.starts_with('0') {
        Err(Cause::OctalPort { found: found() })
    } else {
        let number = text.parse().map(First::Number);
        number.map_err(|_| Cause::PortRange { found: found() })
    }
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

fn refuse(reader: &mut Reader<'_>, node: Node<'_>, rule: &'static str, instead: &'static str) {
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
    Field::Known("listener"),
    Field::Known("originatingTLS"),
    Field::Known("ports"),
    Field::Known("rules"),
    Field::Known("serverNames"),
    Field::Known("terminatingTLS"),
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
