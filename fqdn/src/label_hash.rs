//! A quick hash for tables whose keys no pod chooses.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes for tables whose keys come from policies or are numbers of our own.
///
/// It has no secret, so whoever chooses the keys could make them collide. A pod only chooses what
/// is looked up, which costs one probe whatever it is.
pub(crate) type LabelHash = BuildHasherDefault<LabelHasher>;

/// Multiplies and rotates, eight bytes at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LabelHasher(u64);

impl LabelHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for LabelHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let rest = rest.iter().rev();
            self.mix(rest.fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn finish(&self) -> u64 {
        // The upper bits are the well mixed ones; tables pick their place by the lower.
        self.0.rotate_left(26)
    }
}

/// The fraction of the golden ratio in 64 bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
