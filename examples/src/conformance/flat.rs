//! Expected and found in Cilium's layout: entries, redirects, and what proxies enforce.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use palisade_abi::{Action, Direction, Identity, Protocol, ProxyPort};
use palisade_policy::filters::FilterPorts;
use palisade_policy::flat::{
    Enforced, Entry as FlatEntry, FlatPolicy, FlatSide, Key, SelectorRedirect,
};
use palisade_policy::{
    Desired, Effect, HeaderMatch, HttpRule, KafkaRule, L7Rules, LocalEndpoint, MismatchAction,
};
use serde_json::{Map, Value, json};

use super::flat_expected::{Apart, Entry, Redirect};
use super::scenario::Scenario;
use super::vector::{ExpectedEndpoint, Vector};

/// Compares the policies of all endpoints in Cilium's layout.
pub(super) fn compare(vector: &Vector, scenario: &Scenario) -> Result<(), String> {
    let desired = scenario.desired();
    let all = palisade_policy::flat::policies(&desired);
    for (endpoint, found) in desired.endpoints.iter().zip(&all) {
        let mut expected = vector.expected.endpoints.iter();
        let Some(expected) = expected.find(|one| one.ep == endpoint.id.get()) else {
            return Err(format!("nothing expected of endpoint {}", endpoint.id));
        };
        match (found, &expected.error) {
            // What differs from run to run there is the error.
            _ if vector.nondeterministic.as_deref() == Some("error") => {}
            (Err(_), Some(_)) => {}
            (Err(conflict), None) => return Err(format!("endpoint {}: {conflict}", endpoint.id)),
            (Ok(_), Some(error)) => {
                let id = endpoint.id;
                return Err(format!(
                    "endpoint {id}: a policy, expected the error {error:?}"
                ));
            }
            (Ok(policy), None) => {
                let compared = compared(endpoint, &desired);
                let outcome = one(expected, policy, &compared);
                outcome.map_err(|what| format!("endpoint {}: {what}", endpoint.id))?;
            }
        }
    }
    Ok(())
}

/// The directions of an endpoint whose entries are compared: those without rules that pass on. What
/// such rules come to is unfinished in the other engine; the verdicts are compared there.
fn compared(endpoint: &LocalEndpoint, desired: &Desired<'_>) -> BTreeSet<Direction> {
    let rules = desired.policies.iter().flat_map(|policy| &policy.rules);
    let passing = rules
        .filter(|rule| rule.effect == Effect::Pass && rule.subject.selects(&endpoint.labels))
        .map(|rule| rule.direction);
    let passing: BTreeSet<Direction> = passing.collect();
    let all = Direction::BOTH.into_iter();
    all.filter(|direction| !passing.contains(direction))
        .collect()
}

fn one(
    expected: &ExpectedEndpoint,
    policy: &FlatPolicy,
    compared: &BTreeSet<Direction>,
) -> Result<(), String> {
    for (direction, expected) in [
        (Direction::Ingress, expected.flat.ingress_enforced),
        (Direction::Egress, expected.flat.egress_enforced),
    ] {
        let found = policy.side(direction).enforced == Enforced::Yes;
        if found != expected {
            return Err(format!("{direction} enforced {found}, expected {expected}"));
        }
    }
    entries(expected, policy, compared)?;
    redirects(expected, policy)?;
    let idle = idle_redirects(expected);
    let single = expected.flat.l7.iter();
    let single = single.filter(|one| one.end_port != 0 && one.end_port <= one.port);
    let apart = single.map(Redirect::apart).collect();
    let mut wanted = united(expected.flat.l7.iter().cloned(), &apart);
    let found = united(enforced(policy), &apart);
    wanted.retain(|one| {
        let (endpoint, direction, proto) = (expected.ep, &one.direction, &one.proto);
        let id = format!(
            "{endpoint}:{direction}:{proto}:{}:{}",
            one.port, one.listener
        );
        found.contains(one) || !idle.contains(&id)
    });
    same("redirect rule", &wanted, &found)
}

/// Redirect rules as sets, those for nobody left out, and those for ports 80 to 80 with those for
/// port 80. To the other engine these are two filters, so a rule without rules of its own in one does
/// not open the other: what says nothing does not count there.
fn united(all: impl IntoIterator<Item = Redirect>, apart: &BTreeSet<Apart>) -> BTreeSet<Redirect> {
    let mut united: BTreeMap<Redirect, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for mut one in all {
        let is_apart = apart.contains(&one.apart());
        if one.end_port <= one.port {
            one.end_port = 0;
        }
        let rules = std::mem::take(&mut one.rules);
        if one.wildcard || !one.selects.is_empty() {
            let known = united.entry(one).or_default();
            for (kind, mut texts) in rules {
                if is_apart {
                    texts.remove("{}");
                }
                known.entry(kind).or_default().extend(texts);
            }
        }
    }
    let with_rules = |(one, rules)| Redirect { rules, ..one };
    united.into_iter().map(with_rules).collect()
}

