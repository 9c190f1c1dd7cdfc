//! One level of the tables: lines and the slots that hold their exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;

use palisade_abi::{Line, PolicyId, RowId, Slot, TableSizes, Write};

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

/// What the kernel holds for one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    base: u32,
    pub(super) default: u32,
    /// Columns that differ, or did when somebody could still ask for them; ascending.
    pub(super) exceptions: Vec<(u32, u32)>,
}

impl Entry {
    pub(super) fn at(&self, column: u32) -> u32 {
        let place = self.exceptions.binary_search_by_key(&column, |one| one.0);
        let exception = place.ok().and_then(|place| self.exceptions.get(place));
        exception.map_or(self.default, |(_, value)| *value)
    }

    /// Sets a column; returns what it held if it was an exception.
    fn put(&mut self, column: u32, value: Option<u32>) -> Option<u32> {
        let place = self.exceptions.binary_search_by_key(&column, |one| one.0);
        match (place, value) {
            (Ok(place), Some(value)) => {
                let exception = self.exceptions.get_mut(place)?;
                Some(std::mem::replace(&mut exception.1, value))
            }
            (Ok(place), None) => Some(self.exceptions.remove(place).1),
            (Err(place), Some(value)) => {
                self.exceptions.insert(place, (column, value));
                None
            }
            (Err(_), None) => None,
        }
    }
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
    Column(u32, u32, Option<u32>),
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
            let exceptions = Vec::new();
            entries.insert(
                *number,
                Entry {
                    base,
                    default,
                    exceptions,
                },
            );
        }
        let contents: Vec<(u32, Slot)> = level.contents(image);
        for (at, slot) in &contents {
            let entry = by_base
                .get(&slot.owner)
                .and_then(|line| entries.get_mut(line));
            if let (Some(entry), Some(column)) = (entry, at.checked_sub(slot.owner)) {
                entry.exceptions.push((column, slot.value));
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
        (entry.default == default && entry.exceptions == exceptions).then_some(number)
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
        let is_exception = |column: u32| {
            let exceptions = &entry.exceptions;
            exceptions
                .binary_search_by_key(&column, |one| one.0)
                .is_ok()
        };
        let added: Vec<u32> = differing
            .iter()
            .filter(|(column, value)| *value != default && !is_exception(*column))
            .map(|(column, _)| *column)
            .collect();
        if self.slots.extend(base, &added) {
            self.write_columns(number, base, default, &differing, writes);
            return Ok(Moved::No);
        }
        let Some(mut changed) = self.get(number).cloned() else {
            return Ok(Moved::No);
        };
        let columns_before = changed.exceptions.iter().map(|(column, _)| *column);
        self.slots.retire(base, columns_before);
        for (column, value) in &differing {
            changed.put(*column, (*value != default).then_some(*value));
        }
        let wanted: BTreeSet<u32> = columns.iter().map(|(column, _)| *column).collect();
        changed
            .exceptions
            .retain(|(column, _)| wanted.contains(column) || !is_dead(*column));
        let moved = self.write_line(number, default, changed.exceptions, writes)?;
        self.replace(number, Some(moved));
        Ok(Moved::Yes)
    }

    /// Gives a line up.
    pub(super) fn retire(&mut self, number: u32) {
        if let Some(entry) = self.replace(number, None) {
            let columns = entry.exceptions.iter().map(|(column, _)| *column);
            self.slots.retire(entry.base, columns);
            self.numbers.retire(number);
            self.litter += entry.exceptions.len() + 1;
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
                Undo::Column(number, column, before) => {
                    self.forget_content(number);
                    let line = self.lines.get_mut(number as usize).and_then(Option::as_mut);
                    let _now = line.and_then(|line| line.put(column, before));
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
        let base = self.slots.place(&exceptions)?;
        for (column, value) in &exceptions {
            let slot = Slot {
                owner: base,
                value: *value,
            };
            writes.push(self.level.write_slot(base + column, slot));
        }
        writes.push(self.level.write_line(number, Line { base, default }));
        Ok(Entry {
            base,
            default,
            exceptions,
        })
    }

    fn write_columns(
        &mut self,
        number: u32,
        base: u32,
        default: u32,
        columns: &[(u32, u32)],
        writes: &mut Vec<Write>,
    ) {
        self.forget_content(number);
        for (column, value) in columns {
            let is_exception = *value != default;
            let line = self.lines.get_mut(number as usize).and_then(Option::as_mut);
            let before = line.and_then(|line| line.put(*column, is_exception.then_some(*value)));
            self.undo.push(Undo::Column(number, *column, before));
            let slot = if is_exception {
                Slot {
                    owner: base,
                    value: *value,
                }
            } else {
                self.slots.clear(base, *column);
                Slot::default()
            };
            writes.push(self.level.write_slot(base + column, slot));
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
        Some(self.key(entry.default, &entry.exceptions))
    }

    /// What lines are found by.
    pub(super) fn key(&self, default: u32, exceptions: &[(u32, u32)]) -> u64 {
        let word = |(column, value): &(u32, u32)| u64::from(*column) << 32 | u64::from(*value);
        let columns = exceptions.iter().map(|one| self.seed.hash_one(word(one)));
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
