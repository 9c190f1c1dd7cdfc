//! Which identities a selector matches, without asking every identity.

use std::collections::{BTreeMap, HashMap, HashSet};

use palisade_abi::{Address, Prefix};
use palisade_identity::{LabelSet, Operator, Requirement, Selector};

/// Identities by the labels that some selector asks for.
pub(crate) struct Index<'a> {
    sets: &'a [&'a LabelSet],
    by_key: HashMap<&'a str, Vec<u32>>,
    by_value: HashMap<(&'a str, &'a str), Vec<u32>>,
    by_prefix: BTreeMap<Address, Vec<u32>>,
}

impl<'a> Index<'a> {
    /// Indexes label sets by the keys that these selectors mention.
    pub(crate) fn new(
        sets: &'a [&'a LabelSet],
        selectors: impl Iterator<Item = &'a Selector>,
    ) -> Self {
        let keys: HashSet<&str> = selectors
            .flat_map(Selector::requirements)
            .map(|one| one.key().key())
            .collect();
        let mut index = Self {
            sets,
            by_key: HashMap::new(),
            by_value: HashMap::new(),
            by_prefix: BTreeMap::new(),
        };
        for (at, set) in (0..).zip(sets) {
            for label in *set {
                if let Some(prefix) = label.prefix() {
                    index
                        .by_prefix
                        .entry(prefix.address())
                        .or_default()
                        .push(at);
                } else if keys.contains(label.key()) {
                    index.by_key.entry(label.key()).or_default().push(at);
                    let pair = (label.key(), label.value());
                    index.by_value.entry(pair).or_default().push(at);
                }
            }
        }
        index
    }

    /// The places of the sets that a selector matches, in no particular order.
    pub(crate) fn matching(&self, selector: &Selector) -> Vec<u32> {
        let narrowest = selector
            .requirements()
            .iter()
            .filter_map(|one| self.candidates(one))
            .min_by_key(|lists| lists.iter().map(|list| list.len()).sum::<usize>());
        let matches = |at: &u32| {
            let set = self.sets.get(*at as usize);
            set.is_some_and(|set| selector.matches(set))
        };
        match narrowest {
            Some(lists) => lists
                .into_iter()
                .flatten()
                .copied()
                .filter(matches)
                .collect(),
            None => (0..)
                .zip(self.sets)
                .map(|(at, _)| at)
                .filter(matches)
                .collect(),
        }
    }

    /// A superset of the sets that meet a requirement; `None` if the index does not help.
    fn candidates<'s>(&'s self, requirement: &'s Requirement) -> Option<Vec<&'s [u32]>> {
        let key = requirement.key();
        match requirement.operator() {
            Operator::Exists => Some(match key.prefix() {
                Some(prefix) => self.inside(prefix),
                None => self
                    .by_key
                    .get(key.key())
                    .map(AsRef::as_ref)
                    .into_iter()
                    .collect(),
            }),
            Operator::In(values) if key.prefix().is_none() => {
                let lists = values.iter().filter_map(|value| {
                    let pair: (&str, &str) = (key.key(), value);
                    self.by_value.get(&pair)
                });
                Some(lists.map(AsRef::as_ref).collect())
            }
            _ => None,
        }
    }

    fn inside(&self, prefix: Prefix) -> Vec<&[u32]> {
        let range = self.by_prefix.range(prefix.address()..=prefix.last());
        range.map(|(_, at)| at.as_ref()).collect()
    }
}
