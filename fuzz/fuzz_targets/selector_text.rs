//! Texts of selectors: what is read prints as what selects the same. The first line is a selector,
//! the rest labels with commas.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_identity::{LabelSet, Selector, SelectorTextError};

fuzz_target!(|input: &str| {
    let (text, labels) = input.split_once('\n').unwrap_or((input, ""));
    let selector = match text.parse::<Selector>() {
        Ok(selector) => selector,
        Err(
            SelectorTextError::Empty { offset }
            | SelectorTextError::Requirement { offset, .. }
            | SelectorTextError::Shape { offset, .. },
        ) => {
            assert!(text.is_char_boundary(offset));
            return;
        }
        Err(other) => unreachable!("{other}"),
    };
    let again: Selector = selector
        .to_string()
        .parse()
        .expect("what is printed is read");
    assert_eq!(again, selector);
    let Ok(labels) = LabelSet::parse(labels.split(',')) else {
        return;
    };
    let unmet = selector.all_unmet(&labels).count();
    assert_eq!(unmet == 0, selector.matches(&labels));
    assert_eq!(again.matches(&labels), selector.matches(&labels));
    assert!(unmet <= selector.requirements().len());
});
