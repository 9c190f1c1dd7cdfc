//! The verdict records, each value once.

use std::collections::BTreeSet;

use palisade_abi::{Cookie, Verdict, VerdictIndex, Write};

use super::error::{Error, Limited};
use super::image::Image;
use super::numbers::Numbers;
use super::state::Marks;
use crate::compile::Map;

/// Verdict records by index and by value. Index 0 is the verdict of empty tables.
#[derive(Clone, Debug)]
pub(super) struct Records {
    numbers: Numbers,
    by_index: Vec<Option<Verdict>>,
    by_value: Map<(u32, u16, u8, u8), u32>,
    /// How many records name each cookie.
    cookies: Map<u32, u32>,
    /// The records that are new since the last commit.
    undo: Vec<u32>,
}

impl Records {
    /// The records with these indexes, as an image has them.
    pub(super) fn adopt(image: &Image, indexes: &BTreeSet<u32>) -> Self {
        let size = image.sizes().verdicts.min(1 << 16);
        let mut records = Self {
            numbers: Numbers::with_used(Limited::Verdicts, size, indexes),
            by_index: Vec::new(),
            by_value: Map::default(),
            cookies: Map::default(),
            undo: Vec::new(),
        };
        for index in indexes {
            if let Ok(narrow) = u16::try_from(*index) {
                records.insert(*index, image.verdict(VerdictIndex::new(narrow)));
            }
        }
        records.undo.clear();
        records
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
        self.insert(index, verdict);
        let narrow = u16::try_from(index).unwrap_or_default();
        writes.push(Write::Verdict(VerdictIndex::new(narrow), verdict));
        Ok(index)
    }

    /// The records in force.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Verdict)> {
        let records = (0..).zip(&self.by_index);
        records.filter_map(|(index, verdict)| Some((index, (*verdict)?)))
    }

    fn insert(&mut self, index: u32, verdict: Verdict) {
        let place = index as usize;
        if self.by_index.len() <= place {
            self.by_index.resize(place + 1, None);
        }
        if let Some(record) = self.by_index.get_mut(place) {
            *record = Some(verdict);
        }
        self.by_value.entry(key(verdict)).or_insert(index);
        *self.cookies.entry(verdict.cookie).or_default() += 1;
        self.undo.push(index);
    }

    /// Forgets a record; returns its cookie if no other names it.
    fn remove(&mut self, index: u32) -> Option<Cookie> {
        let verdict = self.by_index.get_mut(index as usize)?.take()?;
        if self.by_value.get(&key(verdict)) == Some(&index) {
            self.by_value.remove(&key(verdict));
        }
        let count = self.cookies.get_mut(&verdict.cookie)?;
        *count -= 1;
        (*count == 0).then(|| {
            self.cookies.remove(&verdict.cookie);
            verdict.cookie()
        })
    }

    /// Gives up the records that are not in force any more; returns the cookies that went with
    /// them.
    pub(super) fn retain(&mut self, in_force: &Marks) -> Vec<Cookie> {
        let mut cookies = Vec::new();
        for (index, record) in (0..).zip(0..self.by_index.len()) {
            let is_given = self.by_index.get(record).is_some_and(Option::is_some);
            if is_given && !in_force.has(index) {
                cookies.extend(self.remove(index));
                self.numbers.retire(index);
            }
        }
        cookies
    }

    /// What has happened stays.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
        self.numbers.commit();
    }

    /// Nothing has happened since the last commit.
    pub(super) fn roll_back(&mut self) {
        while let Some(index) = self.undo.pop() {
            let _cookie = self.remove(index);
        }
        self.numbers.roll_back();
    }

    pub(super) const fn waits(&self) -> bool {
        self.numbers.waits()
    }

    pub(super) fn grace(&mut self) {
        self.undo.clear();
        self.numbers.grace();
    }

    pub(super) fn used(&self) -> u32 {
        self.numbers.used()
    }

    /// How far the records reach.
    pub(super) const fn reach(&self) -> u32 {
        self.numbers.reach()
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
