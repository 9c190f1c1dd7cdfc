//! A plain walk over rules: what a verdict is by definition.
//!
//! It shares no code with the compiler and is as slow as it looks. Tests hold everything else
//! against it.

use std::collections::BTreeMap;

use palisade_abi::{Action, Direction, Protocol};
use palisade_identity::{LabelSet, Source};
use palisade_policy::{
    AllowLocalhost, AuthMode, Desired, Effect, Enforcement, HostFirewall, LocalEndpoint, Parser,
    Peers, PortMatch, PortRule, Ports, Proxy, Redirect, Rule, Subject, Tier,
};

/// Who is on the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Other<'a> {
    /// An identity with its labels.
    Known(&'a LabelSet),
    /// A number that no identity is known for.
    Unknown,
}

/// What is done with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Walked {
    pub(crate) action: Action,
    /// The port of the proxy, 0 for none.
    pub(crate) proxy: u16,
    /// The authentication that is asked for.
    pub(crate) auth: u8,
}

const ALLOWED: Walked = Walked {
    action: Action::Allow,
    proxy: 0,
    auth: 0,
};
/// Dropped.
pub(crate) const DENIED: Walked = Walked {
    action: Action::Deny,
    ..ALLOWED
};

/// A packet as one endpoint sees it; `port` is the destination port, or the type of an ICMP message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) endpoint: &'a LocalEndpoint,
    pub(crate) direction: Direction,
    pub(crate) other: Other<'a>,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

/// A rule that matches, or would if the other side were whom it names.
#[derive(Clone, Copy, Debug)]
struct Match<'a> {
    tier: Tier,
    priority: f64,
    effect: Effect,
    redirect: Option<&'a Redirect>,
    direction: Direction,
    auth: Option<AuthMode>,
    /// Whether the rule is for everybody.
    wildcard: bool,
    /// Whether the rule names the other side, or everybody.
    matches: bool,
    /// The bits of protocol and port that it is sure of.
    bits: u32,
}

/// What is done with a packet.
pub(crate) fn verdict(node: &Desired<'_>, packet: Packet<'_>) -> Walked {
    let labels = &packet.endpoint.labels;
    let (options, direction) = (node.options, packet.direction);
    let is_node = has_reserved(labels, "host");
    if is_node && options.host_firewall == HostFirewall::Disabled {
        return ALLOWED;
    }
    if options.enforcement == Enforcement::Never {
        return ALLOWED;
    }
    let mut rules: Vec<&Rule> = node
        .policies
        .iter()
        .flat_map(|policy| &policy.rules)
        .filter(|rule| rule.direction == direction)
        .filter(|rule| match &rule.subject {
            Subject::Endpoints(selector) => !is_node && selector.matches(labels),
            Subject::Nodes(selector) => is_node && selector.matches(labels),
        })
        .collect();
    if rules.iter().any(|rule| rule.default_deny) {
        rules.retain(|rule| !rule.is_fallback());
    }
    let always = options.enforcement == Enforcement::Always || has_reserved(labels, "init");
    if rules.is_empty() && !always {
        return ALLOWED;
    }
    let mut matches: Vec<Match<'_>> = rules
        .iter()
        .flat_map(|rule| matches_of(node, rule, packet))
        .collect();
    let from_host = matches!(packet.other, Other::Known(labels) if has_reserved(labels, "host"));
    if direction == Direction::Ingress
        && !is_node
        && options.allow_localhost == AllowLocalhost::Always
        && from_host
    {
        let of_tier = rules.iter().filter(|rule| rule.tier == options.tier);
        let first = of_tier.map(|rule| rule.priority.get());
        matches.push(Match {
            tier: options.tier,
            priority: first.min_by(f64::total_cmp).unwrap_or(0.0),
            effect: Effect::Allow,
            redirect: None,
            direction,
            auth: None,
            wildcard: false,
            matches: true,
            bits: 0,
        });
    }
    // Where no rule asks for default deny, what nothing matches is allowed.
    let open = !always && rules.iter().all(|rule| !rule.default_deny);
    let end = if open { ALLOWED } else { DENIED };
    walk(node, &matches, end)
}

