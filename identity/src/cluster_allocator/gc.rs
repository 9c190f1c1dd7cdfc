//! Numbers that no node uses any more, found in two rounds.

use std::collections::BTreeMap;

use palisade_abi::Identity;

use super::request::StoreRevision;

/// The masters that were unused in the last round, as they were then.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UnusedMarks {
    marks: BTreeMap<Identity, StoreRevision>,
}

/// A master as a round finds it. Whoever looks holds the lock of its labels while looking, and goes
/// on holding it until what comes of it is done: nobody can begin to use the number in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FoundMaster {
    /// The number.
    pub identity: Identity,
    /// When the master was last written.
    pub revision: StoreRevision,
    /// Whether a slave of its labels names the number
    /// ([`StoreKeys::used`](super::StoreKeys::used)).
    pub used: bool,
}

/// What comes of a master.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Judgement {
    /// Somebody uses it.
    Keep,
    /// Nobody does. If that is so in the next round, it goes.
    Mark,
    /// Nobody did, nor does, and it was not written in between: it is to be deleted, if it is still
    /// at its revision.
    Delete,
}

/// What a round over all masters found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Round {
    /// What to delete, with its revision.
    pub delete: Vec<(Identity, StoreRevision)>,
    /// What the next round is to know.
    pub marks: UnusedMarks,
}

impl UnusedMarks {
    /// What comes of a master.
    ///
    /// ```
    /// use palisade_identity::{FoundMaster, Identity, Judgement, StoreRevision, UnusedMarks};
    ///
    /// let identity = Identity::new(256);
    /// let unused = |revision| FoundMaster {
    ///     identity,
    ///     revision: StoreRevision::new(revision),
    ///     used: false,
    /// };
    /// let first = UnusedMarks::default().round([unused(7)]);
    /// assert_eq!(first.delete, []);
    /// // Written in between: somebody took it up and gave it up again. It has another round.
    /// assert_eq!(first.marks.judge(unused(9)), Judgement::Mark);
    /// assert_eq!(first.marks.judge(unused(7)), Judgement::Delete);
    /// ```
    pub fn judge(&self, master: FoundMaster) -> Judgement {
        match self.marks.get(&master.identity) {
            _ if master.used => Judgement::Keep,
            Some(marked) if *marked == master.revision => Judgement::Delete,
            Some(_) | None => Judgement::Mark,
        }
    }

    /// Judges every master of a round.
    pub fn round(&self, masters: impl IntoIterator<Item = FoundMaster>) -> Round {
        let mut round = Round::default();
        for master in masters {
            match self.judge(master) {
                Judgement::Keep => {}
                Judgement::Mark => {
                    let marks = &mut round.marks.marks;
                    marks.insert(master.identity, master.revision);
                }
                Judgement::Delete => round.delete.push((master.identity, master.revision)),
            }
        }
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(identity: u32, revision: u64, used: bool) -> FoundMaster {
        FoundMaster {
            identity: Identity::new(identity),
            revision: StoreRevision::new(revision),
            used,
        }
    }

    #[test]
    fn only_what_stays_unused_and_unwritten_goes() {
        let first = [found(1, 5, false), found(2, 6, false), found(3, 7, true)];
        let first = UnusedMarks::default().round(first);
        assert_eq!(first.delete, []);
        let second = [found(1, 5, false), found(2, 9, false), found(3, 7, false)];
        let second = first.marks.round(second);
        assert_eq!(second.delete, [(Identity::new(1), StoreRevision::new(5))]);
        let third = [found(2, 9, true), found(3, 7, false)];
        let third = second.marks.round(third);
        assert_eq!(third.delete, [(Identity::new(3), StoreRevision::new(7))]);
        // A mark does not outlive a round in which the number was used.
        let fourth = third.marks.round([found(2, 9, false)]);
        assert_eq!(fourth.delete, []);
    }
}
