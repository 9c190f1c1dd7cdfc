//! What a proxy is asked to enforce: `rules`, `listener`, `serverNames` and the TLS contexts.

mod http;
mod kafka;
mod re2;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::Direction;

use super::error::Cause;
use super::fqdn;
use super::ports::Site;
use super::reader::{Field, Fields, Reader};
use crate::options::{L7Proxy, Level};
use crate::rule::{L7Rules, Redirect};
use crate::yaml::{Entry, Node, Value};

/// What an item of `toPorts` asks a proxy for.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) redirect: Option<Arc<Redirect>>,
    pub(super) rules: Rules,
}

/// The application rules that an item has, for what they demand of its ports.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(super) enum Rules {
    /// DNS rules.
    Dns,
    /// None.
    #[default]
    None,
    /// Rules of a protocol over TCP, even if the list of them is empty.
    Tcp,
}

/// Reads everything about proxies in an item of `toPorts`.
pub(super) fn read<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, site: &Site<'_>) -> Asked {
    if PROXY_FIELDS.iter().all(|name| !fields.has(name)) {
        return Asked::default();
    }
    let rules = fields.get("rules");
    let read = rules
        .map(|entry| reader.field(entry, |reader, node| self::rules(reader, entry, node, site)));
    let (application, kind) = read.unwrap_or_default();
    if let (Some(entry), true) = (rules, kind != Rules::None) {
        check_site(reader, entry, site, &application);
    }
    let redirect = Redirect {
        rules: application,
        listener: tls::listener(reader, fields, site, kind),
        server_names: tls::server_names(reader, fields, kind),
        terminating_tls: tls::context(reader, fields, "terminatingTLS"),
        originating_tls: tls::context(reader, fields, "originatingTLS"),
    };
    Asked {
        redirect: (redirect != Redirect::default()).then(|| Arc::new(redirect)),
        rules: kind,
    }
}

const PROXY_FIELDS: [&str; 5] = [
    "listener",
    "originatingTLS",
    "rules",
    "serverNames",
    "terminatingTLS",
];

/// The application rules and what they demand; exactly one kind may be there.
fn rules<'a>(
    reader: &mut Reader<'a>,
    entry: Entry<'_>,
    node: Node<'a>,
    site: &Site<'_>,
) -> (L7Rules, Rules) {
    let Some(fields) = reader.fields(node, &RULES) else {
        return Default::default();
    };
    let http = list(reader, &fields, "http", http::rule);
    let kafka = list(reader, &fields, "kafka", kafka::rule);
    let dns = list(reader, &fields, "dns", fqdn::rules);
    let other = list(reader, &fields, "l7", pairs);
    let protocol = fields.get("l7proto").and_then(|entry| {
        let text = reader.field(entry, Reader::text)?;
        (!text.is_empty()).then_some(text)
    });
    check_kinds(reader, entry, &fields, protocol.is_some());
    let is_dns = fields.get("dns").is_some_and(has_items);
    if let (Some(entry), Direction::Ingress, true) = (fields.get("dns"), site.direction, is_dns) {
        reader.field(entry, |reader, _| {
            reader.refuse(
                entry.key_span,
                Cause::Conflict {
                    rule: "DNS rules stand at ingress",
                    instead: "they are about what a pod asks: move them to egress",
                },
            );
        });
    }
    let kind = match (
        is_dns,
        ["http", "kafka", "dns", "l7"]
            .iter()
            .any(|name| fields.has(name)),
    ) {
        (true, _) => Rules::Dns,
        (false, true) => Rules::Tcp,
        (false, false) => Rules::None,
    };
    // Where there are several kinds the document is refused, so that the order says nothing.
    let rules = if let Some(rules) = http.filter(|list| !list.is_empty()) {
        L7Rules::Http(rules.into())
    } else if let Some(rules) = kafka.filter(|list| !list.is_empty()) {
        L7Rules::Kafka(rules.into())
    } else if let (Some(rules), true) = (dns, is_dns) {
        L7Rules::Dns(rules.into_iter().flatten().collect())
    } else if let Some(protocol) = protocol {
        L7Rules::Other {
            protocol: protocol.into(),
            rules: other.unwrap_or_default().into(),
        }
    } else {
        L7Rules::None
    };
    (rules, kind)
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    name: &str,
    read: impl FnMut(&mut Reader<'a>, Node<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    let entry = fields.get(name)?;
    reader.field(entry, |reader, node| reader.items(node, read))
}

fn has_items(entry: Entry<'_>) -> bool {
    matches!(&entry.node.value, Value::Sequence(items) if !items.is_empty())
}

fn check_kinds(reader: &mut Reader<'_>, entry: Entry<'_>, fields: &Fields<'_>, has_protocol: bool) {
    let has = |name| usize::from(fields.has(name));
    let kinds = has("http") + has("kafka") + has("dns");
    if kinds + usize::from(has_protocol) > 1 || kinds + has("l7") > 1 {
        reader.refuse(
            entry.key_span,
            Cause::Conflict {
                rule: "rules of two application protocols",
                instead: "write an item of toPorts of its own for each",
            },
        );
    } else if fields.has("l7") && !has_protocol {
        let field = "l7proto";
        reader.refuse(fields.span, Cause::Missing { field });
    } else if kinds + has("l7") == 0 && reader.options.level == Level::Cluster {
        let field = "http, kafka, dns or l7";
        reader.refuse(fields.span, Cause::Missing { field });
    }
}

/// Whether a proxy may stand here at all.
fn check_site<'a>(reader: &mut Reader<'a>, entry: Entry<'a>, site: &Site<'_>, rules: &L7Rules) {
    let for_host = site.direction == Direction::Ingress
        || matches!(rules, L7Rules::Http(_) | L7Rules::Kafka(_));
    let conflict = if site.is_host && for_host {
        Some((
            "application rules for the node itself",
            "a node takes DNS rules at egress only: remove these",
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
        reader.field(entry, |reader, _| {
            reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
        });
    }
}

/// An item of `l7`: what a request must say, key by key.
fn pairs<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
    let mut pairs = BTreeMap::new();
    for entry in reader.entries(node)?.iter() {
        if entry.key.is_empty() {
            let (what, found) = ("the key", String::new());
            let allowed = "a key has characters";
            reader.refuse(
                entry.key_span,
                Cause::Invalid {
                    what,
                    found,
                    allowed,
                },
            );
        }
        if let Some(value) = reader.field(entry, Reader::text) {
            pairs.insert(entry.key.into(), value.into());
        }
    }
    Some(pairs)
}

/// The text of a field; `None` if it is absent, empty or wrong.
fn text<'a>(reader: &mut Reader<'a>, fields: &Fields<'a>, name: &str) -> Option<&'a str> {
    let entry = fields.get(name)?;
    reader
        .field(entry, Reader::text)
        .filter(|text| !text.is_empty())
}

/// The text of a field that must be there.
fn required<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    field: &'static str,
) -> Option<&'a str> {
    let found = text(reader, fields, field);
    // What is there and no text has been complained about.
    if found.is_none()
        && fields
            .get(field)
            .is_none_or(|entry| Reader::is_empty_text(entry.node))
    {
        reader.refuse(fields.span, Cause::Missing { field });
    }
    found
}

const RULES: [Field; 5] = [
    Field::Known("dns"),
    Field::Known("http"),
    Field::Known("kafka"),
    Field::Known("l7"),
    Field::Known("l7proto"),
];
