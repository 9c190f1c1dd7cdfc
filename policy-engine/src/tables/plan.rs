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

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{
    Direction, EndpointId, Identity, PeerClass, PeerClasses, PolicyId, PolicyPair, Write,
};

use super::LoadOrder;
use super::error::Error;
use super::image::Image;
use super::keep::{Comparison, Fates, Users};
use super::overlay::Moved;
use super::peers::{Destinations, Groups, grouped};
use super::state::State;
use crate::compile::{Both, Content, Logical, Signature};

/// Makes a plan and the state after it.
pub(super) fn make(
    state: &State,
    image: &Image,
    target: &Logical,
    relabelled: &BTreeSet<Identity>,
    order: LoadOrder,
) -> Result<(State, Vec<Write>), Error> {
    let mut plan = Plan {
        state: state.clone(),
        image,
        target,
        order,
        writes: Vec::new(),
    };
    let rows = plan.rows()?;
    let ingress = plan.direction(Direction::Ingress, relabelled, &rows)?;
    let egress = plan.direction(Direction::Egress, relabelled, &rows)?;
    let both = Both { ingress, egress };
    let moves = plan.moves(&both);
    let switches = plan.switches(&both);
    let switched = !switches.is_empty();
    let forgotten = plan.put_in_force(&both, moves, switches, rows.ports_moved);
    let changed = switched || both.ingress.known_change || both.egress.known_change;
    plan.finish(both, forgotten, changed);
    Ok((plan.state, plan.writes))
}

struct Plan<'a> {
    state: State,
    image: &'a Image,
    target: &'a Logical,
    order: LoadOrder,
    writes: Vec<Write>,
}

/// The rows in force of the new rows.
struct Rows {
    numbers: Vec<u32>,
    /// Row in force → the one that stands for all its equals.
    canonical: BTreeMap<u32, u32>,
    ports_moved: Moved,
}

/// What became of one direction.
struct Outcome {
    groups: Groups,
    destinations: Destinations,
    /// Place of a new policy → its number.
    numbers: BTreeMap<u32, u32>,
    relocated: Moved,
    /// Whether for some identity moving is a change.
    change: bool,
    /// Whether it is for one that was known.
    known_change: bool,
}

/// A row seen as verdicts by class.
type Cells = (u32, Vec<(u32, u32)>);

