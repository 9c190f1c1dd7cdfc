//! Arrays of words that are mostly zero.

use std::sync::Arc;

const PAGE: usize = 1_024;

/// An array that reads as zero where it was never written; clones share the pages they agree on.
#[derive(Clone, Debug)]
pub(super) struct Paged<T> {
    /// `None` where nothing was ever written.
    pages: Vec<Option<Arc<[T; PAGE]>>>,
}

impl<T: Copy + Default + PartialEq> Paged<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    pub(super) fn get(&self, index: u32) -> T {
        let (page, word) = place(index);
        let page = self.pages.get(page).and_then(Option::as_ref);
        let word = page.and_then(|page| page.get(word));
        word.copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, index: u32, value: T) {
        let (page, word) = place(index);
        if self.pages.len() <= page {
            if value == T::default() {
                return;
            }
            self.pages.resize(page + 1, None);
        }
        let Some(page) = self.pages.get_mut(page) else {
            return;
        };
        if page.is_none() && value == T::default() {
            return;
        }
        let page = page.get_or_insert_with(|| Arc::new([T::default(); PAGE]));
        if let Some(word) = Arc::make_mut(page).get_mut(word) {
            *word = value;
        }
    }

    /// The words that are not zero, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        let pages = (0..).step_by(PAGE).zip(&self.pages);
        let pages = pages.filter_map(|(first, page)| Some((first, page.as_ref()?)));
        pages.flat_map(|(first, page)| {
            let words = (first..).zip(page.iter().copied());
            words.filter(|(_, word)| *word != T::default())
        })
    }
}

/// The page of a word and the place on it.
const fn place(index: u32) -> (usize, usize) {
    let index = index as usize;
    (index / PAGE, index % PAGE)
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
