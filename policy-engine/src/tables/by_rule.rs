//! What each rule takes of the tables.

use std::collections::{BTreeMap, BTreeSet};

use super::Tables;
use crate::budget::{RuleCost, WORD};
use crate::compile::{Both, InForce, Map, Signature, Stands};
use crate::rule::Rule;

/// What is known of a rule while it is counted.
#[derive(Default)]
struct Tally {
    cost: Option<RuleCost>,
    sides: BTreeSet<u32>,
    port_classes: BTreeSet<u32>,
}

/// Where a rule lies in memory: it stays there while it is in force.
type Key = usize;

impl Tables {
    /// What each rule in force takes of the tables, the dearest first.
    ///
    /// Every cell and every verdict record is one rule's: that of the rule which decides there. A
    /// rule that others hide has none. What rules share is counted for none of them: lines, and the
    /// slots that lead to rows.
    pub fn budget_by_rule(&self) -> Vec<RuleCost> {
        let mut tallies: BTreeMap<Key, Tally> = BTreeMap::new();
        for rule in self.engine.logic.in_force() {
            self.count_peers(&rule, &mut tallies);
        }
        self.count_endpoints(&mut tallies);
        self.count_rows(&mut tallies);
        let costs = tallies.into_values().filter_map(|tally| {
            let cost = tally.cost?;
            Some(RuleCost {
                port_classes: tally.port_classes.len(),
                bytes: WORD * (to_u64(cost.cells) + to_u64(cost.verdicts)),
                ..cost
            })
        });
        let mut costs: Vec<RuleCost> = costs.collect();
        costs.sort_by(|a, b| {
            let sizes = (b.bytes, b.rows).cmp(&(a.bytes, a.rows));
            sizes.then_with(|| (&a.resource, &a.location).cmp(&(&b.resource, &b.location)))
        });
        costs
    }

    fn count_peers(&self, rule: &InForce<'_>, tallies: &mut BTreeMap<Key, Tally>) {
        let Some(of) = rule.stands.rule() else {
            return;
        };
        let tally = tallies.entry(key(of)).or_default();
        tally.sides.insert(rule.side);
        if tally.cost.is_some() {
            // Its peers are the same on every side.
            return;
        }
        let classes = self.engine.classes.get(rule.direction);
        let (identities, peer_classes) = match &rule.selectors {
            None => (self.engine.logic.identity_count(), classes.count()),
            Some(selectors) => {
                let matching = self.engine.logic.matching(rule.direction, selectors);
                let of = |signature: &Signature| classes.of(*signature).iter();
                let sizes = matching.iter().flat_map(of);
                let sizes = sizes.map(|class| classes.members(*class).len());
                let sizes: Vec<usize> = sizes.filter(|size| *size > 0).collect();
                (sizes.iter().sum(), sizes.len())
            }
        };
        tally.cost = Some(RuleCost {
            resource: of.resource.clone(),
            location: of.location.clone(),
            direction: of.direction,
            endpoints: 0,
            identities,
            peer_classes,
            port_classes: 0,
            rows: 0,
            cells: 0,
            verdicts: 0,
            bytes: 0,
        });
    }

    fn count_endpoints(&self, tallies: &mut BTreeMap<Key, Tally>) {
        let mut of_side: Map<u32, usize> = Map::default();
        for (_, Both { ingress, egress }) in self.engine.logic.of_endpoints() {
            for side in [ingress, egress] {
                *of_side.entry(side).or_default() += 1;
            }
        }
        for tally in tallies.values_mut() {
            let sides = tally.sides.iter();
            let endpoints = sides.filter_map(|side| of_side.get(side)).sum();
            if let Some(cost) = &mut tally.cost {
                cost.endpoints = endpoints;
            }
        }
    }

    fn count_rows(&self, tallies: &mut BTreeMap<Key, Tally>) {
        let decides = |cookie| self.cookies.stands(cookie).and_then(Stands::rule).map(key);
        let records = self.state.records.iter();
        let deciders: Map<u32, Key> = records
            .filter_map(|(index, verdict)| Some((index, decides(verdict.cookie())?)))
            .collect();
        for one in deciders.values() {
            if let Some(cost) = cost_of(tallies, *one) {
                cost.verdicts += 1;
            }
        }
        let live = self.state.ports.live();
        let live: BTreeSet<u32> = live.into_iter().collect();
        for (_, entry) in self.state.rows.iter() {
            let mut here: BTreeSet<Key> =
                deciders.get(&entry.default).copied().into_iter().collect();
            for (class, cell) in entry.exceptions().filter(|one| live.contains(&one.0)) {
                let Some(one) = deciders.get(&cell) else {
                    continue;
                };
                here.insert(*one);
                if let Some(tally) = tallies.get_mut(one) {
                    tally.port_classes.insert(class);
                }
                if let Some(cost) = cost_of(tallies, *one) {
                    cost.cells += 1;
                }
            }
            for one in here {
                if let Some(cost) = cost_of(tallies, one) {
                    cost.rows += 1;
                }
            }
        }
    }
}

fn cost_of(tallies: &mut BTreeMap<Key, Tally>, key: Key) -> Option<&mut RuleCost> {
    tallies.get_mut(&key)?.cost.as_mut()
}

fn key(rule: &Rule) -> Key {
    std::ptr::from_ref(rule).addr()
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
