//! A line: what it says, and in which form its slots say it.
//!
//! A narrow line has a slot for each column that differs from its default. Where a long run of port
//! classes has one verdict, as inside a range that others' ports cut to pieces, a row is wide: one
//! slot speaks for those of sixteen classes that have its verdict. What differs from it inside a block
//! has slots of its own, behind those of all blocks.

use std::collections::BTreeMap;

use palisade_abi::{ROW_BLOCK, ROW_BLOCKS, ROW_WIDE};

/// Exceptions from which on a row may be wide: a shorter one is not worth a second load.
const LONG: usize = 32;
/// How many times fewer slots a wide row has to take.
const WORTH: usize = 4;

/// What the slots of a line stand for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One column each.
    Narrow,
    /// The first ones a block of columns each, those after them one column each.
    Wide,
}

/// What the kernel holds for one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) base: u32,
    pub(super) default: u32,
    pub(super) form: Form,
    /// What its slots hold, by their distance from the base; ascending.
    pub(super) slots: Vec<(u32, u32)>,
}

impl Entry {
    /// What the line holds in a column.
    pub(super) fn at(&self, column: u32) -> u32 {
        if self.form == Form::Narrow {
            return self.slot(column).unwrap_or(self.default);
        }
        let block = self.slot(column / ROW_BLOCK);
        match block.filter(|block| block & bit(column) != 0) {
            Some(block) => verdict(block),
            None => self.slot(ROW_BLOCKS + column).unwrap_or(self.default),
        }
    }

    /// Columns that differ, or did when somebody could still ask for them; those of a wide line in no
    /// particular order.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = (u32, u32)> {
        self.slots.iter().flat_map(|slot| self.columns(*slot))
    }

    /// The exceptions, ascending.
    pub(super) fn ascending(&self) -> Vec<(u32, u32)> {
        let mut exceptions: Vec<(u32, u32)> = self.exceptions().collect();
        if self.form == Form::Wide {
            exceptions.sort_unstable();
        }
        exceptions
    }

    /// What the exceptions become with some columns set, ascending.
    pub(super) fn with(&self, columns: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let mut exceptions = self.ascending();
        for (column, value) in columns {
            put(&mut exceptions, *column, self.unless_default(*value));
        }
        exceptions
    }

    /// Whether a narrow line with so many slots more is about twice as long as it was when that was
    /// last asked.
    pub(super) fn has_doubled(&self, added: usize) -> bool {
        let length = self.slots.len();
        self.form == Form::Narrow && length.checked_ilog2() != (length + added).checked_ilog2()
    }

    /// Whether the line says what a default and ascending exceptions say.
    pub(super) fn says(&self, default: u32, exceptions: &[(u32, u32)]) -> bool {
        let is_same = match self.form {
            Form::Narrow => self.slots == exceptions,
            Form::Wide => self.ascending() == exceptions,
        };
        is_same && self.default == default
    }

    /// What a slot holds.
    pub(super) fn slot(&self, place: u32) -> Option<u32> {
        let found = self.slots.binary_search_by_key(&place, |one| one.0).ok()?;
        self.slots.get(found).map(|(_, value)| *value)
    }

    /// Sets what a slot holds; returns what it held.
    pub(super) fn put(&mut self, place: u32, value: Option<u32>) -> Option<u32> {
        put(&mut self.slots, place, value)
    }

    /// The slots to set so that columns which nobody asks for say something else.
    ///
    /// A block keeps its verdict as long as it speaks for a column that somebody may ask for.
    pub(super) fn changes(&self, columns: &[(u32, u32)]) -> Vec<(u32, Option<u32>)> {
        if self.form == Form::Narrow {
            let columns = columns.iter();
            let columns = columns.map(|(column, value)| (*column, self.unless_default(*value)));
            return columns.collect();
        }
        let mut slots: BTreeMap<u32, Option<u32>> = BTreeMap::new();
        for (column, value) in columns {
            let (place, single) = (column / ROW_BLOCK, ROW_BLOCKS + column);
            let held = slots.get(&place).copied();
            let held = held.unwrap_or_else(|| self.slot(place)).unwrap_or_default();
            let others = held & !bit(*column);
            let speaks_for_others = others >= ROW_WIDE;
            let (block, own) = match self.unless_default(*value) {
                None => (others, None),
                Some(value) if speaks_for_others && verdict(others) != value => {
                    (others, Some(value))
                }
                Some(value) => (others & !VERDICT | value | bit(*column), None),
            };
            slots.insert(place, (block >= ROW_WIDE).then_some(block));
            slots.insert(single, own);
        }
        let slots = slots.into_iter();
        slots
            .filter(|(place, value)| self.slot(*place) != *value)
            .collect()
    }

    fn unless_default(&self, value: u32) -> Option<u32> {
        (value != self.default).then_some(value)
    }

    /// The columns that a slot speaks for, with what it says.
    fn columns(&self, (place, value): (u32, u32)) -> Columns {
        let single = |first| Columns {
            first,
            bits: 1,
            value,
        };
        match (self.form, place.checked_sub(ROW_BLOCKS)) {
            (Form::Narrow, _) => single(place),
            (Form::Wide, None) => Columns {
                first: place * ROW_BLOCK,
                bits: value >> 16,
                value: verdict(value),
            },
            (Form::Wide, Some(column)) => {
                let block = self.slot(column / ROW_BLOCK).unwrap_or_default();
                let bits = u32::from(block & bit(column) == 0);
                Columns {
                    bits,
                    ..single(column)
                }
            }
        }
    }
}

/// Some of 32 columns, with the same value.
struct Columns {
    first: u32,
    bits: u32,
    value: u32,
}

impl Iterator for Columns {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        if self.bits == 0 {
            return None;
        }
        let column = self.first + self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some((column, self.value))
    }
}

