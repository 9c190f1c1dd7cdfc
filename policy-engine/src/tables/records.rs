//! The verdict records, each value once.

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{Verdict, VerdictIndex, Write};

use super::error::{Error, Limited};
use super::image::Image;
use super::numbers::Numbers;

/// Verdict records by index and by value. Index 0 is the verdict of empty tables.
#[derive(Clone, Debug)]
pub(super) struct Records {
    numbers: Numbers,
    by_index: BTreeMap<u32, Verdict>,
    by_value: BTreeMap<(u32, u16, u8, u8), u32>,
}

impl Records {
    /// The records with these indexes, as an image has them.
    pub(super) fn adopt(image: &Image, indexes: &BTreeSet<u32>) -> Self {
        let size = image.sizes().verdicts.min(1 << 16);
        let by_index: BTreeMap<u32, Verdict> = indexes
            .iter()
            .filter_map(|index| {
                let narrow = u16::try_from(*index).ok()?;
                Some((*index, image.verdict(VerdictIndex::new(narrow))))
            })
            .collect();
        let values = by_index.iter().rev();
        Self {
            numbers: Numbers::with_used(Limited::Verdicts, size, indexes),
            by_value: values
                .map(|(index, verdict)| (key(*verdict), *index))
                .collect(),
            by_index,
        }
    }

    /// The index of a verdict, which is written if it is new.
    pub(super) fn intern(
        &mut self,
        verdict: Verdict,
        writes: &mut Vec<Write>,
    ) -> Result<u32, Error> {
        if verdict == Verdict::default() {
            return Ok(0);
        }
        if let Some(index) = self.by_value.get(&key(verdict)) {
            return Ok(*index);
        }
        let index = self.numbers.allocate()?;
        self.by_value.insert(key(verdict), index);
        self.by_index.insert(index, verdict);
        let narrow = u16::try_from(index).unwrap_or_default();
        writes.push(Write::Verdict(VerdictIndex::new(narrow), verdict));
        Ok(index)
    }

    /// The one index that stands for a verdict that several may hold.
    pub(super) fn canonical(&self, index: u32) -> u32 {
        self.by_index
            .get(&index)
            .and_then(|verdict| self.by_value.get(&key(*verdict)))
            .copied()
            .unwrap_or(index)
    }

    /// Gives up the records that are not in force any more.
    pub(super) fn retain(&mut self, in_force: &BTreeSet<u32>) {
        let gone: Vec<(u32, Verdict)> = self
            .by_index
            .iter()
            .filter(|(index, _)| !in_force.contains(index))
            .map(|(index, verdict)| (*index, *verdict))
            .collect();
        for (index, verdict) in gone {
            self.by_index.remove(&index);
            if self.by_value.get(&key(verdict)) == Some(&index) {
                self.by_value.remove(&key(verdict));
            }
            self.numbers.retire(index);
        }
    }

    pub(super) fn waits(&self) -> bool {
        self.numbers.waits()
    }

    pub(super) fn grace(&mut self) {
        self.numbers.grace();
    }

    pub(super) fn used(&self) -> u32 {
        self.numbers.used()
    }
}

const fn key(verdict: Verdict) -> (u32, u16, u8, u8) {
    (
        verdict.cookie,
        verdict.proxy_port,
        verdict.action,
        verdict.flags,
    )
}
