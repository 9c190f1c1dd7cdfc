//! Numbers for label sets on one node.

mod checkpoint;
mod error;
mod range;
mod restore;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use palisade_abi::Identity;

pub use self::checkpoint::{Checkpoint, CheckpointError, Contents};
pub use self::error::AllocateError;
pub use self::range::Range;
pub use self::restore::Restored;
use crate::label_set::LabelSet;

/// Numbers for label sets on one node, counted by references.
///
/// Numbers are given in sequence and wrap around at the end of the range, so that a released one is
/// not seen again soon. Who must be sure that nobody still reads a number withholds it when it is
/// released, and offers it again when a grace period is over.
///
/// After a restart: [`Allocator::restore_all`] of the last checkpoint, let events allocate what is
/// still in use, then [`Restored::release`]. A number that others may still ask for by name is set
/// aside: it is given to somebody else only when no other is left, and the answer says so.
///
/// ```
/// use palisade_identity::{Allocation, Allocator, LabelSet, Range, Release};
///
/// let world = LabelSet::of_prefix("10.0.0.0/8".parse()?);
/// let mut allocator = Allocator::new(Range::LOCAL);
/// let (identity, allocation) = allocator.allocate(&world)?;
/// assert_eq!((identity.get(), allocation), (16_777_217, Allocation::New));
/// assert_eq!(allocator.allocate(&world)?, (identity, Allocation::Existing));
/// assert_eq!(allocator.release(identity), Release::StillUsed);
/// assert_eq!(allocator.release(identity), Release::Released);
/// assert_eq!(allocator.labels(identity), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Allocator {
    range: Range,
    next: u32,
    by_identity: BTreeMap<Identity, Entry>,
    by_labels: HashMap<LabelSet, Identity>,
    withheld: BTreeSet<Identity>,
    aside: BTreeSet<Identity>,
}

#[derive(Clone, Debug)]
struct Entry {
    labels: LabelSet,
    references: u64,
}

/// One identity of a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Allocated {
    /// The number.
    pub identity: Identity,
    /// The labels that have it.
    pub labels: LabelSet,
    /// How many references were held. They do not outlive their holders: restoring makes one.
    pub references: u64,
}

/// Whether an allocation gave out a number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Allocation {
    /// The labels had a number; it has one more reference.
    Existing,
    /// The labels had none; the number has one reference.
    New,
    /// As new, but the number was set aside for somebody: no other was left.
    Reclaimed,
}

/// What became of a released number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Release {
    /// That was the last reference; the number is free.
    Released,
    /// Others still hold it.
    StillUsed,
    /// Nobody held it.
    Unknown,
}

impl Allocator {
    /// An allocator that has given out nothing.
    pub fn new(range: Range) -> Self {
        Self {
            range,
            next: range.first().get(),
            by_identity: BTreeMap::new(),
            by_labels: HashMap::new(),
            withheld: BTreeSet::new(),
            aside: BTreeSet::new(),
        }
    }

    /// Takes a reference on the number of these labels, which get one if they have none.
    ///
    /// # Errors
    /// [`AllocateError::Exhausted`]; nothing has changed then.
    pub fn allocate(&mut self, labels: &LabelSet) -> Result<(Identity, Allocation), AllocateError> {
        if let Some(identity) = self.get(labels) {
            self.reference(identity);
            return Ok((identity, Allocation::Existing));
        }
        let (identity, allocation) = self.free().ok_or_else(|| AllocateError::Exhausted {
            count: self.range.count(),
            labels: labels.clone(),
        })?;
        self.next = self.after(identity.get());
        self.insert(identity, labels);
        Ok((identity, allocation))
    }

    /// As [`Allocator::allocate`], but labels without a number get the one they had before, if it
    /// is free; it may be set aside for them.
    ///
    /// # Errors
    /// [`AllocateError::Exhausted`]; nothing has changed then.
    pub fn allocate_as(
        &mut self,
        labels: &LabelSet,
        before: Identity,
    ) -> Result<(Identity, Allocation), AllocateError> {
        let free = self.range.contains(before)
            && !self.by_identity.contains_key(&before)
            && !self.withheld.contains(&before);
        if free && self.get(labels).is_none() {
            self.insert(before, labels);
            return Ok((before, Allocation::New));
        }
        self.allocate(labels)
    }

    /// Gives up one reference.
    pub fn release(&mut self, identity: Identity) -> Release {
        let Some(entry) = self.by_identity.get_mut(&identity) else {
            return Release::Unknown;
        };
        entry.references -= 1;
        if entry.references > 0 {
            return Release::StillUsed;
        }
        if let Some(entry) = self.by_identity.remove(&identity) {
            self.by_labels.remove(&entry.labels);
        }
        Release::Released
    }

