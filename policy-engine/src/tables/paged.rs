//! Arrays of words that are mostly zero.

use std::iter;
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
        self.set_all(iter::once((index, value)));
    }

    /// Sets words one after the other; those side by side on a page cost a look for it once.
    pub(super) fn set_all(&mut self, words: impl Iterator<Item = (u32, T)>) {
        let mut words = words.peekable();
        while let Some((index, value)) = words.next() {
            let (number, word) = place(index);
            let is_written = self.pages.get(number).is_some_and(Option::is_some);
            if !is_written && value == T::default() {
                continue;
            }
            if self.pages.len() <= number {
                self.pages.resize(number + 1, None);
            }
            let Some(page) = self.pages.get_mut(number) else {
                continue;
            };
            let page = Arc::make_mut(page.get_or_insert_with(|| Arc::new([T::default(); PAGE])));
            set(page, word, value);
            while let Some((next, value)) = words.next_if(|(next, _)| place(*next).0 == number) {
                set(page, place(next).1, value);
            }
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

fn set<T>(page: &mut [T], word: usize, value: T) {
    if let Some(word) = page.get_mut(word) {
        *word = value;
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

    #[test]
    fn many_words_are_set_as_one_after_the_other() {
        let writes = [
            (3, 1),
            (4, 2),
            (3, 5),
            (2_000, 0),
            (2_001, 6),
            (4, 0),
            (1_023, 7),
            (1_024, 8),
        ];
        let (mut one_by_one, mut at_once) = (Paged::<u32>::new(), Paged::<u32>::new());
        for (index, value) in writes {
            one_by_one.set(index, value);
        }
        at_once.set_all(writes.into_iter());
        let expected = [(3, 5), (1_023, 7), (1_024, 8), (2_001, 6)];
        assert_eq!(one_by_one.iter().collect::<Vec<_>>(), expected);
        assert_eq!(at_once.iter().collect::<Vec<_>>(), expected);
    }
}
