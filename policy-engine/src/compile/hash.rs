//! Wide hashes, which stand for what they were made from.

use std::hash::{BuildHasher as _, Hasher};

use palisade_identity::hash::Fold;
pub(crate) use palisade_identity::hash::{Digested, Map, Seed};

/// A number that belongs to another one, of 128 bits that nobody can foresee.
pub(crate) fn wide(seed: Seed, number: u32) -> u128 {
    let half = |salt: u32| u128::from(seed.hash_one((number, salt)));
    half(0) << 64 | half(1)
}

/// Two hashes at once: together wide enough to stand for what they were made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Twin([Fold; 2]);

impl Twin {
    pub(crate) fn new(seeds: [Seed; 2]) -> Self {
        Self(seeds.map(|seed| seed.build_hasher()))
    }

    /// Both hashes.
    pub(crate) fn wide(&self) -> u128 {
        let [high, low] = self.0.map(|one| u128::from(one.finish()));
        high << 64 | low
    }
}

impl Hasher for Twin {
    fn write(&mut self, bytes: &[u8]) {
        let Self([one, other]) = self;
        one.write(bytes);
        other.write(bytes);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        let Self([one, other]) = self;
        one.write_u64(value);
        other.write_u64(value);
    }

    fn write_usize(&mut self, value: usize) {
        let Self([one, other]) = self;
        one.write_usize(value);
        other.write_usize(value);
    }

    fn finish(&self) -> u64 {
        let [one, _] = self.0;
        one.finish()
    }
}
