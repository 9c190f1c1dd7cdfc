//! Which rules and identities policies are made from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId, Identity};
use palisade_identity::{LabelSet, Selector};

use super::build::Building;
use super::side::FlatSide;
use super::{Enforced, FlatPolicy};
use crate::compile::{Desired, Index, LocalEndpoint, is_reserved, sorted_rules};
use crate::filters::{self, Conflict, Unmatched};
use crate::named_ports::NamedPorts;
use crate::options::{AllowLocalhost, Enforcement, HostFirewall};
use crate::rule::{Ports, Rule};

/// What is desired, and its rules in order.
pub(super) struct World<'a> {
    desired: Desired<'a>,
    rules: Vec<&'a Rule>,
    /// The identities of the node itself.
    hosts: Vec<Identity>,
}

/// What decides the entries of a direction. Endpoints for which it is equal share them.
#[derive(Clone, Eq, Hash, PartialEq)]
struct InForce<'e> {
    direction: Direction,
    /// Places in the list of all rules, ascending.
    rules: Vec<u32>,
    enforced: bool,
    unmatched: Unmatched,
    /// Whether the node itself is let in.
    localhost: bool,
    /// The names of ports, if a rule uses any.
    named_ports: Option<&'e NamedPorts>,
}

impl<'a> World<'a> {
    pub(super) fn new(desired: &Desired<'a>) -> Self {
        let labelled = desired.identities.iter();
        let mut hosts: Vec<Identity> = labelled
            .filter(|(_, labels)| is_reserved(labels, "host"))
            .map(|(identity, _)| *identity)
            .chain([Identity::HOST])
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self {
            desired: *desired,
            rules: sorted_rules(desired.policies),
            hosts,
        }
    }

