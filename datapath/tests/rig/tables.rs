//! A compiler too simple to be wrong: one row per (policy, identity), every cell an exception.

use std::collections::BTreeMap;

use palisade_abi::{
    Direction, EndpointId, Identity, Line, PeerClass, PeerClasses, PolicyId, PolicyPair, PortClass,
    PortIndex, Protocol, RowId, Slot, Verdict, VerdictIndex, Write,
};

/// What an endpoint's policy says; the first rule that matches decides.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub endpoint: EndpointId,
    pub direction: Direction,
    /// The peer, or anybody.
    pub peer: Option<Identity>,
    /// The port, or every port.
    pub port: Option<(Protocol, u16)>,
    pub verdict: Verdict,
}

/// The writes that put the rules in force, for tables that hold nothing or other rules of this kind
/// about the same endpoints, identities and ports.
pub fn compile(rules: &[Rule], identities: &[Identity]) -> Vec<Write> {
    let ports: Vec<PortIndex> = distinct(rules.iter().filter_map(|rule| {
        let (protocol, port) = rule.port?;
        Some(PortIndex::new(protocol, port))
    }));
    let endpoints: Vec<EndpointId> = distinct(rules.iter().map(|rule| rule.endpoint));
    let mut writes = Vec::new();
    let mut verdicts = Verdicts::default();
    let mut policies = 0_u32;
    let (width, depth) = (identities.len() as u32 + 1, ports.len() as u32 + 1);
    let mut pairs: BTreeMap<EndpointId, [u32; 2]> = BTreeMap::new();
    for endpoint in endpoints {
        for direction in Direction::BOTH {
            policies += 1;
            pairs.entry(endpoint).or_default()[direction as usize] = policies;
            let line = 1 + (policies - 1) * width;
            for class in 0..width {
                let row = 1 + (policies - 1) * width + class;
                let cells = 1 + (row - 1) * depth;
                let peer = class.checked_sub(1).map(|c| identities[c as usize]);
                for column in 0..depth {
                    let port = column.checked_sub(1).map(|c| ports[c as usize]);
                    let verdict = decide(rules, endpoint, direction, peer, port);
                    let cell = Slot::cell(cells, verdicts.index(verdict));
                    writes.push(Write::CellSlot(cells + column, cell));
                }
                let base = Line {
                    base: cells,
                    default: 0,
                };
                writes.push(Write::RowLine(RowId::new(row), base));
                writes.push(Write::RowSlot(
                    line + class,
                    Slot::row(line, RowId::new(row)),
                ));
            }
            let base = Line {
                base: line,
                default: 0,
            };
            writes.push(Write::PolicyLine(PolicyId::new(policies), base));
        }
    }
    writes.extend(classes(&ports, identities));
    for (endpoint, [ingress, egress]) in pairs {
        let pair = PolicyPair::new(PolicyId::new(ingress), PolicyId::new(egress));
        writes.push(Write::PolicyOf(endpoint, pair));
    }
    let mut all = verdicts.writes();
    all.extend(writes);
    all.push(Write::Generation);
    all
}

/// Class 0 is left to whatever no rule speaks of.
fn classes(ports: &[PortIndex], identities: &[Identity]) -> Vec<Write> {
    let ports = ports.iter().zip(1..);
    let ports = ports.map(|(port, class)| Write::PortClass(*port, PortClass::new(class)));
    let identities = identities.iter().zip(1..).map(|(identity, class)| {
        let class = PeerClass::new(class);
        Write::PeerClasses(*identity, PeerClasses::new(class, class))
    });
    ports.chain(identities).collect()
}

fn decide(
    rules: &[Rule],
    endpoint: EndpointId,
    direction: Direction,
    peer: Option<Identity>,
    port: Option<PortIndex>,
) -> Verdict {
    let matching = rules.iter().find(|rule| {
        let at = rule
            .port
            .map(|(protocol, port)| PortIndex::new(protocol, port));
        rule.endpoint == endpoint
            && rule.direction == direction
            && (rule.peer.is_none() || rule.peer == peer)
            && (at.is_none() || at == port)
    });
    matching.map_or(Verdict::default(), |rule| rule.verdict)
}

#[derive(Default)]
struct Verdicts(Vec<Verdict>);

impl Verdicts {
    fn index(&mut self, verdict: Verdict) -> VerdictIndex {
        if verdict == Verdict::default() {
            return VerdictIndex::new(0);
        }
        let found = self.0.iter().position(|known| *known == verdict);
        let index = found.unwrap_or_else(|| {
            self.0.push(verdict);
            self.0.len() - 1
        });
        VerdictIndex::new(index as u16 + 1)
    }

    fn writes(&self) -> Vec<Write> {
        let numbered = self.0.iter().zip(1..);
        numbered
            .map(|(verdict, index)| Write::Verdict(VerdictIndex::new(index), *verdict))
            .collect()
    }
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items.dedup();
    items
}
