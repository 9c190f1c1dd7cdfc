//! Arrays of words that are mostly zero.

use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: u32 = 1_024;

/// An array that reads as zero where it was never written; clones share the pages they agree on.
#[derive(Clone, Debug)]
pub(super) struct Paged<T> {
    pages: BTreeMap<u32, Arc<[T]>>,
}

impl<T: Copy + Default + PartialEq> Paged<T> {
    pub(super) const fn new() -> Self {
        Self {
            pages: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, index: u32) -> T {
        self.pages
            .get(&(index / PAGE))
            .and_then(|page| page.get((index % PAGE) as usize))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn set(&mut self, index: u32, value: T) {
        let number = index / PAGE;
        if value == T::default() && !self.pages.contains_key(&number) {
            return;
        }
        let page = self
            .pages
            .entry(number)
            .or_insert_with(|| Arc::new([T::default(); PAGE as usize]));
        if let Some(word) = Arc::make_mut(page).get_mut((index % PAGE) as usize) {
            *word = value;
        }
    }

    /// The words that are not zero, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        self.pages.iter().flat_map(|(number, page)| {
            (number * PAGE..)
                .zip(page.iter().copied())
                .filter(|(_, word)| *word != T::default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_zero_and_clones_do_not_see_later_writes() {
        let mut words = Paged::<u32>::new();
        words.set(5_000, 7);
        let before = words.clone();
        words.set(5_001, 8);
        words.set(5_000, 0);
        assert_eq!(before.iter().collect::<Vec<_>>(), [(5_000, 7)]);
        assert_eq!(words.iter().collect::<Vec<_>>(), [(5_001, 8)]);
        assert_eq!(words.get(u32::MAX), 0);
    }
}