    /// The policies of these endpoints, in their order.
    pub(super) fn policies<'e>(
        &self,
        endpoints: impl IntoIterator<Item = &'e LocalEndpoint>,
    ) -> Vec<Result<FlatPolicy, Conflict>>
    where
        'a: 'e,
    {
        let of_endpoint = self.directions(endpoints);
        let sides = of_endpoint.iter().flat_map(|(_, sides)| sides);
        let selections = self.selections(sides);
        let mut known: HashMap<InForce<'_>, Result<Arc<FlatSide>, Conflict>> = HashMap::new();
        let mut side = |in_force: InForce<'e>| {
            known
                .entry(in_force)
                .or_insert_with_key(|in_force| self.side(in_force, &selections).map(Arc::new))
                .clone()
        };
        let mut policy = |endpoint: EndpointId, [first, second]: [InForce<'e>; 2]| {
            let (ingress, egress) = match first.direction {
                Direction::Ingress => (first, second),
                Direction::Egress => (second, first),
            };
            Ok(FlatPolicy {
                endpoint,
                ingress: side(ingress)?,
                egress: side(egress)?,
            })
        };
        let all = of_endpoint.into_iter();
        all.map(|(endpoint, sides)| policy(endpoint, sides))
            .collect()
    }

    /// How many entries the policies of all endpoints have. Only those of one direction are there
    /// at a time.
    pub(super) fn count(&self) -> u64 {
        let of_endpoint = self.directions(self.desired.endpoints);
        let sides = of_endpoint.iter().flat_map(|(_, sides)| sides);
        let selections = self.selections(sides);
        let mut known: HashMap<&InForce<'_>, Option<u64>> = HashMap::new();
        let mut count = |in_force| {
            *known.entry(in_force).or_insert_with(|| {
                let side = self.side(in_force, &selections).ok()?;
                u64::try_from(side.len()).ok()
            })
        };
        let all = of_endpoint.iter();
        // Rules that contradict each other are not in force, in neither direction.
        all.filter_map(|(_, [one, other])| Some(count(one)? + count(other)?))
            .sum()
    }

    /// What decides the entries of these endpoints, in their order.
    fn directions<'e>(
        &self,
        endpoints: impl IntoIterator<Item = &'e LocalEndpoint>,
    ) -> Vec<(EndpointId, [InForce<'e>; 2])>
    where
        'a: 'e,
    {
        let mut selecting: HashMap<&LabelSet, Vec<u32>> = HashMap::new();
        let mut all = Vec::new();
        for endpoint in endpoints {
            let places = selecting
                .entry(&endpoint.labels)
                .or_insert_with_key(|labels| self.selecting(labels));
            let sides = Direction::BOTH.map(|direction| self.in_force(endpoint, places, direction));
            all.push((endpoint.id, sides));
        }
        all
    }

    /// The places of the rules that select an endpoint with these labels.
    fn selecting(&self, labels: &LabelSet) -> Vec<u32> {
        let rules = (0..).zip(&self.rules);
        rules
            .filter(|(_, rule)| rule.subject.selects(labels))
            .map(|(place, _)| place)
            .collect()
    }

    /// What the rules at these places, which select the endpoint, come to in one direction.
    fn in_force<'e>(
        &self,
        endpoint: &'e LocalEndpoint,
        places: &[u32],
        direction: Direction,
    ) -> InForce<'e>
    where
        'a: 'e,
    {
        let options = self.desired.options;
        let is_host = is_reserved(&endpoint.labels, "host");
        let is_free = options.enforcement == Enforcement::Never
            || is_host && options.host_firewall == HostFirewall::Disabled;
        let always =
            options.enforcement == Enforcement::Always || is_reserved(&endpoint.labels, "init");
        let mut rules: Vec<u32> = places.to_vec();
        rules.retain(|place| {
            let rule = self.rules.get(*place as usize);
            !is_free && rule.is_some_and(|rule| rule.direction == direction)
        });
        let rule = |place: &u32| self.rules.get(*place as usize).copied();
        if rules.iter().filter_map(rule).any(|rule| rule.default_deny) {
            rules.retain(|place| rule(place).is_some_and(|rule| !rule.is_fallback()));
        }
        let of = |test: fn(&Rule) -> bool| rules.iter().filter_map(rule).any(test);
        let names = match direction {
            Direction::Ingress => &endpoint.named_ports,
            Direction::Egress => self.desired.named_ports,
        };
        let denies = !is_free && (always || of(|rule| rule.default_deny));
        InForce {
            direction,
            enforced: !is_free && (always || !rules.is_empty()),
            unmatched: if denies {
                Unmatched::Denied
            } else {
                Unmatched::Allowed
            },
            localhost: direction == Direction::Ingress
                && options.allow_localhost == AllowLocalhost::Always
                && !is_host,
            named_ports: of(names_ports).then_some(names),
            rules,
        }
    }

    /// The identities that each selector of these rules matches.
    fn selections<'s>(
        &self,
        in_force: impl Iterator<Item = &'s InForce<'s>>,
    ) -> HashMap<&'a Selector, Arc<[Identity]>> {
        let mut used = vec![false; self.rules.len()];
        for place in in_force.flat_map(|side| &side.rules) {
            if let Some(used) = used.get_mut(*place as usize) {
                *used = true;
            }
        }
        let rules = self.rules.iter().zip(used).filter(|(_, used)| *used);
        let peers = rules.flat_map(|(rule, _)| rule.peers.list());
        let selectors: HashSet<&Selector> = peers.map(|peer| &peer.selector).collect();
        let known = self.desired.identities.iter();
        let known = known.filter(|(identity, _)| **identity != Identity::UNKNOWN);
        let mut index = Index::default();
        let known: Vec<Identity> = known
            .map(|(identity, labels)| {
                index.add(labels);
                *identity
            })
            .collect();
        let mut identities = |selector: &'a Selector| {
            let number = index.intern(selector);
            let all = index.matching(number).into_iter();
            all.filter_map(|place| known.get(place as usize).copied())
                .collect()
        };
        selectors
            .iter()
            .map(|selector| (*selector, identities(selector)))
            .collect()
    }

    fn side(
        &self,
        in_force: &InForce<'_>,
        selections: &HashMap<&'a Selector, Arc<[Identity]>>,
    ) -> Result<FlatSide, Conflict> {
        let rules = in_force.rules.iter();
        let rules = rules.filter_map(|place| self.rules.get(*place as usize).copied());
        let filters = filters::resolve(in_force.direction, rules, in_force.unmatched)?;
        let building = Building {
            direction: in_force.direction,
            filters: &filters,
            selections,
            hosts: &self.hosts,
            named_ports: in_force.named_ports.unwrap_or(NamedPorts::NONE),
            proxy_ports: self.desired.proxy_ports,
        };
        let enforced = if in_force.enforced {
            Enforced::Yes
        } else {
            Enforced::No
        };
        let localhost = in_force.localhost.then_some(self.desired.options.tier);
        Ok(building.side(enforced, localhost))
    }
}

impl FlatPolicy {
    /// Everything is dropped.
    pub(super) fn closed(endpoint: EndpointId) -> Self {
        let side = |direction| Arc::new(FlatSide::closed(direction));
        Self {
            endpoint,
            ingress: side(Direction::Ingress),
            egress: side(Direction::Egress),
        }
    }
}

/// Whether a rule says a port by its name.
fn names_ports(rule: &Rule) -> bool {
    match &rule.ports {
        Ports::All => false,
        Ports::Some(items) => items.iter().any(|item| item.numbers().is_none()),
    }
}
