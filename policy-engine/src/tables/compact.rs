//! Classes that mean the same become one again.

use std::collections::BTreeMap;

use palisade_abi::{Direction, Identity, PeerClass, PeerClasses, Write};

use super::engine::Engine;
use super::image::{Image, class};
use super::overlay::Overlay;
use super::state::State;
use crate::compile::Both;

/// Moves identities and ports out of classes that double others and lets a grace period pass, so
/// that the numbers are free. Reads the same before, between and after.
pub(super) fn merge(engine: &mut Engine, state: &mut State, image: &mut Image) -> Vec<Write> {
    let mut writes = Vec::new();
    let rows: Vec<u32> = state.rows.iter().map(|(row, _)| row).collect();
    let ports = pairs(state.ports.of_group.values_mut(), &state.rows, &rows);
    state.ports.merge(&ports, &mut writes);
    let peers = Both::new(|direction| {
        let sides = engine.logic.sides();
        let of_direction = sides.filter(|(_, sided)| sided.direction == direction);
        let policies: Vec<u32> = of_direction
            .filter_map(|(side, _)| engine.policies.get(&side).copied())
            .collect();
        let mut doubles = engine.classes.get(direction).doubles();
        pairs(doubles.iter_mut(), &state.policies, &policies)
    });
    writes.extend(moves(image, &peers));
    for direction in Direction::BOTH {
        let classes = engine.classes.get_mut(direction);
        for (from, into) in peers.get(direction) {
            for number in classes.members(*from).to_vec() {
                classes.take(number);
                classes.put(number, *into);
            }
            classes.remove(*from);
            state.classes.get_mut(direction).retire(*from);
        }
    }
    if !writes.is_empty() {
        writes.push(Write::Grace);
        state.grace();
    }
    image.store_all(&writes);
    writes
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
