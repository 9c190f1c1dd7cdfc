//! Hashing of small keys, fast and seeded.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map whose keys are small; its order is never looked at.
pub(crate) type Map<K, V> = HashMap<K, V, Seed>;

/// Keys of a keyed hash, so that nobody can choose inputs that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    start: u64,
    factor: u64,
}

/// Folds words into one by a wide multiplication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fold {
    state: u64,
    factor: u64,
}

/// Two hashes at once: together wide enough to stand for what they were made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Twin([Fold; 2]);

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            start: random.hash_one(0_u8),
            factor: random.hash_one(1_u8) | 1,
        }
    }
}

impl Seed {
    /// A number that belongs to another one, of 128 bits that nobody can foresee.
    pub(crate) fn wide(&self, number: u32) -> u128 {
        let half = |salt: u32| u128::from(self.hash_one((number, salt)));
        half(0) << 64 | half(1)
    }
}

impl BuildHasher for Seed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold {
            state: self.start,
            factor: self.factor,
        }
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, more)) = rest.split_first_chunk::<8>() {
            self.write_u64(u64::from_le_bytes(*word));
            rest = more;
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let tail = u64::from_le_bytes(last);
        self.write_u64(tail ^ (u64::try_from(bytes.len()).unwrap_or_default() << 56));
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
        let wide = u128::from(self.state ^ value) * u128::from(self.factor);
        let [low, high] = halves(wide);
        self.state = low ^ high.rotate_left(29);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn finish(&self) -> u64 {
        let wide = u128::from(self.state) * u128::from(self.factor.rotate_left(32) | 1);
        let [low, high] = halves(wide);
        low ^ high
    }
}

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

#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half is the other half"
)]
const fn halves(wide: u128) -> [u64; 2] {
    [wide as u64, (wide >> 64) as u64]
}
