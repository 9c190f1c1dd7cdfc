//! What a rule set costs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use palisade_abi::{Direction, Identity, PORT_INDEXES, Protocol};
use palisade_identity::Selector;

use crate::compile::{Otherwise, Side, sides, sorted_rules};
use crate::rule::{Peers, PortRule, Ports, Rule};
use crate::tables::{Limited, Tables};

/// What the tables of a node hold, beside what they can hold.
///
/// While old and new are in force side by side a change needs room for both.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Budget {
    /// Endpoints with policies.
    pub endpoints: usize,
    /// Identities with classes.
    pub identities: usize,
    /// Classes of identities, for ingress.
    pub ingress_classes: usize,
    /// Classes of identities, for egress.
    pub egress_classes: usize,
    /// Classes of ports.
    pub port_classes: usize,
    /// What each limited table holds and how much it can hold.
    pub tables: BTreeMap<Limited, Fill>,
    /// Bytes of policies, rows, verdicts and their slots in use.
    pub table_bytes: u64,
    /// Bytes of the port array and the identity pages in use, whatever the policies say.
    pub fixed_bytes: u64,
}

/// How full a table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Fill {
    /// Elements in use, those that wait for a grace period included.
    pub used: u32,
    /// Elements.
    pub size: u32,
}

/// Lines, slots and verdict records are words of 8 bytes.
const WORD: u64 = 8;

impl Tables {
    /// What the tables hold.
    pub fn budget(&self) -> Budget {
        let fills = self.fills();
        let used: u64 = fills.values().map(|fill| u64::from(fill.used)).sum();
        let (ingress_classes, egress_classes, port_classes) = self.class_counts();
        let image = self.image();
        let pages: BTreeSet<u32> = image.classified().map(|(one, _)| one.get() >> 16).collect();
        let page_bytes = u64::try_from(pages.len()).unwrap_or(u64::MAX) * 65_536 * WORD;
        Budget {
            endpoints: image.enforced().count(),
            identities: image.classified().count(),
            ingress_classes,
            egress_classes,
            port_classes,
            tables: fills,
            table_bytes: used * WORD,
            fixed_bytes: u64::from(PORT_INDEXES) * 2 + page_bytes,
        }
    }

    /// How many entries Cilium's policy maps would hold for the same endpoints, policies and
    /// identities: one per endpoint, identity and port prefix that a rule names.
    pub fn flat_entries(&self) -> u64 {
        let inputs = self.inputs();
        let rules = sorted_rules(&inputs.policies);
        let mut known: HashMap<&Selector, Vec<Identity>> = HashMap::new();
        for rule in &rules {
            for peer in rule.peers.list() {
                known.entry(&peer.selector).or_insert_with(|| {
                    let matching = inputs.identities.iter();
                    matching
                        .filter(|(_, labels)| peer.selector.matches(labels))
                        .map(|(identity, _)| *identity)
                        .collect()
                });
            }
        }
        let mut counted: HashMap<Side, u64> = HashMap::new();
        let mut total = 0;
        for endpoint in &inputs.endpoints {
            let sides = sides(endpoint, &rules, &inputs.options, &inputs.named_ports);
            for direction in Direction::BOTH {
                let side = sides.get(direction);
                total += if let Some(count) = counted.get(side) {
                    *count
                } else {
                    let count = flat_entries(side, &rules, &known);
                    counted.insert(side.clone(), count);
                    count
                };
            }
        }
        total
    }
}

/// An entry's key: identity (0 for any), protocol (0 for any), port and length of its prefix.
type Key = (u32, u8, u16, u8);

fn flat_entries(side: &Side, rules: &[&Rule], known: &HashMap<&Selector, Vec<Identity>>) -> u64 {
    let mut keys: BTreeSet<Key> = BTreeSet::new();
    if side.localhost {
        keys.insert((Identity::HOST.get(), 0, 0, 0));
    }
    if side.otherwise == Otherwise::Allowed {
        keys.insert((0, 0, 0, 0));
    }
    for rule in side
        .rules
        .iter()
        .filter_map(|place| rules.get(*place as usize))
    {
        let ports: Vec<(u8, u16, u8)> = match &rule.ports {
            Ports::All => vec![(0, 0, 0)],
            Ports::Some(items) => items.iter().flat_map(prefixes).collect(),
        };
        let named = rule
            .peers
            .list()
            .iter()
            .filter_map(|peer| known.get(&peer.selector));
        let any = matches!(rule.peers, Peers::Any { .. });
        let identities = named.flatten().map(|identity| identity.get());
        for identity in identities.chain(any.then_some(0)) {
            keys.extend(
                ports
                    .iter()
                    .map(|(protocol, port, length)| (identity, *protocol, *port, *length)),
            );
        }
    }
    u64::try_from(keys.len()).unwrap_or(u64::MAX)
}

/// The fewest port prefixes that make up a range.
fn prefixes(item: &PortRule) -> Vec<(u8, u16, u8)> {
    let protocol: Protocol = item.protocol;
    let Some(ports) = item.numbers() else {
        return Vec::new();
    };
    if ports == PortRule::EVERY_PORT {
        return vec![(protocol.get(), 0, 0)];
    }
    let (mut first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
    let mut all = Vec::new();
    while first <= last {
        let mut bits = first.trailing_zeros().min(16);
        while first + (1 << bits) - 1 > last {
            bits -= 1;
        }
        let length = u8::try_from(16 - bits).unwrap_or_default();
        all.push((
            protocol.get(),
            u16::try_from(first).unwrap_or_default(),
            length,
        ));
        first += 1 << bits;
    }
    all
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} endpoints, {} identities in {} ingress and {} egress classes, {} port classes",
            self.endpoints,
            self.identities,
            self.ingress_classes,
            self.egress_classes,
            self.port_classes
        )?;
        for (table, fill) in &self.tables {
            let share = u64::from(fill.used) * 100 / u64::from(fill.size.max(1));
            writeln!(
                f,
                "  {table:12} {:>8} of {:>8}  {share:>3} %",
                fill.used, fill.size
            )?;
        }
        write!(
            f,
            "  {} kB of tables, {} kB of port array and identity pages",
            self.table_bytes.div_ceil(1_000),
            self.fixed_bytes.div_ceil(1_000)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::PortMatch;
    use crate::span::{Location, Position};

    #[test]
    fn ranges_become_the_fewest_prefixes() {
        let count = |ports| {
            let location = Location::new("a.yaml", Position::START);
            let item = PortRule {
                protocol: Protocol::TCP,
                ports: PortMatch::Numbers(ports),
                redirect: None,
                location,
            };
            prefixes(&item).len()
        };
        assert_eq!(count(80..=80), 1);
        assert_eq!(count(0..=65_535), 1);
        assert_eq!(count(1..=65_535), 16);
        assert_eq!(count(1..=65_534), 30);
    }
}
