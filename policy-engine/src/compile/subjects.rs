//! Which rules are in force for an endpoint, and what happens where none matches.

use std::collections::BTreeSet;
use std::sync::Arc;

use palisade_abi::{Direction, Protocol};
use palisade_identity::LabelSet;

use super::logical::Both;
use super::{LocalEndpoint, is_reserved};
use crate::named_ports::NamedPorts;
use crate::options::{AllowLocalhost, Enforcement, HostFirewall, Options};
use crate::rule::{PortMatch, Ports, Rule};

/// What happens to traffic that no rule matches.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Otherwise {
    /// It passes: the direction is not enforced, or no rule switches default deny on.
    Allowed,
    /// It is dropped because the options say so.
    Denied,
    /// It is dropped because the rule at this place switched default deny on.
    DeniedBy(u32),
}

/// The rules of one direction of an endpoint. Endpoints with equal ones share a policy.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Side {
    /// Places in the list of all rules, ascending.
    pub(crate) rules: Vec<u32>,
    pub(crate) otherwise: Otherwise,
    /// Whether the node itself is let in where no rule matches.
    pub(crate) localhost: bool,
    /// What the names of ports that the rules use stand for.
    pub(crate) names: Vec<((Arc<str>, Protocol), u16)>,
}

/// The rules in force for an endpoint, in the order of [`super::sorted_rules`]. `named` are the
/// names of ports in the whole cluster.
pub(crate) fn sides(
    endpoint: &LocalEndpoint,
    rules: &[&Rule],
    options: &Options,
    named: &NamedPorts,
) -> Both<Side> {
    let places = (0..)
        .zip(rules)
        .filter(|(_, rule)| rule.subject.selects(&endpoint.labels));
    let places: Vec<u32> = places.map(|(place, _)| place).collect();
    let Both { ingress, egress } = of_selecting(&endpoint.labels, &places, rules, options);
    Both {
        ingress: ingress.named(rules, &endpoint.named_ports),
        egress: egress.named(rules, named),
    }
}

/// What the rules at these places, which select the endpoint, come to.
pub(super) fn of_selecting(
    labels: &LabelSet,
    places: &[u32],
    rules: &[&Rule],
    options: &Options,
) -> Both<Side> {
    let mut sides = Both::new(|_| Side::unenforced());
    let is_host = is_reserved(labels, "host");
    let is_free = is_host && options.host_firewall == HostFirewall::Disabled;
    if options.enforcement == Enforcement::Never || is_free {
        return sides;
    }
    let always = options.enforcement == Enforcement::Always || is_reserved(labels, "init");
    for direction in Direction::BOTH {
        let side = sides.get_mut(direction);
        let in_force = places
            .iter()
            .filter_map(|place| Some((*place, *rules.get(*place as usize)?)));
        let mut in_force: Vec<(u32, &Rule)> = in_force
            .filter(|(_, rule)| rule.direction == direction && rule.subject.is_node() == is_host)
            .collect();
        if in_force.iter().any(|(_, rule)| rule.default_deny) {
            in_force.retain(|(_, rule)| !rule.is_fallback());
        }
        side.otherwise = match in_force.iter().find(|(_, rule)| rule.default_deny) {
            Some((place, _)) => Otherwise::DeniedBy(*place),
            None if always => Otherwise::Denied,
            None => Otherwise::Allowed,
        };
        let enforced = always || !in_force.is_empty();
        side.localhost = direction == Direction::Ingress
            && enforced
            && !is_host
            && options.allow_localhost == AllowLocalhost::Always;
        side.rules = in_force.into_iter().map(|(place, _)| place).collect();
    }
    sides
}

impl Side {
    /// A direction in which nothing is asked.
    pub(super) const fn unenforced() -> Self {
        Self {
            rules: Vec::new(),
            otherwise: Otherwise::Allowed,
            localhost: false,
            names: Vec::new(),
        }
    }

    /// The same rules where names stand for these ports.
    pub(crate) fn named(&self, rules: &[&Rule], ports: &NamedPorts) -> Self {
        let used: BTreeSet<(&Arc<str>, Protocol)> = self.port_names(rules).collect();
        let stands_for = |(name, protocol): (&Arc<str>, Protocol)| {
            let port = ports.get(name, protocol)?;
            Some(((name.clone(), protocol), port))
        };
        Self {
            names: used.into_iter().filter_map(stands_for).collect(),
            ..self.clone()
        }
    }

    fn port_names<'a>(
        &'a self,
        rules: &'a [&Rule],
    ) -> impl Iterator<Item = (&'a Arc<str>, Protocol)> {
        let in_force = self
            .rules
            .iter()
            .filter_map(|place| rules.get(*place as usize));
        let items = in_force.flat_map(|rule| match &rule.ports {
            Ports::All => &[],
            Ports::Some(items) => items.as_slice(),
        });
        items.filter_map(|item| match &item.ports {
            PortMatch::Named(name) => Some((name, item.protocol)),
            PortMatch::Numbers(_) => None,
        })
    }
}