/// Level by level; a pass leaves its tier.
fn walk(node: &Desired<'_>, matches: &[Match<'_>], end: Walked) -> Walked {
    let mut doubt = false;
    for tier in [Tier::Admin, Tier::Normal, Tier::Baseline] {
        let mut may_pass = false;
        let of_tier: Vec<&Match<'_>> = matches.iter().filter(|one| one.tier == tier).collect();
        let mut priorities: Vec<f64> = of_tier.iter().map(|one| one.priority).collect();
        priorities.sort_by(f64::total_cmp);
        priorities.dedup();
        for priority in priorities {
            let level: Vec<&Match<'_>> = of_tier
                .iter()
                .copied()
                .filter(|one| one.priority.total_cmp(&priority).is_eq())
                .collect();
            let sure: Vec<&Match<'_>> = level.iter().copied().filter(|one| one.matches).collect();
            let decided = of_level(node, &sure);
            let stricter = |one: &&Match<'_>| !one.matches && is_stricter(node, one, &sure);
            doubt |= level.iter().copied().any(|one| stricter(&one));
            match decided {
                Some(walked) if walked.action == Action::Deny => return walked,
                Some(_) if doubt || may_pass => return DENIED,
                Some(walked) => return walked,
                None => {}
            }
            if sure.iter().any(|one| one.effect == Effect::Pass) {
                break;
            }
            may_pass |= level.iter().any(|one| one.effect == Effect::Pass);
        }
    }
    if doubt { DENIED } else { end }
}

/// Whether a rule that may match somebody unknown would do something that these do not.
fn is_stricter(node: &Desired<'_>, one: &Match<'_>, sure: &[&Match<'_>]) -> bool {
    if sure.iter().any(|other| other.effect == Effect::Deny) {
        return false;
    }
    let with: Vec<&Match<'_>> = sure.iter().copied().chain([one]).collect();
    match (of_level(node, sure), of_level(node, &with)) {
        // What none of the others decides goes on; an allowance alone is no reason for doubt.
        (None, Some(with)) => with.action != Action::Allow || with.auth > 0,
        (Some(before), Some(with)) => {
            with.action != before.action
                || (with.action == Action::Redirect && with.proxy != before.proxy)
                || with.auth > before.auth
        }
        (_, None) => false,
    }
}

/// What the rules of one level do with a packet that they match: deny before redirect before
/// allow, and nothing if there is only a pass.
fn of_level(node: &Desired<'_>, level: &[&Match<'_>]) -> Option<Walked> {
    if level.iter().any(|one| one.effect == Effect::Deny) {
        return Some(DENIED);
    }
    let keys = |wildcard: bool| {
        let mut keys: BTreeMap<u32, Key> = BTreeMap::new();
        for one in level {
            if one.effect == Effect::Allow && one.wildcard == wildcard {
                keys.entry(one.bits).or_default().merge(node, one);
            }
        }
        narrowest(keys)
    };
    let (somebody, everybody) = (keys(false), keys(true));
    let (best, other) = match (somebody, everybody) {
        (None, None) => return None,
        (Some(one), None) | (None, Some(one)) => (one, None),
        (Some(one), Some(other)) => {
            let (left, right) = ((one.1.precedence, one.0), (other.1.precedence, other.0));
            let (best, second) = if right > left {
                (other, one)
            } else {
                (one, other)
            };
            let equal = best.1.precedence == second.1.precedence;
            (best, equal.then_some(second))
        }
    };
    let (_, key) = best;
    let auth = match (key.asked, other) {
        (Some(asked), _) => asked,
        (None, Some((_, other))) => key.taken.max(other.asked.unwrap_or(other.taken)),
        (None, None) => key.taken,
    };
    Some(match (key.precedence, key.proxy) {
        (0, _) => Walked { auth, ..ALLOWED },
        // Without a proxy to redirect to, traffic is dropped.
        (_, None) => DENIED,
        (_, Some(proxy)) => Walked {
            action: Action::Redirect,
            proxy,
            auth,
        },
    })
}

/// An entry of one level: 0 for a plain allow, else how early the proxy decides.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    precedence: u32,
    proxy: Option<u16>,
    /// What rules of this very key ask for.
    asked: Option<u8>,
    /// What it takes from broader ones.
    taken: u8,
}

