//! One level of the tables: lines and the slots that hold their exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use palisade_abi::{Line, PolicyId, ROW_BLOCKS, ROW_WIDE, RowId, Slot, TableSizes, Write};

use super::entry::{self, Entry, Form};
use super::error::{Error, Limited};
use super::image::Image;
use super::numbers::Numbers;
use super::slots::Slots;
use super::state::Marks;
use crate::compile::{Map, Seed};

/// Exceptions given up that are not worth a look through all tables.
const LITTER: usize = 32;

/// Which of the two levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
    /// Policies: columns are peer classes, values are rows.
    Policies,
    /// Rows: columns are port classes, values are verdicts.
    Rows,
}

/// Whether a line had to move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moved {
    No,
    Yes,
}

/// The lines of one level and where they lie.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    level: Level,
    lines: Vec<Option<Entry>>,
    /// The lines by what they say; a key is a sum over the columns.
    by_content: Map<u64, u32>,
    seed: Seed,
    numbers: Numbers,
    slots: Slots,
    /// Exceptions of the lines given up since what they led to was looked through.
    litter: usize,
    /// What has happened since the last commit.
    undo: Vec<Undo>,
}

#[derive(Clone, Debug)]
enum Undo {
    Slot(u32, u32, Option<u32>),
    Line(u32, Option<Entry>),
}

impl Overlay {
    /// The lines with these numbers, as an image has them. Line 0 is never one of them.
    pub(super) fn adopt(level: Level, image: &Image, numbers: &BTreeSet<u32>) -> Self {
        let (lines, line_count, table, slot_count) = level.limits(image.sizes());
        let mut entries: BTreeMap<u32, Entry> = BTreeMap::new();
        let mut by_base = BTreeMap::new();
        for number in numbers.iter().filter(|number| **number != 0) {
            let Line { base, default } = level.read(image, *number);
            by_base.insert(base, *number);
            entries.insert(*number, level.entry(Line { base, default }));
        }
        let contents: Vec<(u32, Slot)> = level.contents(image);
        for (at, slot) in &contents {
            let entry = by_base
                .get(&slot.owner)
                .and_then(|line| entries.get_mut(line));
            if let (Some(entry), Some(place)) = (entry, at.checked_sub(slot.owner)) {
                let value = level.value(entry.form, place, slot.value);
                entry.slots.push((place, value));
            }
        }
        let bases = by_base
            .into_keys()
            .filter(|base| *base != Line::NO_EXCEPTIONS)
            .collect();
        let slots = Slots::adopt(table, slot_count, contents.into_iter(), &bases);
        let mut overlay = Self {
            level,
            lines: Vec::new(),
            by_content: Map::default(),
            seed: Seed::default(),
            numbers: Numbers::with_used(lines, line_count, numbers),
            slots,
            litter: 0,
            undo: Vec::new(),
        };
        for (number, entry) in entries {
            overlay.replace(number, Some(entry));
        }
        overlay.undo.clear();
        overlay
    }

