//! Ports split by the boundaries that rules name.

use std::ops::{Range, RangeInclusive};

use palisade_abi::{PortIndex, Protocol};

use super::hash::{Map, Seed, wide};
use super::logical::PortGroup;

/// Types are 8 bits wide.
const LAST_TYPE: u16 = 255;

/// The spans that rules have named, and the groups of ports that they tell apart.
///
/// Spans are only added: one that nobody names any more tells ports apart until everything is
/// counted anew.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    seed: Seed,
    /// First and last port index of each span.
    spans: Vec<(u32, u32)>,
    ids: Map<(u32, u32), u32>,
    /// First port index and group of each run, ascending from 0.
    runs: Vec<(u32, PortGroup)>,
    count: u32,
    /// How many of the spans the runs are made from.
    split: usize,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            seed: Seed::default(),
            spans: Vec::new(),
            ids: Map::default(),
            runs: vec![(0, Self::REST)],
            count: 1,
            split: 0,
        }
    }
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

    /// Whether spans have joined since the last split.
    pub(crate) const fn has_grown(&self) -> bool {
        self.split < self.spans.len()
    }

    /// How many spans there are.
    pub(crate) const fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// Cuts the ports wherever a span begins or ends.
    pub(crate) fn split(&mut self) {
        let mut edges: Vec<(u32, u128)> = vec![(0, 0)];
        for (id, (first, last)) in (0..).zip(&self.spans) {
            let weight = wide(self.seed, id);
            edges.push((*first, weight));
            edges.push((last + 1, weight.wrapping_neg()));
        }
        edges.sort_unstable_by_key(|(port, _)| *port);
        let mut by_content: Map<u128, PortGroup> = Map::default();
        by_content.insert(0, Self::REST);
        self.runs.clear();
        let mut content: u128 = 0;
        for cut in edges.chunk_by(|(a, _), (b, _)| a == b) {
            for (_, weight) in cut {
                content = content.wrapping_add(*weight);
            }
            let next = u32::try_from(by_content.len()).unwrap_or(u32::MAX);
            let group = *by_content.entry(content).or_insert(PortGroup(next));
            let start = cut.first().map_or(0, |(port, _)| *port);
            self.runs.push((start, group));
        }
        self.count = u32::try_from(by_content.len()).unwrap_or(u32::MAX);
        self.split = self.spans.len();
    }

    /// First port index and group of each run, ascending from 0.
    pub(crate) fn runs(&self) -> &[(u32, PortGroup)] {
        &self.runs
    }

    /// The groups that a span is made of, in no particular order, some more than once.
    pub(crate) fn of_span(&self, span: u32) -> impl Iterator<Item = PortGroup> {
        self.runs_of(span).map(|run| self.of_run(run))
    }

    /// The places of the runs that a span is made of.
    pub(crate) fn runs_of(&self, span: u32) -> Range<usize> {
        let (first, last) = self.spans.get(span as usize).copied().unwrap_or((1, 0));
        let from = self.runs.partition_point(|(start, _)| *start < first);
        let rest = self.runs.get(from..).unwrap_or_default();
        // Most spans are one run long.
        let mut to = from
            + rest
                .iter()
                .take(2)
                .take_while(|(start, _)| *start <= last)
                .count();
        if to == from + 2 {
            to = from + rest.partition_point(|(start, _)| *start <= last);
        }
        from..to
    }

    /// The group of the run at a place.
    pub(crate) fn of_run(&self, run: usize) -> PortGroup {
        self.runs.get(run).map_or(Self::REST, |(_, group)| *group)
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
