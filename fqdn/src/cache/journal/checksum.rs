//! CRC-32C, as storage formats use it.

/// The checksum of several pieces one after the other.
pub(super) fn of(pieces: &[&[u8]]) -> u32 {
    let bytes = pieces.iter().copied().flatten();
    !bytes.fold(u32::MAX, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        let step = TABLE.get(usize::from(low ^ byte)).copied();
        sum >> 8 ^ step.unwrap_or_default()
    })
}

static TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which stops at a wrong index"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
}

/// Castagnoli's, its bits in reverse.
const POLYNOMIAL: u32 = 0x82f6_3b78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_value_comes_out() {
        // The check value of CRC-32C's catalogue entry.
        assert_eq!(of(&[b"1234", b"56789"]), 0xe306_9283);
    }

    #[test]
    fn zeros_do_not_sum_up_to_zero() {
        assert_ne!(of(&[&[0; 4]]), 0);
    }
}