    /// The lines in force.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let lines = (0..).zip(&self.lines);
        lines.filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
    }

    /// A line in force; `None` for line 0 too.
    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        self.lines.get(number as usize)?.as_ref()
    }

    /// What a line holds in a column; line 0 holds 0 everywhere.
    pub(super) fn at(&self, number: u32, column: u32) -> u32 {
        self.get(number).map_or(0, |entry| entry.at(column))
    }

    /// The line that says what the key is of, if there is one. Exceptions are ascending and differ
    /// from the default.
    pub(super) fn find(&self, key: u64, default: u32, exceptions: &[(u32, u32)]) -> Option<u32> {
        if default == 0 && exceptions.is_empty() {
            return Some(0);
        }
        let number = *self.by_content.get(&key)?;
        let entry = self.get(number)?;
        entry.says(default, exceptions).then_some(number)
    }

    /// Adds a line: its slots, then the line itself. Exceptions are ascending and differ from the
    /// default.
    pub(super) fn add(
        &mut self,
        default: u32,
        exceptions: Vec<(u32, u32)>,
        writes: &mut Vec<Write>,
    ) -> Result<u32, Error> {
        let number = self.numbers.allocate()?;
        let entry = self.write_line(number, default, exceptions, writes)?;
        self.store(number, Some(entry));
        self.undo.push(Undo::Line(number, None));
        Ok(number)
    }

    /// Adds a line that is to be found by what it says.
    pub(super) fn add_row(
        &mut self,
        key: u64,
        default: u32,
        exceptions: Vec<(u32, u32)>,
        writes: &mut Vec<Write>,
    ) -> Result<u32, Error> {
        let number = self.add(default, exceptions, writes)?;
        self.by_content.entry(key).or_insert(number);
        Ok(number)
    }

    /// Sets columns that nobody asks for yet. A line whose place is taken moves.
    ///
    /// `is_dead` names the columns that nobody can ask for any more; they stay behind.
    pub(super) fn set(
        &mut self,
        number: u32,
        columns: &[(u32, u32)],
        is_dead: impl Fn(u32) -> bool,
        writes: &mut Vec<Write>,
    ) -> Result<Moved, Error> {
        let Some(entry) = self.get(number) else {
            return Ok(Moved::No);
        };
        let (base, default) = (entry.base, entry.default);
        let differing: Vec<(u32, u32)> = columns
            .iter()
            .copied()
            .filter(|(column, value)| entry.at(*column) != *value)
            .collect();
        if differing.is_empty() {
            return Ok(Moved::No);
        }
        let changes = entry.changes(&differing);
        let added: Vec<u32> = changes
            .iter()
            .filter(|(place, value)| value.is_some() && entry.slot(*place).is_none())
            .map(|(place, _)| *place)
            .collect();
        let is_outgrown = self.level == Level::Rows
            && entry.has_doubled(added.len())
            && entry::wide(&entry.with(&differing)).is_some();
        if !is_outgrown && self.slots.extend(base, &added) {
            self.write_slots(number, base, &changes, writes);
            return Ok(Moved::No);
        }
        let Some(entry) = self.get(number) else {
            return Ok(Moved::No);
        };
        let places: Vec<u32> = entry.slots.iter().map(|(place, _)| *place).collect();
        let mut exceptions = entry.with(&differing);
        self.slots.retire(base, places.into_iter());
        let wanted: BTreeSet<u32> = columns.iter().map(|(column, _)| *column).collect();
        exceptions.retain(|(column, _)| wanted.contains(column) || !is_dead(*column));
        let moved = self.write_line(number, default, exceptions, writes)?;
        self.replace(number, Some(moved));
        Ok(Moved::Yes)
    }

    /// Gives a line up.
    pub(super) fn retire(&mut self, number: u32) {
        if let Some(entry) = self.replace(number, None) {
            let places = entry.slots.iter().map(|(place, _)| *place);
            self.slots.retire(entry.base, places);
            self.numbers.retire(number);
            self.litter += entry.slots.len() + 1;
            self.undo.push(Undo::Line(number, Some(entry)));
        }
    }

    /// Gives up the lines that are not in force any more; whether there were any.
    pub(super) fn retain(&mut self, in_force: &Marks) -> bool {
        let lines = (0..).zip(&self.lines);
        let gone: Vec<u32> = lines
            .filter(|(number, entry)| entry.is_some() && !in_force.has(*number))
            .map(|(number, _)| number)
            .collect();
        for number in &gone {
            self.retire(*number);
        }
        self.litter = 0;
        !gone.is_empty()
    }

    /// Whether the lines given up are so many that what they led to should be looked through.
    pub(super) const fn is_littered(&self) -> bool {
        self.litter > self.slots.used() as usize / 2 + LITTER
    }

    /// What the lines given up led to has been looked through.
    pub(super) const fn tidied(&mut self) {
        self.litter = 0;
    }

    /// Whether something waits for a grace period.
    pub(super) const fn waits(&self) -> bool {
        self.numbers.waits() || self.slots.waits()
    }

    /// A grace period is over; what has happened cannot be undone any more.
    pub(super) fn grace(&mut self) {
        self.undo.clear();
        self.numbers.grace();
        self.slots.grace();
    }

    /// What has happened stays.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
        self.numbers.commit();
        self.slots.commit();
    }

    /// Nothing has happened since the last commit.
    pub(super) fn roll_back(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        for one in undo.into_iter().rev() {
            match one {
                Undo::Slot(number, place, before) => {
                    self.forget_content(number);
                    let line = self.lines.get_mut(number as usize).and_then(Option::as_mut);
                    let _now = line.and_then(|line| line.put(place, before));
                    self.learn_content(number);
                }
                Undo::Line(number, before) => {
                    let _now = self.replace(number, before);
                }
            }
        }
        self.undo.clear();
        self.numbers.roll_back();
        self.slots.roll_back();
    }

    /// Lines and slots in use.
    pub(super) fn used(&self) -> (u32, u32) {
        (self.numbers.used(), self.slots.used())
    }

    /// How far lines and slots reach.
    pub(super) fn reach(&self) -> (u32, u32) {
        (self.numbers.reach(), self.slots.reach())
    }

    fn write_line(
        &mut self,
        number: u32,
        default: u32,
        exceptions: Vec<(u32, u32)>,
        writes: &mut Vec<Write>,
    ) -> Result<Entry, Error> {
        let (base, form, slots) = self.place(exceptions)?;
        for (place, value) in &slots {
            let slot = Slot {
                owner: base,
                value: *value,
            };
            writes.push(self.level.write_slot(base + place, slot));
        }
        let mark = match form {
            Form::Narrow => 0,
            Form::Wide => ROW_WIDE,
        };
        let line = Line {
            base,
            default: default | mark,
        };
        writes.push(self.level.write_line(number, line));
        Ok(Entry {
            base,
            default,
            form,
            slots,
        })
    }

    /// Takes places for exceptions in the form that suits them.
    #[expect(clippy::type_complexity, reason = "the parts of an entry")]
    fn place(
        &mut self,
        exceptions: Vec<(u32, u32)>,
    ) -> Result<(u32, Form, Vec<(u32, u32)>), Error> {
        let wide = match self.level {
            Level::Policies => None,
            Level::Rows => entry::wide(&exceptions),
        };
        // The slots of a wide row may lie further apart than a small array is long.
        if let Some(slots) = wide
            && let Ok(base) = self.slots.place(&slots)
        {
            return Ok((base, Form::Wide, slots));
        }
        let base = self.slots.place(&exceptions)?;
        Ok((base, Form::Narrow, exceptions))
    }

    fn write_slots(
        &mut self,
        number: u32,
        base: u32,
        changes: &[(u32, Option<u32>)],
        writes: &mut Vec<Write>,
    ) {
        self.forget_content(number);
        for (place, value) in changes {
            let line = self.lines.get_mut(number as usize).and_then(Option::as_mut);
            let before = line.and_then(|line| line.put(*place, *value));
            self.undo.push(Undo::Slot(number, *place, before));
            let slot = if let Some(value) = *value {
                Slot { owner: base, value }
            } else {
                self.slots.clear(base, *place);
                Slot::default()
            };
            writes.push(self.level.write_slot(base + place, slot));
        }
        self.learn_content(number);
    }

    /// Replaces a line in memory; returns what was there, and remembers it for undoing unless it
    /// is handed out.
    fn replace(&mut self, number: u32, entry: Option<Entry>) -> Option<Entry> {
        self.forget_content(number);
        let is_removal = entry.is_none();
        let before = self.store(number, entry);
        self.learn_content(number);
        if is_removal {
            return before;
        }
        self.undo.push(Undo::Line(number, before));
        None
    }

    fn store(&mut self, number: u32, entry: Option<Entry>) -> Option<Entry> {
        let place = number as usize;
        if self.lines.len() <= place {
            self.lines.resize(place + 1, None);
        }
        let line = self.lines.get_mut(place)?;
        std::mem::replace(line, entry)
    }

    fn forget_content(&mut self, number: u32) {
        let Some(key) = self.content_key(number) else {
            return;
        };
        if self.by_content.get(&key) == Some(&number) {
            self.by_content.remove(&key);
        }
    }

    fn learn_content(&mut self, number: u32) {
        if let Some(key) = self.content_key(number) {
            self.by_content.entry(key).or_insert(number);
        }
    }

    /// Only rows are found by what they say; the lines of policies may be long.
    fn content_key(&self, number: u32) -> Option<u64> {
        if self.level == Level::Policies {
            return None;
        }
        let entry = self.get(number)?;
        Some(self.key(entry.default, entry.exceptions()))
    }

    /// What lines are found by.
    pub(super) fn key(&self, default: u32, exceptions: impl Iterator<Item = (u32, u32)>) -> u64 {
        let word = |(column, value)| u64::from(column) << 32 | u64::from(value);
        let columns = exceptions.map(|one| self.seed.hash_one(word(one)));
        columns.fold(self.seed.hash_one(default), u64::wrapping_add)
    }
}

