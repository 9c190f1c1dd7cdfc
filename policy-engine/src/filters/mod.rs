//! What the rules of one direction of an endpoint come to, before identities: merged filters.
//!
//! Cilium decides in two steps, and the first of them is here: all rules that say something about
//! one port and one selector become one policy ([`SelectorPolicy`]), kept in the [`Filter`] of that
//! port. Rules that cannot be made one are a [`Conflict`], and then nothing of the endpoint's
//! policy is put in force. The decision tables do not need filters, only to know whether there is
//! a conflict ([`check`]); the flat back-end ([`crate::flat`]) is made from them.

mod conflict;
mod l7;
mod levels;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{Direction, Protocol};
use palisade_identity::Selector;

pub use self::conflict::{Cause, Conflict, Place};
pub(crate) use self::levels::TIERS;
use self::levels::{Level, Levels};
pub use self::merge::{Origin, ProxyRules, SelectorPolicy};
use crate::rule::{Effect, Peers, PortMatch, PortRule, Ports, Rule, Tier};

/// What happens in a direction where no rule decides.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Unmatched {
    /// It passes: no rule switches default deny on.
    Allowed,
    /// It is dropped.
    Denied,
}

/// The merged filters of one direction.
#[derive(Clone, Debug)]
pub struct Filters<'a> {
    /// The filters, in the order in which rules first named them.
    pub list: Vec<Filter<'a>>,
    /// Whether a rule passes traffic on to the next tier.
    pub passes: bool,
    /// Whether a rule says what the two sides must have proved.
    pub asks_auth: bool,
    levels: Levels,
}

/// Everything that rules of one tier say about one range of ports.
#[derive(Clone, Debug)]
pub struct Filter<'a> {
    /// The place of the tier, from 0. What is allowed because no rule asks for default deny stands
    /// one tier after the last rule.
    pub tier: u8,
    /// The ports.
    pub ports: FilterPorts,
    /// One policy for each selector; `None` is everybody, known or not.
    pub policies: Vec<(Option<&'a Selector>, SelectorPolicy<'a>)>,
}

/// The ports of a filter.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum FilterPorts {
    /// Every packet of every protocol.
    All,
    /// The port of a name.
    Named {
        /// The name.
        name: Arc<str>,
        /// Its protocol.
        protocol: Protocol,
    },
    /// Ports by number. `0..=65535` is every packet of the protocol.
    Numbers {
        /// The protocol.
        protocol: Protocol,
        /// The ports.
        range: RangeInclusive<u16>,
    },
}

impl FilterPorts {
    fn of(item: &PortRule) -> Self {
        let protocol = item.protocol;
        match &item.ports {
            PortMatch::Named(name) => Self::Named {
                name: Arc::clone(name),
                protocol,
            },
            PortMatch::Numbers(range) => Self::Numbers {
                protocol,
                range: range.clone(),
            },
        }
    }

    /// The protocol; `None` for every one.
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::All => None,
            Self::Named { protocol, .. } | Self::Numbers { protocol, .. } => Some(*protocol),
        }
    }
}

impl Filters<'_> {
    /// The priority that a tier starts at: what its first rule has, or would have.
    pub fn base(&self, tier: Tier) -> u32 {
        self.levels.base(tier as u8)
    }

    /// The same for the place of a tier.
    pub(crate) fn base_of(&self, tier: u8) -> u32 {
        self.levels.base(tier)
    }

    /// How many priorities are left free after a pass of a tier.
    pub(crate) fn room_below(&self, tier: u8) -> u32 {
        self.levels.room_below(tier)
    }
}

/// Merges the rules of one direction that are in force for one endpoint.
///
/// The result does not depend on the order of the rules: they are merged by tier, priority, resource
/// and place in it.
///
/// # Errors
/// The first [`Conflict`], in that order.
pub fn resolve<'a>(
    direction: Direction,
    rules: impl IntoIterator<Item = &'a Rule>,
    unmatched: Unmatched,
) -> Result<Filters<'a>, Conflict> {
    let mut rules: Vec<&Rule> = rules
        .into_iter()
        .filter(|rule| rule.direction == direction)
        .collect();
    rules.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut wanted: Vec<Level> = rules.iter().copied().map(Level::of).collect();
    if unmatched == Unmatched::Allowed {
        wanted.extend(wanted.last().map(|last| last.after()));
    }
    let levels = match (Levels::flatten(&wanted), rules.first(), rules.last()) {
        (Ok(levels), ..) => levels,
        (Err(at), Some(first), Some(last)) => {
            let last = rules.get(at).unwrap_or(last);
            return Err(Conflict::levels(direction, first, last));
        }
        // Without rules there are no levels.
        (Err(_), ..) => Levels::default(),
    };
    let mut merging = Merging::new(direction, unmatched);
    for (rule, (level, priority)) in rules.iter().zip(wanted.iter().zip(levels.priorities())) {
        merging.add(rule, level.tier, priority)?;
    }
    if let Some((level, priority)) = wanted.iter().zip(levels.priorities()).nth(rules.len()) {
        let everybody = SelectorPolicy::open(priority);
        merging.insert(level.tier, FilterPorts::All, None, everybody)?;
    }
    Ok(Filters {
        list: merging.finish(),
        passes: rules.iter().any(|rule| rule.effect == Effect::Pass),
        asks_auth: rules.iter().any(|rule| asks_auth(rule)),
        levels,
    })
}