fn entries(
    expected: &ExpectedEndpoint,
    policy: &FlatPolicy,
    compared: &BTreeSet<Direction>,
) -> Result<(), String> {
    let any_proxy = !expected.redirect_conflicts.is_empty();
    let comparable = |mut entry: Entry| {
        if any_proxy && entry.proxy_port != 0 {
            entry.proxy_port = 1;
        }
        entry
    };
    let in_compared = |entry: &Entry| {
        let mut directions = compared.iter();
        directions.any(|direction| direction.to_string() == entry.direction)
    };
    let wanted = expected.flat.entries.iter().cloned().map(comparable);
    let mut wanted: BTreeSet<Entry> = wanted.filter(in_compared).collect();
    let found = policy.entries();
    let found = found.map(|(key, entry)| comparable(wire(key, entry)));
    let found: BTreeSet<Entry> = found.filter(in_compared).collect();
    wanted.retain(|entry| found.contains(entry) || !is_idle(entry, &found));
    same("entry", &wanted, &found)
}

/// Whether an entry of the other engine says nothing that others do not. To it port 80 and ports 80
/// to 80 are two filters, so that it does not see that what one says of somebody the other says of
/// everybody; it lets the node itself in once more where a redirect is; and it makes entries for
/// types that no message can have.
fn is_idle(entry: &Entry, found: &BTreeSet<Entry>) -> bool {
    let of_everybody = Entry {
        id: 0,
        ..entry.clone()
    };
    let whole = Entry {
        proto: 0,
        port: 0,
        port_prefix: 0,
        lpm_prefix: 40,
        ..entry.clone()
    };
    let icmp = [Protocol::ICMP, Protocol::ICMPV6].map(Protocol::get);
    entry.port != 0 && found.contains(&of_everybody)
        || entry.id == Identity::HOST.get() && found.contains(&whole)
        || icmp.contains(&entry.proto) && entry.port > u16::from(u8::MAX)
}

fn wire(key: Key, entry: FlatEntry) -> Entry {
    Entry {
        direction: key.direction.to_string(),
        id: key.identity.get(),
        proto: key.ports.protocol().map_or(0, Protocol::get),
        port: key.ports.port(),
        port_prefix: key.ports.length(),
        lpm_prefix: key.prefix_length(),
        deny: entry.action() == Action::Deny,
        proxy_port: entry.proxy_port.map_or(0, ProxyPort::get),
        precedence: entry.precedence.get(),
        auth: entry.auth.get(),
    }
}

fn redirects(expected: &ExpectedEndpoint, policy: &FlatPolicy) -> Result<(), String> {
    let comparable = |id: String, port: u16| {
        let shared = expected.redirect_conflicts.contains(&id);
        (id, if shared { 0 } else { port })
    };
    let found = policy.redirects();
    let found: BTreeSet<_> = found
        .map(|(id, port)| comparable(id.to_string(), port.get()))
        .collect();
    let idle = idle_redirects(expected);
    let wanted = expected.flat.redirects.iter();
    let wanted: BTreeSet<_> = wanted
        .map(|(id, port)| comparable(id.clone(), *port))
        .filter(|one| found.contains(one) || !idle.contains(&one.0))
        .collect();
    same("redirect", &wanted, &found)
}

/// The redirects that no entry leads to. The other engine keeps them where a rule is about nobody,
/// and where a deny for ports 80 to 80 stands beside a redirect for port 80.
fn idle_redirects(expected: &ExpectedEndpoint) -> BTreeSet<String> {
    let leads = |id: &str, to: u16| {
        let mut parts = id.split(':').skip(1);
        let (direction, proto, port) = (parts.next(), parts.next(), parts.next());
        let proto: Option<Protocol> = proto.and_then(|proto| proto.parse().ok());
        let port: Option<u16> = port.and_then(|port| port.parse().ok());
        expected.flat.entries.iter().any(|entry| {
            Some(entry.direction.as_str()) == direction
                && Some(entry.proto) == proto.map(Protocol::get)
                && Some(entry.port) == port
                && entry.proxy_port == to
        })
    };
    let all = expected.flat.redirects.iter();
    let idle = all.filter(|(id, port)| !leads(id, **port));
    idle.map(|(id, _)| id.clone()).collect()
}

/// What proxies enforce, in the form of the vectors.
fn enforced(policy: &FlatPolicy) -> Vec<Redirect> {
    let of = |side: &FlatSide| {
        let direction = side.direction;
        let all = side.redirected.iter();
        all.map(move |one| redirect(direction, one))
            .collect::<Vec<_>>()
    };
    [&policy.ingress, &policy.egress]
        .into_iter()
        .flat_map(|side| of(side))
        .collect()
}