    /// Takes a reference on a number that these labels had before a restart, withheld or not.
    ///
    /// # Errors
    /// [`AllocateError`] if the number is out of range, or number or labels are taken otherwise.
    pub fn restore(&mut self, identity: Identity, labels: &LabelSet) -> Result<(), AllocateError> {
        if !self.range.contains(identity) {
            return Err(AllocateError::OutOfRange {
                identity,
                first: self.range.first(),
                last: self.range.last(),
            });
        }
        match (self.labels(identity), self.get(labels)) {
            (Some(holder), _) if holder != labels => Err(AllocateError::IdentityTaken {
                identity,
                holder: holder.clone(),
                labels: labels.clone(),
            }),
            (_, Some(current)) if current != identity => Err(AllocateError::LabelsTaken {
                labels: labels.clone(),
                current,
                identity,
            }),
            (Some(_), _) => {
                self.reference(identity);
                Ok(())
            }
            (None, _) => {
                self.insert(identity, labels);
                Ok(())
            }
        }
    }

    /// Keeps a number from being given out until it is offered; a holder keeps it.
    pub fn withhold(&mut self, identity: Identity) {
        self.withheld.insert(identity);
    }

    /// Lets a withheld number be given out again.
    pub fn offer(&mut self, identity: Identity) {
        self.withheld.remove(&identity);
    }

    /// Keeps a number for those that ask for it by name, until it is put back or nothing else is
    /// left.
    pub fn set_aside(&mut self, identity: Identity) {
        self.aside.insert(identity);
    }

    /// Ends what [`Allocator::set_aside`] began.
    pub fn put_back(&mut self, identity: Identity) {
        self.aside.remove(&identity);
    }

    /// The numbers that the allocator gives out.
    pub const fn range(&self) -> Range {
        self.range
    }

    /// The labels of a number.
    pub fn labels(&self, identity: Identity) -> Option<&LabelSet> {
        self.by_identity.get(&identity).map(|entry| &entry.labels)
    }

    /// The number of these labels.
    pub fn get(&self, labels: &LabelSet) -> Option<Identity> {
        self.by_labels.get(labels).copied()
    }

    /// How many references a number has.
    pub fn references(&self, identity: Identity) -> u64 {
        self.by_identity
            .get(&identity)
            .map_or(0, |entry| entry.references)
    }

