//! Which label sets a selector matches and which selectors match a label set, without asking each.

mod filing;

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{Address, Prefix};
use palisade_identity::{LabelSet, Operator, Requirement, Selector, Source};

use self::filing::Filing;
use super::hash::Map;

/// Label sets and selectors, each found by the other.
///
/// Both are numbered in the order in which they come. A set's number is not given again; when many
/// are gone the owner builds the index anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    sets: Vec<Option<LabelSet>>,
    gone: usize,
    keys: Map<Arc<str>, Key>,
    /// The sets of each prefix, by its first address and its length.
    prefixes: BTreeMap<(Address, u8), Vec<u32>>,
    selectors: Vec<Selector>,
    ids: Map<Selector, u32>,
    filing: Filing,
}

/// The sets that have a label of one key, ascending.
#[derive(Clone, Debug, Default)]
struct Key {
    having: Posting,
    /// The same by value; only once a selector asks for one.
    by_value: Option<Map<Arc<str>, Posting>>,
}

/// Sets, ascending, and where their labels come from.
#[derive(Clone, Debug, Default)]
struct Posting {
    sets: Vec<u32>,
    source: Option<Source>,
    mixed: bool,
}

/// A superset of what meets a requirement.
enum Candidates<'a> {
    Listed(&'a [u32]),
    Gathered(Vec<u32>),
}

impl Index {
    /// A set joins; returns its number.
    pub(crate) fn add(&mut self, set: &LabelSet) -> u32 {
        let number = number_of(self.sets.len());
        for label in set {
            if let Some(prefix) = label.prefix() {
                let place = (prefix.address(), prefix.mapped_length());
                self.prefixes.entry(place).or_default().push(number);
                continue;
            }
            let key = if let Some(key) = self.keys.get_mut(label.key()) {
                key
            } else {
                self.keys.entry(label.key().into()).or_default()
            };
            key.having.push(number, label.source());
            if let Some(values) = &mut key.by_value {
                values
                    .entry(label.value().into())
                    .or_default()
                    .push(number, label.source());
            }
        }
        self.sets.push(Some(set.clone()));
        number
    }

    /// A set leaves.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(set) = self.sets.get_mut(number as usize)
            && set.take().is_some()
        {
            self.gone += 1;
        }
    }

    /// A set that has joined.
    pub(crate) fn set(&self, number: u32) -> Option<&LabelSet> {
        self.sets.get(number as usize)?.as_ref()
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
        let mut found = self.filing.candidates(set);
        found.retain(|number| {
            let selector = self.selectors.get(*number as usize);
            selector.is_some_and(|selector| selector.matches(set))
        });
        found.sort_unstable();
        found
    }

    /// The sets that a selector matches, ascending.
    pub(crate) fn matching(&mut self, number: u32) -> Vec<u32> {
        let Some(selector) = self.selectors.get(number as usize).cloned() else {
            return Vec::new();
        };
        for requirement in selector.requirements() {
            self.split_values(requirement);
        }
        let mut exact = true;
        let mut lists: Vec<Candidates<'_>> = Vec::new();
        for requirement in selector.requirements() {
            match self.candidates(requirement) {
                Some((list, is_exact)) => {
                    exact &= is_exact;
                    lists.push(list);
                }
                None => exact = false,
            }
        }
        lists.sort_unstable_by_key(|list| list.as_slice().len());
        let mut lists = lists.iter().map(Candidates::as_slice);
        let mut found: Vec<u32> = match lists.next() {
            Some(shortest) => shortest.to_vec(),
            None => (0..number_of(self.sets.len())).collect(),
        };
        for list in lists {
            intersect(&mut found, list);
        }
        found.retain(|number| {
            let set = self.set(*number);
            set.is_some_and(|set| exact || selector.matches(set))
        });
        found
    }

    /// Splits the sets of a requirement's key by value, if it asks for values.
    fn split_values(&mut self, requirement: &Requirement) {
        let Operator::In(_) = requirement.operator() else {
            return;
        };
        let Some(key) = self.keys.get_mut(requirement.key().key()) else {
            return;
        };
        if key.by_value.is_some() {
            return;
        }
        let mut values: Map<Arc<str>, Posting> = Map::default();
        for number in &key.having.sets {
            let set = self.sets.get(*number as usize).and_then(Option::as_ref);
            let Some(label) = set.and_then(|set| set.get(requirement.key().key())) else {
                continue;
            };
            if let Some(posting) = values.get_mut(label.value()) {
                posting.push(*number, label.source());
            } else {
                let posting: &mut Posting = values.entry(label.value().into()).or_default();
                posting.push(*number, label.source());
            }
        }
        key.by_value = Some(values);
    }

    /// The sets that may meet a requirement, ascending, and whether all of them do; `None` if it
    /// has to be asked of each.
    fn candidates(&self, requirement: &Requirement) -> Option<(Candidates<'_>, bool)> {
        let key = requirement.key();
        let listed = |posting| Posting::of(posting, key.source());
        match requirement.operator() {
            Operator::Exists => Some(if let Some(prefix) = key.prefix() {
                (Candidates::Gathered(self.inside(prefix)), true)
            } else {
                let (list, exact) = listed(self.keys.get(key.key()).map(|key| &key.having));
                (Candidates::Listed(list), exact)
            }),
            Operator::In(values) if key.prefix().is_none() => {
                let by_value = self
                    .keys
                    .get(key.key())
                    .and_then(|key| key.by_value.as_ref());
                let of = |value: &Arc<str>| listed(by_value.and_then(|all| all.get(&**value)));
                if let [value] = values.as_slice() {
                    let (list, exact) = of(value);
                    return Some((Candidates::Listed(list), exact));
                }
                let mut gathered = Vec::new();
                let mut exact = true;
                for value in values {
                    let (list, is_exact) = of(value);
                    gathered.extend_from_slice(list);
                    exact &= is_exact;
                }
                gathered.sort_unstable();
                Some((Candidates::Gathered(gathered), exact))
            }
            Operator::In(_) | Operator::DoesNotExist | Operator::NotIn(_) | _ => None,
        }
    }

    /// The sets of the prefixes inside a prefix: they stand side by side.
    fn inside(&self, prefix: Prefix) -> Vec<u32> {
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
        sets
    }
}

impl Posting {
    fn push(&mut self, number: u32, source: Source) {
        self.mixed |= self.source.is_some_and(|before| before != source);
        self.source = Some(source);
        self.sets.push(number);
    }

    /// Those whose label a selector of this source may accept, and whether it accepts all of them.
    fn of(posting: Option<&Self>, source: Source) -> (&[u32], bool) {
        let Some(posting) = posting else {
            return (&[], true);
        };
        match posting.source {
            Some(_) if posting.mixed => (&posting.sets, source == Source::Any),
            Some(own) if source.accepts(own) => (&posting.sets, true),
            Some(_) | None => (&[], true),
        }
    }
}

impl Candidates<'_> {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::Listed(list) => list,
            Self::Gathered(list) => list,
        }
    }
}

/// Keeps what a list, which may be much longer, has as well.
fn intersect(found: &mut Vec<u32>, list: &[u32]) {
    let mut rest = list;
    found.retain(|number| {
        // Steps that double find the place fast, near or far.
        let mut step = 1;
        while rest.get(step).is_some_and(|at| at < number) {
            step *= 2;
        }
        let near = rest.get(..(step + 1).min(rest.len())).unwrap_or(rest);
        let skipped = near.partition_point(|at| at < number);
        rest = rest.get(skipped..).unwrap_or_default();
        rest.first() == Some(number)
    });
}

pub(crate) fn number_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
