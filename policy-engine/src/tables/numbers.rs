//! Numbers that are reused only after a grace period.

use std::collections::BTreeSet;

use super::error::{Error, Limited};

/// The numbers 1 to `size - 1` of one table. 0 is never given: it stands for nothing.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    table: Limited,
    size: u32,
    /// Every number from here on was never given.
    next: u32,
    free: BTreeSet<u32>,
    /// Given up, but a program may still hold them.
    withheld: Vec<u32>,
    /// What has happened since the last commit.
    undo: Vec<Undo>,
}

#[derive(Clone, Copy, Debug)]
enum Undo {
    Next,
    Reused(u32),
    Retired,
}

impl Numbers {
    pub(super) const fn new(table: Limited, size: u32) -> Self {
        Self {
            table,
            size,
            next: 1,
            free: BTreeSet::new(),
            withheld: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// Numbers of which some are in use already.
    pub(super) fn with_used(table: Limited, size: u32, used: &BTreeSet<u32>) -> Self {
        let next = used.last().map_or(1, |last| last.saturating_add(1));
        Self {
            next,
            free: (1..next).filter(|number| !used.contains(number)).collect(),
            ..Self::new(table, size)
        }
    }

    /// The lowest number that nobody can still hold.
    pub(super) fn allocate(&mut self) -> Result<u32, Error> {
        if let Some(number) = self.free.pop_first() {
            self.undo.push(Undo::Reused(number));
            return Ok(number);
        }
        if self.next >= self.size {
            return Err(Error::Full {
                table: self.table,
                needed: self.size.saturating_add(1),
                size: self.size,
            });
        }
        let number = self.next;
        self.next += 1;
        self.undo.push(Undo::Next);
        Ok(number)
    }

    /// Gives a number up; it comes back after the next grace period.
    pub(super) fn retire(&mut self, number: u32) {
        self.withheld.push(number);
        self.undo.push(Undo::Retired);
    }

    /// Whether numbers wait for a grace period.
    pub(super) const fn waits(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// A grace period is over; what has happened cannot be undone any more.
    pub(super) fn grace(&mut self) {
        self.undo.clear();
        self.free.extend(self.withheld.drain(..));
    }

    /// What has happened stays.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Nothing has happened since the last commit.
    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Next => self.next -= 1,
                Undo::Reused(number) => {
                    self.free.insert(number);
                }
                Undo::Retired => {
                    self.withheld.pop();
                }
            }
        }
    }

    /// The lowest number that was never given: a table of this size would do.
    pub(super) const fn reach(&self) -> u32 {
        self.next
    }

    /// How many numbers are given or withheld.
    pub(super) fn used(&self) -> u32 {
        let free = u32::try_from(self.free.len()).unwrap_or(u32::MAX);
        self.next - 1 - free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_after_a_grace_period_and_not_before() {
        let mut numbers = Numbers::new(Limited::Rows, 3);
        assert_eq!((numbers.allocate(), numbers.allocate()), (Ok(1), Ok(2)));
        numbers.retire(1);
        assert!(matches!(numbers.allocate(), Err(Error::Full { .. })));
        numbers.grace();
        assert_eq!(numbers.allocate(), Ok(1));
        assert_eq!(numbers.used(), 2);
    }

    #[test]
    fn gaps_between_used_numbers_are_free() {
        let mut numbers = Numbers::with_used(Limited::Rows, 10, &[2, 4].into());
        let next: Vec<_> = (0..3).filter_map(|_| numbers.allocate().ok()).collect();
        assert_eq!(next, [1, 3, 5]);
    }

    #[test]
    fn what_is_rolled_back_has_not_happened() {
        let mut numbers = Numbers::with_used(Limited::Rows, 10, &[1, 3].into());
        let before = (numbers.used(), numbers.clone().allocate());
        numbers.allocate().unwrap();
        numbers.retire(1);
        numbers.allocate().unwrap();
        numbers.roll_back();
        assert!(!numbers.waits());
        assert_eq!((numbers.used(), numbers.allocate()), before);
        numbers.commit();
        numbers.roll_back();
        assert_eq!(numbers.allocate(), Ok(4));
    }
}
