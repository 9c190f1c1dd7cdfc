use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::hash::{Map, Seed};
use crate::label::{Label, LabelError};
use crate::label_set::{LabelSet, LabelSetError};
use crate::text::Text;

/// Labels that have been read, each once.
///
/// The workloads of a cluster share most of their labels, and list them in the same order: to read
/// a list through a pool costs a lookup for each label that has occurred before.
///
/// ```
/// use palisade_identity::{LabelPool, LabelSet};
///
/// let mut pool = LabelPool::default();
/// let labels = pool.parse(["k8s:app=web", "k8s:tier=db"])?;
/// assert_eq!(labels, LabelSet::parse(["k8s:tier=db", "k8s:app=web"])?);
/// # Ok::<(), palisade_identity::LabelSetError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LabelPool {
    seed: Seed,
    /// Numbers of labels, by their texts.
    numbers: HashTable<u32>,
    labels: Vec<Pooled>,
    /// The texts of all labels, one behind the other.
    texts: String,
    /// The first label of each key.
    keys: Map<Text, u32>,
    shape: Shape,
    /// The labels of a list while it is read, then of the last one; and in order.
    found: Vec<u32>,
    sorted: Vec<Label>,
}

/// A label, where its text stands and the hash of it, and the first label of the same key.
#[derive(Clone, Debug)]
struct Pooled {
    label: Label,
    text: Range<usize>,
    hash: u64,
    key: u32,
}

/// The keys of the last list as they stood there, and the order that sorts them.
#[derive(Clone, Debug, Default)]
struct Shape {
    keys: Vec<u32>,
    order: Vec<usize>,
    repeats_keys: bool,
}

impl LabelPool {
    /// Reads a list of labels.
    ///
    /// # Errors
    /// As [`LabelSet::parse`].
    pub fn parse<I>(&mut self, texts: I) -> Result<LabelSet, LabelSetError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut found = std::mem::take(&mut self.found);
        let mut sorted = std::mem::take(&mut self.sorted);
        let mut count = 0;
        for text in texts {
            let text = text.as_ref();
            match found.get_mut(count) {
                // Where a list stands beside the last one it often says the same.
                Some(last) if self.is(*last, text) => {}
                Some(last) => *last = self.number(text)?,
                None => found.push(self.number(text)?),
            }
            count += 1;
        }
        found.truncate(count);
        let keys = found.iter().filter_map(|one| Some(self.pooled(*one)?.key));
        if !keys.eq(self.shape.keys.iter().copied()) {
            let mut shape = std::mem::take(&mut self.shape);
            self.fit(&mut shape, &found);
            self.shape = shape;
        }
        let labels = self.shape.order.iter().filter_map(|at| found.get(*at));
        let labels = labels.filter_map(|one| Some(self.pooled(*one)?.label.clone()));
        sorted.extend(labels);
        let labels: Arc<[Label]> = sorted.drain(..).collect();
        (self.found, self.sorted) = (found, sorted);
        if self.shape.repeats_keys {
            LabelSet::try_from(labels.to_vec())
        } else {
            Ok(LabelSet::of_sorted(labels))
        }
    }

    /// The number of a label, which is read if it is new.
    fn number(&mut self, text: &str) -> Result<u32, LabelError> {
        let hash = self.seed.hash_one(text);
        if let Some(number) = self.numbers.find(hash, |one| self.is(*one, text)) {
            return Ok(*number);
        }
        let label: Label = text.parse()?;
        let number = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        let key = self.key(&label, number);
        let start = self.texts.len();
        self.texts.push_str(text);
        self.labels.push(Pooled {
            label,
            text: start..self.texts.len(),
            hash,
            key,
        });
        let labels = &self.labels;
        let hash_of = |one: &u32| labels.get(*one as usize).map_or(0, |one| one.hash);
        self.numbers.insert_unique(hash, number, hash_of);
        Ok(number)
    }

    /// The first label of a label's key: itself, if there is none before.
    fn key(&mut self, label: &Label, number: u32) -> u32 {
        *self.keys.entry(label.key_text().clone()).or_insert(number)
    }

    /// Makes a shape that of a list.
    fn fit(&self, shape: &mut Shape, found: &[u32]) {
        let pooled = |at: &usize| found.get(*at).and_then(|one| self.pooled(*one));
        let text = |at: &usize| pooled(at).map(|one| one.label.key());
        shape.keys.clear();
        let keys = found.iter().filter_map(|one| Some(self.pooled(*one)?.key));
        shape.keys.extend(keys);
        shape.order.clear();
        shape.order.extend(0..found.len());
        shape.order.sort_by(|a, b| text(a).cmp(&text(b)));
        let mut pairs = shape.order.iter().zip(shape.order.iter().skip(1));
        let key = |at: &usize| pooled(at).map(|one| one.key);
        shape.repeats_keys = pairs.any(|(a, b)| key(a) == key(b));
    }

    fn pooled(&self, number: u32) -> Option<&Pooled> {
        self.labels.get(number as usize)
    }

    /// Whether a label was read from this text.
    fn is(&self, number: u32, text: &str) -> bool {
        let pooled = self.pooled(number);
        pooled.and_then(|one| self.texts.get(one.text.clone())) == Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_without_a_pool() {
        let mut pool = LabelPool::default();
        let lists: [&[&str]; 8] = [
            &["k8s:b=1", "k8s:a=2", "reserved:host"],
            &["k8s:b=3", "k8s:a=2", "reserved:host"],
            &["k8s:a=2", "k8s:b=3", "reserved:host"],
            &["k8s:a=2", "k8s:a=2", "k8s:b=1"],
            &["k8s:a=2", "k8s:a=3", "k8s:b=1"],
            &["k8s:a", "-", "k8s:=x"],
            &[],
            &["k8s:a", "any:b"],
        ];
        for list in lists.iter().chain(&lists) {
            assert_eq!(pool.parse(*list), LabelSet::parse(*list), "{list:?}");
        }
    }

    #[test]
    fn a_label_is_read_once() {
        let mut pool = LabelPool::default();
        for number in 0..1_000 {
            let own = format!("k8s:inst={number}");
            let labels = pool.parse(["k8s:app=web", &own]).unwrap();
            assert_eq!(labels.to_string(), format!("k8s:app=web,{own}"));
        }
        assert_eq!(pool.labels.len(), 1_001);
        assert_eq!(pool.keys.len(), 2);
    }
}
