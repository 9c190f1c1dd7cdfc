//! What is known of numbers, and which to try next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use palisade_abi::Identity;

use crate::allocator::Range;
use crate::label_set::LabelSet;

/// The masters of the store, as far as it has told.
#[derive(Clone, Debug)]
pub(super) struct Masters {
    range: Range,
    labels: BTreeMap<Identity, LabelSet>,
    numbers: HashMap<LabelSet, BTreeSet<Identity>>,
    /// Numbers that are being tried, or were found taken before the store has told.
    avoided: BTreeSet<Identity>,
    state: u64,
}

impl Masters {
    pub(super) fn new(range: Range, seed: u64) -> Self {
        Self {
            range,
            labels: BTreeMap::new(),
            numbers: HashMap::new(),
            avoided: BTreeSet::new(),
            state: seed,
        }
    }

    pub(super) fn insert(&mut self, identity: Identity, labels: &LabelSet) {
        self.remove(identity);
        self.labels.insert(identity, labels.clone());
        let numbers = self.numbers.entry(labels.clone()).or_default();
        numbers.insert(identity);
    }

    pub(super) fn remove(&mut self, identity: Identity) -> Option<LabelSet> {
        self.avoided.remove(&identity);
        let labels = self.labels.remove(&identity)?;
        if let Some(numbers) = self.numbers.get_mut(&labels) {
            numbers.remove(&identity);
            if numbers.is_empty() {
                self.numbers.remove(&labels);
            }
        }
        Some(labels)
    }

    pub(super) fn labels(&self, identity: Identity) -> Option<&LabelSet> {
        self.labels.get(&identity)
    }

    /// A number whose master has these labels, the lowest of several.
    pub(super) fn of(&self, labels: &LabelSet) -> Option<Identity> {
        self.numbers.get(labels)?.first().copied()
    }

    /// A number without a master, which is avoided from now on.
    pub(super) fn pick(&mut self) -> Option<Identity> {
        let count = self.range.count();
        let start = self.random() % count;
        let taken = self.labels.len().saturating_add(self.avoided.len());
        let steps = u64::try_from(taken).unwrap_or(u64::MAX).min(count - 1);
        for step in 0..=steps {
            let offset = u32::try_from((start + step) % count).ok()?;
            let identity = Identity::new(self.range.first().get() + offset);
            if !self.labels.contains_key(&identity) && self.avoided.insert(identity) {
                return Some(identity);
            }
        }
        None
    }

    /// Lets a number be tried again.
    pub(super) fn unpick(&mut self, identity: Identity) {
        self.avoided.remove(&identity);
    }

    /// `SplitMix64`: every node tries numbers in an order of its own.
    const fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_free_number_is_picked_once() {
        let range = Range::new(Identity::new(10), Identity::new(14)).unwrap();
        let mut masters = Masters::new(range, 7);
        let labels = LabelSet::parse(["k8s:a"]).unwrap();
        masters.insert(Identity::new(12), &labels);
        let mut picked: Vec<u32> = (0..4).map(|_| masters.pick().unwrap().get()).collect();
        picked.sort_unstable();
        assert_eq!(picked, [10, 11, 13, 14]);
        assert_eq!(masters.pick(), None);
        masters.unpick(Identity::new(13));
        assert_eq!(masters.pick(), Some(Identity::new(13)));
        assert_eq!(masters.remove(Identity::new(12)), Some(labels.clone()));
        assert_eq!(masters.of(&labels), None);
        assert_eq!(masters.pick(), Some(Identity::new(12)));
    }
}
