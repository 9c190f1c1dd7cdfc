//! The rows of many peers at once: what two of them have in common is decided once.
//!
//! A peer is the list of the side's selectors that match it, those that match the most peers first.
//! In the order of these lists each differs from the one before only in its tail. So the walk goes
//! from list to list as through a tree, takes back what the tail has added and adds the new one;
//! for nested prefixes that is one step for each prefix, however deep it lies.

use std::ops::Range;

use palisade_abi::ProxyPort;

use super::items::{Item, Items};
use super::level::Rank;
use super::{Cells, Decided, Decider, Decision, Matched, Sources};
use crate::compile::groups::Groups;
use crate::compile::logical::PortGroup;

/// The best item for every group of ports, with what has been added since.
#[derive(Debug, Default)]
pub(super) struct Best {
    general: u32,
    specific: Vec<u32>,
    /// A bit for each group that some item names.
    named: Vec<u64>,
    /// What was replaced: the group, or none for all ports, and the item before.
    log: Vec<(Option<u32>, u32)>,
    /// Items with the runs of ports that they cover.
    covers: Vec<(u32, Range<usize>)>,
    /// Leads from every run to the first one from there on that no better item covers.
    free: Vec<usize>,
}

/// Items that were found the best for groups of ports.
#[derive(Debug)]
struct Picked {
    general: u32,
    /// Ascending.
    specific: Vec<(PortGroup, u32)>,
}

/// A peer: the rules of the selectors that match it, by the places of the selectors in a list.
pub(crate) struct Peer<'a, T> {
    /// Whose row is wanted.
    pub(crate) of: T,
    /// The selectors, ascending.
    pub(crate) selectors: &'a [u32],
}

/// What one selector stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected<'a> {
    /// The rules that name it, and by which peer.
    pub(crate) rules: &'a [Matched],
    /// Whether it is the one of the node itself.
    pub(crate) is_host: bool,
}

impl Best {
    pub(super) fn new(groups: &Groups) -> Self {
        let count = groups.count() as usize;
        Self {
            general: Items::NONE,
            specific: vec![Items::NONE; count],
            named: vec![0; count.div_ceil(64)],
            ..Self::default()
        }
    }

    /// Takes back everything since the log was so long.
    fn undo(&mut self, length: usize) {
        while self.log.len() > length {
            let Some((group, before)) = self.log.pop() else {
                return;
            };
            let Some(group) = group else {
                self.general = before;
                continue;
            };
            if let Some(best) = self.specific.get_mut(group as usize) {
                *best = before;
            }
            if before == Items::NONE
                && let Some(word) = self.named.get_mut(group as usize / 64)
            {
                *word &= !(1 << (group % 64));
            }
        }
    }

    /// The best of those items of some rules that are wanted.
    fn only(
        &mut self,
        rules: &[Matched],
        of: Sources<'_>,
        is_wanted: impl Fn(Item) -> bool,
    ) -> Picked {
        self.add(rules, of, is_wanted);
        let picked = Picked {
            general: self.general,
            specific: self.cells().collect(),
        };
        self.undo(0);
        picked
    }

    fn consider_all(&mut self, item: u32) {
        if item < self.general {
            self.log.push((None, self.general));
            self.general = item;
        }
    }

    fn consider(&mut self, group: PortGroup, item: u32) {
        let PortGroup(group) = group;
        let Some(best) = self.specific.get_mut(group as usize) else {
            return;
        };
        if item >= *best {
            return;
        }
        if *best == Items::NONE
            && let Some(word) = self.named.get_mut(group as usize / 64)
        {
            *word |= 1 << (group % 64);
        }
        self.log.push((Some(group), *best));
        *best = item;
    }

    /// Those items of some rules join that are wanted.
    fn add(&mut self, rules: &[Matched], of: Sources<'_>, is_wanted: impl Fn(Item) -> bool) {
        let Sources { items, groups, .. } = of;
        let mut covers = std::mem::take(&mut self.covers);
        let mut covered = 0;
        for number in rules.iter().flat_map(|one| items.matched(*one)) {
            let Some(item) = items.get(*number).filter(|item| is_wanted(*item)) else {
                continue;
            };
            let Some(span) = item.span else {
                self.consider_all(*number);
                continue;
            };
            let runs = groups.runs_of(span);
            covered += runs.len();
            covers.push((*number, runs));
        }
        if covered > groups.runs().len() {
            self.paint(&mut covers, groups);
        } else {
            for (item, runs) in &covers {
                for run in runs.clone() {
                    self.consider(groups.of_run(run), *item);
                }
            }
        }
        covers.clear();
        self.covers = covers;
    }

