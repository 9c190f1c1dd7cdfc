//! Numbers that nobody can guess.

use std::fs::File;
use std::io::{self, Read};

/// Unpredictable numbers from the kernel, read in batches.
///
/// The standard library has no call for this, and the kernel's device needs no dependency.
#[derive(Debug)]
pub(crate) struct Entropy {
    device: File,
    batch: [u8; 512],
    left: usize,
}

impl Entropy {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            device: File::open("/dev/urandom")?,
            batch: [0; 512],
            left: 0,
        })
    }

    pub(crate) fn next(&mut self) -> io::Result<u16> {
        if self.left < 2 {
            self.device.read_exact(&mut self.batch)?;
            self.left = self.batch.len();
        }
        self.left -= 2;
        let pair = self.batch.get(self.left..).and_then(<[u8]>::first_chunk);
        Ok(u16::from_ne_bytes(*pair.unwrap_or(&[0; 2])))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_numbers_spread_over_their_range() {
        let mut entropy = Entropy::open().unwrap();
        let seen: HashSet<u16> = (0..4096).map(|_| entropy.next().unwrap()).collect();
        // 4,096 draws from 65,536 are expected to give 3,969 different ones.
        assert!(seen.len() > 3700, "{}", seen.len());
    }
}
