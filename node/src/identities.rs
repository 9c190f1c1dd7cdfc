//! The identities in use on the node.

use std::collections::BTreeMap;

use palisade_identity::{Allocator, Identity, LabelSet, Range, Release, Scope, reserved};

use crate::error::Error;

/// Numbers for label sets, counted by what holds them: addresses, endpoints, selectors.
///
/// A hold that is given up counts until [`Identities::sweep`], at the end of an event; the plan
/// that sweeps a number ends with a grace period, so that nobody reads it when it is given again.
#[derive(Clone, Debug)]
pub(crate) struct Identities {
    cluster: Allocator,
    local: Allocator,
    known: BTreeMap<Identity, LabelSet>,
    given_up: Vec<Identity>,
    /// Forgotten by the plan that is being carried out: the tables may still know them.
    leaving: BTreeMap<Identity, LabelSet>,
    /// Whether a number was given out that no checkpoint has yet.
    novelty: Novelty,
}

impl Identities {
    /// The reserved identities and no other.
    pub(crate) fn new() -> Self {
        let known = reserved::ALL
            .into_iter()
            .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
            .collect();
        Self {
            cluster: Allocator::new(Range::CLUSTER),
            local: Allocator::new(Range::LOCAL),
            known,
            given_up: Vec::new(),
            leaving: BTreeMap::new(),
            novelty: Novelty::Known,
        }
    }

    /// Every identity with its labels, as the tables are to know them.
    pub(crate) fn known(&self) -> &BTreeMap<Identity, LabelSet> {
        &self.known
    }

    /// The identity of these labels, if it is known.
    pub(crate) fn get(&self, labels: &LabelSet) -> Option<Identity> {
        reserved::by_labels(labels).or_else(|| self.range(labels).get(labels))
    }

    /// Holds the identity of these labels; the second value tells if the tables do not know it.
    pub(crate) fn hold(&mut self, labels: &LabelSet) -> Result<(Identity, Novelty), Error> {
        if let Some(identity) = reserved::by_labels(labels) {
            return Ok((identity, Novelty::Known));
        }
        let range = if Scope::of_labels(labels) == Scope::Global {
            &mut self.cluster
        } else {
            &mut self.local
        };
        let (identity, _) = range.allocate(labels)?;
        let before = self.known.insert(identity, labels.clone());
        let novelty = if before.is_none() {
            self.novelty = Novelty::New;
            Novelty::New
        } else {
            Novelty::Known
        };
        Ok((identity, novelty))
    }

    /// Takes back the only hold of an identity that nothing has heard of.
    pub(crate) fn take_back(&mut self, identity: Identity) {
        if self.range_of(identity).release(identity) == Release::Released {
            self.known.remove(&identity);
        }
    }

    /// Whether numbers were given out since this was last asked.
    pub(crate) fn take_novelty(&mut self) -> Novelty {
        std::mem::replace(&mut self.novelty, Novelty::Known)
    }

    /// Gives up one hold.
    pub(crate) fn release(&mut self, identity: Identity) {
        if !identity.is_reserved() {
            self.given_up.push(identity);
        }
    }

    /// Forgets what nobody holds any more, and says what it was.
    pub(crate) fn sweep(&mut self) -> Vec<Identity> {
        let mut swept = Vec::new();
        for identity in std::mem::take(&mut self.given_up) {
            match self.range_of(identity).release(identity) {
                Release::Released => {
                    self.leaving.extend(self.known.remove_entry(&identity));
                    swept.push(identity);
                }
                Release::StillUsed | Release::Unknown => {}
            }
        }
        swept
    }

    /// Takes the last plan for carried out.
    pub(crate) fn settled(&mut self) {
        self.leaving.clear();
    }

    /// Every identity that the tables may know, for whoever crashes before a plan is carried out.
    pub(crate) fn checkpoint(&self) -> impl Iterator<Item = (Identity, &LabelSet)> {
        let known = self.known.iter().chain(&self.leaving);
        known
            .map(|(identity, labels)| (*identity, labels))
            .filter(|(identity, _)| !identity.is_reserved())
    }

    /// Keeps a number of unknown labels from being given out.
    pub(crate) fn withhold(&mut self, identity: Identity) {
        self.range_of(identity).withhold(identity);
    }

    /// Holds a number for labels that had it before.
    pub(crate) fn expect(&mut self, identity: Identity, labels: &LabelSet) -> Result<(), Error> {
        self.range_of(identity).restore(identity, labels)?;
        self.known.insert(identity, labels.clone());
        Ok(())
    }

    fn range_of(&mut self, identity: Identity) -> &mut Allocator {
        if identity.is_local() {
            &mut self.local
        } else {
            &mut self.cluster
        }
    }

    fn range(&self, labels: &LabelSet) -> &Allocator {
        if Scope::of_labels(labels) == Scope::Global {
            &self.cluster
        } else {
            &self.local
        }
    }
}

/// Whether the tables know an identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Novelty {
    /// They do.
    Known,
    /// They must be told before anything uses it.
    New,
}
