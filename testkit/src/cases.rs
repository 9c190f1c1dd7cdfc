//! How often a property is tried.

use std::env;

/// What the usual number of cases is multiplied by.
const TIMES: &str = "PALISADE_CASES";

/// How many cases a property test tries: the usual number, or so many times that as the variable
/// `PALISADE_CASES` says.
///
/// # Panics
/// If the variable is no number, as whoever set it meant one.
pub fn cases(usual: u32) -> u32 {
    let times = env::var(TIMES).ok();
    times.map_or(usual, |text| multiplied(usual, &text))
}

fn multiplied(usual: u32, times: &str) -> u32 {
    let number = times.parse::<u32>();
    assert!(number.is_ok(), "{TIMES}={times} is no number");
    usual.saturating_mul(number.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_number_is_multiplied() {
        assert_eq!(multiplied(64, "20"), 1_280);
        assert_eq!(multiplied(64, "4294967295"), u32::MAX);
    }

    #[test]
    #[should_panic(expected = "is no number")]
    fn a_word_that_is_no_number_is_not_passed_over() {
        multiplied(64, "many");
    }
}
