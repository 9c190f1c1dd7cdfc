//! Listeners, server names and what TLS needs.

use std::sync::Arc;

use palisade_abi::Direction;

use super::super::error::Cause;
use super::super::ports::Site;
use super::super::reader::{Field, Fields, Reader};
use super::{Rules, required, text};
use crate::options::Level;
use crate::rule::{Listener, SecretName, TlsContext};
use crate::yaml::Node;

/// The listener of an item of `toPorts`.
pub(super) fn listener<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    site: &Site<'_>,
    rules: Rules,
) -> Option<Listener> {
    let entry = fields.get("listener")?;
    reader.field(entry, |reader, node| {
        let conflict = if site.direction == Direction::Ingress {
            Some(("a listener stands at ingress", "move it to egress"))
        } else if rules == Rules::None {
            None
        } else {
            Some((
                "an item has a listener and rules",
                "a listener has rules of its own: keep one of the two",
            ))
        };
        if let Some((rule, instead)) = conflict {
            reader.refuse(entry.key_span, Cause::Conflict { rule, instead });
        }
        let fields = reader.fields(node, &LISTENER)?;
        let name = required(reader, &fields, "name");
        let priority = fields
            .get("priority")
            .and_then(|entry| reader.field(entry, priority));
        let Some(entry) = fields.get("envoyConfig") else {
            let field = "envoyConfig";
            reader.refuse(fields.span, Cause::Missing { field });
            return None;
        };
        let (config, namespaced) =
            reader.field(entry, |reader, node| config(reader, node, site))?;
        let namespace = site.namespace().filter(|_| namespaced).unwrap_or_default();
        Some(Listener {
            name: qualified(namespace, config, name?),
            priority: priority.filter(|priority| *priority > 0),
            namespaced,
        })
    })
}

/// The name of the configuration, and whether it is one of a namespace.
fn config<'a>(reader: &mut Reader<'a>, node: Node<'a>, site: &Site<'_>) -> Option<(&'a str, bool)> {
    let fields = reader.fields(node, &CONFIG)?;
    let name = required(reader, &fields, "name");
    let namespaced = match fields.get("kind") {
        Some(entry) => reader.field(entry, |reader, node| {
            if reader.is_absent_text(node) {
                return Some(site.namespace().is_some());
            }
            let namespaced = reader.one_of(node, "the kind", &KINDS)?;
            // The agent finds out when it computes the policy of an endpoint, and then keeps the
            // endpoint without one.
            if namespaced && site.namespace().is_none() && reader.options.level == Level::Cluster {
                reader.refuse(
                    node.span,
                    Cause::Conflict {
                        rule: "a clusterwide policy names a configuration of a namespace",
                        instead: "use CiliumClusterwideEnvoyConfig",
                    },
                );
            }
            Some(namespaced)
        })?,
        None => site.namespace().is_some(),
    };
    Some((name?, namespaced))
}

/// The name by which the proxy knows a listener. One that starts with the namespace is whole.
fn qualified(namespace: &str, config: &str, name: &str) -> Arc<str> {
    match name.split_once('/') {
        Some((first, _)) if first == namespace => name.into(),
        Some(_) | None => format!("{namespace}/{config}/{name}").into(),
    }
}

fn priority<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<u8> {
    let number = reader.integer(node)?;
    let (lowest, highest) = match reader.options.level {
        Level::Agent => (0, i64::from(u8::MAX)),
        Level::Cluster => (1, 100),
    };
    let in_range = u8::try_from(number)
        .ok()
        .filter(|_| (lowest..=highest).contains(&number));
    if in_range.is_none() {
        let (what, found) = ("the priority", number.to_string());
        let allowed = "a number from 1 to 100, the lower one first";
        reader.refuse(
            node.span,
            Cause::Invalid {
                what,
                found,
                allowed,
            },
        );
    }
    in_range
}

/// The TLS server names of an item of `toPorts`.
pub(super) fn server_names<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    rules: Rules,
) -> Vec<Arc<str>> {
    let Some(entry) = fields.get("serverNames") else {
        return Vec::new();
    };
    let names = reader.field(entry, |reader, node| {
        let names = reader.items(node, server_name)?;
        if !names.is_empty() && rules != Rules::None && !fields.has("terminatingTLS") {
            reader.refuse(
                entry.key_span,
                Cause::Conflict {
                    rule: "server names beside rules that need the text in clear",
                    instead: "add terminatingTLS, or write an item of its own for each",
                },
            );
        }
        Some(names)
    });
    names.unwrap_or_default()
}

fn server_name<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<Arc<str>> {
    let text = reader.text(node)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*');
    let is_name = text.len() <= MAX_NAME
        && text.bytes().all(allowed)
        && !text.starts_with('.')
        && !text.contains("..");
    if text.is_empty() || (!is_name && reader.options.level == Level::Cluster) {
        let (what, found) = ("the server name", text.to_owned());
        let allowed = "a DNS name, in which * may stand for characters";
        reader.refuse(
            node.span,
            Cause::Invalid {
                what,
                found,
                allowed,
            },
        );
        return None;
    }
    Some(text.into())
}

/// A TLS context of an item of `toPorts`.
pub(super) fn context<'a>(
    reader: &mut Reader<'a>,
    fields: &Fields<'a>,
    name: &str,
) -> Option<TlsContext> {
    let entry = fields.get(name)?;
    reader.field(entry, |reader, node| {
        let fields = reader.fields(node, &CONTEXT)?;
        let Some(entry) = fields.get("secret") else {
            let field = "secret";
            reader.refuse(fields.span, Cause::Missing { field });
            return None;
        };
        let secret = reader.field(entry, secret);
        let mut item = |name| text(reader, &fields, name).map(Arc::from);
        let (trusted_ca, certificate) = (item("trustedCA"), item("certificate"));
        Some(TlsContext {
            secret: secret?,
            trusted_ca,
            certificate,
            private_key: item("privateKey"),
        })
    })
}

/// The name of a secret.
pub(super) fn secret<'a>(reader: &mut Reader<'a>, node: Node<'a>) -> Option<SecretName> {
    let fields = reader.fields(node, &SECRET)?;
    let name = required(reader, &fields, "name");
    let namespace = text(reader, &fields, "namespace").map(Arc::from);
    Some(SecretName {
        namespace,
        name: name?.into(),
    })
}

const MAX_NAME: usize = 255;

const KINDS: [(&str, bool); 2] = [
    ("CiliumClusterwideEnvoyConfig", false),
    ("CiliumEnvoyConfig", true),
];

const CONFIG: [Field; 2] = [Field::Known("kind"), Field::Known("name")];

const CONTEXT: [Field; 4] = [
    Field::Known("certificate"),
    Field::Known("privateKey"),
    Field::Known("secret"),
    Field::Known("trustedCA"),
];

const LISTENER: [Field; 3] = [
    Field::Known("envoyConfig"),
    Field::Known("name"),
    Field::Known("priority"),
];

const SECRET: [Field; 2] = [Field::Known("name"), Field::Known("namespace")];