/// The slots of a wide row with these exceptions (ascending), if that is worth it.
pub(super) fn wide(exceptions: &[(u32, u32)]) -> Option<Vec<(u32, u32)>> {
    if exceptions.len() < LONG {
        return None;
    }
    let most = exceptions.len() / WORTH;
    // A slot of either kind ends at most two runs of one value: that is soon counted.
    let pairs = exceptions.iter().zip(exceptions.iter().skip(1));
    let ends = pairs.filter(|(one, other)| one.1 != other.1);
    if ends.take(2 * most + 1).count() > 2 * most {
        return None;
    }
    let (mut slots, mut singles) = (Vec::new(), Vec::new());
    for block in exceptions.chunk_by(|one, other| one.0 / ROW_BLOCK == other.0 / ROW_BLOCK) {
        if slots.len() + singles.len() >= most {
            return None;
        }
        let Some((first, _)) = block.first() else {
            continue;
        };
        let verdict = commonest(block);
        let mut slot = verdict;
        for (column, value) in block {
            if *value == verdict {
                slot |= bit(*column);
            } else {
                singles.push((ROW_BLOCKS + column, *value));
            }
        }
        slots.push((first / ROW_BLOCK, slot));
    }
    slots.append(&mut singles);
    (slots.len() <= most).then_some(slots)
}

/// Sets or removes the value of a key in an ascending list; returns what it was.
fn put(list: &mut Vec<(u32, u32)>, key: u32, value: Option<u32>) -> Option<u32> {
    let place = list.binary_search_by_key(&key, |one| one.0);
    match (place, value) {
        (Ok(place), Some(value)) => {
            let held = list.get_mut(place)?;
            Some(std::mem::replace(&mut held.1, value))
        }
        (Ok(place), None) => Some(list.remove(place).1),
        (Err(place), Some(value)) => {
            list.insert(place, (key, value));
            None
        }
        (Err(_), None) => None,
    }
}

/// The value that most of them have.
fn commonest(block: &[(u32, u32)]) -> u32 {
    if let Some((_, value)) = block.first()
        && block.iter().all(|one| one.1 == *value)
    {
        return *value;
    }
    let count = |value| block.iter().filter(|one| one.1 == value).count();
    let values = block.iter().map(|(_, value)| *value);
    values.max_by_key(|value| count(*value)).unwrap_or_default()
}

/// The bit of a column in the slot of its block.
const fn bit(column: u32) -> u32 {
    ROW_WIDE << (column % ROW_BLOCK)
}

const VERDICT: u32 = ROW_WIDE - 1;

/// The verdict in what a row's slot holds.
pub(super) const fn verdict(slot: u32) -> u32 {
    slot & VERDICT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(default: u32, exceptions: &[(u32, u32)]) -> Entry {
        let wide = wide(exceptions);
        let form = wide.as_ref().map_or(Form::Narrow, |_| Form::Wide);
        Entry {
            base: 1,
            default,
            form,
            slots: wide.unwrap_or_else(|| exceptions.to_vec()),
        }
    }

    #[test]
    fn only_a_row_that_runs_on_is_wide() {
        let run: Vec<_> = (40..140).map(|column| (column, 7)).collect();
        assert_eq!(wide(&run).map(|slots| slots.len()), Some(7));
        assert_eq!(wide(&run[..LONG - 1]), None, "too short");
        let scattered: Vec<_> = (0..100).map(|column| (column * ROW_BLOCK, 7)).collect();
        assert_eq!(wide(&scattered), None);
        let varied: Vec<_> = (0..100).map(|column| (column, column)).collect();
        assert_eq!(wide(&varied), None);
    }

    #[test]
    fn a_block_that_speaks_for_nobody_has_no_slot() {
        let run: Vec<_> = (0..64).map(|column| (column, 7)).collect();
        let mut row = entry(1, &run);
        let cleared: Vec<_> = (16..32).map(|column| (column, 1)).collect();
        assert_eq!(row.changes(&cleared), [(1, None)]);
        row.put(1, None);
        assert_eq!(row.changes(&[(20, 9)]), [(1, Some(9 | ROW_WIDE << 4))]);
        assert_eq!(
            row.changes(&[(40, 9)]),
            [
                (2, Some(7 | (0xffff & !(1 << 8)) << 16)),
                (ROW_BLOCKS + 40, Some(9)),
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_row_says_what_its_columns_were_set_to(
            runs in proptest::collection::vec((0..300_u32, 0..80_u32, 1..4_u32), 1..6),
            changes in proptest::collection::vec(
                proptest::collection::btree_map(0..320_u32, 0..4_u32, 0..40),
                0..6,
            ),
        ) {
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for (first, length, value) in runs {
                model.extend((first..first + length).map(|column| (column, value)));
            }
            let exceptions: Vec<_> = model.iter().map(|(column, value)| (*column, *value)).collect();
            let mut row = entry(0, &exceptions);
            for columns in changes {
                let columns: Vec<_> = columns.into_iter().collect();
                let after = row.with(&columns);
                for (place, value) in row.changes(&columns) {
                    row.put(place, value);
                }
                model.extend(columns);
                model.retain(|_, value| *value != 0);
                for column in 0..400 {
                    let expected = model.get(&column).copied().unwrap_or_default();
                    prop_assert_eq!(row.at(column), expected, "{}", column);
                }
                let expected: Vec<_> = model.clone().into_iter().collect();
                prop_assert_eq!(row.ascending(), expected.clone());
                prop_assert_eq!(after, expected.clone());
                prop_assert!(row.says(0, &expected));
                prop_assert!(row.slots.is_sorted_by_key(|(place, _)| *place));
            }
        }
    }
}
