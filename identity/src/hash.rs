//! Hashing of small keys, fast and seeded.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::LazyLock;

/// A map whose keys are small; its order is never looked at.
pub type Map<K, V> = HashMap<K, V, Seed>;

/// A map by labels, label sets or selectors: they bring their hash along.
pub type Digested<K, V> = HashMap<K, V, BuildHasherDefault<Digest>>;

/// Keys of a keyed hash, so that nobody can choose inputs that collide.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    start: u64,
    factor: u64,
}

/// Folds words into one by a wide multiplication.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    state: u64,
    factor: u64,
}

/// Takes a digest for the hash: it was found with a seed that nobody knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest(u64);

/// The hash of something that does not change, found once: it tells most things apart without a
/// look at them. Of one process all digests have one seed, and of two processes different ones.
pub(crate) fn digest(content: &impl Hash) -> u64 {
    static SEED: LazyLock<Seed> = LazyLock::new(Seed::default);
    SEED.hash_one(content)
}

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self {
            start: random.hash_one(0_u8),
            factor: random.hash_one(1_u8) | 1,
        }
    }
}

impl BuildHasher for Seed {
    type Hasher = Fold;

    #[inline]
    fn build_hasher(&self) -> Fold {
        Fold {
            state: self.start,
            factor: self.factor,
        }
    }
}

impl Hasher for Fold {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, more)) = rest.split_first_chunk::<8>() {
            self.write_u64(u64::from_le_bytes(*word));
            rest = more;
        }
        let length = u64::try_from(bytes.len()).unwrap_or_default() << 56;
        self.write_u64(tail(rest) ^ length);
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        let wide = u128::from(self.state ^ value) * u128::from(self.factor);
        let [low, high] = halves(wide);
        self.state = low ^ high.rotate_left(29);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(u64::try_from(value).unwrap_or(u64::MAX));
    }

    #[inline]
    fn finish(&self) -> u64 {
        let wide = u128::from(self.state) * u128::from(self.factor.rotate_left(32) | 1);
        let [low, high] = halves(wide);
        low ^ high
    }
}

impl Hasher for Digest {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Up to seven bytes as one word; two that are equally long and differ have different words.
#[inline]
fn tail(bytes: &[u8]) -> u64 {
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let [head, tail] = [*head, *tail].map(u32::from_le_bytes);
        return u64::from(head) | u64::from(tail) << 24;
    }
    match *bytes {
        [] => 0,
        [one] => one.into(),
        [one, two] => u16::from_le_bytes([one, two]).into(),
        [one, two, three, ..] => u32::from_le_bytes([one, two, three, 0]).into(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half is the other half"
)]
#[inline]
const fn halves(wide: u128) -> [u64; 2] {
    [wide as u64, (wide >> 64) as u64]
}
