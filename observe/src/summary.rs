use std::collections::BTreeMap;

use palisade_abi::{Cookie, DropReason};

use crate::flow::{Flow, FlowVerdict};

/// How many flows there were of which kind.
///
/// It grows with the rules that drop, not with the flows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    verdicts: BTreeMap<FlowVerdict, u64>,
    reasons: BTreeMap<DropReason, u64>,
    rules: BTreeMap<(String, Cookie), u64>,
}

/// Drops by one rule.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Drops {
    /// Where the rule stands; empty if it has gone.
    pub location: String,
    /// The number in the verdict.
    pub cookie: Cookie,
    /// How many.
    pub count: u64,
}

impl Summary {
    /// Counts a flow.
    pub fn add(&mut self, flow: &Flow) {
        *self.verdicts.entry(flow.verdict()).or_default() += 1;
        let Some(reason) = flow.drop_reason() else {
            return;
        };
        *self.reasons.entry(reason).or_default() += 1;
        if let Some(decider) = &flow.decided_by {
            let location = decider
                .origin
                .as_ref()
                .map(|origin| origin.location.clone());
            let rule = (location.unwrap_or_default(), decider.cookie);
            *self.rules.entry(rule).or_default() += 1;
        }
    }

    /// How many flows were counted.
    pub fn total(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// How many flows had this verdict.
    pub fn of(&self, verdict: FlowVerdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or_default()
    }

    /// How many flows were dropped for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.reasons.get(&reason).copied().unwrap_or_default()
    }

    /// The rules that dropped, the busiest first.
    pub fn drops(&self) -> Vec<Drops> {
        let mut drops: Vec<Drops> = self
            .rules
            .iter()
            .map(|((location, cookie), count)| Drops {
                location: location.clone(),
                cookie: *cookie,
                count: *count,
            })
            .collect();
        // Stable, so that equals stay in the order of their places.
        drops.sort_by_key(|drops| std::cmp::Reverse(drops.count));
        drops
    }
}

impl<'a> Extend<&'a Flow> for Summary {
    fn extend<I: IntoIterator<Item = &'a Flow>>(&mut self, flows: I) {
        flows.into_iter().for_each(|flow| self.add(flow));
    }
}