impl Plan<'_> {
    /// Verdicts, port classes, rows.
    fn rows(&mut self) -> Result<Rows, Error> {
        let mut verdicts = Vec::with_capacity(self.target.verdicts.len());
        for verdict in &self.target.verdicts {
            verdicts.push(self.state.records.intern(*verdict, &mut self.writes)?);
        }
        let verdict = |place: u32| verdicts.get(place as usize).copied().unwrap_or_default();
        let refined = self.state.ports.refine(
            &self.target.ports,
            &mut self.state.rows,
            self.order,
            &mut self.writes,
        )?;
        let (mut by_cells, canonical) = self.rows_in_force();
        let mut numbers = vec![0; self.target.rows.len()];
        let mut wanted: Vec<_> = self.target.rows.iter().zip(numbers.iter_mut()).collect();
        // Long lines first: short ones fit into the gaps that are left.
        wanted.sort_by_key(|(row, _)| std::cmp::Reverse(row.exceptions.len()));
        for (row, number) in wanted {
            let default = verdict(row.default);
            let columns = row.exceptions.iter().flat_map(|(group, cell)| {
                let classes = refined.classes.get(group);
                classes
                    .into_iter()
                    .flatten()
                    .map(|class| (*class, verdict(*cell)))
            });
            let columns: BTreeMap<u32, u32> =
                columns.filter(|(_, cell)| *cell != default).collect();
            let cells: Cells = (default, columns.clone().into_iter().collect());
            *number = if let Some(number) = by_cells.get(&cells) {
                *number
            } else {
                let number = self.state.rows.add(default, columns, &mut self.writes)?;
                by_cells.insert(cells, number);
                number
            };
        }
        self.state.port_groups = refined.classes;
        Ok(Rows {
            numbers,
            canonical,
            ports_moved: refined.moved,
        })
    }

    /// The rows in force by what they say, and which of them say the same.
    fn rows_in_force(&self) -> (BTreeMap<Cells, u32>, BTreeMap<u32, u32>) {
        let live = self.state.ports.live();
        let records = &self.state.records;
        let mut by_cells = BTreeMap::from([((0, Vec::new()), 0)]);
        let mut canonical = BTreeMap::new();
        for (number, entry) in self.state.rows.iter() {
            let default = records.canonical(entry.default);
            let columns = entry
                .exceptions
                .iter()
                .filter(|(class, _)| live.contains(class))
                .map(|(class, cell)| (*class, records.canonical(*cell)))
                .filter(|(_, cell)| *cell != default)
                .collect();
            let first = *by_cells.entry((default, columns)).or_insert(number);
            canonical.insert(number, first);
        }
        (by_cells, canonical)
    }

    /// The peer classes and policies of one direction.
    fn direction(
        &mut self,
        direction: Direction,
        relabelled: &BTreeSet<Identity>,
        rows: &Rows,
    ) -> Result<Outcome, Error> {
        let groups = Groups::new(self.image, self.target, relabelled, direction);
        let contents: BTreeMap<u32, &Content> = (0..)
            .zip(&self.target.policies)
            .filter(|(_, content)| content.direction == direction)
            .collect();
        let comparison = Comparison {
            groups: &groups,
            policies: &self.state.policies,
            canonical: &rows.canonical,
            rows: &rows.numbers,
        };
        let fates = comparison.fates(&self.users(direction), &contents);
        let peers = self.state.peers.get_mut(direction);
        let destinations = Destinations::find(&groups, &mut peers.numbers, |class| {
            let draining = fates.draining.iter();
            draining
                .map(|policy| comparison.row_at(*policy, class))
                .collect()
        })?;
        let (change, known_change) = changes(&comparison, &fates, &contents);
        let columns = columns(&comparison, &fates, &destinations, &contents);
        let mut relocated = Moved::No;
        for (policy, columns) in columns {
            let is_dead = |class| !groups.before.contains(&class);
            let moved = self
                .state
                .policies
                .set(policy, &columns, is_dead, &mut self.writes)?;
            if moved == Moved::Yes {
                relocated = Moved::Yes;
            }
        }
        let mut outcome = Outcome {
            numbers: fates
                .kept
                .iter()
                .map(|(policy, place)| (*place, *policy))
                .collect(),
            groups,
            destinations,
            relocated,
            change,
            known_change,
        };
        self.policies(&contents, rows, &mut outcome)?;
        Ok(outcome)
    }

    fn users(&self, direction: Direction) -> Users {
        let wanted = |endpoint: &EndpointId| {
            let places = self.target.endpoints.get(endpoint);
            places.map(|places| *places.get(direction))
        };
        let users = self.state.users(direction).into_iter();
        users
            .map(|(policy, endpoints)| {
                let endpoints = endpoints.into_iter();
                (policy, endpoints.map(|one| (one, wanted(&one))).collect())
            })
            .collect()
    }

    /// Writes the policies that no policy in force goes on as.
    fn policies(
        &mut self,
        contents: &BTreeMap<u32, &Content>,
        rows: &Rows,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let row = |place: u32| {
            rows.numbers
                .get(place as usize)
                .copied()
                .unwrap_or_default()
        };
        let classes = outcome.classes();
        let mut fresh: Vec<(u32, &Content)> = contents
            .iter()
            .filter(|(place, _)| !outcome.numbers.contains_key(place))
            .map(|(place, content)| (*place, *content))
            .collect();
        fresh.sort_by_key(|(_, content)| std::cmp::Reverse(content.exceptions.len()));
        for (place, content) in fresh {
            let unknown = (Signature::UNKNOWN, content.unknown);
            let exceptions = content.exceptions.iter().chain([&unknown]);
            let columns = exceptions.flat_map(|(signature, place)| {
                let classes = classes.get(signature).into_iter().flatten();
                classes.map(|class| (*class, row(*place)))
            });
            let columns = columns.collect();
            let number =
                self.state
                    .policies
                    .add(row(content.default), columns, &mut self.writes)?;
            outcome.numbers.insert(place, number);
        }
        Ok(())
    }

    /// The identities whose classes change.
    fn moves(&self, both: &Both<Outcome>) -> Vec<(Identity, PeerClasses)> {
        let mut words: BTreeMap<Identity, Both<u32>> = BTreeMap::new();
        for direction in Direction::BOTH {
            let outcome = both.get(direction);
            for (identity, group) in grouped(self.image, self.target, direction) {
                let class = outcome
                    .destinations
                    .of
                    .get(&group)
                    .copied()
                    .unwrap_or(group.0);
                *words.entry(identity).or_default().get_mut(direction) = class;
            }
        }
        words
            .into_iter()
            .map(|(identity, word)| (identity, classes(word)))
            .filter(|(identity, word)| self.image.peer_classes(*identity) != *word)
            .collect()
    }

    /// The endpoints whose policies change.
    fn switches(&mut self, both: &Both<Outcome>) -> Vec<Write> {
        let number = |direction: Direction, places: &Both<u32>| {
            let numbers = &both.get(direction).numbers;
            PolicyId::new(
                numbers
                    .get(places.get(direction))
                    .copied()
                    .unwrap_or_default(),
            )
        };
        let wanted: BTreeMap<EndpointId, PolicyPair> = self
            .target
            .endpoints
            .iter()
            .map(|(endpoint, places)| {
                let ingress = number(Direction::Ingress, places);
                (
                    *endpoint,
                    PolicyPair::new(ingress, number(Direction::Egress, places)),
                )
            })
            .collect();
        let before = std::mem::take(&mut self.state.endpoints);
        let gone = before
            .keys()
            .filter(|endpoint| !wanted.contains_key(endpoint));
        let gone = gone.map(|endpoint| (*endpoint, PolicyPair::default()));
        let switches = wanted
            .iter()
            .map(|(endpoint, pair)| (*endpoint, *pair))
            .filter(|(endpoint, pair)| before.get(endpoint) != Some(pair))
            .chain(gone)
            .map(|(endpoint, pair)| Write::PolicyOf(endpoint, pair))
            .collect();
        self.state.endpoints = wanted;
        switches
    }

    /// Moves the identities, then switches the endpoints.
    ///
    /// Returns the identities that are to be forgotten once nobody can tell the class they have
    /// from the unknown one.
    fn put_in_force(
        &mut self,
        both: &Both<Outcome>,
        moves: Vec<(Identity, PeerClasses)>,
        switches: Vec<Write>,
        ports_moved: Moved,
    ) -> Vec<Identity> {
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
        let is_forgotten = |(identity, word): &(Identity, PeerClasses)| {
            *word != PeerClasses::default() && !self.target.identities.contains_key(identity)
        };
        let forgotten = moves.iter().filter(|one| is_forgotten(one));
        let forgotten = forgotten.map(|(identity, _)| *identity).collect();
        let moves = moves
            .into_iter()
            .map(|(identity, word)| Write::PeerClasses(identity, word));
        self.writes.extend(moves);
        self.writes.extend(wait.then_some(Write::Grace));
        self.writes.extend(switches);
        forgotten
    }

    /// Ends the plan: the generation, and what becomes free.
    fn finish(&mut self, both: Both<Outcome>, forgotten: Vec<Identity>, changed: bool) {
        if changed {
            self.writes.push(Write::Generation);
        }
        let Both { ingress, egress } = both;
        let mut afterwards = Both::<BTreeSet<u32>>::default();
        for (direction, outcome) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
            let peers = self.state.peers.get_mut(direction);
            let mut of = outcome.classes();
            let unknown = of.remove(&Signature::UNKNOWN).unwrap_or_default();
            let live: BTreeSet<u32> = of.values().flatten().copied().chain([0]).collect();
            peers.of = of;
            peers
                .live
                .extend(outcome.destinations.fresh.iter().map(|(class, _)| *class));
            let parting = unknown.into_iter().filter(|class| *class != 0);
            afterwards.get_mut(direction).clone_from(&live);
            peers.replace_live(live.into_iter().chain(parting).collect());
        }
        self.state.sweep();
        if self.writes.is_empty() {
            return;
        }
        if self.state.waits() || !forgotten.is_empty() {
            self.writes.push(Write::Grace);
            self.state.grace();
        }
        let zero = PeerClasses::default();
        self.writes.extend(
            forgotten
                .into_iter()
                .map(|one| Write::PeerClasses(one, zero)),
        );
        for direction in Direction::BOTH {
            let live = std::mem::take(afterwards.get_mut(direction));
            self.state.peers.get_mut(direction).replace_live(live);
        }
    }
}

