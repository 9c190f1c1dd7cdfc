//! Which names to look at when.

use super::entry::{Entry, EntryId, Lists};
use super::moment::Moment;
use super::slab::Slab;

/// A hierarchical timing wheel over entries, which carry the links themselves.
///
/// A turn of a level's 64 slots is one slot of the next. An entry waits where the first address
/// may be over; if that has moved on since, the wheel finds out when the slot is due, so an update
/// of a known name touches nothing here. Placing and removing take constant time, and taking out
/// what is due takes time for that alone, plus for each entry at most one step per level.
///
/// Entries that only a connection keeps wait apart, to be looked at each time.
#[derive(Clone, Debug)]
pub(super) struct Wheel {
    levels: [Level; LEVELS],
    /// Everything up to this tick, and nothing after it, has been taken out.
    tick: u64,
    kept: Option<EntryId>,
    /// When the kept were last looked at.
    looked: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// A bit for each slot that is not empty.
    taken: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: Option<EntryId>,
    /// No entry of the slot is due before.
    earliest: Moment,
}

impl Default for Wheel {
    fn default() -> Self {
        let slot = Slot {
            first: None,
            earliest: Moment::NEVER,
        };
        let level = Level {
            taken: 0,
            slots: [slot; SLOTS],
        };
        Self {
            levels: [level; LEVELS],
            tick: 0,
            kept: None,
            looked: Moment::from_nanos(0),
        }
    }
}

impl Wheel {
    /// Lets an entry wait, which waits nowhere, until its first address may be over.
    pub(super) fn place(&mut self, entries: &mut Slab<Entry>, id: EntryId, due: Moment) {
        let tick = (due.nanos() >> TICK_BITS).max(self.tick);
        let level = Self::level_of(tick ^ self.tick);
        let slot = digit(tick, level);
        let Some(place) = self.slot_mut(level, slot) else {
            return;
        };
        place.earliest = place.earliest.min(due);
        let next = place.first.replace(id);
        if let Some(level) = self.levels.get_mut(level) {
            level.taken |= 1 << slot;
        }
        link(entries, id, next, number(level, slot));
    }

    /// Lets an entry wait, which waits nowhere, for the end of its connections.
    pub(super) fn keep(&mut self, entries: &mut Slab<Entry>, id: EntryId) {
        let next = self.kept.replace(id);
        link(entries, id, next, KEPT);
    }

    /// Sees to it that an entry which waits is looked at by this time.
    pub(super) fn hasten(&mut self, entries: &mut Slab<Entry>, id: EntryId, due: Moment) {
        let Some(slot) = entries.get(id).map(|entry| entry.slot) else {
            return;
        };
        let earliest = self.place_of(slot).map(|slot| slot.earliest);
        if slot != KEPT && earliest.is_some_and(|earliest| due < earliest) {
            self.remove(entries, id);
            self.place(entries, id, due);
        }
    }

    /// Takes an entry out, if it waits.
    pub(super) fn remove(&mut self, entries: &mut Slab<Entry>, id: EntryId) {
        let Some((before, after, slot)) = entries
            .get(id)
            .map(|entry| (entry.before, entry.after, entry.slot))
        else {
            return;
        };
        if slot == NOWHERE {
            return;
        }
        if let Some(entry) = after.and_then(|after| entries.get_mut(after)) {
            entry.before = before;
        }
        if let Some(entry) = before.and_then(|before| entries.get_mut(before)) {
            entry.after = after;
        } else if slot == KEPT {
            self.kept = after;
        } else {
            self.set_first(slot, after);
        }
    }

