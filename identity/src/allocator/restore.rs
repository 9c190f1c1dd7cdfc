use palisade_abi::Identity;

use super::{AllocateError, Allocated, Allocator, Release};
use crate::label_set::LabelSet;

/// The identities of a checkpoint, held until everyone who still needs them has asked again.
///
/// Three steps after a restart: [`Allocator::restore_all`], then every event that says what is in
/// use (reconcile), then [`Restored::release`] once they are all heard.
///
/// ```
/// use palisade_identity::{Allocator, LabelSet, Range};
///
/// let (kept, left) = (LabelSet::parse(["fqdn:a.b"])?, LabelSet::parse(["fqdn:c.d"])?);
/// let mut before = Allocator::new(Range::LOCAL);
/// let (number, _) = before.allocate(&kept)?;
/// before.allocate(&left)?;
///
/// let mut after = Allocator::new(Range::LOCAL);
/// let restored = after.restore_all(before.checkpoint());
/// assert_eq!(after.allocate(&kept)?.0, number);
/// let gone = restored.release(&mut after);
/// assert_eq!(gone.len(), 1);
/// assert_eq!((after.get(&kept), after.get(&left)), (Some(number), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "what is restored is held until it is released"]
pub struct Restored {
    held: Vec<Identity>,
    refused: Vec<AllocateError>,
    aside: Vec<Identity>,
}

impl Allocator {
    /// Takes one reference on every identity of a checkpoint, under its old number.
    ///
    /// A number that cannot be had is reported, and set aside until [`Restored::release`]: tables
    /// that outlived the restart may still know it by its old labels.
    pub fn restore_all(&mut self, checkpoint: impl IntoIterator<Item = Allocated>) -> Restored {
        let mut restored = Restored {
            held: Vec::new(),
            refused: Vec::new(),
            aside: Vec::new(),
        };
        for one in checkpoint {
            match self.restore(one.identity, &one.labels) {
                Ok(()) => restored.held.push(one.identity),
                Err(error) => {
                    self.set_aside(one.identity);
                    restored.aside.push(one.identity);
                    restored.refused.push(error);
                }
            }
        }
        restored
    }
}

impl Restored {
    /// The numbers that are held.
    pub fn identities(&self) -> &[Identity] {
        &self.held
    }

    /// Why others are not.
    pub fn refused(&self) -> &[AllocateError] {
        &self.refused
    }

    /// The identities that nobody has asked for again.
    pub fn unclaimed<'a>(
        &'a self,
        allocator: &'a Allocator,
    ) -> impl Iterator<Item = (Identity, &'a LabelSet)> {
        self.held
            .iter()
            .filter(|identity| allocator.references(**identity) == 1)
            .filter_map(|identity| Some((*identity, allocator.labels(*identity)?)))
    }

    /// Gives the references up, and says which identities that was the end of.
    pub fn release(self, allocator: &mut Allocator) -> Vec<(Identity, LabelSet)> {
        for identity in self.aside {
            allocator.put_back(identity);
        }
        let mut gone = Vec::new();
        for identity in self.held {
            let labels = allocator.labels(identity).cloned();
            if allocator.release(identity) == Release::Released {
                gone.extend(labels.map(|labels| (identity, labels)));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::{Allocation, Range};

    fn entry(identity: u32, name: &str) -> Allocated {
        Allocated {
            identity: Identity::new(identity),
            labels: LabelSet::parse([format!("fqdn:{name}")]).unwrap(),
            references: 3,
        }
    }

    #[test]
    fn what_contradicts_is_reported_and_its_number_set_aside() {
        let range = Range::new(Identity::new(10), Identity::new(12)).unwrap();
        let mut allocator = Allocator::new(range);
        let saved = [entry(10, "a"), entry(11, "a"), entry(99, "b")];
        let restored = allocator.restore_all(saved);
        assert_eq!(restored.identities(), [Identity::new(10)]);
        assert!(matches!(
            restored.refused(),
            [
                AllocateError::LabelsTaken { .. },
                AllocateError::OutOfRange { .. }
            ]
        ));
        let new =
            |allocator: &mut Allocator, name| allocator.allocate(&entry(0, name).labels).unwrap();
        assert_eq!(
            new(&mut allocator, "c"),
            (Identity::new(12), Allocation::New)
        );
        assert_eq!(restored.unclaimed(&allocator).count(), 1);
        let gone = restored.release(&mut allocator);
        assert_eq!(gone, [(Identity::new(10), entry(10, "a").labels)]);
        assert_eq!(
            new(&mut allocator, "d"),
            (Identity::new(10), Allocation::New)
        );
        assert_eq!(
            new(&mut allocator, "e"),
            (Identity::new(11), Allocation::New)
        );
    }
}