/// Whether the rules of one direction that are in force for one endpoint can be merged.
///
/// It costs one look at each rule unless at least two of them ask something of a connection.
///
/// # Errors
/// The first [`Conflict`], in the order that [`resolve`] merges in.
pub fn check<'a>(
    direction: Direction,
    rules: impl IntoIterator<Item = &'a Rule> + Clone,
) -> Result<(), Conflict> {
    let asks = |rule: &Rule| {
        let redirects = match &rule.ports {
            Ports::All => 0,
            Ports::Some(items) => items.iter().filter(|item| item.redirect.is_some()).count(),
        };
        // Passing makes room for the levels of the tiers below, which may run out.
        let passes = if rule.effect == Effect::Pass { 2 } else { 0 };
        redirects + passes + usize::from(asks_auth(rule))
    };
    let mut asked = 0;
    for rule in rules.clone() {
        asked += asks(rule);
        if asked > 1 {
            return resolve(direction, rules, Unmatched::Denied).map(|_| ());
        }
    }
    Ok(())
}

const fn asks_auth(rule: &Rule) -> bool {
    rule.auth.is_some() && matches!(rule.effect, Effect::Allow)
}

/// What rules are merged by.
fn order(rule: &Rule) -> impl Ord + '_ {
    (rule.tier, rule.priority, &rule.resource, rule.index)
}

/// Filters in the making.
struct Merging<'a> {
    direction: Direction,
    unmatched: Unmatched,
    list: Vec<Filter<'a>>,
    filters: HashMap<(u8, FilterPorts), usize>,
    /// The place in its filter of a selector's policy.
    policies: HashMap<(usize, Option<&'a Selector>), usize>,
}

impl<'a> Merging<'a> {
    fn new(direction: Direction, unmatched: Unmatched) -> Self {
        Self {
            direction,
            unmatched,
            list: Vec::new(),
            filters: HashMap::new(),
            policies: HashMap::new(),
        }
    }

    fn add(&mut self, rule: &'a Rule, tier: u8, priority: u32) -> Result<(), Conflict> {
        let list = rule.peers.list();
        let everybody = list.iter().any(|peer| peer.selector.is_everything());
        let selectors: Vec<Option<&Selector>> = match &rule.peers {
            Peers::Some { .. } if !everybody => {
                list.iter().map(|peer| Some(&peer.selector)).collect()
            }
            // Whom a rule names beside everybody adds nothing.
            Peers::Any { .. } | Peers::Some { .. } => vec![None],
        };
        let items: Vec<Option<&PortRule>> = match &rule.ports {
            Ports::All => vec![None],
            Ports::Some(items) => items.iter().map(Some).collect(),
        };
        for item in items {
            let ports = item.map_or(FilterPorts::All, FilterPorts::of);
            let policy = SelectorPolicy::of(rule, item, priority, self.unmatched);
            for selector in &selectors {
                self.insert(tier, ports.clone(), *selector, policy.clone())?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Vec<Filter<'a>> {
        let mut list = self.list;
        for (_, policy) in list.iter_mut().flat_map(|filter| &mut filter.policies) {
            policy.finish();
        }
        list
    }

    fn insert(
        &mut self,
        tier: u8,
        ports: FilterPorts,
        selector: Option<&'a Selector>,
        policy: SelectorPolicy<'a>,
    ) -> Result<(), Conflict> {
        let next = self.list.len();
        let at = *self.filters.entry((tier, ports)).or_insert_with_key(|key| {
            self.list.push(Filter {
                tier,
                ports: key.1.clone(),
                policies: Vec::new(),
            });
            next
        });
        let Some(filter) = self.list.get_mut(at) else {
            return Ok(());
        };
        let next = filter.policies.len();
        let place = *self.policies.entry((at, selector)).or_insert(next);
        if let Some((_, existing)) = filter.policies.get_mut(place) {
            return existing.merge(policy, self.direction);
        }
        filter.policies.push((selector, policy));
        Ok(())
    }
}
