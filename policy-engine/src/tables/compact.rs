//! Classes that mean the same become one again.

use std::collections::BTreeMap;

use palisade_abi::{Cookie, Direction, Identity, PeerClass, PeerClasses, Write};

use super::engine::Engine;
use super::image::{Image, class};
use super::overlay::Overlay;
use super::plan::rows_in_force;
use super::state::State;
use crate::compile::Both;

/// Moves identities and ports out of classes that double others and lets a grace period pass, so
/// that the numbers are free, and gives up the rows that nothing leads to. Reads the same before,
/// between and after. Returns the writes, and the cookies that no verdict names any more.
pub(super) fn merge(
    engine: &mut Engine,
    state: &mut State,
    image: &mut Image,
) -> (Vec<Write>, Vec<Cookie>) {
    let mut writes = Vec::new();
    let in_force = rows_in_force(engine, state);
    let retired = state.sweep(&in_force);
    let rows: Vec<u32> = state.rows.iter().map(|(row, _)| row).collect();
    let ports = pairs(state.ports.of_groups(), &state.rows, &rows);
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
    if !writes.is_empty() || state.waits() {
        writes.push(Write::Grace);
        state.grace();
    }
    image.store_all(&writes);
    (writes, retired)
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
