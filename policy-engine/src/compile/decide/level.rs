//! The order in which rules decide.

use super::super::subjects::Side;
use crate::rule::{Effect, Redirect, Rule, Tier};

/// A tier and a priority in it. The lower one decides first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Level(u32);

impl Level {
    const TIER: u32 = 30;

    /// The first level that a tier can have.
    const fn first(tier: Tier) -> Self {
        Self((tier as u32) << Self::TIER)
    }

    const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether it is of a tier.
    pub(crate) const fn is_of(self, tier: Tier) -> bool {
        self.shares_tier(Self::first(tier))
    }

    /// Whether both are of one tier.
    pub(crate) const fn shares_tier(self, other: Self) -> bool {
        self.0 >> Self::TIER == other.0 >> Self::TIER
    }
}

/// The level of every rule, by place.
#[derive(Clone, Debug)]
pub(crate) struct Levels(Vec<Level>);

impl Levels {
    /// The levels of rules that are sorted by tier and priority.
    pub(crate) fn of(rules: &[&Rule]) -> Self {
        let mut levels: Vec<Level> = Vec::with_capacity(rules.len());
        let mut before: Option<&Rule> = None;
        for rule in rules {
            let level = match (before, levels.last()) {
                (Some(before), Some(last)) if before.tier == rule.tier => {
                    if before.priority == rule.priority {
                        *last
                    } else {
                        last.next()
                    }
                }
                _ => Level::first(rule.tier),
            };
            levels.push(level);
            before = Some(rule);
        }
        Self(levels)
    }

    /// The level of the rule at this place.
    pub(crate) fn at(&self, place: u32) -> Level {
        let level = self.0.get(place as usize).copied();
        level.unwrap_or(Level::first(Tier::Baseline))
    }

    /// Where the node itself is let in: beside the first rules of a tier.
    pub(crate) fn localhost(&self, side: &Side, tier: Tier) -> Option<Level> {
        let levels = side.rules.iter().map(|place| self.at(*place));
        let of_tier = levels.filter(|level| level.is_of(tier)).min();
        side.localhost
            .then(|| of_tier.unwrap_or(Level::first(tier)))
    }
}

/// What a rule does with what it matches: at one level the greater one decides.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Rank {
    Pass,
    Allow,
    /// How far the priority of the proxy is from the last.
    Redirect(u8),
    Deny,
}

impl Rank {
    pub(crate) fn of(rule: &Rule, redirect: Option<&Redirect>) -> Self {
        match (rule.effect, redirect) {
            (Effect::Pass, _) => Self::Pass,
            (Effect::Deny, _) => Self::Deny,
            (Effect::Allow, Some(redirect)) => Self::Redirect(u8::MAX - redirect.priority()),
            (Effect::Allow, None) => Self::Allow,
        }
    }
}
