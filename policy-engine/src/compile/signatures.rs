//! Identities split by the selectors that match them.

use super::hash::{Map, Seed, wide};
use super::logical::Signature;

/// The selectors that the policies of one direction have asked for, and what identities look like
/// to them.
///
/// The key of a signature is the sum of a random number for each of its selectors, so that one more
/// selector is one addition. Selectors are only added: one that nobody asks for any more tells
/// identities apart until everything is counted anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signatures {
    seed: Seed,
    asked: Vec<bool>,
    asked_count: usize,
    contents: Vec<Box<[u32]>>,
    by_key: Map<u128, Signature>,
    /// The signatures that each selector is part of, ascending.
    postings: Vec<Vec<Signature>>,
}

impl Signatures {
    /// What a selector adds to the key of a signature.
    pub(crate) fn weight(&self, selector: u32) -> u128 {
        wide(self.seed, selector)
    }

    /// Whether a selector tells identities apart.
    pub(crate) fn is_asked(&self, selector: u32) -> bool {
        self.asked.get(selector as usize) == Some(&true)
    }

    /// How many selectors tell identities apart.
    pub(crate) const fn asked_count(&self) -> usize {
        self.asked_count
    }

    /// From now on a selector tells identities apart.
    pub(crate) fn ask(&mut self, selector: u32) {
        let length = selector as usize + 1;
        if self.asked.len() < length {
            self.asked.resize(length, false);
            self.postings.resize(length, Vec::new());
        }
        if let Some(asked) = self.asked.get_mut(selector as usize)
            && !std::mem::replace(asked, true)
        {
            self.asked_count += 1;
        }
    }

    /// The key of what matches these selectors; those that nobody asks for do not count.
    pub(crate) fn key_of(&self, matching: &[u32]) -> u128 {
        let asked = matching.iter().filter(|one| self.is_asked(**one));
        let weights = asked.map(|one| self.weight(*one));
        weights.fold(0, u128::wrapping_add)
    }

    /// The signature of a key, if some identity has had it already.
    pub(crate) fn find(&self, key: u128) -> Option<Signature> {
        self.by_key.get(&key).copied()
    }

    /// A new signature, whose selectors are not known yet.
    pub(crate) fn add(&mut self, key: u128) -> Signature {
        let number = u32::try_from(self.contents.len()).unwrap_or(u32::MAX);
        self.contents.push(Box::default());
        self.by_key.insert(key, Signature(number));
        Signature(number)
    }

    /// Says which selectors, ascending, a new signature matches.
    pub(crate) fn fill(&mut self, signature: Signature, content: Vec<u32>) {
        for selector in &content {
            if let Some(list) = self.postings.get_mut(*selector as usize) {
                list.push(signature);
            }
        }
        if let Some(place) = self.contents.get_mut(signature.0 as usize) {
            *place = content.into();
        }
    }

    /// The selectors that a signature matches, ascending.
    pub(crate) fn content(&self, signature: Signature) -> &[u32] {
        self.contents
            .get(signature.0 as usize)
            .map_or(&[], AsRef::as_ref)
    }

    /// The signatures that a selector is part of, ascending.
    pub(crate) fn having(&self, selector: u32) -> &[Signature] {
        self.postings
            .get(selector as usize)
            .map_or(&[], Vec::as_slice)
    }

    /// The signatures that match one of these selectors, ascending.
    pub(crate) fn touched(&self, selectors: impl Iterator<Item = u32>) -> Vec<Signature> {
        let mut touched = Vec::new();
        for selector in selectors {
            let list = self.postings.get(selector as usize).into_iter().flatten();
            touched.extend(list.copied());
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}