    /// Every number in use with its labels, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Identity, &LabelSet)> {
        self.by_identity
            .iter()
            .map(|(identity, entry)| (*identity, &entry.labels))
    }

    /// How many numbers are in use.
    pub fn len(&self) -> usize {
        self.by_identity.len()
    }

    /// Whether no number is in use.
    pub fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    /// Everything to restore after a restart, in the order of the numbers.
    pub fn checkpoint(&self) -> Vec<Allocated> {
        self.by_identity
            .iter()
            .map(|(identity, entry)| Allocated {
                identity: *identity,
                labels: entry.labels.clone(),
                references: entry.references,
            })
            .collect()
    }

    /// The first number from `next` on, around the end, that is neither used nor withheld; one that
    /// is set aside only if there is no other.
    fn free(&self) -> Option<(Identity, Allocation)> {
        let mut candidate = self.next;
        let mut last_resort = None;
        // Every step but the last passes a number in use, withheld or set aside.
        let taken = [
            self.by_identity.len(),
            self.withheld.len(),
            self.aside.len(),
        ];
        let steps = taken.into_iter().fold(0, usize::saturating_add);
        for _ in 0..=steps {
            let identity = Identity::new(candidate);
            if !self.by_identity.contains_key(&identity) && !self.withheld.contains(&identity) {
                if !self.aside.contains(&identity) {
                    return Some((identity, Allocation::New));
                }
                last_resort = last_resort.or(Some((identity, Allocation::Reclaimed)));
            }
            candidate = self.after(candidate);
        }
        last_resort
    }

    const fn after(&self, number: u32) -> u32 {
        if number == self.range.last().get() {
            self.range.first().get()
        } else {
            number + 1
        }
    }

    fn reference(&mut self, identity: Identity) {
        if let Some(entry) = self.by_identity.get_mut(&identity) {
            entry.references += 1;
        }
    }

    fn insert(&mut self, identity: Identity, labels: &LabelSet) {
        self.aside.remove(&identity);
        let entry = Entry {
            labels: labels.clone(),
            references: 1,
        };
        self.by_identity.insert(identity, entry);
        self.by_labels.insert(labels.clone(), identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> LabelSet {
        LabelSet::parse([format!("k8s:app={name}")]).unwrap()
    }

    fn small() -> Allocator {
        Allocator::new(Range::new(Identity::new(300), Identity::new(302)).unwrap())
    }

    fn number(allocator: &mut Allocator, name: &str) -> u32 {
        allocator.allocate(&labels(name)).unwrap().0.get()
    }

    #[test]
    fn the_two_ranges_start_where_cilium_starts_them() {
        assert_eq!(number(&mut Allocator::new(Range::CLUSTER), "a"), 256);
        assert_eq!(number(&mut Allocator::new(Range::LOCAL), "a"), 16_777_217);
        assert!(Range::new(Identity::new(2), Identity::new(1)).is_none());
    }

    #[test]
    fn a_released_number_comes_back_last() {
        let mut allocator = small();
        assert_eq!(number(&mut allocator, "a"), 300);
        assert_eq!(allocator.release(Identity::new(300)), Release::Released);
        assert_eq!(allocator.release(Identity::new(300)), Release::Unknown);
        assert_eq!(number(&mut allocator, "b"), 301);
        assert_eq!(number(&mut allocator, "c"), 302);
        assert_eq!(number(&mut allocator, "d"), 300);
    }

    #[test]
    fn a_full_range_is_an_error_and_changes_nothing() {
        let mut allocator = small();
        for name in ["a", "b", "c"] {
            number(&mut allocator, name);
        }
        let before = allocator.checkpoint();
        let error = allocator.allocate(&labels("d")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "all 3 identities are in use, none is left for k8s:app=d"
        );
        assert_eq!(allocator.checkpoint(), before);
        // Labels that have a number still get it.
        assert_eq!(number(&mut allocator, "b"), 301);
    }

    #[test]
    fn a_withheld_number_waits_for_its_offer() {
        let mut allocator = small();
        number(&mut allocator, "a");
        number(&mut allocator, "b");
        number(&mut allocator, "c");
        allocator.withhold(Identity::new(301));
        allocator.release(Identity::new(301));
        assert!(allocator.allocate(&labels("d")).is_err());
        allocator.offer(Identity::new(301));
        assert_eq!(number(&mut allocator, "d"), 301);
    }

    #[test]
    fn a_number_set_aside_is_given_out_last_and_said_to_be() {
        let mut allocator = small();
        allocator.set_aside(Identity::new(300));
        allocator.set_aside(Identity::new(301));
        assert_eq!(number(&mut allocator, "a"), 302);
        // Who had it gets it.
        let again = allocator.allocate_as(&labels("b"), Identity::new(301));
        assert_eq!(again.unwrap(), (Identity::new(301), Allocation::New));
        let other = allocator.allocate(&labels("c")).unwrap();
        assert_eq!(other, (Identity::new(300), Allocation::Reclaimed));
        assert!(allocator.allocate(&labels("d")).is_err());
        // It was given away, so it is set aside no more.
        allocator.release(Identity::new(300));
        let plain = allocator.allocate(&labels("d")).unwrap();
        assert_eq!(plain, (Identity::new(300), Allocation::New));
    }

    #[test]
    fn a_number_from_before_is_had_again_only_if_it_is_free() {
        let mut allocator = small();
        let ask = |allocator: &mut Allocator, name: &str, before: u32| {
            let asked = allocator.allocate_as(&labels(name), Identity::new(before));
            asked.unwrap().0.get()
        };
        assert_eq!(ask(&mut allocator, "a", 302), 302);
        assert_eq!(ask(&mut allocator, "b", 302), 300, "taken");
        assert_eq!(ask(&mut allocator, "a", 301), 302, "has another");
        allocator.withhold(Identity::new(301));
        assert!(
            allocator
                .allocate_as(&labels("c"), Identity::new(301))
                .is_err()
        );
        assert!(
            allocator
                .allocate_as(&labels("c"), Identity::new(9))
                .is_err()
        );
    }

    #[test]
    fn a_restart_gives_the_same_numbers() {
        let mut before = Allocator::new(Range::CLUSTER);
        for name in ["a", "b", "c"] {
            number(&mut before, name);
        }
        number(&mut before, "c");
        before.release(Identity::new(257));
        let saved = before.checkpoint();
        assert_eq!(
            saved.iter().map(|one| one.references).collect::<Vec<_>>(),
            [1, 2]
        );

        let mut after = Allocator::new(Range::CLUSTER);
        for one in &saved {
            after.restore(one.identity, &one.labels).unwrap();
        }
        assert_eq!(
            after.allocate(&labels("c")).unwrap(),
            (Identity::new(258), Allocation::Existing)
        );
        // A new one takes no restored number.
        assert_eq!(number(&mut after, "d"), 257);
        // The reference of the restore itself is the last of what nobody asked for again.
        assert_eq!(after.release(Identity::new(256)), Release::Released);
        assert_eq!(after.release(Identity::new(258)), Release::StillUsed);
    }

    #[test]
    fn a_restore_that_contradicts_is_refused() {
        let mut allocator = small();
        allocator.restore(Identity::new(301), &labels("a")).unwrap();
        let mut error = |number, name| {
            allocator
                .restore(Identity::new(number), &labels(name))
                .unwrap_err()
        };
        assert!(matches!(
            error(301, "b"),
            AllocateError::IdentityTaken { .. }
        ));
        assert!(matches!(error(302, "a"), AllocateError::LabelsTaken { .. }));
        assert!(matches!(error(303, "c"), AllocateError::OutOfRange { .. }));
        assert_eq!(allocator.references(Identity::new(301)), 1);
        allocator.restore(Identity::new(301), &labels("a")).unwrap();
        assert_eq!(allocator.references(Identity::new(301)), 2);
    }
}
