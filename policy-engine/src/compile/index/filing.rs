//! Selectors filed under one of the labels that they ask for.

use std::sync::Arc;

use palisade_abi::Prefix;
use palisade_identity::{Label, LabelSet, Operator, Requirement, Selector, Source, Text};

use super::super::hash::{Digested, Map};

/// Every selector stands in one drawer, or in several if any of several values will do; a set that
/// it matches leads to one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Filing {
    by_label: Digested<Label, Vec<u32>>,
    /// Those that take a label from any source.
    by_value: Map<Arc<str>, Map<Text, Vec<u32>>>,
    by_key: Map<Arc<str>, Vec<u32>>,
    by_prefix: Map<(u128, u8), Vec<u32>>,
    /// The lengths of the prefixes that selectors name.
    lengths: Vec<u8>,
    /// Selectors that ask for no label.
    rest: Vec<u32>,
}

impl Filing {
    /// Files a selector where the fewest others stand.
    pub(super) fn file(&mut self, number: u32, selector: &Selector) {
        let requirements = selector.requirements();
        let best = if let [only] = requirements {
            self.crowd(only).map(|_| only)
        } else {
            let crowds = requirements.iter();
            let crowds = crowds.filter_map(|one| Some((self.crowd(one)?, one)));
            crowds.min_by_key(|(crowd, _)| *crowd).map(|(_, one)| one)
        };
        let Some(requirement) = best else {
            self.rest.push(number);
            return;
        };
        let key = requirement.key();
        if let Some(prefix) = key.prefix() {
            let length = prefix.mapped_length();
            if !self.lengths.contains(&length) {
                self.lengths.push(length);
            }
            let drawer = self.by_prefix.entry((bits(prefix), length));
            drawer.or_default().push(number);
        } else if let Operator::In(values) = requirement.operator() {
            for value in values {
                let label = (key.source() != Source::Any)
                    .then(|| Label::new(key.source(), key.key(), value).ok())
                    .flatten();
                let drawer = if let Some(label) = label {
                    self.by_label.entry(label).or_default()
                } else {
                    let drawers = self.by_value.entry(key.key().into()).or_default();
                    drawers.entry(value.clone()).or_default()
                };
                drawer.push(number);
            }
        } else {
            let drawer = self.by_key.entry(key.key().into());
            drawer.or_default().push(number);
        }
    }

    /// The selectors in the drawers that a set leads to, each once.
    pub(super) fn candidates(&self, set: &LabelSet) -> Vec<u32> {
        let mut found = self.rest.clone();
        for label in set {
            if let Some(prefix) = label.prefix() {
                for length in &self.lengths {
                    if *length <= prefix.mapped_length() {
                        let outer = (masked(bits(prefix), *length), *length);
                        found.extend(self.by_prefix.get(&outer).into_iter().flatten());
                    }
                }
                continue;
            }
            found.extend(self.by_label.get(label).into_iter().flatten());
            if !self.by_value.is_empty() {
                let drawers = self.by_value.get(label.key());
                let drawer = drawers.and_then(|drawers| drawers.get(label.value()));
                found.extend(drawer.into_iter().flatten());
            }
            if !self.by_key.is_empty() {
                found.extend(self.by_key.get(label.key()).into_iter().flatten());
            }
        }
        found
    }

    /// How many stand where a requirement leads to; `None` if it asks for no label.
    fn crowd(&self, requirement: &Requirement) -> Option<usize> {
        let key = requirement.key();
        let drawer = |found: Option<&Vec<u32>>| found.map_or(0, Vec::len);
        match requirement.operator() {
            Operator::Exists => Some(match key.prefix() {
                Some(prefix) => drawer(self.by_prefix.get(&(bits(prefix), prefix.mapped_length()))),
                // Whatever its value is, every set with the key leads here.
                None => 16 + 4 * drawer(self.by_key.get(key.key())),
            }),
            Operator::In(values) if key.prefix().is_none() => {
                let drawers = self.by_value.get(key.key());
                let crowds = values.iter().map(|value| {
                    let label = Label::new(key.source(), key.key(), value).ok();
                    let of_label = label.and_then(|label| self.by_label.get(&label));
                    let of_any = drawers.and_then(|all| all.get(&**value));
                    1 + drawer(of_label) + drawer(of_any)
                });
                Some(crowds.sum())
            }
            _ => None,
        }
    }
}

fn bits(prefix: Prefix) -> u128 {
    u128::from_be_bytes(*prefix.address().as_bytes())
}

fn masked(bits: u128, length: u8) -> u128 {
    let host_bits = u128::MAX.checked_shr(length.into()).unwrap_or(0);
    bits & !host_bits
}
