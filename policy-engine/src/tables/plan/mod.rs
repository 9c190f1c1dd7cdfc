//! How what is in force becomes what is wanted, without a reader ever seeing half of it.
//!
//! A reader loads its endpoint's policies, the port's class, the peer's classes, and then follows
//! lines and slots down to a verdict. So everything it could be led to is written before what leads
//! there:
//!
//! 1. verdict records;
//! 2. port classes are split: the columns of the new classes in every row in force, then the ports;
//! 3. rows;
//! 4. peer classes are split: the columns of the new classes in every policy in force;
//! 5. policies;
//! 6. the identities move, one word each;
//! 7. the endpoints are switched, one word each;
//! 8. the generation, a grace period, and what was replaced may be used again.

mod lines;
mod regroup;

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{
    Cookie, Direction, EndpointId, Identity, PeerClass, PeerClasses, PolicyId, PolicyPair, Write,
};

use self::regroup::Leaving;
use super::LoadOrder;
use super::engine::Engine;
use super::error::Error;
use super::image::{Image, class};
use super::overlay::Moved;
use super::state::{Marks, State, policy_of};
use crate::compile::{Basis, Both, Decisions, Delta, Given, Signature};

/// What a change comes to.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) writes: Vec<Write>,
    pub(super) given: Given,
    /// The cookies that no verdict names any more.
    pub(super) retired: Vec<Cookie>,
}

/// Makes the writes of a change that the logic has taken in.
///
/// On an error the state is to be rolled back, and the classes to be attached anew.
pub(super) fn make(
    engine: &mut Engine,
    state: &mut State,
    image: &Image,
    delta: &Delta,
    basis: Basis<'_>,
    order: LoadOrder,
) -> Result<Planned, Error> {
    let decisions = Decisions::new(basis.cookies, &engine.logic.groups);
    let mut plan = Plan {
        engine,
        state,
        image,
        delta,
        basis,
        order,
        decisions,
        writes: Vec::new(),
    };
    let leaving = plan.regroup();
    let draft = plan.draft(&leaving);
    let (numbers, ports_moved) = plan.rows()?;
    let Both { ingress, egress } = leaving;
    let ingress = plan.direction(Direction::Ingress, ingress, &draft, &numbers)?;
    let egress = plan.direction(Direction::Egress, egress, &draft, &numbers)?;
    let both = Both { ingress, egress };
    let moves = plan.moves(&both);
    let switches = plan.switches(&both);
    let switched = !switches.is_empty();
    let Moves { words, forgotten } = moves;
    plan.put_in_force(&both, words, switches, ports_moved);
    let changed = switched || both.ingress.known_change || both.egress.known_change;
    let retired = plan.finish(&both, forgotten, changed);
    Ok(Planned {
        writes: plan.writes,
        given: plan.decisions.given,
        retired,
    })
}

struct Plan<'a> {
    engine: &'a mut Engine,
    state: &'a mut State,
    image: &'a Image,
    delta: &'a Delta,
    basis: Basis<'a>,
    order: LoadOrder,
    decisions: Decisions,
    writes: Vec<Write>,
}

/// Identities on their way to another class.
struct Moves {
    words: Vec<(Identity, PeerClasses)>,
    /// Those that are to be forgotten once nobody can tell the class they have from the unknown one.
    forgotten: Vec<Identity>,
}

/// What became of one direction.
struct Outcome {
    leaving: Vec<Leaving>,
    /// The class that each leaving group goes to.
    destinations: Vec<u32>,
    /// Classes of identities that are on their way out.
    parting: Vec<u32>,
    /// The policies of new sides.
    numbers: BTreeMap<u32, u32>,
    /// Sides that stay and whose policy is another one now.
    replaced: Vec<u32>,
    /// Policies that are given up.
    gone: Vec<u32>,
    relocated: Moved,
    /// Whether for some identity moving is a change.
    change: bool,
    /// Whether it is for one that was known.
    known_change: bool,
}

