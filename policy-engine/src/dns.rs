//! What the DNS proxy has to ask about a query.

use std::ops::RangeInclusive;

use palisade_abi::{Direction, EndpointId, Protocol};
use palisade_fqdn::{Level, MatchPattern};

use crate::compile::{Otherwise, Side, sides, sorted_rules};
use crate::rule::{DnsRule, Effect, L7Rules, Parser, Peers, PortRule, Ports, Rule};
use crate::span::Location;
use crate::tables::Tables;

/// Names that an endpoint may ask some servers for.
///
/// A query is allowed if any of the endpoint's sets whose servers, protocol and ports it meets has a
/// rule that matches its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsRuleSet {
    /// The servers, by the labels of their identities.
    pub servers: Peers,
    /// The protocol of the query.
    pub protocol: Protocol,
    /// The ports of the servers.
    pub ports: RangeInclusive<u16>,
    /// The names; none of them allows nothing.
    pub rules: Vec<DnsRule>,
}

impl Tables {
    /// The names that an endpoint may ask for, in the order of the rules.
    ///
    /// A rule that lets the same port through without a word about names allows every name of its
    /// servers, and so does an endpoint without default deny.
    pub fn dns_rules(&self, endpoint: EndpointId) -> Vec<DnsRuleSet> {
        let inputs = self.inputs();
        let Some(local) = inputs.endpoints.iter().find(|local| local.id == endpoint) else {
            return Vec::new();
        };
        let rules = sorted_rules(&inputs.policies);
        let sides = sides(local, &rules, &inputs.options, &inputs.named_ports);
        rule_sets(sides.get(Direction::Egress), &rules)
    }
}

fn rule_sets(side: &Side, rules: &[&Rule]) -> Vec<DnsRuleSet> {
    let allows = || {
        let in_force = side
            .rules
            .iter()
            .filter_map(|place| rules.get(*place as usize));
        in_force
            .filter(|rule| rule.effect == Effect::Allow)
            .flat_map(|rule| match &rule.ports {
                Ports::All => Vec::new(),
                Ports::Some(items) => items.iter().map(|item| (*rule, item)).collect(),
            })
    };
    let is_proxied = |item: &PortRule| {
        allows().any(|(_, other)| {
            other
                .redirect
                .as_deref()
                .is_some_and(|other| other.parser() == Parser::Dns)
                && (other.protocol, &other.ports) == (item.protocol, &item.ports)
        })
    };
    allows()
        .filter_map(|(rule, item)| {
            let ports = side.port(item)?;
            let names = match item.redirect.as_deref().map(|redirect| &redirect.rules) {
                Some(L7Rules::Dns(names)) => {
                    let open = side.otherwise == Otherwise::Allowed;
                    let every = open.then(|| every_name(&rule.section)).flatten();
                    names.iter().cloned().chain(every).collect()
                }
                None if is_proxied(item) => every_name(&item.location).into_iter().collect(),
                Some(_) | None => return None,
            };
            Some(DnsRuleSet {
                servers: rule.peers.clone(),
                protocol: item.protocol,
                ports,
                rules: names,
            })
        })
        .collect()
}

fn every_name(location: &Location) -> Option<DnsRule> {
    let pattern = MatchPattern::parse("*", Level::Agent).ok()?;
    Some(DnsRule {
        pattern,
        location: location.clone(),
    })
}