impl Level {
    fn limits(self, sizes: TableSizes) -> (Limited, u32, Limited, u32) {
        match self {
            Self::Policies => (
                Limited::Policies,
                sizes.policies,
                Limited::RowSlots,
                sizes.row_slots,
            ),
            Self::Rows => (
                Limited::Rows,
                sizes.rows,
                Limited::CellSlots,
                sizes.cell_slots,
            ),
        }
    }

    fn read(self, image: &Image, number: u32) -> Line {
        match self {
            Self::Policies => image.policy_line(PolicyId::new(number)),
            Self::Rows => image.row_line(RowId::new(number)),
        }
    }

    /// The line as an entry, without its slots.
    const fn entry(self, Line { base, default }: Line) -> Entry {
        let (default, form) = match self {
            Self::Policies => (default, Form::Narrow),
            Self::Rows if default & ROW_WIDE == 0 => (entry::verdict(default), Form::Narrow),
            Self::Rows => (entry::verdict(default), Form::Wide),
        };
        Entry {
            base,
            default,
            form,
            slots: Vec::new(),
        }
    }

    /// What counts of what a slot holds.
    const fn value(self, form: Form, place: u32, value: u32) -> u32 {
        match (self, form) {
            (Self::Policies, _) => value,
            (Self::Rows, Form::Wide) if place < ROW_BLOCKS => value,
            (Self::Rows, _) => entry::verdict(value),
        }
    }