    /// Each run is given the best of the items that cover it, however many do.
    fn paint(&mut self, covers: &mut [(u32, Range<usize>)], groups: &Groups) {
        covers.sort_unstable_by_key(|(item, _)| *item);
        let mut free = std::mem::take(&mut self.free);
        free.clear();
        free.extend(0..=groups.runs().len());
        for (item, runs) in covers {
            let mut run = first_free(&mut free, runs.start);
            while run < runs.end {
                self.consider(groups.of_run(run), *item);
                if let Some(next) = free.get_mut(run) {
                    *next = run + 1;
                }
                run = first_free(&mut free, run + 1);
            }
        }
        self.free = free;
    }

    /// The groups that some item names, ascending, with the best item for each.
    fn cells(&self) -> impl Iterator<Item = (PortGroup, u32)> {
        let words = (0_u32..).step_by(64).zip(&self.named);
        let groups = words.flat_map(|(first, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(first + bit)
            })
        });
        groups.map(|group| {
            let best = self.specific.get(group as usize).copied();
            (
                PortGroup(group),
                best.unwrap_or(Items::NONE).min(self.general),
            )
        })
    }
}

impl Picked {
    fn groups(&self) -> impl Iterator<Item = PortGroup> {
        self.specific.iter().map(|(group, _)| *group)
    }

    /// The best item for a group of ports, or for those that no item names.
    fn at(&self, group: Option<PortGroup>) -> u32 {
        let find = |group| self.specific.binary_search_by_key(&group, |one| one.0).ok();
        let place = group.and_then(find);
        let best = place.and_then(|place| self.specific.get(place));
        best.map_or(self.general, |(_, item)| *item)
    }
}

/// The first run from one on that is not covered yet; what is passed by is shortened.
fn first_free(free: &mut [usize], from: usize) -> usize {
    let mut at = from;
    while let Some(next) = free.get(at).copied().filter(|next| *next != at) {
        let after = free.get(next).copied().unwrap_or(next);
        if let Some(one) = free.get_mut(at) {
            *one = after;
        }
        at = after;
    }
    at
}

impl Decider<'_> {
    /// The rows of some peers, in an order of its own; `base` are the rules for anybody, which are
    /// the row of whoever no selector matches.
    pub(crate) fn shared<'s, T: Copy>(
        &mut self,
        base: &[Matched],
        mut peers: Vec<Peer<'_, T>>,
        selected: impl Fn(u32) -> Selected<'s>,
    ) -> (u32, Vec<(T, u32)>) {
        peers.sort_unstable_by(|a, b| a.selectors.cmp(b.selectors));
        let of = self.of;
        self.all.best.add(base, of, |_| true);
        let default = self.row_of_best();
        let mut rows = Vec::with_capacity(peers.len());
        let mut path: Vec<(u32, usize)> = Vec::new();
        for peer in peers {
            let steps = path.iter().zip(peer.selectors);
            let common = steps
                .take_while(|((step, _), selector)| step == *selector)
                .count();
            if let Some((_, length)) = path.get(common) {
                self.all.best.undo(*length);
            }
            path.truncate(common);
            for selector in peer.selectors.get(common..).unwrap_or_default() {
                path.push((*selector, self.all.best.log.len()));
                let Selected { rules, is_host } = selected(*selector);
                self.all.best.add(rules, of, |_| true);
                if let Some(item) = of.items.host().filter(|_| is_host) {
                    self.all.best.consider_all(item);
                }
            }
            rows.push((peer.of, self.row_of_best()));
        }
        self.all.best.undo(0);
        (default, rows)
    }

    /// The row of unknown identities, if [`Decider::is_ordered`] and every proxy has a rank of its
    /// own.
    ///
    /// An item of a rule that names peers casts doubt on what is sure only if it comes first and
    /// does not merely allow.
    pub(super) fn shared_unknown(&mut self, sure: &[Matched], maybe: &[Matched]) -> u32 {
        let of = self.of;
        let mut best = std::mem::take(&mut self.all.best);
        let sure = best.only(sure, of, |_| true);
        let all = best.only(maybe, of, |item| item.rank > Rank::Allow);
        let mut groups: Vec<PortGroup> = sure.groups().chain(all.groups()).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut others: Vec<(Rank, Picked)> = Vec::new();
        let mut decide = |group: Option<PortGroup>| {
            let (sure, mut doubt) = (sure.at(group), all.at(group));
            // To be redirected where one is redirected anyway casts no doubt. What follows might.
            if let Some(rank) = of.common_redirect(sure, doubt) {
                if !others.iter().any(|(one, _)| *one == rank) {
                    let is_other = |item: Item| item.rank > Rank::Allow && item.rank != rank;
                    others.push((rank, best.only(maybe, of, is_other)));
                }
                let other = others.iter().find(|(one, _)| *one == rank);
                doubt = other.map_or(doubt, |(_, picked)| picked.at(group));
            }
            of.careful(sure, doubt)
        };
        let specific = groups.into_iter();
        let specific = specific.map(|group| (group, decide(Some(group)))).collect();
        let general = decide(None);
        self.all.best = best;
        self.intern(Cells { general, specific })
    }

    fn row_of_best(&mut self) -> u32 {
        let default = self.verdict_of(self.all.best.general);
        let mut exceptions = std::mem::take(&mut self.all.exceptions);
        exceptions.clear();
        let best = std::mem::take(&mut self.all.best);
        for (group, item) in best.cells() {
            let verdict = self.verdict_of(item);
            if verdict != default {
                exceptions.push((group, verdict));
            }
        }
        self.all.best = best;
        let row = self.all.intern(default, &exceptions);
        self.all.exceptions = exceptions;
        row
    }

    /// The place of the verdict of an item, or of none.
    fn verdict_of(&mut self, item: u32) -> u32 {
        let place = (item as usize).min(self.of.items.len());
        if let Some(known) = self.verdicts.get(place).copied().flatten() {
            return known;
        }
        let verdict = self.verdict(self.of.decision(item));
        if self.verdicts.is_empty() {
            self.verdicts.resize(self.of.items.len() + 1, None);
        }
        if let Some(known) = self.verdicts.get_mut(place) {
            *known = Some(verdict);
        }
        verdict
    }
}

