//! Rules as the other engine keeps them once documents are read: the only way in which the vectors
//! say tiers, priorities and passes.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::Direction;
use palisade_identity::{Requirement, Selector};
use palisade_policy::{
    AuthMode, Effect, Kind, Location, Options, Peer, PeerKind, Peers, Policy, Ports, Position,
    Priority, ResourceName, Rule, Subject, Tier, ingest,
};
use serde_json::{Map, Value, json};

use super::scenario::Unbuilt;
use super::vector::{Entries, Entry};

/// The rules of such a document; `None` if it is refused.
pub(super) fn read(
    index: usize,
    document: &Value,
    options: &Options,
) -> Result<Option<Vec<Policy>>, Unbuilt> {
    let unreadable = |what: &dyn std::fmt::Display| Unbuilt::Unreadable(what.to_string());
    let entries: Entries =
        serde_json::from_value(document.clone()).map_err(|error| unreadable(&error))?;
    let resource = Arc::new(ResourceName {
        kind: Kind::Rules,
        namespace: None,
        name: format!("{index}").into(),
    });
    let mut rules = Vec::new();
    for (number, entry) in (0..).zip(&entries.entries) {
        let Some(parts) = parts(entry, options)? else {
            return Ok(None);
        };
        let location = Location::new(
            format!("{index}.json"),
            Position {
                line: number + 1,
                column: 1,
            },
        );
        rules.push(Rule {
            resource: Arc::clone(&resource),
            index: number,
            section: location.clone(),
            location,
            subject: Subject::Endpoints(selector(&entry.subject)?),
            direction: direction(entry),
            tier: tier(entry)?,
            priority: Priority::new(entry.priority).map_err(|error| unreadable(&error))?,
            effect: effect(entry)?,
            default_deny: entry.default_deny,
            peers: parts.peers,
            ports: parts.ports,
            auth: auth(entry)?,
            log: entry.log.as_deref().map(Into::into),
        });
    }
    Ok(Some(vec![Policy {
        location: Location::new(format!("{index}.json"), Position::START),
        resource,
        rules,
    }]))
}

/// Whom an entry names, and which ports.
struct Parts {
    peers: Peers,
    ports: Ports,
}

/// What an entry names, each part read as it stands in a document; `None` if one is refused.
fn parts(entry: &Entry, options: &Options) -> Result<Option<Parts>, Unbuilt> {
    let ports = match entry.ports.as_slice() {
        [] => Ports::All,
        ports => {
            let Some(rules) = section(entry, "Ports", Value::from(ports.to_vec()), options)? else {
                return Ok(None);
            };
            let items = rules.into_iter().flat_map(|rule| match rule.ports {
                Ports::All => Vec::new(),
                Ports::Some(items) => items,
            });
            let mut items: Vec<_> = items.collect();
            if entry.verdict != "allow" {
                for item in &mut items {
                    item.redirect = None;
                }
            }
            Ports::Some(items)
        }
    };
    let mut list = Vec::new();
    let mut any = false;
    for (kind, values) in entry.l3.iter().flatten() {
        if kind == "endpoints" {
            for value in values {
                list.push(Peer {
                    selector: selector(value)?,
                    kind: PeerKind::Endpoints,
                    location: Location::new("endpoints", Position::START),
                });
            }
            continue;
        }
        let key = match kind.as_str() {
            "entities" => "Entities",
            "cidrs" => "CIDR",
            "cidrSet" => "CIDRSet",
            other => return Err(Unbuilt::Unmodelled(format!("l3 {other}"))),
        };
        let Some(rules) = section(entry, key, Value::from(values.clone()), options)? else {
            return Ok(None);
        };
        for rule in rules {
            match rule.peers {
                Peers::Any { .. } => any = true,
                Peers::Some { list: more, .. } => list.extend(more),
            }
        }
    }
    // Whom an entry names can be nobody, or nothing at all, which is everybody if it has ports.
    let everybody = entry.l3.as_ref().is_some_and(BTreeMap::is_empty) && ports != Ports::All;
    let wildcard = any || everybody;
    let peers = if wildcard {
        Peers::Any { location: None }
    } else {
        Peers::Some {
            location: None,
            list,
        }
    };
    Ok(Some(Parts { peers, ports }))
}

/// The rules of a document that says only this; `None` if it is refused.
fn section(
    entry: &Entry,
    key: &str,
    value: Value,
    options: &Options,
) -> Result<Option<Vec<Rule>>, Unbuilt> {
    let (list, prefix) = match direction(entry) {
        Direction::Ingress => ("ingress", "from"),
        Direction::Egress => ("egress", "to"),
    };
    let prefix = if key == "Ports" { "to" } else { prefix };
    let item = Map::from_iter([(format!("{prefix}{key}"), value)]);
    let document = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "entry"},
        "spec": {"endpointSelector": {}, list: [item]},
    });
    match ingest::read("entry.json", &document.to_string(), options) {
        Ok(read) => Ok(Some(
            read.policies
                .into_iter()
                .flat_map(|policy| policy.rules)
                .collect(),
        )),
        Err(errors) if errors.iter().all(ingest::Error::is_unmodelled) => {
            let first = errors.first().map(ToString::to_string);
            Err(Unbuilt::Unmodelled(first.unwrap_or_default()))
        }
        Err(_) => Ok(None),
    }
}

fn selector(value: &Value) -> Result<Selector, Unbuilt> {
    let unreadable = || Unbuilt::Unreadable(format!("selector {value}"));
    let mut requirements = Vec::new();
    let labels = value.get("matchLabels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        let value = value.as_str().ok_or_else(unreadable)?;
        let requirement = Requirement::parse(key, "In", &[value]);
        requirements.push(requirement.map_err(|_| unreadable())?);
    }
    let expressions = value.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let text = |name: &str| expression.get(name).and_then(Value::as_str);
        let (key, operator) = (text("key"), text("operator"));
        let values = expression.get("values").and_then(Value::as_array);
        let values: Vec<&str> = values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let (Some(key), Some(operator)) = (key, operator) else {
            return Err(unreadable());
        };
        let requirement = Requirement::parse(key, operator, &values);
        requirements.push(requirement.map_err(|_| unreadable())?);
    }
    Ok(Selector::new(requirements))
}

const fn direction(entry: &Entry) -> Direction {
    if entry.ingress {
        Direction::Ingress
    } else {
        Direction::Egress
    }
}

fn tier(entry: &Entry) -> Result<Tier, Unbuilt> {
    let tier = Tier::ALL.get(usize::from(entry.tier)).copied();
    tier.ok_or_else(|| Unbuilt::Unreadable(format!("tier {}", entry.tier)))
}

fn effect(entry: &Entry) -> Result<Effect, Unbuilt> {
    match entry.verdict.as_str() {
        "allow" => Ok(Effect::Allow),
        "deny" => Ok(Effect::Deny),
        "pass" => Ok(Effect::Pass),
        other => Err(Unbuilt::Unreadable(format!("verdict {other}"))),
    }
}

fn auth(entry: &Entry) -> Result<Option<AuthMode>, Unbuilt> {
    let Some(value) = &entry.auth else {
        return Ok(None);
    };
    let mode = value.get("mode").unwrap_or(value);
    let known = [AuthMode::Disabled, AuthMode::Required, AuthMode::AlwaysFail];
    let mode = known.into_iter().find(|known| mode == known.name());
    match mode {
        Some(mode) => Ok(Some(mode)),
        None => Err(Unbuilt::Unreadable(format!("authentication {value}"))),
    }
}
