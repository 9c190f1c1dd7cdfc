//! Identities split by the selectors that match them.

use std::collections::{BTreeSet, HashMap};

use palisade_identity::{LabelSet, Selector};

use super::index::Index;
use super::logical::Signature;

/// The selectors in force of one direction and what identities look like to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signatures {
    selectors: Vec<Selector>,
    ids: HashMap<Selector, u32>,
    /// What each signature matches: places of selectors, ascending.
    contents: Vec<Box<[u32]>>,
    by_content: HashMap<Box<[u32]>, Signature>,
    /// The signatures that each selector is part of, ascending.
    postings: Vec<Vec<Signature>>,
}

impl Signatures {
    /// The place of a selector, which joins those in force.
    pub(crate) fn intern(&mut self, selector: &Selector) -> u32 {
        if let Some(id) = self.ids.get(selector) {
            return *id;
        }
        let id = u32::try_from(self.selectors.len()).unwrap_or(u32::MAX);
        self.selectors.push(selector.clone());
        self.ids.insert(selector.clone(), id);
        id
    }

    /// The place of a selector in force.
    pub(crate) fn id(&self, selector: &Selector) -> Option<u32> {
        self.ids.get(selector).copied()
    }

    /// Gives every label set its signature, in the order of the sets.
    pub(crate) fn split(&mut self, sets: &[&LabelSet]) -> Vec<Signature> {
        let mut matched: Vec<Vec<u32>> = vec![Vec::new(); sets.len()];
        let selectors = self.selectors.clone();
        let index = Index::new(sets, selectors.iter());
        for (id, selector) in (0..).zip(&selectors) {
            for at in index.matching(selector) {
                if let Some(list) = matched.get_mut(at as usize) {
                    list.push(id);
                }
            }
        }
        let signatures = matched
            .into_iter()
            .map(|content| self.signature(content.into()));
        let signatures = signatures.collect();
        self.postings = vec![Vec::new(); selectors.len()];
        for (number, content) in (0..).zip(&self.contents) {
            for id in content {
                if let Some(list) = self.postings.get_mut(*id as usize) {
                    list.push(Signature(number));
                }
            }
        }
        signatures
    }

    /// The signature of a label set, if some identity has had it already.
    pub(crate) fn find(&self, labels: &LabelSet) -> Option<Signature> {
        let content: Box<[u32]> = (0..)
            .zip(&self.selectors)
            .filter(|(_, selector)| selector.matches(labels))
            .map(|(id, _)| id)
            .collect();
        self.by_content.get(&content).copied()
    }

    /// The selectors that a signature matches, ascending.
    pub(crate) fn content(&self, signature: Signature) -> &[u32] {
        self.contents
            .get(signature.0 as usize)
            .map_or(&[], AsRef::as_ref)
    }

    /// The signatures that match one of these selectors, ascending.
    pub(crate) fn touched(&self, selectors: impl Iterator<Item = u32>) -> Vec<Signature> {
        let mut touched = BTreeSet::new();
        for id in selectors {
            let list = self.postings.get(id as usize).into_iter().flatten();
            touched.extend(list.copied());
        }
        touched.into_iter().collect()
    }

    fn signature(&mut self, content: Box<[u32]>) -> Signature {
        if let Some(signature) = self.by_content.get(&content) {
            return *signature;
        }
        let number = u32::try_from(self.contents.len()).unwrap_or(u32::MAX);
        self.contents.push(content.clone());
        self.by_content.insert(content, Signature(number));
        Signature(number)
    }
}
