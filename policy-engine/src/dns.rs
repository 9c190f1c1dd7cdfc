//! What the DNS proxy has to ask about a query.

use std::ops::RangeInclusive;

use palisade_abi::{Direction, EndpointId, Protocol};
use palisade_fqdn::{Level, MatchPattern};
use palisade_identity::LabelSet;

use crate::compile::{Otherwise, Side, sides, sorted_rules};
use crate::rule::{
    DnsRule, Effect, L7Rules, Parser, Peers, PortMatch, PortRule, Ports, Priority, Rule, Tier,
};
use crate::span::Location;
use crate::tables::Tables;

/// Names that an endpoint may ask some servers for.
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

/// What an endpoint may ask which servers for.
///
/// As with every other packet the first tier and priority decides at which something is said about
/// the server and its port: one that is denied there may be asked for nothing, and where that is
/// passed on the next tier decides. A query is allowed if one of the sets that are left
/// ([`DnsRules::fitting`]) has a rule that matches its name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DnsRules {
    /// In the order that rules decide in.
    steps: Vec<Step>,
}

/// What a rule says about servers and their ports.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Step {
    tier: Tier,
    priority: Priority,
    does: Does,
    /// The ports as the rule says them; `None` if it says none.
    said: Option<PortMatch>,
    set: DnsRuleSet,
}

/// What becomes of queries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Does {
    /// The names decide.
    Ask,
    Deny,
    /// Every name is allowed.
    Open,
    /// Another proxy has them.
    Other,
    Pass,
}

impl DnsRules {
    /// The sets of names, each with its number.
    pub fn sets(&self) -> impl Iterator<Item = (usize, &DnsRuleSet)> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(number, step)| {
            let names = matches!(step.does, Does::Ask | Does::Open);
            names.then_some((number, &step.set))
        })
    }

    /// The sets that a query to a server with these labels is judged by, each with its number;
    /// none where no rule has names for the port.
    pub fn fitting(
        &self,
        server: &LabelSet,
        protocol: Protocol,
        port: u16,
    ) -> Vec<(usize, &DnsRuleSet)> {
        let is_here = |step: &Step| step.does == Does::Ask && step.set.is_for(protocol, port);
        if !self.steps.iter().any(is_here) {
            // What else is said about a port is known only if some rule has names for it.
            return Vec::new();
        }
        let steps = self.steps.iter().enumerate();
        let met: Vec<(usize, &Step)> = steps
            .filter(|(_, step)| step.set.meets(server, protocol, port))
            .collect();
        let mut passed = None;
        for level in met.chunk_by(|(_, a), (_, b)| a.level() == b.level()) {
            let tier = level.first().map(|(_, step)| step.tier);
            let is = |does| level.iter().any(|(_, step)| step.does == does);
            if passed.is_some() && passed == tier {
                continue;
            }
            if is(Does::Deny) {
                return Vec::new();
            }
            if level.iter().any(|(_, step)| step.does != Does::Pass) {
                return of_level(level);
            }
            passed = tier;
        }
        Vec::new()
    }
}

/// The sets of a level that lets queries through, to this proxy or not.
fn of_level<'a>(level: &[(usize, &'a Step)]) -> Vec<(usize, &'a DnsRuleSet)> {
    let of = |does| level.iter().filter(move |(_, step)| step.does == does);
    let asks = of(Does::Ask).next().is_some();
    let proxied = asks || of(Does::Other).next().is_some();
    let counts = |step: &Step| match step.does {
        Does::Ask => true,
        // A proxy goes before a plain rule, but for one with which its own rule is merged.
        Does::Open => !proxied || of(Does::Ask).any(|(_, ask)| ask.shares_ports(step)),
        Does::Deny | Does::Other | Does::Pass => false,
    };
    let counting = level.iter().filter(|(_, step)| counts(step));
    counting
        .map(|(number, step)| (*number, &step.set))
        .collect()
}

impl Step {
    const fn level(&self) -> (Tier, Priority) {
        (self.tier, self.priority)
    }

    fn shares_ports(&self, other: &Self) -> bool {
        self.said.is_some() && (self.set.protocol, &self.said) == (other.set.protocol, &other.said)
    }
}