impl Key {
    fn merge(&mut self, node: &Desired<'_>, one: &Match<'_>) {
        let precedence = one
            .redirect
            .map_or(0, |redirect| 1 + 126 - priority(redirect));
        let proxy = one
            .redirect
            .map(|redirect| Proxy::of(one.direction, redirect));
        let proxy = proxy.and_then(|proxy| node.proxy_ports.get(&proxy));
        let proxy = proxy.map(palisade_abi::ProxyPort::get);
        if precedence > self.precedence {
            (self.precedence, self.proxy) = (precedence, proxy);
        } else if precedence == self.precedence {
            // The lower port, and none before any.
            self.proxy = self.proxy.min(proxy);
        }
        self.asked = self.asked.max(one.auth.map(AuthMode::number));
    }
}

/// The narrowest key that is left: one that a broader one beats is dropped unless it asks for
/// authentication, and then it goes to the proxy of the broader.
fn narrowest(keys: BTreeMap<u32, Key>) -> Option<(u32, Key)> {
    let mut left: Option<(u32, Key)> = None;
    for (bits, mut key) in keys {
        if let Some((_, broader)) = left {
            if key.precedence < broader.precedence {
                if key.asked.is_none() {
                    continue;
                }
                (key.precedence, key.proxy) = (broader.precedence, broader.proxy);
            }
            key.taken = broader.asked.unwrap_or(broader.taken);
        }
        left = Some((bits, key));
    }
    left
}

fn priority(redirect: &Redirect) -> u32 {
    let of_parser = match redirect.parser() {
        Parser::Http => 101,
        Parser::Kafka => 106,
        Parser::Proxylib => 111,
        Parser::Tls => 116,
        Parser::Dns => 121,
        Parser::Listener => 126,
    };
    let listener = redirect.listener.as_ref();
    let own = listener.and_then(|listener| listener.priority);
    own.map_or(of_parser, u32::from)
}

/// The items of a rule that the packet's port matches; a rule without ports matches as a whole.
fn matches_of<'a>(node: &Desired<'_>, rule: &'a Rule, packet: Packet<'_>) -> Vec<Match<'a>> {
    let items: Vec<(Option<&Redirect>, u32)> = match &rule.ports {
        Ports::All => vec![(None, 0)],
        Ports::Some(items) => items
            .iter()
            .filter_map(|item| Some((item.redirect.as_deref(), bits(node, item, packet)?)))
            .collect(),
    };
    let (wildcard, matches) = match (&rule.peers, packet.other) {
        (Peers::Any { .. }, _) => (true, true),
        (Peers::Some { list, .. }, _) if list.is_empty() => return Vec::new(),
        (Peers::Some { list, .. }, other) => {
            let wildcard = list.iter().any(|peer| peer.selector.is_everything());
            let named = match other {
                Other::Known(labels) => list.iter().any(|peer| peer.selector.matches(labels)),
                Other::Unknown => false,
            };
            (wildcard, wildcard || named)
        }
    };
    if !matches && matches!(packet.other, Other::Known(_)) {
        return Vec::new();
    }
    let matched = items.into_iter().map(|(redirect, bits)| Match {
        tier: rule.tier,
        priority: rule.priority.get(),
        effect: rule.effect,
        redirect: redirect.filter(|_| rule.effect == Effect::Allow),
        direction: rule.direction,
        auth: rule.auth,
        wildcard,
        matches,
        bits,
    });
    matched.collect()
}

/// The bits of protocol and port that an item is sure of where it meets the packet.
fn bits(node: &Desired<'_>, item: &PortRule, packet: Packet<'_>) -> Option<u32> {
    if item.protocol != packet.protocol {
        return None;
    }
    let range = match &item.ports {
        PortMatch::Numbers(range) => range.clone(),
        PortMatch::Named(name) => {
            let names = match packet.direction {
                Direction::Ingress => &packet.endpoint.named_ports,
                Direction::Egress => node.named_ports,
            };
            let port = names.get(name, item.protocol)?;
            port..=port
        }
    };
    if !range.contains(&packet.port) {
        return None;
    }
    // The largest block of ports around this one that starts at a multiple of its size.
    let block = |size: u32| {
        let first = u32::from(packet.port) / size * size;
        u32::from(*range.start()) <= first && first + size - 1 <= u32::from(*range.end())
    };
    let free = (0..=16).rev().find(|free| block(1 << free))?;
    Some(8 + 16 - free)
}

fn has_reserved(labels: &LabelSet, name: &str) -> bool {
    labels
        .iter()
        .any(|label| label.source() == Source::Reserved && label.key() == name)
}
