//! The port items of rules as spans of the port index.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::Protocol;

use super::super::groups::Groups;
use super::super::hash::Map;
use super::super::subjects::Side;
use crate::rule::{PortMatch, PortRule, Ports, Rule};

/// How long the key of a protocol is in Cilium's map, and what a port adds at most.
const PROTOCOL_BITS: u8 = 8;
const PORT_BITS: u8 = 16;

/// What one item of a rule covers, or a piece of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Piece {
    /// The place of the item in its rule.
    pub(crate) part: u32,
    /// The span of ports.
    pub(crate) span: u32,
    /// How narrow it is: the length of its key in Cilium's map.
    pub(crate) length: u8,
}

/// How the rules of a side are read.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Reading {
    names: Names,
    exact: bool,
}

/// What names of ports stand for.
type Names = Vec<((Arc<str>, Protocol), u16)>;

/// The pieces of all rules in force.
#[derive(Clone, Debug)]
pub(crate) struct Forms {
    readings: Map<Reading, u32>,
    pieces: Map<(u32, u32), Box<[Piece]>>,
}

impl Forms {
    /// No rules yet.
    pub(crate) fn new() -> Self {
        let plain = Reading {
            names: Vec::new(),
            exact: false,
        };
        Self {
            readings: Map::from_iter([(plain, 0)]),
            pieces: Map::default(),
        }
    }

    /// The rules of a side join those in force.
    pub(crate) fn add(&mut self, side: &Side, rules: &[&Rule], groups: &mut Groups) {
        let reading = Reading::of(side, rules);
        let next = u32::try_from(self.readings.len()).unwrap_or(u32::MAX);
        let form = *self.readings.entry(reading.clone()).or_insert(next);
        for place in &side.rules {
            let Some(Ports::Some(items)) = rules.get(*place as usize).map(|rule| &rule.ports)
            else {
                continue;
            };
            self.pieces
                .entry((form, *place))
                .or_insert_with(|| reading.pieces(items, side, groups));
        }
    }

    /// The number of the way in which a side reads its rules, and whether it must be told exactly
    /// how narrow each piece is.
    pub(crate) fn form(&self, side: &Side, rules: &[&Rule]) -> (u32, bool) {
        let reading = Reading::of(side, rules);
        let form = self.readings.get(&reading).copied();
        (form.unwrap_or_default(), reading.exact)
    }

    /// The pieces of a rule.
    pub(crate) fn pieces(&self, form: u32, place: u32) -> &[Piece] {
        self.pieces.get(&(form, place)).map_or(&[], AsRef::as_ref)
    }
}

impl Reading {
    fn of(side: &Side, rules: &[&Rule]) -> Self {
        Self {
            names: side.names.clone(),
            exact: is_exact(side, rules),
        }
    }

    fn pieces(&self, items: &[PortRule], side: &Side, groups: &mut Groups) -> Box<[Piece]> {
        let mut pieces = Vec::with_capacity(items.len());
        for (part, item) in (0..).zip(items) {
            let Some(range) = side.port(item) else {
                continue;
            };
            let mut push = |range: RangeInclusive<u16>| {
                let length = length(&range);
                let span = groups.intern(item.protocol, range);
                pieces.push(Piece { part, span, length });
            };
            if self.exact && range != PortRule::EVERY_PORT {
                prefixes(&range).into_iter().for_each(push);
            } else {
                push(range);
            }
        }
        pieces.into()
    }
}

impl Side {
    /// The ports of an item; `None` for a name that stands for none.
    pub(crate) fn port(&self, item: &PortRule) -> Option<RangeInclusive<u16>> {
        match &item.ports {
            PortMatch::Numbers(range) => Some(range.clone()),
            PortMatch::Named(name) => {
                let is_it = |((one, protocol), _): &&((Arc<str>, Protocol), u16)| {
                    one == name && *protocol == item.protocol
                };
                let (_, port) = self.names.iter().find(is_it)?;
                Some(*port..=*port)
            }
        }
    }
}

/// Whether it matters which of two rules names fewer ports: where some ask for authentication, and
/// where two listeners have the same priority.
fn is_exact(side: &Side, rules: &[&Rule]) -> bool {
    let mut listeners: BTreeMap<u8, &str> = BTreeMap::new();
    for place in &side.rules {
        let Some(rule) = rules.get(*place as usize) else {
            continue;
        };
        if rule.auth.is_some() {
            return true;
        }
        let Ports::Some(items) = &rule.ports else {
            continue;
        };
        for redirect in items.iter().filter_map(|item| item.redirect.as_deref()) {
            if let Some(listener) = &redirect.listener {
                let first = listeners
                    .entry(redirect.priority())
                    .or_insert(&listener.name);
                if **first != *listener.name {
                    return true;
                }
            }
        }
    }
    false
}

fn length(range: &RangeInclusive<u16>) -> u8 {
    if *range == PortRule::EVERY_PORT {
        return PROTOCOL_BITS;
    }
    let size = u32::from(range.end().saturating_sub(*range.start())) + 1;
    let bits = u8::try_from(size.ilog2()).unwrap_or(PORT_BITS);
    PROTOCOL_BITS + PORT_BITS.saturating_sub(bits)
}

/// The fewest aligned blocks that a range is made of.
fn prefixes(range: &RangeInclusive<u16>) -> Vec<RangeInclusive<u16>> {
    let (mut start, end) = (u32::from(*range.start()), u32::from(*range.end()));
    let mut blocks = Vec::new();
    while start <= end {
        let aligned = start.trailing_zeros().min(u32::from(PORT_BITS));
        let size = 1 << aligned.min((end - start + 1).ilog2());
        let last = start + size - 1;
        if let (Ok(first), Ok(last)) = (u16::try_from(start), u16::try_from(last)) {
            blocks.push(first..=last);
        }
        start += size;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_made_of_aligned_blocks() {
        assert_eq!(prefixes(&(80..=80)), [80..=80]);
        assert_eq!(prefixes(&(1..=6)), [1..=1, 2..=3, 4..=5, 6..=6]);
        assert_eq!(prefixes(&(0..=65_535)), [0..=65_535]);
        assert_eq!(prefixes(&(1..=65_535)).len(), 16);
        assert_eq!(prefixes(&(1..=65_534)).len(), 30);
    }

    #[test]
    fn the_length_of_a_block_is_that_of_its_key() {
        assert_eq!(length(&(80..=80)), 24);
        assert_eq!(length(&(80..=95)), 20);
        assert_eq!(length(&(0..=65_535)), 8);
    }
}
