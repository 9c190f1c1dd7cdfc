//! Ports split by the boundaries that rules name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use palisade_abi::{PortIndex, Protocol};

use super::logical::PortGroup;

/// Types are 8 bits wide.
const LAST_TYPE: u16 = 255;

/// The spans that rules name, and the groups of ports that they tell apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    /// First and last port index of each span.
    spans: Vec<(u32, u32)>,
    ids: HashMap<(u32, u32), u32>,
    /// The groups that each span is made of.
    of_span: Vec<Vec<PortGroup>>,
    count: u32,
}

impl Groups {
    /// The ports that no rule names.
    pub(crate) const REST: PortGroup = PortGroup(0);

    /// The place of the span of some ports, which joins those in force.
    pub(crate) fn intern(&mut self, protocol: Protocol, ports: RangeInclusive<u16>) -> u32 {
        let span = span(protocol, &ports);
        if let Some(id) = self.ids.get(&span) {
            return *id;
        }
        let id = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.spans.push(span);
        self.ids.insert(span, id);
        id
    }

    /// Cuts the ports wherever a span begins or ends: first port and group of each run.
    pub(crate) fn split(&mut self) -> Vec<(u32, PortGroup)> {
        let mut edges: BTreeMap<u32, (Vec<u32>, Vec<u32>)> =
            BTreeMap::from([(0, Default::default())]);
        for (id, (first, last)) in (0..).zip(&self.spans) {
            edges.entry(*first).or_default().0.push(id);
            edges.entry(last + 1).or_default().1.push(id);
        }
        let mut inside: BTreeSet<u32> = BTreeSet::new();
        let mut by_content: HashMap<Vec<u32>, PortGroup> =
            HashMap::from([(Vec::new(), Self::REST)]);
        let mut runs = Vec::with_capacity(edges.len());
        for (port, (begin, end)) in edges {
            inside.extend(begin);
            for id in end {
                inside.remove(&id);
            }
            let content: Vec<u32> = inside.iter().copied().collect();
            let next = u32::try_from(by_content.len()).unwrap_or(u32::MAX);
            let group = *by_content.entry(content).or_insert(PortGroup(next));
            runs.push((port, group));
        }
        self.count = u32::try_from(by_content.len()).unwrap_or(u32::MAX);
        self.of_span = vec![Vec::new(); self.spans.len()];
        for (content, group) in by_content {
            for id in content {
                if let Some(groups) = self.of_span.get_mut(id as usize) {
                    groups.push(group);
                }
            }
        }
        runs
    }

    /// The groups that a span is made of, in no particular order.
    pub(crate) fn of_span(&self, span: u32) -> &[PortGroup] {
        self.of_span.get(span as usize).map_or(&[], AsRef::as_ref)
    }

    /// How many groups there are.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }
}

/// The first and last port index of some ports.
fn span(protocol: Protocol, ports: &RangeInclusive<u16>) -> (u32, u32) {
    let last = match protocol {
        Protocol::ICMP | Protocol::ICMPV6 => (*ports.end()).min(LAST_TYPE),
        _ => *ports.end(),
    };
    let index = |port| PortIndex::new(protocol, port).get();
    let first = index(*ports.start());
    (first, index(last).max(first))
}
