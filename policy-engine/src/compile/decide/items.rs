//! Everything of a side that could decide a cell, in the order in which it does.

use std::cmp::Reverse;

use super::forms::Forms;
use super::level::{Level, Levels, Rank};
use super::{Context, Matched};
use crate::compile::subjects::Side;
use crate::rule::{Effect, Ports, Rule};

/// An item of a rule: of two that match a cell the one with the lower number decides, unless one of
/// them asks for more than a rank can say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Item {
    /// The ports; `None` for all of them.
    pub(super) span: Option<u32>,
    /// The rule and which part of it; `None` for the node itself, which is let in without one.
    pub(super) part: Option<(u32, u32)>,
    pub(super) rank: Rank,
}

/// The items of a side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    /// The best first.
    all: Vec<Item>,
    /// The numbers of the items of each rule, side by side.
    numbers: Vec<u32>,
    /// Where those of each rule begin, and where the last ones end.
    starts: Vec<u32>,
    /// The number of the item that lets the node itself in.
    host: Option<u32>,
    /// Whether some rule passes on, so that no order of items is enough.
    passes: bool,
}

impl Items {
    /// No item at all.
    pub(super) const NONE: u32 = u32::MAX;

    /// The items of the rules in force of a side.
    pub(crate) fn new(
        side: &Side,
        rules: &[&Rule],
        levels: &Levels,
        forms: &Forms,
        context: Context,
    ) -> Self {
        let mut found: Vec<(Level, Item)> = Vec::with_capacity(rules.len());
        let mut starts = Vec::with_capacity(rules.len() + 1);
        let mut in_force = side.rules.iter().copied().peekable();
        let mut passes = false;
        for (place, rule) in (0..).zip(rules) {
            starts.push(number(found.len()));
            if in_force.next_if_eq(&place).is_none() {
                continue;
            }
            passes |= rule.effect == Effect::Pass;
            let level = levels.at(place);
            let mut push = |span, part, rank| {
                let part = Some((place, part));
                found.push((level, Item { span, part, rank }));
            };
            match &rule.ports {
                Ports::All => {
                    let parts = number(rule.peers.list().len()).max(1);
                    (0..parts).for_each(|part| push(None, part, Rank::of(rule, None)));
                }
                Ports::Some(items) => {
                    for piece in forms.pieces(context.form, place) {
                        let item = items.get(piece.part as usize);
                        let redirect = item.and_then(|item| item.redirect.as_deref());
                        push(Some(piece.span), piece.part, Rank::of(rule, redirect));
                    }
                }
            }
        }
        starts.push(number(found.len()));
        let host = context.localhost.map(|level| {
            let (span, part, rank) = (None, None, Rank::Allow);
            found.push((level, Item { span, part, rank }));
            found.len() - 1
        });
        Self::sorted(&found, starts, host, passes)
    }

    fn sorted(
        found: &[(Level, Item)],
        starts: Vec<u32>,
        host: Option<usize>,
        passes: bool,
    ) -> Self {
        let mut order: Vec<u32> = (0..number(found.len())).collect();
        let key = |at: &u32| {
            let found = found.get(*at as usize);
            found.map(|(level, item)| {
                let part = item.part.unwrap_or((Self::NONE, Self::NONE));
                (*level, Reverse(item.rank), part)
            })
        };
        // Pieces of one part stay as they stand.
        order.sort_by_key(key);
        let mut numbers = vec![0; found.len()];
        let mut all = Vec::with_capacity(found.len());
        for (next, at) in (0..).zip(&order) {
            if let (Some(number), Some((_, item))) =
                (numbers.get_mut(*at as usize), found.get(*at as usize))
            {
                *number = next;
                all.push(*item);
            }
        }
        let host = host.and_then(|at| numbers.get(at).copied());
        Self {
            all,
            numbers,
            starts,
            host,
            passes,
        }
    }

    /// Whether the first item that matches a cell decides it.
    pub(super) const fn is_ordered(&self) -> bool {
        !self.passes
    }

    pub(super) fn get(&self, number: u32) -> Option<Item> {
        self.all.get(number as usize).copied()
    }

    /// The best first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Item> {
        self.all.iter().copied()
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// The item that lets the node itself in.
    pub(super) const fn host(&self) -> Option<u32> {
        self.host
    }

    /// The numbers of the items of a rule that matches somebody by one of its peers.
    pub(super) fn matched(&self, (place, peer): Matched) -> &[u32] {
        let start = |place: u32| self.starts.get(place as usize).copied().unwrap_or_default();
        let range = start(place) as usize..start(place + 1) as usize;
        let items = self.numbers.get(range).unwrap_or_default();
        let is_for_all_ports =
            |number: &u32| self.get(*number).is_some_and(|one| one.span.is_none());
        if items.first().is_some_and(is_for_all_ports) {
            let at = peer as usize;
            return items.get(at..=at).unwrap_or(items);
        }
        items
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
