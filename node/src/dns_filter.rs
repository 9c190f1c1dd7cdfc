//! Which names the endpoints may ask for.

use std::collections::BTreeMap;

use palisade_abi::{EndpointId, Protocol};
use palisade_fqdn::{Decision, DnsName, Filter};
use palisade_identity::LabelSet;
use palisade_policy::{DnsRules, Location, Tables};

use crate::endpoints::Endpoints;
use crate::explain_name::NameRule;

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
    rules: BTreeMap<EndpointId, DnsRules>,
    /// The names of each set.
    names: Filter<(EndpointId, usize), Location>,
}

impl DnsFilter {
    /// The rules that the tables have in force for these endpoints.
    pub(crate) fn new(tables: &Tables, endpoints: &Endpoints) -> Self {
        let mut filter = Self::default();
        for member in endpoints.iter() {
            let rules = tables.dns_rules(member.id);
            for (number, set) in rules.sets() {
                let names = set.rules.iter();
                let names = names.map(|rule| (rule.pattern.clone(), rule.location.clone()));
                filter.names.set((member.id, number), names);
            }
            filter.rules.insert(member.id, rules);
        }
        filter
    }

    /// What becomes of queries for a name, by every set of rules.
    pub(crate) fn rules(&self, name: &DnsName) -> impl Iterator<Item = NameRule> {
        let rules = self.rules.iter();
        let sets =
            rules.flat_map(|(endpoint, rules)| rules.sets().map(move |one| (*endpoint, one)));
        sets.map(|(endpoint, (place, set))| {
            let (outcome, location) = match self.names.decide(&[(endpoint, place)], name) {
                Decision::Allow { rule } => (DnsOutcome::Allowed, Some(rule.clone())),
                Decision::Refuse => {
                    let rules = set.rules.iter().map(|rule| &rule.location);
                    (DnsOutcome::Refused, rules.min().cloned())
                }
            };
            NameRule {
                endpoint,
                protocol: set.protocol,
                ports: set.ports.clone(),
                outcome,
                location,
            }
        })
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
        let rules = self.rules.get(&endpoint);
        let fitting = rules.map_or_else(Vec::new, |rules| rules.fitting(server, protocol, port));
        let keys: Vec<(EndpointId, usize)> = fitting
            .iter()
            .map(|(number, _)| (endpoint, *number))
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