    fn contents(self, image: &Image) -> Vec<(u32, Slot)> {
        match self {
            Self::Policies => image.row_slots().collect(),
            Self::Rows => image.cell_slots().collect(),
        }
    }

    const fn write_slot(self, at: u32, slot: Slot) -> Write {
        match self {
            Self::Policies => Write::RowSlot(at, slot),
            Self::Rows => Write::CellSlot(at, slot),
        }
    }

    const fn write_line(self, number: u32, line: Line) -> Write {
        match self {
            Self::Policies => Write::PolicyLine(PolicyId::new(number), line),
            Self::Rows => Write::RowLine(RowId::new(number), line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Overlay {
        let image = Image::new(TableSizes::default());
        Overlay::adopt(Level::Rows, &image, &BTreeSet::new())
    }

    fn form(rows: &Overlay, number: u32) -> Form {
        rows.get(number).unwrap().form
    }

    #[test]
    fn a_row_that_grows_where_there_is_room_becomes_wide_all_the_same() {
        let (mut rows, mut writes) = (rows(), Vec::new());
        let number = rows.add(1, vec![(0, 7)], &mut writes).unwrap();
        for column in 1..100 {
            rows.set(number, &[(column, 7)], |_| false, &mut writes)
                .unwrap();
            rows.grace();
        }
        assert_eq!(form(&rows, number), Form::Wide);
        assert_eq!(rows.used(), (1, 7));
    }

    #[test]
    fn a_row_that_finds_no_room_to_be_wide_is_narrow() {
        let sizes = TableSizes {
            cell_slots: 200,
            ..TableSizes::default()
        };
        let mut rows = Overlay::adopt(Level::Rows, &Image::new(sizes), &BTreeSet::new());
        let mut columns: Vec<(u32, u32)> = (0..100).map(|column| (column, 7)).collect();
        let all_alike = rows.add(1, columns.clone(), &mut Vec::new()).unwrap();
        columns[50].1 = 8;
        let not_quite = rows.add(1, columns, &mut Vec::new()).unwrap();
        assert_eq!(form(&rows, all_alike), Form::Wide);
        assert_eq!(form(&rows, not_quite), Form::Narrow);
    }

    #[test]
    fn what_is_rolled_back_has_not_happened() {
        let (mut rows, mut writes) = (rows(), Vec::new());
        let columns: Vec<(u32, u32)> = (0..100).map(|column| (column, 7)).collect();
        let number = rows.add(1, columns.clone(), &mut writes).unwrap();
        rows.commit();
        let before = rows.clone();
        let changes: Vec<(u32, u32)> = (90..110).map(|column| (column, column % 3)).collect();
        rows.set(number, &changes, |_| false, &mut writes).unwrap();
        assert_ne!(rows.get(number), before.get(number));
        rows.roll_back();
        assert_eq!(rows.get(number), before.get(number));
        assert_eq!(rows.used(), before.used());
        let key = rows.key(1, columns.iter().copied());
        assert_eq!(rows.find(key, 1, &columns), Some(number));
    }
}
