//! Which names the endpoints may ask for.

use std::collections::BTreeMap;

use palisade_abi::{EndpointId, Protocol};
use palisade_fqdn::{Decision, DnsName, Filter};
use palisade_identity::LabelSet;
use palisade_policy::{DnsRuleSet, Location, Peers, Tables};

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
    /// What each endpoint may ask which servers.
    sets: BTreeMap<EndpointId, Vec<DnsRuleSet>>,
    /// The names of each set.
    names: Filter<(EndpointId, usize), Location>,
}

impl DnsFilter {
    /// The rules that the tables have in force for these endpoints.
    pub(crate) fn new(tables: &Tables, endpoints: &Endpoints) -> Self {
        let mut filter = Self::default();
        for member in endpoints.iter() {
            let sets = tables.dns_rules(member.id);
            for (place, set) in sets.iter().enumerate() {
                let rules = set.rules.iter();
                let rules = rules.map(|rule| (rule.pattern.clone(), rule.location.clone()));
                filter.names.set((member.id, place), rules);
            }
            filter.sets.insert(member.id, sets);
        }
        filter
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
        let sets = self.sets.get(&endpoint).into_iter().flatten().enumerate();
        let fitting: Vec<(usize, &DnsRuleSet)> = sets
            .filter(|(_, set)| set.protocol == protocol && set.ports.contains(&port))
            .filter(|(_, set)| is_peer(&set.servers, server))
            .collect();
        let keys: Vec<(EndpointId, usize)> = fitting
            .iter()
            .map(|(place, _)| (endpoint, *place))
            .collect();
        match self.names.decide(&keys, name) {
            Decision::Allow { rule } => DnsVerdict {
                outcome: DnsOutcome::Allowed,
                location: Some(rule.clone()),
            },
            Decision::Refuse => {
                let rules = fitting.iter().flat_map(|(_, set)| &set.rules);
                DnsVerdict {
                    outcome: DnsOutcome::Refused,
                    location: rules.map(|rule| &rule.location).min().cloned(),
                }
            }
        }
    }
}

fn is_peer(peers: &Peers, labels: &LabelSet) -> bool {
    match peers {
        Peers::Any { .. } => true,
        Peers::Some { list, .. } => list.iter().any(|peer| peer.selector.matches(labels)),
    }
}
