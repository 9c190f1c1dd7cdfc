//! Which label sets a selector matches and which selectors match a label set, without asking each.

mod filing;
mod lists;

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{Address, Prefix};
use palisade_identity::{Label, LabelKey, LabelSet, Operator, Requirement, Selector, Source, Text};

use self::filing::Filing;
use self::lists::{List, Numbers, intersect, subtract};
use super::hash::{Digested, Map};

/// Label sets and selectors, each found by the other.
///
/// Both are numbered in the order in which they come. A set's number is not given again; when many
/// are gone the owner builds the index anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    sets: Vec<Option<LabelSet>>,
    gone: usize,
    labels: Digested<Label, Labelled>,
    /// The sets that have a key from one source, ascending.
    having: Vec<Vec<u32>>,
    /// The sources that a key occurs with, and the place of each in `having`.
    keys: Map<Arc<str>, Vec<(Source, u32)>>,
    /// The sets of each prefix, by its first address and its length.
    prefixes: BTreeMap<(Address, u8), Vec<u32>>,
    selectors: Vec<Selector>,
    ids: Digested<Selector, u32>,
    filing: Filing,
}

/// The sets that have a label.
#[derive(Clone, Debug)]
struct Labelled {
    /// Ascending.
    sets: Numbers,
    /// The place in `having` of those that have its key from its source.
    having: u32,
}

impl Index {
    /// As many sets more will join.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.sets.reserve(count);
        self.labels.reserve(count);
    }

    /// A set joins; returns its number.
    pub(crate) fn add(&mut self, set: &LabelSet) -> u32 {
        let number = number_of(self.sets.len());
        for label in set {
            if let Some(prefix) = label.prefix() {
                let place = (prefix.address(), prefix.mapped_length());
                self.prefixes.entry(place).or_default().push(number);
                continue;
            }
            let having = if let Some(labelled) = self.labels.get_mut(label) {
                labelled.sets.push(number);
                labelled.having
            } else {
                let having = self.having(label);
                let sets = Numbers::One(number);
                self.labels.insert(label.clone(), Labelled { sets, having });
                having
            };
            if let Some(having) = self.having.get_mut(having as usize) {
                having.push(number);
            }
        }
        self.sets.push(Some(set.clone()));
        number
    }

    /// The place of the sets that have a label's key from its source.
    fn having(&mut self, label: &Label) -> u32 {
        let next = number_of(self.having.len());
        let source = label.source();
        if let Some(sources) = self.keys.get_mut(label.key()) {
            if let Some((_, place)) = sources.iter().find(|(one, _)| *one == source) {
                return *place;
            }
            sources.push((source, next));
        } else {
            self.keys.insert(label.key().into(), vec![(source, next)]);
        }
        self.having.push(Vec::new());
        next
    }

    /// A set leaves.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(set) = self.sets.get_mut(number as usize)
            && set.take().is_some()
        {
            self.gone += 1;
        }
    }

    /// Whether most of what is numbered has left.
    pub(crate) const fn is_worn(&self) -> bool {
        self.gone > self.sets.len() / 2 + 1_024
    }

    /// The number of a selector, which joins if it is new.
    pub(crate) fn intern(&mut self, selector: &Selector) -> u32 {
        if let Some(number) = self.ids.get(selector) {
            return *number;
        }
        let number = number_of(self.selectors.len());
        self.selectors.push(selector.clone());
        self.ids.insert(selector.clone(), number);
        self.filing.file(number, selector);
        number
    }

    /// The number of a selector that has joined.
    pub(crate) fn id(&self, selector: &Selector) -> Option<u32> {
        self.ids.get(selector).copied()
    }

    /// How many selectors have joined.
    pub(crate) const fn selector_count(&self) -> usize {
        self.selectors.len()
    }

    /// The selectors that match a set, ascending.
    pub(crate) fn selectors_of(&self, set: &LabelSet) -> Vec<u32> {
        if self.selectors.is_empty() {
            return Vec::new();
        }
        let mut found = self.filing.candidates(set);
        found.retain(|number| {
            let selector = self.selectors.get(*number as usize);
            selector.is_some_and(|selector| selector.matches(set))
        });
        found.sort_unstable();
        found
    }

    /// The sets that a selector matches, ascending.
    pub(crate) fn matching(&self, number: u32) -> Vec<u32> {
        let Some(selector) = self.selectors.get(number as usize) else {
            return Vec::new();
        };
        let mut exact = true;
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for requirement in selector.requirements() {
            match self.sets_of(requirement) {
                Some((list, true)) => wanted.push(list),
                Some((list, false)) => unwanted.push(list),
                None => exact = false,
            }
        }
        wanted.sort_unstable_by_key(|list| list.as_slice().len());
        let mut wanted = wanted.into_iter();
        let mut found = match wanted.next() {
            Some(shortest) => shortest.into_vec(),
            None => (0..number_of(self.sets.len())).collect(),
        };
        for list in wanted {
            intersect(&mut found, list.as_slice());
        }
        for list in &unwanted {
            subtract(&mut found, list.as_slice());
        }
        if self.gone > 0 || !exact {
            found.retain(|number| {
                let set = self.sets.get(*number as usize).and_then(Option::as_ref);
                set.is_some_and(|set| exact || selector.matches(set))
            });
        }
        found
    }

    /// The sets that a requirement is about, and whether it asks for them or for all others;
    /// `None` if each has to be asked.
    fn sets_of(&self, requirement: &Requirement) -> Option<(List<'_>, bool)> {
        let key = requirement.key();
        let with_key = || match key.prefix() {
            Some(prefix) => self.inside(prefix),
            None => List::union(
                self.sources(key)
                    .filter_map(|(_, place)| self.having.get(place as usize).map(Vec::as_slice)),
            ),
        };
        let with_value = |values: &[Text]| {
            List::union(values.iter().flat_map(|value| {
                let labels = self
                    .sources(key)
                    .map(|(source, _)| Label::new(source, key.key(), value));
                labels.filter_map(|label| Some(self.labels.get(&label.ok()?)?.sets.as_slice()))
            }))
        };
        match requirement.operator() {
            Operator::Exists => Some((with_key(), true)),
            Operator::DoesNotExist => Some((with_key(), false)),
            Operator::In(values) if key.prefix().is_none() => Some((with_value(values), true)),
            Operator::NotIn(values) if key.prefix().is_none() => Some((with_value(values), false)),
            _ => None,
        }
    }

    /// The sources of labels with this key that the requirement accepts.
    fn sources(&self, key: &LabelKey) -> impl Iterator<Item = (Source, u32)> {
        let sources = self.keys.get(key.key()).into_iter().flatten();
        sources
            .copied()
            .filter(|(source, _)| key.source().accepts(*source))
    }

    /// The sets of the prefixes inside a prefix: they stand side by side.
    fn inside(&self, prefix: Prefix) -> List<'_> {
        let length = prefix.mapped_length();
        let range = (prefix.address(), 0)..=(prefix.last(), u8::MAX);
        let inside = self.prefixes.range(range);
        let mut sets: Vec<u32> = inside
            .filter(|((first, inner), _)| {
                *inner >= length && first.is_ipv4() == prefix.address().is_ipv4()
            })
            .flat_map(|(_, sets)| sets)
            .copied()
            .collect();
        sets.sort_unstable();
        List::Gathered(sets)
    }
}

pub(crate) fn number_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
