//! One level of the tables: lines and the slots that hold their exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{Line, PolicyId, RowId, Slot, TableSizes, Write};

use super::error::{Error, Limited};
use super::image::Image;
use super::numbers::Numbers;
use super::slots::Slots;

/// Which of the two levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
    /// Policies: columns are peer classes, values are rows.
    Policies,
    /// Rows: columns are port classes, values are verdicts.
    Rows,
}

/// What the kernel holds for one line.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    base: u32,
    pub(super) default: u32,
    /// Columns that differ, or did when somebody could still ask for them.
    pub(super) exceptions: BTreeMap<u32, u32>,
}

impl Entry {
    pub(super) fn at(&self, column: u32) -> u32 {
        self.exceptions
            .get(&column)
            .copied()
            .unwrap_or(self.default)
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
    lines: BTreeMap<u32, Arc<Entry>>,
    numbers: Numbers,
    slots: Slots,
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
            let exceptions = BTreeMap::new();
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
                entry.exceptions.insert(column, slot.value);
            }
        }
        let bases = by_base
            .into_keys()
            .filter(|base| *base != Line::NO_EXCEPTIONS)
            .collect();
        let slots = Slots::adopt(table, slot_count, contents.into_iter(), &bases);
        let lines_in_force = entries
            .into_iter()
            .map(|(number, entry)| (number, entry.into()));
        Self {
            level,
            lines: lines_in_force.collect(),
            numbers: Numbers::with_used(lines, line_count, numbers),
            slots,
        }
    }

    /// The lines in force.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.lines
            .iter()
            .map(|(number, entry)| (*number, entry.as_ref()))
    }

    /// A line in force; `None` for line 0 too.
    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        self.lines.get(&number).map(AsRef::as_ref)
    }

    /// What a line holds in a column; line 0 holds 0 everywhere.
    pub(super) fn at(&self, number: u32, column: u32) -> u32 {
        self.get(number).map_or(0, |entry| entry.at(column))
    }

    /// Adds a line: its slots, then the line itself.
    pub(super) fn add(
        &mut self,
        default: u32,
        exceptions: BTreeMap<u32, u32>,
        writes: &mut Vec<Write>,
    ) -> Result<u32, Error> {
        let number = self.numbers.allocate()?;
        let entry = self.write_line(number, default, exceptions, writes)?;
        self.lines.insert(number, entry.into());
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
        let Some(entry) = self.lines.get(&number).cloned() else {
            return Ok(Moved::No);
        };
        let differing: Vec<(u32, u32)> = columns
            .iter()
            .copied()
            .filter(|(column, value)| entry.at(*column) != *value)
            .collect();
        if differing.is_empty() {
            return Ok(Moved::No);
        }
        let added: Vec<u32> = differing
            .iter()
            .filter(|(_, value)| *value != entry.default)
            .map(|(column, _)| *column)
            .filter(|column| !entry.exceptions.contains_key(column))
            .collect();
        let fits = self.slots.extend(entry.base, &added);
        let mut changed = entry.as_ref().clone();
        for (column, value) in &differing {
            if *value == entry.default {
                changed.exceptions.remove(column);
            } else {
                changed.exceptions.insert(*column, *value);
            }
        }
        if fits {
            self.write_columns(&changed, &differing, writes);
            self.lines.insert(number, changed.into());
            return Ok(Moved::No);
        }
        self.slots
            .retire(entry.base, entry.exceptions.keys().copied());
        let wanted: BTreeSet<u32> = columns.iter().map(|(column, _)| *column).collect();
        changed
            .exceptions
            .retain(|column, _| wanted.contains(column) || !is_dead(*column));
        let moved = self.write_line(number, entry.default, changed.exceptions, writes)?;
        self.lines.insert(number, moved.into());
        Ok(Moved::Yes)
    }

    /// What the lines hold, in columns that somebody can ask for: (line, column).
    pub(super) fn values_in_use(&self, is_live: impl Fn(u32, u32) -> bool) -> BTreeSet<u32> {
        let values = self.iter().flat_map(|(number, entry)| {
            let exceptions = entry.exceptions.iter();
            exceptions
                .filter(|(column, _)| is_live(number, **column))
                .map(|(_, value)| *value)
                .chain([entry.default])
                .collect::<Vec<_>>()
        });
        values.filter(|value| *value != 0).collect()
    }

    /// Gives up the lines that are not in force any more.
    pub(super) fn retain(&mut self, is_in_force: impl Fn(u32) -> bool) {
        let gone: Vec<u32> = self
            .lines
            .keys()
            .copied()
            .filter(|line| !is_in_force(*line))
            .collect();
        for number in gone {
            if let Some(entry) = self.lines.remove(&number) {
                self.slots
                    .retire(entry.base, entry.exceptions.keys().copied());
                self.numbers.retire(number);
            }
        }
    }

    /// Whether something waits for a grace period.
    pub(super) fn waits(&self) -> bool {
        self.numbers.waits() || self.slots.waits()
    }

    /// A grace period is over.
    pub(super) fn grace(&mut self) {
        self.numbers.grace();
        self.slots.grace();
    }

    /// Lines and slots in use.
    pub(super) fn used(&self) -> (u32, u32) {
        (self.numbers.used(), self.slots.used())
    }

    fn write_line(
        &mut self,
        number: u32,
        default: u32,
        mut exceptions: BTreeMap<u32, u32>,
        writes: &mut Vec<Write>,
    ) -> Result<Entry, Error> {
        exceptions.retain(|_, value| *value != default);
        let columns: Vec<u32> = exceptions.keys().copied().collect();
        let base = self.slots.place(&columns)?;
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

    fn write_columns(&mut self, entry: &Entry, columns: &[(u32, u32)], writes: &mut Vec<Write>) {
        let base = entry.base;
        for (column, value) in columns {
            let slot = if *value == entry.default {
                self.slots.clear(base, *column);
                Slot::default()
            } else {
                Slot {
                    owner: base,
                    value: *value,
                }
            };
            writes.push(self.level.write_slot(base + column, slot));
        }
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
