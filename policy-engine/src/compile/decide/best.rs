//! Cells decided by the best of what matches: enough wherever one rule has the whole say.

use std::cmp::Reverse;

use super::level::{Level, Rank};
use super::{Cells, Context, Decided, Decider, Decision, Matched, NO_RULE, Who};
use crate::compile::logical::PortGroup;
use crate::rule::{Effect, Ports, Tier};

/// What could decide a cell. Of two of one rank the first rule decides, and in it the first item.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Candidate {
    level: Reverse<Level>,
    rank: Rank,
    rule: Reverse<u32>,
    part: Reverse<u32>,
}

/// The best candidates: for the groups that rules name, in ascending order, and for all others.
#[derive(Default)]
struct Best {
    general: Option<Candidate>,
    specific: Vec<(PortGroup, Candidate)>,
}

impl Decider<'_> {
    /// Each cell by the best of what matches it.
    pub(super) fn best(&mut self, context: Context, who: Who, matched: &[Matched]) -> Cells {
        let host = context.localhost(who).map(Candidate::localhost);
        let passes = matched.iter().any(|(place, _)| {
            let rule = self.rule(*place);
            rule.is_some_and(|rule| rule.effect == Effect::Pass)
        });
        if !passes {
            return self.walk(context, host, matched).cells(context);
        }
        let mut best = Best::default();
        for tier in Tier::ALL {
            let of_tier = matched.iter().copied();
            let of_tier: Vec<Matched> = of_tier
                .filter(|(place, _)| self.of.levels.at(*place).is_of(tier))
                .collect();
            let host = host.filter(|host| host.level.0.is_of(tier));
            best = best.then(&self.walk(context, host, &of_tier));
        }
        best.cells(context)
    }

    fn walk(&mut self, context: Context, host: Option<Candidate>, matched: &[Matched]) -> Best {
        let mut general = host;
        let of = self.of;
        for (place, peer) in matched {
            let Some(rule) = self.rule(*place) else {
                continue;
            };
            let candidate = |rank, part| Candidate {
                level: Reverse(of.levels.at(*place)),
                rank,
                rule: Reverse(*place),
                part: Reverse(part),
            };
            let Ports::Some(items) = &rule.ports else {
                general = general.max(Some(candidate(Rank::of(rule, None), *peer)));
                continue;
            };
            for piece in of.forms.pieces(context.form, *place) {
                let item = items.get(piece.part as usize);
                let redirect = item.and_then(|item| item.redirect.as_deref());
                let candidate = candidate(Rank::of(rule, redirect), piece.part);
                for group in of.groups.of_span(piece.span) {
                    self.consider(group, candidate);
                }
            }
        }
        let mut specific = Vec::with_capacity(self.all.touched.len());
        for group in self.all.touched.drain(..) {
            let best = self
                .all
                .scratch
                .get_mut(group.0 as usize)
                .and_then(Option::take);
            specific.extend(best.max(general).map(|candidate| (group, candidate)));
        }
        specific.sort_unstable_by_key(|(group, _)| *group);
        Best { general, specific }
    }

    fn consider(&mut self, group: PortGroup, candidate: Candidate) {
        let place = group.0 as usize;
        if self.all.scratch.len() <= place {
            self.all.scratch.resize(place + 1, None);
        }
        if let Some(best) = self.all.scratch.get_mut(place) {
            if best.is_none() {
                self.all.touched.push(group);
            }
            *best = (*best).max(Some(candidate));
        }
    }
}

impl Candidate {
    const fn localhost(level: Level) -> Self {
        Self {
            level: Reverse(level),
            rank: Rank::Allow,
            rule: Reverse(NO_RULE),
            part: Reverse(0),
        }
    }

    fn decides(self) -> bool {
        self.rank != Rank::Pass
    }

    const fn decision(self) -> Decision {
        let Self {
            rank,
            rule: Reverse(rule),
            part: Reverse(part),
            ..
        } = self;
        Decision::plain(if rule == NO_RULE {
            Decided::Localhost
        } else {
            Decided::Rule { rank, rule, part }
        })
    }
}

impl Best {
    /// This tier where it decides, the next one where it does not.
    fn then(&self, next: &Self) -> Self {
        // A pass stays where nothing follows: the group must not fall back to what it left behind.
        let choose = |one: Option<Candidate>, other: Option<Candidate>| {
            one.filter(|one| one.decides()).or(other).or(one)
        };
        let groups = self.specific.iter().chain(&next.specific);
        let mut groups: Vec<PortGroup> = groups.map(|(group, _)| *group).collect();
        groups.sort_unstable();
        groups.dedup();
        let specific = groups
            .into_iter()
            .filter_map(|group| Some((group, choose(self.at(group), next.at(group))?)))
            .collect();
        Self {
            general: choose(self.general, next.general),
            specific,
        }
    }

    /// The best for a group.
    fn at(&self, group: PortGroup) -> Option<Candidate> {
        let place = self.specific.binary_search_by_key(&group, |(one, _)| *one);
        let specific = place.ok().and_then(|place| self.specific.get(place));
        specific.map(|(_, candidate)| *candidate).or(self.general)
    }

    fn cells(self, context: Context) -> Cells {
        let otherwise = Decision::otherwise(context.otherwise);
        let decision = |candidate: Option<Candidate>| {
            let decides = candidate.filter(|candidate| candidate.decides());
            decides.map_or(otherwise, Candidate::decision)
        };
        Cells {
            general: decision(self.general),
            specific: self
                .specific
                .iter()
                .map(|(group, candidate)| (*group, decision(Some(*candidate))))
                .collect(),
        }
    }
}
