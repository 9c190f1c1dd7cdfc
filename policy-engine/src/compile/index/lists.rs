//! Ascending lists of numbers.

use std::slice;

/// A list that grows at its end; most have one number.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    One(u32),
    Many(Vec<u32>),
}

impl Numbers {
    pub(super) fn push(&mut self, number: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, number]),
            Self::Many(list) => list.push(number),
        }
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(only) => slice::from_ref(only),
            Self::Many(list) => list,
        }
    }
}

/// Somebody's list, or one of its own.
#[derive(Debug)]
pub(super) enum List<'a> {
    Borrowed(&'a [u32]),
    Gathered(Vec<u32>),
}

impl<'a> List<'a> {
    /// What stands in any of some lists.
    pub(super) fn union(lists: impl Iterator<Item = &'a [u32]>) -> Self {
        let mut union = Self::Borrowed(&[]);
        for list in lists {
            union = match union {
                Self::Borrowed([]) => Self::Borrowed(list),
                Self::Borrowed(first) => Self::Gathered([first, list].concat()),
                Self::Gathered(mut all) => {
                    all.extend_from_slice(list);
                    Self::Gathered(all)
                }
            };
        }
        if let Self::Gathered(all) = &mut union {
            all.sort_unstable();
            all.dedup();
        }
        union
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::Borrowed(list) => list,
            Self::Gathered(list) => list,
        }
    }

    pub(super) fn into_vec(self) -> Vec<u32> {
        match self {
            Self::Borrowed(list) => list.to_vec(),
            Self::Gathered(list) => list,
        }
    }
}

/// Keeps what a list, which may be much longer, has as well.
pub(super) fn intersect(found: &mut Vec<u32>, list: &[u32]) {
    let mut rest = list;
    found.retain(|number| has_next(&mut rest, *number));
}

/// Keeps what a list, which may be much longer, does not have.
pub(super) fn subtract(found: &mut Vec<u32>, list: &[u32]) {
    let mut rest = list;
    found.retain(|number| !has_next(&mut rest, *number));
}

/// Whether the rest of a list has a number; what is below is passed by.
fn has_next(rest: &mut &[u32], number: u32) -> bool {
    // Steps that double find the place fast, near or far.
    let mut step = 1;
    while rest.get(step).is_some_and(|at| *at < number) {
        step *= 2;
    }
    let near = rest.get(..(step + 1).min(rest.len())).unwrap_or(rest);
    let skipped = near.partition_point(|at| *at < number);
    *rest = rest.get(skipped..).unwrap_or_default();
    rest.first() == Some(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_has_everything_once_and_in_order() {
        let lists: [&[u32]; 3] = [&[3, 9], &[], &[1, 3, 4]];
        assert_eq!(List::union(lists.into_iter()).into_vec(), [1, 3, 4, 9]);
        assert!(List::union([].into_iter()).as_slice().is_empty());
    }

    #[test]
    fn near_and_far_numbers_are_found() {
        let list: Vec<u32> = (0..1_000).step_by(3).collect();
        let all: Vec<u32> = vec![0, 1, 3, 4, 600, 601, 602, 603, 999, 1_000];
        let (mut with, mut without) = (all.clone(), all);
        intersect(&mut with, &list);
        subtract(&mut without, &list);
        assert_eq!(with, [0, 3, 600, 603, 999]);
        assert_eq!(without, [1, 4, 601, 602, 1_000]);
    }
}