impl DnsRuleSet {
    fn meets(&self, server: &LabelSet, protocol: Protocol, port: u16) -> bool {
        let is_server = || match &self.servers {
            Peers::Any { .. } => true,
            Peers::Some { list, .. } => list.iter().any(|peer| peer.selector.matches(server)),
        };
        self.is_for(protocol, port) && is_server()
    }

    fn is_for(&self, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && self.ports.contains(&port)
    }
}

impl Tables {
    /// The names that an endpoint may ask for; none if no rule of its own is about names.
    ///
    /// A rule that lets the same port through without a word about names allows every name of its
    /// servers, and so does an endpoint without default deny.
    pub fn dns_rules(&self, endpoint: EndpointId) -> DnsRules {
        let inputs = self.inputs();
        let Some(local) = inputs.endpoints.iter().find(|local| local.id == endpoint) else {
            return DnsRules::default();
        };
        let rules = sorted_rules(&inputs.policies);
        let sides = sides(local, &rules, &inputs.options, &inputs.named_ports);
        steps(sides.get(Direction::Egress), &rules)
    }
}

/// A protocol and some of its ports.
type Servers = (Protocol, RangeInclusive<u16>);

fn steps(side: &Side, rules: &[&Rule]) -> DnsRules {
    let places = side.rules.iter();
    let in_force: Vec<&Rule> = places
        .filter_map(|place| rules.get(*place as usize).copied())
        .collect();
    let ports = |item: &PortRule| Some((item.protocol, side.port(item)?));
    let mut asked: Vec<Servers> = in_force
        .iter()
        .filter(|rule| rule.effect == Effect::Allow)
        .flat_map(|rule| items(rule))
        .filter(|item| names(item).is_some())
        .filter_map(ports)
        .collect();
    asked.dedup();
    let is_asked = |(protocol, ports): &Servers| {
        let overlap =
            |one: &RangeInclusive<u16>| one.start() <= ports.end() && ports.start() <= one.end();
        asked
            .iter()
            .any(|(other, one)| other == protocol && overlap(one))
    };
    let mut steps = Vec::new();
    for rule in in_force {
        if rule.ports == Ports::All {
            let of_rule = asked
                .iter()
                .map(|servers| step(side, rule, None, servers.clone()));
            steps.extend(of_rule);
        }
        for item in items(rule) {
            let servers = ports(item).filter(is_asked);
            steps.extend(servers.map(|servers| step(side, rule, Some(item), servers)));
        }
    }
    DnsRules { steps }
}

fn step(side: &Side, rule: &Rule, item: Option<&PortRule>, servers: Servers) -> Step {
    let redirects = item.is_some_and(|item| item.redirect.is_some());
    let does = match (rule.effect, item.and_then(names)) {
        (Effect::Deny, ..) => Does::Deny,
        (Effect::Pass, ..) => Does::Pass,
        (Effect::Allow, Some(_)) => Does::Ask,
        (Effect::Allow, None) if redirects => Does::Other,
        (Effect::Allow, None) => Does::Open,
    };
    let every = match does {
        Does::Ask if side.otherwise == Otherwise::Allowed => every_name(&rule.section),
        Does::Open => every_name(item.map_or(&rule.location, |item| &item.location)),
        Does::Ask | Does::Deny | Does::Other | Does::Pass => None,
    };
    let own = item.and_then(names).filter(|_| does == Does::Ask);
    let (protocol, ports) = servers;
    Step {
        tier: rule.tier,
        priority: rule.priority,
        does,
        said: item.map(|item| item.ports.clone()),
        set: DnsRuleSet {
            servers: rule.peers.clone(),
            protocol,
            ports,
            rules: own
                .unwrap_or_default()
                .iter()
                .cloned()
                .chain(every)
                .collect(),
        },
    }
}

fn items(rule: &Rule) -> &[PortRule] {
    match &rule.ports {
        Ports::All => &[],
        Ports::Some(items) => items,
    }
}

/// The names of an item that redirects to the DNS proxy.
fn names(item: &PortRule) -> Option<&[DnsRule]> {
    let redirect = item.redirect.as_deref()?;
    match &redirect.rules {
        L7Rules::Dns(names) if redirect.parser() == Parser::Dns => Some(names),
        _ => None,
    }
}

fn every_name(location: &Location) -> Option<DnsRule> {
    let pattern = MatchPattern::parse("*", Level::Agent).ok()?;
    Some(DnsRule {
        pattern,
        location: location.clone(),
    })
}
