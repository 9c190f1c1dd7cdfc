//! The walk over the levels.

use crate::compile::{Origin, Part};
use crate::rule::{Effect, Parser, Ports, Priority, Redirect, Rule, Tier};

/// A level at which some rule matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The tier.
    pub tier: Tier,
    /// The priority in the tier.
    pub priority: Priority,
    /// What the level does.
    pub fate: Fate,
    /// Every item that matches there, in the order of the rules.
    pub matched: Vec<Matched>,
}

/// What a level does with a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Fate {
    /// It decides.
    Decides,
    /// It leaves the tier.
    Passes,
    /// It is not asked: an earlier level left the tier.
    Skipped,
    /// It is not asked: an earlier level decided.
    TooLate,
}

/// An item of a rule that matches a flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matched {
    /// The item.
    pub origin: Origin,
    /// What the rule does.
    pub effect: Effect,
    /// The proxy that the rule hands the flow to.
    pub parser: Option<Parser>,
}

/// The levels of rules that match, which come in the order of their levels.
pub(super) fn steps(matching: &[(&Rule, Part)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut decided = false;
    let mut passed: Option<Tier> = None;
    let same =
        |a: &(&Rule, Part), b: &(&Rule, Part)| (a.0.tier, a.0.priority) == (b.0.tier, b.0.priority);
    for level in matching.chunk_by(same) {
        let Some((first, _)) = level.first() else {
            continue;
        };
        let only_passes = level.iter().all(|(rule, _)| rule.effect == Effect::Pass);
        let fate = match (decided, passed, only_passes) {
            (true, ..) => Fate::TooLate,
            (false, Some(tier), _) if tier == first.tier => Fate::Skipped,
            (false, _, true) => Fate::Passes,
            (false, _, false) => Fate::Decides,
        };
        decided |= fate == Fate::Decides;
        if fate == Fate::Passes {
            passed = Some(first.tier);
        }
        let matched = level.iter().map(|(rule, part)| Matched {
            origin: Origin::of(rule, *part),
            effect: rule.effect,
            parser: parser(rule, *part),
        });
        steps.push(Step {
            tier: first.tier,
            priority: first.priority,
            fate,
            matched: matched.collect(),
        });
    }
    steps
}

fn parser(rule: &Rule, part: Part) -> Option<Parser> {
    let (Ports::Some(items), Part::Port(place)) = (&rule.ports, part) else {
        return None;
    };
    let redirect = items.get(place as usize)?.redirect.as_deref();
    redirect
        .filter(|_| rule.effect == Effect::Allow)
        .map(Redirect::parser)
}