impl Plan<'_> {
    /// Verdicts, port classes, rows; returns the number of every row that was decided.
    fn rows(&mut self) -> Result<(Vec<u32>, Moved), Error> {
        let mut verdicts = Vec::with_capacity(self.decisions.verdicts.len());
        for verdict in &self.decisions.verdicts {
            verdicts.push(self.state.records.intern(*verdict, &mut self.writes)?);
        }
        let verdict = |place: u32| verdicts.get(place as usize).copied().unwrap_or_default();
        let mut ports_moved = Moved::No;
        if self.engine.ports_differ() {
            let groups = self.engine.logic.groups.runs();
            let (ports, rows) = (&mut self.state.ports, &mut self.state.rows);
            ports_moved = ports.refine(groups, rows, self.order, &mut self.writes)?;
            self.engine.ports_agree();
        }
        let mut numbers = vec![0; self.decisions.rows.len()];
        let mut wanted: Vec<_> = self.decisions.rows.iter().zip(numbers.iter_mut()).collect();
        let cells: usize = wanted.iter().map(|(row, _)| row.exceptions.len() + 1).sum();
        self.writes.reserve(cells);
        // Long lines first: short ones fit into the gaps that are left.
        wanted.sort_by_key(|(row, _)| std::cmp::Reverse(row.exceptions.len()));
        for (row, number) in wanted {
            let default = verdict(row.default);
            let mut columns: Vec<(u32, u32)> = Vec::with_capacity(row.exceptions.len());
            for (group, cell) in &row.exceptions {
                let cell = verdict(*cell);
                if cell != default {
                    let classes = self.state.ports.of_group(*group).iter();
                    columns.extend(classes.map(|class| (*class, cell)));
                }
            }
            columns.sort_unstable();
            let rows = &mut self.state.rows;
            let key = rows.key(default, columns.iter().copied());
            *number = match rows.find(key, default, &columns) {
                Some(number) => number,
                None => rows.add_row(key, default, columns, &mut self.writes)?,
            };
        }
        Ok((numbers, ports_moved))
    }

    /// The identities whose classes change.
    fn moves(&mut self, both: &Both<Outcome>) -> Moves {
        let mut known: Vec<(Identity, u32)> = Vec::new();
        let mut seen = Marks::default();
        let mut gone: BTreeMap<Identity, Both<Option<u32>>> = BTreeMap::new();
        for direction in Direction::BOTH {
            let outcome = both.get(direction);
            let classes = self.engine.classes.get_mut(direction);
            for (group, to) in outcome.leaving.iter().zip(&outcome.destinations) {
                for mover in &group.movers {
                    if let Some(before) = mover.before {
                        classes.take(before);
                    }
                    let Some(now) = mover.now else {
                        *gone.entry(mover.identity).or_default().get_mut(direction) = Some(*to);
                        continue;
                    };
                    classes.put(now, *to);
                    if !seen.has(now) {
                        seen.mark(now);
                        known.push((mover.identity, now));
                    }
                }
            }
        }
        let Both { ingress, egress } = &self.engine.classes;
        let known = known.into_iter().map(|(identity, now)| {
            let (ingress, egress) = (ingress.home(now), egress.home(now));
            (
                identity,
                PeerClasses::new(PeerClass::new(ingress), PeerClass::new(egress)),
            )
        });
        let image = self.image;
        let mut forgotten = Vec::new();
        let gone = gone.into_iter().map(|(identity, to)| {
            let before = image.peer_classes(identity);
            let part = |direction| {
                let to = *to.get(direction);
                PeerClass::new(to.unwrap_or_else(|| class(before, direction)))
            };
            let word = PeerClasses::new(part(Direction::Ingress), part(Direction::Egress));
            if word != before && word != PeerClasses::default() {
                forgotten.push(identity);
            }
            (identity, word)
        });
        let words = known.chain(gone);
        let words = words.filter(|(identity, word)| image.peer_classes(*identity) != *word);
        let words = words.collect();
        Moves { words, forgotten }
    }

    /// The endpoints whose policies change.
    fn switches(&mut self, both: &Both<Outcome>) -> Vec<Write> {
        for direction in Direction::BOTH {
            for (side, policy) in &both.get(direction).numbers {
                self.engine.policies.insert(*side, *policy);
            }
        }
        let policies = &self.engine.policies;
        let policy = |side: u32| PolicyId::new(policies.get(&side).copied().unwrap_or_default());
        let mut wanted: BTreeMap<EndpointId, PolicyPair> = BTreeMap::new();
        if self.engine.found {
            let found = self.image.enforced();
            wanted.extend(found.map(|(endpoint, _)| (endpoint, PolicyPair::default())));
        }
        let mut changed = self.delta.sides.endpoints.clone();
        if !both.ingress.replaced.is_empty() || !both.egress.replaced.is_empty() {
            let all = self.engine.logic.of_endpoints();
            changed.extend(all.map(|(endpoint, sides)| (endpoint, Some(sides))));
        }
        for (endpoint, sides) in &changed {
            let pair = sides.map_or_else(PolicyPair::default, |sides| {
                PolicyPair::new(policy(sides.ingress), policy(sides.egress))
            });
            wanted.insert(*endpoint, pair);
        }
        let differing = wanted
            .into_iter()
            .filter(|(endpoint, pair)| self.image.policies_of(*endpoint) != *pair);
        differing
            .map(|(endpoint, pair)| Write::PolicyOf(endpoint, pair))
            .collect()
    }

    /// Moves the identities, then switches the endpoints.
    fn put_in_force(
        &mut self,
        both: &Both<Outcome>,
        moves: Vec<(Identity, PeerClasses)>,
        switches: Vec<Write>,
        ports_moved: Moved,
    ) {
        let ports_moved = ports_moved == Moved::Yes;
        let any_order = self.order == LoadOrder::Any;
        // A reader that still holds the old class of a port must not meet a row that was made for
        // the new ones. One that may load a line before the class must not hold the line's old place.
        let new_rows = ports_moved && (both.ingress.change || both.egress.change);
        let relocated = [both.ingress.relocated, both.egress.relocated].contains(&Moved::Yes);
        if !moves.is_empty() && (new_rows || any_order && relocated) {
            self.writes.push(Write::Grace);
        }
        // What was loaded before the moves must not meet the policies that follow.
        let wait = any_order && !switches.is_empty() && (ports_moved || !moves.is_empty());
        let moves = moves
            .into_iter()
            .map(|(identity, word)| Write::PeerClasses(identity, word));
        self.writes.extend(moves);
        self.writes.extend(wait.then_some(Write::Grace));
        self.writes.extend(switches);
    }

    /// Ends the plan: the generation, and what becomes free. Returns the cookies that do.
    fn finish(
        &mut self,
        both: &Both<Outcome>,
        forgotten: Vec<Identity>,
        changed: bool,
    ) -> Vec<Cookie> {
        if changed {
            self.writes.push(Write::Generation);
        }
        for direction in Direction::BOTH {
            for policy in &both.get(direction).gone {
                self.state.policies.retire(*policy);
            }
            if self.engine.found {
                self.forget_classes(direction);
            }
        }
        for side in &self.delta.sides.gone {
            self.engine.policies.remove(side);
        }
        let retired = if self.state.policies.is_littered() {
            let rows = rows_in_force(self.engine, self.state);
            self.state.sweep(&rows)
        } else {
            Vec::new()
        };
        if self.writes.is_empty() {
            return retired;
        }
        if self.state.waits() || !forgotten.is_empty() {
            self.writes.push(Write::Grace);
            self.state.grace();
        }
        let zero = PeerClasses::default();
        let zeros = forgotten.into_iter();
        self.writes
            .extend(zeros.map(|one| Write::PeerClasses(one, zero)));
        for direction in Direction::BOTH {
            for class in &both.get(direction).parting {
                self.state.classes.get_mut(direction).retire(*class);
            }
        }
        retired
    }

    /// Gives up the classes of which nobody remembers what they meant.
    fn forget_classes(&mut self, direction: Direction) {
        let classes = self.engine.classes.get_mut(direction);
        let gone: Vec<u32> = classes
            .iter()
            .filter(|class| classes.meaning(*class) == Signature::UNKNOWN)
            .collect();
        for class in gone {
            classes.remove(class);
            self.state.classes.get_mut(direction).retire(class);
        }
    }

    /// The policies in force of one direction that no side has any more.
    fn draining(&self, direction: Direction) -> BTreeSet<u32> {
        if self.engine.found {
            let pairs = self.image.enforced();
            let found = pairs.map(|(_, pair)| policy_of(pair, direction));
            return found.filter(|policy| *policy != 0).collect();
        }
        let gone = self.delta.sides.gone.iter().filter(|side| {
            let sided = self.engine.logic.side(**side);
            sided.is_some_and(|sided| sided.direction == direction)
        });
        gone.filter_map(|side| self.engine.policies.get(side))
            .copied()
            .filter(|policy| *policy != 0)
            .collect()
    }

    /// The sides of one direction that stay, and their policies.
    fn kept(&self, direction: Direction) -> Vec<(u32, u32)> {
        let gone: BTreeSet<u32> = self.delta.sides.gone.iter().copied().collect();
        let sides = self.engine.logic.sides();
        sides
            .filter(|(side, sided)| sided.direction == direction && !gone.contains(side))
            .filter_map(|(side, _)| Some((side, *self.engine.policies.get(&side)?)))
            .collect()
    }
}

/// The rows that policies in force lead to, for classes in force.
pub(super) fn rows_in_force(engine: &Engine, state: &State) -> Marks {
    let mut rows = Marks::default();
    for (side, sided) in engine.logic.sides() {
        let policy = engine.policies.get(&side);
        let Some(entry) = policy.and_then(|policy| state.policies.get(*policy)) else {
            continue;
        };
        let classes = engine.classes.get(sided.direction);
        rows.mark(entry.default);
        let exceptions = entry.exceptions();
        for (_, row) in exceptions.filter(|(class, _)| classes.is_live(*class)) {
            rows.mark(row);
        }
    }
    rows
}
