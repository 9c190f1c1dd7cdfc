//! Where the lines of one level lie in their shared array of slots.

use std::collections::{BTreeSet, HashSet};
use std::mem;
use std::ops::Range;

use palisade_abi::{Line, Slot};

use super::error::{Error, Limited};
use crate::compile::{Map, Seed};

/// Bases tried at a time. Where as many have failed, lines of that length do not look again: that
/// keeps placing linear in the lines.
const TRIES: u32 = 4_096;

/// The occupation of a slot array.
///
/// A slot that a retired line leaves behind keeps its words until somebody needs the place. Nobody
/// reads them, for a base is not given again while any slot still names it.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    table: Limited,
    size: u32,
    /// The owner that each slot names, in use or not.
    owners: Vec<u32>,
    /// One bit for each slot that is held.
    held: Vec<u64>,
    used: u32,
    /// Bases of lines that are in force or withheld.
    bases: HashSet<u32, Seed>,
    /// How many slots still name a base that no line has.
    stale: Map<u32, u32>,
    withheld: Vec<(u32, Vec<u32>)>,
    /// Every slot below is held.
    floor: u32,
    /// Where lines look first, by the logarithm of their length.
    starts: [u32; 32],
    /// Slots that were given back since all lines looked everywhere.
    given_back: u32,
    /// What has happened since the last commit.
    undo: Vec<Undo>,
}

#[derive(Clone, Copy, Debug)]
enum Undo {
    Base(u32),
    Retired,
    Stale { base: u32, count: u32 },
    Word { at: u32, owner: u32, held: bool },
}

impl Slots {
    pub(super) fn new(table: Limited, size: u32) -> Self {
        Self {
            table,
            size,
            owners: Vec::new(),
            held: Vec::new(),
            used: 0,
            bases: HashSet::default(),
            stale: Map::default(),
            withheld: Vec::new(),
            floor: 0,
            starts: [0; 32],
            given_back: 0,
            undo: Vec::new(),
        }
    }

    /// The occupation of an array found in the kernel, of which these lines are in force.
    pub(super) fn adopt(
        table: Limited,
        size: u32,
        contents: impl Iterator<Item = (u32, Slot)>,
        bases: &BTreeSet<u32>,
    ) -> Self {
        let mut slots = Self::new(table, size);
        for (at, slot) in contents.filter(|(at, slot)| *at < size && slot.owner != 0) {
            slots.grow(at);
            slots.write(at, slot.owner);
            if bases.contains(&slot.owner) && at >= slot.owner {
                slots.hold(at, true);
            } else {
                *slots.stale.entry(slot.owner).or_default() += 1;
            }
        }
        slots.bases = bases.iter().copied().collect();
        slots.undo.clear();
        slots
    }

    /// Takes places for a new line with exceptions at these columns (ascending).
    pub(super) fn place(&mut self, columns: &[(u32, u32)]) -> Result<u32, Error> {
        let (Some((first, _)), Some((last, _))) = (columns.first(), columns.last()) else {
            return Ok(Line::NO_EXCEPTIONS);
        };
        let limit = self.size.saturating_sub(*last);
        let base = self
            .room(*first, limit, columns)
            .or_else(|| self.first_fit(1..limit, columns))
            .ok_or(Error::Full {
                table: self.table,
                needed: self.reach().saturating_add(*last).saturating_add(2),
                size: self.size,
            })?;
        self.bases.insert(base);
        self.undo.push(Undo::Base(base));
        self.grow(base + last);
        self.undo.reserve(columns.len());
        for (column, _) in columns {
            self.take(base, base + column);
        }
        Ok(base)
    }

    /// Takes more places for a line, if all of them are free.
    pub(super) fn extend(&mut self, base: u32, columns: &[u32]) -> bool {
        let is_free = |column: &u32| {
            base.checked_add(*column)
                .is_some_and(|at| at < self.size && !self.is_held(at))
        };
        let fits = columns.iter().all(is_free);
        if fits {
            if let Some(last) = columns.iter().max() {
                self.grow(base + last);
            }
            for column in columns {
                self.take(base, base + column);
            }
        }
        fits
    }

    /// Gives one place of a line back at once; only for columns that no reader can ask for.
    pub(super) fn clear(&mut self, base: u32, column: u32) {
        self.remember(base + column);
        self.write(base + column, 0);
        self.hold(base + column, false);
    }