fn redirect(direction: Direction, one: &SelectorRedirect) -> Redirect {
    let (port, end_port, port_name) = match &one.ports {
        FilterPorts::All => (0, 0, String::new()),
        FilterPorts::Named { name, .. } => (0, 0, name.to_string()),
        FilterPorts::Numbers { range, .. } => {
            let single = range.start() == range.end() || range == &(0..=u16::MAX);
            let end = if single { 0 } else { *range.end() };
            (*range.start(), end, String::new())
        }
    };
    let proxy = &one.proxy;
    let identities = one.identities.iter().flat_map(|all| all.iter());
    Redirect {
        direction: direction.to_string(),
        tier: one.tier,
        proto: one
            .ports
            .protocol()
            .map_or_else(|| "ANY".to_owned(), |one| one.to_string()),
        port,
        end_port,
        port_name,
        wildcard: one.identities.is_none(),
        selects: identities.map(|identity| identity.get()).collect(),
        parser: proxy.parser_name().to_owned(),
        listener: proxy.listener.as_deref().unwrap_or_default().to_owned(),
        listener_priority: proxy.priority,
        priority: one.priority,
        sni: proxy.server_names.iter().map(ToString::to_string).collect(),
        rules: rules(&proxy.rules),
    }
}

fn rules(rules: &L7Rules) -> BTreeMap<String, BTreeSet<String>> {
    let texts = |values: Vec<Value>| values.iter().map(ToString::to_string).collect();
    let of = |kind: &str, values: Vec<Value>| BTreeMap::from([(kind.to_owned(), texts(values))]);
    match rules {
        L7Rules::None => BTreeMap::new(),
        L7Rules::Dns(list) => of(
            "dns",
            list.iter()
                .map(|rule| {
                    let kind = if rule.pattern.is_name() {
                        "matchName"
                    } else {
                        "matchPattern"
                    };
                    json!({kind: rule.pattern.as_str()})
                })
                .collect(),
        ),
        L7Rules::Http(list) => of("http", list.iter().map(http).collect()),
        L7Rules::Kafka(list) => of("kafka", list.iter().map(kafka).collect()),
        L7Rules::Other { protocol, rules } => {
            let mut all = BTreeMap::from([("l7proto".to_owned(), texts(vec![json!(&**protocol)]))]);
            let pairs = rules.iter().map(|rule| {
                let pairs = rule
                    .iter()
                    .map(|(key, value)| (key.to_string(), json!(&**value)));
                Value::Object(pairs.collect())
            });
            if !rules.is_empty() {
                all.insert("l7".to_owned(), texts(pairs.collect()));
            }
            all
        }
    }
}

fn http(rule: &HttpRule) -> Value {
    let mut fields = texts([
        ("path", &rule.path),
        ("method", &rule.method),
        ("host", &rule.host),
    ]);
    if !rule.headers.is_empty() {
        let headers: Vec<&str> = rule.headers.iter().map(AsRef::as_ref).collect();
        fields.insert("headers".to_owned(), json!(headers));
    }
    if !rule.header_matches.is_empty() {
        let matches: Vec<Value> = rule.header_matches.iter().map(header_match).collect();
        fields.insert("headerMatches".to_owned(), json!(matches));
    }
    Value::Object(fields)
}

fn header_match(one: &HeaderMatch) -> Value {
    let mut fields = texts([("name", &Some(one.name.clone())), ("value", &one.value)]);
    let mismatch = one.mismatch.map(|mismatch| match mismatch {
        MismatchAction::Add => "ADD",
        MismatchAction::Delete => "DELETE",
        MismatchAction::Log => "LOG",
        MismatchAction::Replace => "REPLACE",
    });
    fields.extend(mismatch.map(|text| ("mismatch".to_owned(), json!(text))));
    if let Some(secret) = &one.secret {
        let secret = texts([
            ("namespace", &secret.namespace),
            ("name", &Some(secret.name.clone())),
        ]);
        fields.insert("secret".to_owned(), Value::Object(secret));
    }
    Value::Object(fields)
}

fn kafka(rule: &KafkaRule) -> Value {
    Value::Object(texts([
        ("role", &rule.role),
        ("apiKey", &rule.api_key),
        ("apiVersion", &rule.api_version),
        ("clientID", &rule.client_id),
        ("topic", &rule.topic),
    ]))
}

fn texts<const N: usize>(fields: [(&str, &Option<Arc<str>>); N]) -> Map<String, Value> {
    let set = fields.into_iter().filter_map(|(name, text)| {
        let text = text.as_deref()?;
        Some((name.to_owned(), json!(text)))
    });
    set.collect()
}

/// The first difference of two sets.
fn same<T: fmt::Debug + Ord>(
    what: &str,
    wanted: &BTreeSet<T>,
    found: &BTreeSet<T>,
) -> Result<(), String> {
    let missing = wanted.difference(found).next();
    let more = found.difference(wanted).next();
    match (missing, more) {
        (None, None) => Ok(()),
        (missing, more) => Err(format!("{what} missing {missing:?}, too many {more:?}")),
    }
}
