//! Which names the endpoints may ask for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId, Protocol};
use palisade_fqdn::{Decision, DnsName, Filter, MatchPattern};
use palisade_identity::LabelSet;
use palisade_policy::{Effect, Location, Peers, Policy, Ports, Redirect, Rule};

use crate::endpoints::Endpoints;

/// What becomes of a query, and the line that says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsVerdict {
    /// Whether it may pass.
    pub outcome: DnsOutcome,
    /// The rule that allows it, or the first of those that do not.
    pub location: Option<Location>,
}

/// What becomes of a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DnsOutcome {
    /// It goes to the server.
    Allowed,
    /// It is refused.
    Refused,
}

/// The DNS rules in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct DnsFilter {
    items: Vec<Item>,
    filter: Filter<usize, Location>,
    /// The places of the items that are about each endpoint.
    of: BTreeMap<EndpointId, Vec<usize>>,
}

/// A port item with DNS rules.
#[derive(Clone, Debug)]
struct Item {
    peers: Peers,
    protocol: Protocol,
    ports: RangeInclusive<u16>,
    /// What a refusal names.
    location: Location,
}

impl DnsFilter {
    /// The rules of these policies for these endpoints.
    pub(crate) fn by(policies: &[Arc<Policy>], endpoints: &Endpoints) -> Self {
        let mut built = Self::default();
        let rules = || policies.iter().flat_map(|policy| &policy.rules);
        let rules = || rules().filter(|rule| rule.direction == Direction::Egress);
        for rule in rules().filter(|rule| rule.effect == Effect::Allow) {
            let first = built.items.len();
            built.add(rule, &rules().collect::<Vec<_>>());
            let places = first..built.items.len();
            if places.is_empty() {
                continue;
            }
            let subjects = endpoints
                .iter()
                .filter(|member| rule.subject.selects(&member.endpoint.labels));
            for member in subjects {
                built
                    .of
                    .entry(member.id)
                    .or_default()
                    .extend(places.clone());
            }
        }
        built
    }

    /// What becomes of a query from an endpoint to a server with these labels.
    pub(crate) fn decide(
        &self,
        endpoint: EndpointId,
        server: &LabelSet,
        protocol: Protocol,
        port: u16,
        name: &DnsName,
    ) -> DnsVerdict {
        let places = self.of.get(&endpoint).into_iter().flatten();
        let fitting: Vec<(&usize, &Item)> = places
            .filter_map(|place| Some((place, self.items.get(*place)?)))
            .filter(|(_, item)| item.protocol == protocol && item.ports.contains(&port))
            .filter(|(_, item)| is_peer(&item.peers, server))
            .collect();
        let keys = fitting.iter().map(|(place, _)| *place);
        match self.filter.decide(keys, name) {
            Decision::Allow { rule } => DnsVerdict {
                outcome: DnsOutcome::Allowed,
                location: Some(rule.clone()),
            },
            Decision::Refuse => DnsVerdict {
                outcome: DnsOutcome::Refused,
                location: fitting
                    .iter()
                    .map(|(_, item)| &item.location)
                    .min()
                    .cloned(),
            },
        }
    }

    fn add(&mut self, rule: &Rule, all: &[&Rule]) {
        let Ports::Some(items) = &rule.ports else {
            return;
        };
        for port in items {
            let Some(Redirect::Dns(names)) = &port.redirect else {
                continue;
            };
            let place = self.items.len();
            let listed = names.iter();
            let listed = listed.map(|name| (name.pattern.clone(), name.location.clone()));
            let open = all
                .iter()
                .filter(|other| opens(other, rule, port.protocol, &port.ports))
                .filter_map(|other| Some((everything()?, other.location.clone())));
            self.filter.set(place, listed.chain(open));
            let first = names.iter().map(|name| name.location.clone()).min();
            self.items.push(Item {
                peers: rule.peers.clone(),
                protocol: port.protocol,
                ports: port.ports.clone(),
                location: first.unwrap_or_else(|| port.location.clone()),
            });
        }
    }
}

/// Whether another rule lets every name pass to the same peers and ports.
///
/// Upstream merges rules with equal peers and ports: one that names no names allows all of them,
/// and so does one with names in a direction that denies nothing by default.
fn opens(other: &Rule, rule: &Rule, protocol: Protocol, ports: &RangeInclusive<u16>) -> bool {
    let Ports::Some(items) = &other.ports else {
        return false;
    };
    let same = items
        .iter()
        .any(|item| item.redirect.is_none() && item.protocol == protocol && item.ports == *ports);
    same && other.effect == Effect::Allow
        && other.subject == rule.subject
        && selectors(&other.peers) == selectors(&rule.peers)
}

fn selectors(peers: &Peers) -> Option<Vec<&palisade_identity::Selector>> {
    match peers {
        Peers::Any { .. } => None,
        Peers::Some { list, .. } => Some(list.iter().map(|peer| &peer.selector).collect()),
    }
}

fn is_peer(peers: &Peers, labels: &LabelSet) -> bool {
    match peers {
        Peers::Any { .. } => true,
        Peers::Some { list, .. } => list.iter().any(|peer| peer.selector.matches(labels)),
    }
}

fn everything() -> Option<MatchPattern> {
    "*".parse().ok()
}
