//! Classes that mean the same become one again.

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{Direction, Identity, PeerClass, PeerClasses, Write};

use super::image::{Image, class};
use super::overlay::Overlay;
use super::state::State;
use crate::compile::Both;

/// Doubles that are not worth a move.
const SPARE: usize = 64;

impl State {
    /// Whether more than half of the classes only double others.
    pub(super) fn is_crowded(&self) -> bool {
        let crowded = |groups: usize, classes: usize| classes > 2 * groups + SPARE;
        let ports = self.port_groups.values().map(Vec::len).sum();
        crowded(self.port_groups.len(), ports)
            || Direction::BOTH.into_iter().any(|direction| {
                let peers = self.peers.get(direction);
                crowded(peers.of.len(), peers.of.values().map(Vec::len).sum())
            })
    }
}

/// Moves identities and ports out of classes that double others and lets a grace period pass, so
/// that the numbers are free. Reads the same before, between and after.
pub(super) fn merge(state: &State, image: &Image) -> (State, Image, Vec<Write>) {
    let mut state = state.clone();
    let mut writes = Vec::new();
    let rows: Vec<u32> = state.rows.iter().map(|(row, _)| row).collect();
    let ports = pairs(state.port_groups.values_mut(), &state.rows, &rows);
    state.ports.merge(&ports, &mut writes);
    let peers = Both::new(|direction| {
        let policies: Vec<u32> = state.users(direction).into_keys().collect();
        let of = &mut state.peers.get_mut(direction).of;
        pairs(of.values_mut(), &state.policies, &policies)
    });
    writes.extend(moves(image, &peers));
    for direction in Direction::BOTH {
        let gone: BTreeSet<u32> = peers.get(direction).keys().copied().collect();
        let of = state.peers.get_mut(direction);
        let live = of.live.difference(&gone).copied().collect();
        of.replace_live(live);
    }
    let mut image = image.clone();
    if !writes.is_empty() {
        writes.push(Write::Grace);
        state.grace();
    }
    image.store_all(&writes);
    (state, image, writes)
}

/// The classes that are given up and the ones that their members go to.
fn pairs<'a>(
    groups: impl Iterator<Item = &'a mut Vec<u32>>,
    level: &Overlay,
    lines: &[u32],
) -> BTreeMap<u32, u32> {
    let mut pairs = BTreeMap::new();
    for classes in groups {
        let Some(into) = classes.iter().min().copied() else {
            continue;
        };
        classes.retain(|class| {
            let differs = |line: &u32| level.at(*line, *class) != level.at(*line, into);
            let stays = *class == into || lines.iter().any(differs);
            if !stays {
                pairs.insert(*class, into);
            }
            stays
        });
    }
    pairs
}

fn moves(image: &Image, pairs: &Both<BTreeMap<u32, u32>>) -> Vec<Write> {
    let moved = |classes: PeerClasses, direction| {
        let old = class(classes, direction);
        PeerClass::new(pairs.get(direction).get(&old).copied().unwrap_or(old))
    };
    let word = |(identity, old): (Identity, PeerClasses)| {
        let ingress = moved(old, Direction::Ingress);
        let new = PeerClasses::new(ingress, moved(old, Direction::Egress));
        (new != old).then_some(Write::PeerClasses(identity, new))
    };
    image.classified().filter_map(word).collect()
}
