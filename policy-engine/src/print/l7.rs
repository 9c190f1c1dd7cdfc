//! What a proxy is asked to enforce.

use std::sync::Arc;

use super::tree::Tree;
use super::{Error, cannot};
use crate::rule::{
    DnsRule, HeaderMatch, HttpRule, KafkaRule, L7Rules, Listener, MismatchAction, Redirect,
    ResourceName, Rule, SecretName, TlsContext,
};

/// The fields of an item of `toPorts` beside its ports.
pub(super) fn entries(
    rule: &Rule,
    resource: &ResourceName,
    redirect: &Redirect,
) -> Result<Vec<(&'static str, Tree)>, Error> {
    let mut entries = Vec::new();
    if let Some(rules) = rules(&redirect.rules) {
        entries.push(("rules", rules));
    }
    if let Some(found) = &redirect.listener {
        entries.push(("listener", listener(rule, resource, found)?));
    }
    if !redirect.server_names.is_empty() {
        entries.push(("serverNames", texts(&redirect.server_names)));
    }
    for (name, context) in [
        ("terminatingTLS", &redirect.terminating_tls),
        ("originatingTLS", &redirect.originating_tls),
    ] {
        entries.extend(context.as_ref().map(|context| (name, tls(context))));
    }
    Ok(entries)
}

fn rules(rules: &L7Rules) -> Option<Tree> {
    let list = |items: Vec<Tree>| Tree::List(items);
    Some(match rules {
        L7Rules::None => return None,
        L7Rules::Dns(rules) => Tree::map([("dns", list(rules.iter().map(dns).collect()))]),
        L7Rules::Http(rules) => Tree::map([("http", list(rules.iter().map(http).collect()))]),
        L7Rules::Kafka(rules) => Tree::map([("kafka", list(rules.iter().map(kafka).collect()))]),
        L7Rules::Other { protocol, rules } => {
            let pairs = rules.iter().map(|rule| {
                Tree::map(
                    rule.iter()
                        .map(|(key, value)| (&**key, Tree::text(&**value))),
                )
            });
            let mut entries = vec![("l7proto", Tree::text(&**protocol))];
            if !rules.is_empty() {
                entries.push(("l7", list(pairs.collect())));
            }
            Tree::map(entries)
        }
    })
}

fn dns(rule: &DnsRule) -> Tree {
    let field = if rule.pattern.is_name() {
        "matchName"
    } else {
        "matchPattern"
    };
    Tree::map([(field, Tree::text(rule.pattern.as_str()))])
}

fn http(rule: &HttpRule) -> Tree {
    let mut entries = optional([
        ("path", &rule.path),
        ("method", &rule.method),
        ("host", &rule.host),
    ]);
    if !rule.headers.is_empty() {
        entries.push(("headers", texts(&rule.headers)));
    }
    if !rule.header_matches.is_empty() {
        let matches = rule.header_matches.iter().map(header_match);
        entries.push(("headerMatches", Tree::List(matches.collect())));
    }
    Tree::map(entries)
}

fn header_match(header: &HeaderMatch) -> Tree {
    let mut entries = vec![("name", Tree::text(&*header.name))];
    entries.extend(optional([("value", &header.value)]));
    entries.extend(header.secret.as_ref().map(|name| ("secret", secret(name))));
    entries.extend(header.mismatch.map(|action| {
        let word = match action {
            MismatchAction::Add => "ADD",
            MismatchAction::Delete => "DELETE",
            MismatchAction::Log => "LOG",
            MismatchAction::Replace => "REPLACE",
        };
        ("mismatch", Tree::text(word))
    }));
    Tree::map(entries)
}

fn kafka(rule: &KafkaRule) -> Tree {
    Tree::map(optional([
        ("role", &rule.role),
        ("apiKey", &rule.api_key),
        ("apiVersion", &rule.api_version),
        ("clientID", &rule.client_id),
        ("topic", &rule.topic),
    ]))
}

/// The short name of a listener where it leads back to the qualified one, else that itself.
fn listener(rule: &Rule, resource: &ResourceName, listener: &Listener) -> Result<Tree, Error> {
    let namespace = resource.namespace.as_deref().unwrap_or_default();
    let namespace = if listener.namespaced { namespace } else { "" };
    let mut parts = listener.name.splitn(3, '/');
    if parts.next() != Some(namespace) {
        return Err(cannot(rule, "a listener of another namespace"));
    }
    let first = |name: &str| {
        name.split_once('/')
            .is_some_and(|(first, _)| first == namespace)
    };
    let (config, name) = match (parts.next(), parts.next()) {
        (Some(config), Some(name)) if !config.is_empty() && !first(name) && !name.is_empty() => {
            (config, name)
        }
        _ => ("none", &*listener.name),
    };
    let kind = if listener.namespaced {
        "CiliumEnvoyConfig"
    } else {
        "CiliumClusterwideEnvoyConfig"
    };
    let config = Tree::map([("kind", Tree::text(kind)), ("name", Tree::text(config))]);
    let mut entries = vec![("envoyConfig", config), ("name", Tree::text(name))];
    if let Some(priority) = listener.priority {
        entries.push(("priority", Tree::Raw(priority.to_string())));
    }
    Ok(Tree::map(entries))
}

fn tls(context: &TlsContext) -> Tree {
    let mut entries = vec![("secret", secret(&context.secret))];
    entries.extend(optional([
        ("trustedCA", &context.trusted_ca),
        ("certificate", &context.certificate),
        ("privateKey", &context.private_key),
    ]));
    Tree::map(entries)
}

fn secret(secret: &SecretName) -> Tree {
    let mut entries = vec![("name", Tree::text(&*secret.name))];
    entries.extend(optional([("namespace", &secret.namespace)]));
    Tree::map(entries)
}

fn optional<const N: usize>(
    fields: [(&'static str, &Option<Arc<str>>); N],
) -> Vec<(&'static str, Tree)> {
    let text = |(name, text): (&'static str, &Option<Arc<str>>)| {
        text.as_deref().map(|text| (name, Tree::text(text)))
    };
    fields.into_iter().filter_map(text).collect()
}

fn texts(texts: &[Arc<str>]) -> Tree {
    Tree::List(texts.iter().map(|text| Tree::text(&**text)).collect())
}