    /// Takes out every entry with an address whose time is over, and those that were kept.
    pub(super) fn take_due(
        &mut self,
        entries: &mut Slab<Entry>,
        lists: &Lists,
        now: Moment,
    ) -> Vec<EntryId> {
        let mut due = Vec::new();
        chain(entries, self.kept.take(), &mut due);
        self.looked = now;
        let tick = (now.nanos() >> TICK_BITS).max(self.tick);
        let mut moved = Vec::new();
        let highest = Self::level_of(tick ^ self.tick);
        for (number, level) in self.levels.iter_mut().enumerate().take(highest + 1) {
            let mut reached = level.taken;
            if number == highest {
                reached &= u64::MAX >> (SLOTS - 1 - digit(tick, number));
            }
            level.taken &= !reached;
            for (_, slot) in level
                .slots
                .iter_mut()
                .enumerate()
                .filter(|(slot, _)| reached >> slot & 1 == 1)
            {
                chain(entries, slot.first.take(), &mut moved);
                slot.earliest = Moment::NEVER;
            }
        }
        self.tick = tick;
        for id in moved {
            let Some(earliest) = entries.get(id).map(|entry| entry.earliest(lists)) else {
                continue;
            };
            if earliest <= now {
                due.push(id);
            } else {
                self.place(entries, id, earliest);
            }
        }
        due
    }

    /// When something may be due: no later than it is.
    pub(super) fn next(&self) -> Option<Moment> {
        if self.kept.is_some() {
            return Some(self.looked);
        }
        // What waits on a level is due before anything on those above.
        let level = self.levels.iter().find(|level| level.taken != 0)?;
        let slot = level.slots.get(level.taken.trailing_zeros() as usize)?;
        Some(slot.earliest)
    }

    /// The level whose digit is the highest one that differs.
    const fn level_of(difference: u64) -> usize {
        match difference.checked_ilog2() {
            Some(bit) => (bit / SLOT_BITS) as usize,
            None => 0,
        }
    }

    fn slot_mut(&mut self, level: usize, slot: usize) -> Option<&mut Slot> {
        self.levels.get_mut(level)?.slots.get_mut(slot)
    }

    fn place_of(&self, number: u16) -> Option<&Slot> {
        let number = usize::from(number);
        self.levels.get(number / SLOTS)?.slots.get(number % SLOTS)
    }

    fn set_first(&mut self, number: u16, first: Option<EntryId>) {
        let (level, slot) = (usize::from(number) / SLOTS, usize::from(number) % SLOTS);
        if let Some(place) = self.slot_mut(level, slot) {
            place.first = first;
            if first.is_none() {
                place.earliest = Moment::NEVER;
                if let Some(level) = self.levels.get_mut(level) {
                    level.taken &= !(1 << slot);
                }
            }
        }
    }
}

/// Makes an entry the first of a list, before `next`.
fn link(entries: &mut Slab<Entry>, id: EntryId, next: Option<EntryId>, slot: u16) {
    if let Some(entry) = entries.get_mut(id) {
        (entry.before, entry.after, entry.slot) = (None, next, slot);
    }
    if let Some(entry) = next.and_then(|next| entries.get_mut(next)) {
        entry.before = Some(id);
    }
}

/// Takes a list apart.
fn chain(entries: &mut Slab<Entry>, first: Option<EntryId>, into: &mut Vec<EntryId>) {
    let mut next = first;
    while let Some(id) = next
        && let Some(entry) = entries.get_mut(id)
    {
        into.push(id);
        next = entry.after.take();
        (entry.before, entry.slot) = (None, NOWHERE);
    }
}

/// Which slot of a level a tick belongs to.
fn digit(tick: u64, level: usize) -> usize {
    let digits = tick.checked_shr(SLOT_BITS * u32::try_from(level).unwrap_or_default());
    let [digit, ..] = digits.unwrap_or_default().to_le_bytes();
    usize::from(digit) % SLOTS
}

/// A slot's number over all levels.
fn number(level: usize, slot: usize) -> u16 {
    u16::try_from(level * SLOTS + slot).unwrap_or(KEPT)
}

/// A tick is 2^26 ns, about 67 ms: within it times are compared exactly.
const TICK_BITS: u32 = 26;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Enough for every time that there is.
const LEVELS: usize = (64 - TICK_BITS).div_ceil(SLOT_BITS) as usize;
/// Stands for the list of the kept.
const KEPT: u16 = u16::MAX;
/// Where an entry is that does not wait.
pub(super) const NOWHERE: u16 = u16::MAX - 1;