impl Outcome {
    /// The classes of each signature from now on.
    fn classes(&self) -> BTreeMap<Signature, Vec<u32>> {
        let mut classes = self.groups.classes.clone();
        for ((_, signature), class) in &self.destinations.of {
            let of = classes.entry(*signature).or_default();
            if !of.contains(class) {
                of.push(*class);
            }
        }
        classes
    }
}

/// The columns of the fresh classes in every policy in force.
fn columns(
    comparison: &Comparison<'_>,
    fates: &Fates,
    destinations: &Destinations,
    contents: &BTreeMap<u32, &Content>,
) -> BTreeMap<u32, Vec<(u32, u32)>> {
    let fresh = &destinations.fresh;
    let kept = fates.kept.iter().filter_map(|(policy, place)| {
        let content = contents.get(place)?;
        let columns = fresh
            .iter()
            .map(|(class, (_, signature))| (*class, comparison.row(content, *signature)));
        Some((*policy, columns.collect()))
    });
    let draining = fates.draining.iter().map(|policy| {
        let columns = fresh
            .iter()
            .map(|(class, (old, _))| (*class, comparison.policies.at(*policy, *old)));
        (*policy, columns.collect())
    });
    kept.chain(draining).collect()
}

/// Whether moving is a change for some group, and whether for one that was known.
fn changes(
    comparison: &Comparison<'_>,
    fates: &Fates,
    contents: &BTreeMap<u32, &Content>,
) -> (bool, bool) {
    let mut change = false;
    for (policy, place) in &fates.kept {
        let Some(content) = contents.get(place) else {
            continue;
        };
        for (class, signature) in &comparison.groups.leave {
            if comparison.row_at(*policy, *class) != comparison.row(content, *signature) {
                change = true;
                if *class != 0 {
                    return (true, true);
                }
            }
        }
    }
    (change, false)
}

const fn classes(word: Both<u32>) -> PeerClasses {
    PeerClasses::new(PeerClass::new(word.ingress), PeerClass::new(word.egress))
}