    /// Gives the places of a line up; they come back after the next grace period.
    pub(super) fn retire(&mut self, base: u32, columns: impl Iterator<Item = u32>) {
        if base != Line::NO_EXCEPTIONS {
            let places = columns.map(|column| base + column).collect();
            self.withheld.push((base, places));
            self.undo.push(Undo::Retired);
        }
    }

    /// Whether places wait for a grace period.
    pub(super) const fn waits(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// What has happened stays.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Nothing has happened since the last commit.
    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Base(base) => {
                    self.bases.remove(&base);
                }
                Undo::Retired => {
                    self.withheld.pop();
                }
                Undo::Stale { base, count } => {
                    self.stale.insert(base, count);
                }
                Undo::Word { at, owner, held } => {
                    self.write(at, owner);
                    self.hold(at, held);
                }
            }
        }
    }

    /// A grace period is over; what has happened cannot be undone any more.
    pub(super) fn grace(&mut self) {
        self.undo.clear();
        for (base, places) in mem::take(&mut self.withheld) {
            self.bases.remove(&base);
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
            if count > 0 {
                *self.stale.entry(base).or_default() += count;
            }
            for at in places {
                self.hold(at, false);
            }
        }
    }

    /// How many places are held.
    pub(super) const fn used(&self) -> u32 {
        self.used
    }

    /// The place after the last one that was ever held.
    pub(super) fn reach(&self) -> u32 {
        u32::try_from(self.owners.len()).unwrap_or(u32::MAX)
    }

    /// A base below the limit at which all columns are free, behind everything else if need be.
    fn room(&mut self, first: u32, limit: u32, columns: &[(u32, u32)]) -> Option<u32> {
        let length = columns.len().ilog2() as usize;
        let behind = self.reach().saturating_add(1);
        let floor = self.lowest_free();
        let mut start = self.starts.get(length).copied().unwrap_or_default();
        let base = loop {
            let from = start.max(floor).saturating_sub(first).max(1);
            if from >= behind {
                break (behind < limit).then_some(behind);
            }
            let to = from.saturating_add(TRIES);
            if let Some(base) = self.first_fit(from..to.min(limit), columns) {
                break Some(base);
            }
            if to >= limit {
                break None;
            }
            start = to.saturating_add(first);
        };
        if let Some(hint) = self.starts.get_mut(length) {
            *hint = start;
        }
        base
    }

    /// The first base at which all columns are free, 64 bases at a time.
    fn first_fit(&self, bases: Range<u32>, columns: &[(u32, u32)]) -> Option<u32> {
        let mut first = bases.start;
        while first < bases.end {
            let mut taken = 0;
            for (column, _) in columns {
                taken |= self.word_at(first + column);
                if taken == u64::MAX {
                    break;
                }
            }
            while taken != u64::MAX {
                let base = first + taken.trailing_ones();
                if base >= bases.end {
                    return None;
                }
                if !self.bases.contains(&base) && !self.stale.contains_key(&base) {
                    return Some(base);
                }
                taken |= 1 << (base - first);
            }
            first = first.saturating_add(64);
        }
        None
    }

    /// Which of the 64 slots from here on are held, the first in the lowest bit.
    fn word_at(&self, at: u32) -> u64 {
        let (place, shift) = ((at / 64) as usize, at % 64);
        let word = |place: usize| self.held.get(place).copied().unwrap_or_default();
        if shift == 0 {
            word(place)
        } else {
            word(place) >> shift | word(place + 1) << (64 - shift)
        }
    }

    /// Holds a place, which the array has grown to, for a line.
    fn take(&mut self, base: u32, at: u32) {
        let owner = self.owners.get_mut(at as usize);
        let before = owner.map_or(0, |owner| mem::replace(owner, base));
        let bit = 1 << (at % 64);
        let word = self.held.get_mut((at / 64) as usize);
        let held = word.is_none_or(|word| mem::replace(word, *word | bit) & bit != 0);
        self.used += u32::from(!held);
        self.undo.push(Undo::Word {
            at,
            owner: before,
            held,
        });
        // Most places were never held.
        if before != 0 {
            self.outlive(before);
        }
    }

    /// One slot less names a base that no line may have.
    fn outlive(&mut self, base: u32) {
        let Some(count) = self.stale.get_mut(&base) else {
            return;
        };
        self.undo.push(Undo::Stale {
            base,
            count: *count,
        });
        *count -= 1;
        if *count == 0 {
            self.stale.remove(&base);
        }
    }

    fn remember(&mut self, at: u32) {
        let owner = self.owners.get(at as usize).copied().unwrap_or_default();
        let held = self.is_held(at);
        self.undo.push(Undo::Word { at, owner, held });
    }

    fn lowest_free(&mut self) -> u32 {
        loop {
            let held = self.word_at(self.floor).trailing_ones();
            self.floor += held;
            if held < 64 {
                return self.floor;
            }
        }
    }

    fn is_held(&self, at: u32) -> bool {
        self.word_at(at) & 1 == 1
    }

    fn grow(&mut self, at: u32) {
        let length = at as usize + 1;
        if self.owners.len() < length {
            self.owners.resize(length, 0);
            self.held.resize(length.div_ceil(64), 0);
        }
    }

    fn write(&mut self, at: u32, owner: u32) {
        if let Some(place) = self.owners.get_mut(at as usize) {
            *place = owner;
        }
    }

    fn hold(&mut self, at: u32, held: bool) {
        let was_held = self.is_held(at);
        if let Some(word) = self.held.get_mut((at / 64) as usize)
            && was_held != held
        {
            *word ^= 1 << (at % 64);
            if held {
                self.used += 1;
            } else {
                self.used -= 1;
            }
        }
        if !held {
            self.floor = self.floor.min(at);
            self.given_back += 1;
            if self.given_back > self.used / 4 {
                self.given_back = 0;
                self.starts = [0; 32];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(size: u32) -> Slots {
        Slots::new(Limited::RowSlots, size)
    }

    fn at(columns: &[u32]) -> Vec<(u32, u32)> {
        columns.iter().map(|column| (*column, 1)).collect()
    }

    #[test]
    fn lines_interleave_and_never_share_a_base() {
        let mut slots = slots(100);
        assert_eq!(slots.place(&at(&[0, 2])), Ok(1));
        assert_eq!(slots.place(&at(&[0, 2])), Ok(2));
        assert_eq!(slots.place(&at(&[3])), Ok(3));
        assert_eq!(slots.place(&at(&[2])), Ok(5));
    }

    #[test]
    fn a_line_without_exceptions_takes_nothing() {
        let mut slots = slots(0);
        assert_eq!(slots.place(&[]), Ok(Line::NO_EXCEPTIONS));
    }

    #[test]
    fn a_base_that_some_slot_still_names_is_not_given_again() {
        let mut slots = slots(100);
        let first = slots.place(&at(&[0])).unwrap();
        let base = slots.place(&at(&[0, 5])).unwrap();
        slots.retire(base, [0, 5].into_iter());
        assert_ne!(
            slots.place(&at(&[0, 5])),
            Ok(base),
            "withheld until a grace period is over"
        );
        slots.grace();
        let other = slots.place(&at(&[0])).unwrap();
        assert_ne!(other, base, "two slots still name it");
        assert!(slots.stale.contains_key(&base));
        assert!(slots.extend(first, &[base - first, base + 5 - first]));
        assert!(!slots.stale.contains_key(&base));
    }

    #[test]
    fn lines_with_gaps_fill_each_others() {
        let mut slots = slots(u32::MAX);
        for leaf in (1..4_000_u32).rev() {
            let path = (0..=leaf.ilog2()).rev().map(|up| leaf >> up);
            slots.place(&at(&path.collect::<Vec<_>>())).unwrap();
        }
        let (used, reach) = (slots.used(), slots.reach());
        assert!(reach < 3 * used, "{used} slots reach up to {reach}");
    }

    #[test]
    fn a_full_array_is_reported() {
        let mut slots = slots(4);
        assert!(slots.place(&at(&[0, 2])).is_ok());
        assert!(matches!(
            slots.place(&at(&[0, 2])),
            Err(Error::Full { size: 4, .. })
        ));
    }

    #[test]
    fn what_is_rolled_back_has_not_happened() {
        let mut slots = slots(100);
        let first = slots.place(&at(&[0, 5])).unwrap();
        let gone = slots.place(&at(&[0, 7])).unwrap();
        slots.retire(gone, [0, 7].into_iter());
        slots.grace();
        let before = slots.clone();
        slots.place(&at(&[0, 7])).unwrap();
        assert!(slots.extend(first, &[1, 20]));
        slots.clear(first, 5);
        slots.retire(first, [0].into_iter());
        slots.roll_back();
        let length = before.owners.len();
        assert_eq!(slots.owners[..length], before.owners);
        let held = |slots: &Slots| (0..100).map(|at| slots.is_held(at)).collect::<Vec<_>>();
        assert_eq!(held(&slots), held(&before));
        assert_eq!(slots.stale, before.stale);
        assert_eq!(slots.bases, before.bases);
        assert_eq!((slots.used(), slots.waits()), (before.used(), false));
    }
}