impl Sources<'_> {
    /// What an item, or none, decides.
    fn decision(self, item: u32) -> Decision {
        let Some(item) = self.items.get(item) else {
            return Decision::otherwise(self.context.otherwise);
        };
        Decision::plain(item.part.map_or(Decided::Localhost, |(rule, part)| {
            let rank = item.rank;
            Decided::Rule { rank, rule, part }
        }))
    }

    /// What is decided where one item matches for sure, or none, and another one might.
    fn careful(self, sure: u32, maybe: u32) -> Decision {
        let decided = self.decision(sure);
        let doubt = self.items.get(maybe).filter(|_| maybe < sure);
        match doubt.and_then(|item| item.part) {
            Some((rule, part)) if !decided.is_denial() => {
                Decision::plain(Decided::Unsure { rule, part })
            }
            _ => decided,
        }
    }

    /// Where both what is sure and what comes first and might match redirect to, if it is the same
    /// proxy.
    fn common_redirect(self, sure: u32, maybe: u32) -> Option<Rank> {
        let ranks = [sure, maybe].map(|item| self.items.get(item).map(|item| item.rank));
        match ranks {
            [Some(rank @ Rank::Redirect(_)), doubt] if maybe < sure && doubt == Some(rank) => {
                Some(rank)
            }
            _ => None,
        }
    }

    /// Whether every proxy has a rank of its own: then one redirect comes before another exactly if
    /// it leads elsewhere.
    pub(super) fn has_clear_ranks(self) -> bool {
        let mut leads: Vec<(u8, Option<ProxyPort>)> = Vec::new();
        for item in self.items.iter() {
            let (Rank::Redirect(rank), Some((place, part))) = (item.rank, item.part) else {
                continue;
            };
            let rule = self.rules.get(place as usize).and_then(|one| one.rule());
            let lead = (rank, rule.and_then(|rule| self.port_of(rule, part)));
            if !leads.contains(&lead) {
                leads.push(lead);
            }
            // Priorities are few; so many pairs cannot all be clear.
            if leads.len() > usize::from(u8::MAX) {
                return false;
            }
        }
        let repeats = |one: &(u8, Option<ProxyPort>)| {
            let same = leads
                .iter()
                .filter(|other| other.0 == one.0 || other.1 == one.1);
            same.count() > 1
        };
        !leads.iter().any(repeats)
    }
}
