//! What the policies of one direction say: columns of those that stay, lines of those that are new.

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::Direction;

use super::regroup::Leaving;
use super::{Outcome, Plan};
use crate::compile::{Both, Content, Map, Signature};
use crate::tables::error::Error;
use crate::tables::overlay::Moved;
use crate::tables::state::{Marks, policy_of};

/// What is decided before anything is written; rows are places in the decisions.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What new sides say, and those that stay but that some endpoint leaves.
    contents: BTreeMap<u32, Content>,
    left_behind: BTreeSet<u32>,
    /// What sides that stay say to groups of identities that are not what they were, where it is
    /// not what they say to everybody.
    columns: Both<BTreeMap<Signature, Map<u32, u32>>>,
}

/// What is known about one direction before its lines are written.
struct Lines<'a> {
    direction: Direction,
    leaving: &'a [Leaving],
    draft: &'a Draft,
    /// The number of every row that was decided.
    rows: &'a [u32],
    /// Policies that no side has any more, less those that a new side takes over.
    draining: Vec<u32>,
    /// New sides by the policies that they take over.
    taken_over: BTreeMap<u32, u32>,
    /// Sides that stay and their policies.
    kept: Vec<(u32, u32)>,
}

impl Plan<'_> {
    /// Decides every row that new sides and new signatures need.
    pub(super) fn draft(&mut self, leaving: &Both<Vec<Leaving>>) -> Draft {
        let mut draft = Draft::default();
        let decisions = &mut self.decisions;
        for direction in Direction::BOTH {
            let mut coming = Marks::default();
            for group in leaving.get(direction) {
                if group.signature != Signature::UNKNOWN {
                    coming.mark(group.signature.0);
                }
            }
            let classes = self.engine.classes.get(direction);
            let is_alive = |one: Signature| coming.has(one.0) || !classes.of(one).is_empty();
            for side in &self.delta.sides.new {
                let sided = self.engine.logic.side(*side);
                if sided.is_some_and(|sided| sided.direction == direction) {
                    let logic = &self.engine.logic;
                    let content = logic.content(*side, is_alive, self.basis, decisions);
                    draft.contents.extend(content.map(|one| (*side, one)));
                }
            }
        }
        for direction in Direction::BOTH {
            for side in self.left_behind(direction, leaving.get(direction)) {
                let logic = &self.engine.logic;
                let classes = self.engine.classes.get(direction);
                let groups = leaving.get(direction);
                let is_coming = |one| groups.iter().any(|group| group.signature == one);
                let is_alive = |one: Signature| !classes.of(one).is_empty() || is_coming(one);
                let content = logic.content(side, is_alive, self.basis, &mut self.decisions);
                draft.contents.extend(content.map(|one| (side, one)));
                draft.left_behind.insert(side);
            }
            let kept: BTreeSet<u32> = self.kept(direction).iter().map(|one| one.0).collect();
            if kept.is_empty() {
                continue;
            }
            for group in leaving.get(direction) {
                let columns = draft.columns.get_mut(direction);
                let is_known = group.is_settled
                    || group.signature == Signature::UNKNOWN
                    || columns.contains_key(&group.signature);
                if !is_known {
                    let logic = &self.engine.logic;
                    let decisions = &mut self.decisions;
                    let is_kept = |side: u32| kept.contains(&side);
                    let column =
                        logic.column(direction, group.signature, is_kept, self.basis, decisions);
                    columns.insert(group.signature, column.into_iter().collect());
                }
            }
        }
        draft
    }

    /// The sides that stay, that some endpoint leaves, and to which identities change.
    ///
    /// Whoever leaves may read the policy after the identities have moved.
    fn left_behind(&self, direction: Direction, leaving: &[Leaving]) -> BTreeSet<u32> {
        if leaving.iter().all(|group| group.is_settled) {
            return BTreeSet::new();
        }
        let sides: BTreeMap<u32, u32> = self
            .kept(direction)
            .into_iter()
            .map(|(side, policy)| (policy, side))
            .collect();
        let endpoints = self.delta.sides.endpoints.iter();
        let left = endpoints.filter_map(|(endpoint, now)| {
            let policy = policy_of(self.image.policies_of(*endpoint), direction);
            let side = *sides.get(&policy)?;
            let stays = now.is_some_and(|now| *now.get(direction) == side);
            (!stays).then_some(side)
        });
        left.collect()
    }

    /// The peer classes and policies of one direction.
    pub(super) fn direction(
        &mut self,
        direction: Direction,
        leaving: Vec<Leaving>,
        draft: &Draft,
        rows: &[u32],
    ) -> Result<Outcome, Error> {
        let mut lines = Lines {
            direction,
            leaving: &leaving,
            draft,
            rows,
            draining: Vec::new(),
            taken_over: BTreeMap::new(),
            kept: self.kept(direction),
        };
        let gone = self.draining(direction);
        lines.taken_over = self.taken_over(&lines, &gone);
        let is_draining = |policy: &&u32| !lines.taken_over.contains_key(*policy);
        lines.draining = gone.iter().filter(is_draining).copied().collect();
        let replaced = self.replaced(&lines);
        lines.kept.retain(|(side, _)| !replaced.contains_key(side));
        lines.draining.extend(replaced.values());
        let (destinations, fresh) = self.destinations(&lines)?;
        let mut outcome = Outcome {
            destinations,
            parting: Vec::new(),
            numbers: BTreeMap::new(),
            replaced: replaced.into_keys().collect(),
            gone: lines.draining.clone(),
            relocated: Moved::No,
            change: false,
            known_change: false,
            leaving: Vec::new(),
        };
        self.columns(&lines, &fresh, &mut outcome)?;
        for (class, place) in fresh {
            if let Some(group) = leaving.get(place) {
                if group.signature == Signature::UNKNOWN {
                    outcome.parting.push(class);
                } else {
                    let classes = self.engine.classes.get_mut(direction);
                    classes.insert(class, group.signature);
                }
            }
        }
        self.new_lines(&lines, &mut outcome)?;
        outcome.leaving = leaving;
        Ok(outcome)
    }

    /// Which new sides go on with a policy in force: it says the same, and whoever has it goes
    /// there. Its fresh columns then say what the new side says: for the identities that move there,
    /// moving is the change.
    fn taken_over(&self, lines: &Lines<'_>, gone: &BTreeSet<u32>) -> BTreeMap<u32, u32> {
        let mut heirs: BTreeMap<u32, BTreeSet<Option<u32>>> = BTreeMap::new();
        for (endpoint, sides) in &self.delta.sides.endpoints {
            let policy = policy_of(self.image.policies_of(*endpoint), lines.direction);
            if gone.contains(&policy) {
                let heir = sides.map(|sides| *sides.get(lines.direction));
                heirs.entry(policy).or_default().insert(heir);
            }
        }
        if self.engine.found {
            for (endpoint, pair) in self.image.enforced() {
                if !self.delta.sides.endpoints.contains_key(&endpoint) {
                    let policy = policy_of(pair, lines.direction);
                    heirs.entry(policy).or_default().insert(None);
                }
            }
        }
        let mut taken = BTreeMap::new();
        let mut served = BTreeSet::new();
        for (policy, heirs) in heirs {
            let (Some(Some(heir)), 1) = (heirs.first(), heirs.len()) else {
                continue;
            };
            let content = lines.draft.contents.get(heir);
            let says_it = content.is_some_and(|content| self.says(lines, policy, content));
            if says_it && served.insert(*heir) {
                taken.insert(policy, *heir);
            }
        }
        taken
    }

    /// The sides whose policy would change under an endpoint that leaves it: they get another, and
    /// the one in force goes on as it is until nobody reads it.
    fn replaced(&self, lines: &Lines<'_>) -> BTreeMap<u32, u32> {
        let left = |(side, _): &&(u32, u32)| lines.draft.left_behind.contains(side);
        let changes = |(side, policy): &&(u32, u32)| {
            lines.leaving.iter().any(|group| {
                let row = self.row(lines, *side, *policy, group);
                self.state.policies.at(*policy, group.class) != row
            })
        };
        let kept = lines.kept.iter();
        kept.filter(left).filter(changes).copied().collect()
    }

    /// Whether a policy in force says to the classes in force what a new side says.
    fn says(&self, lines: &Lines<'_>, policy: u32, content: &Content) -> bool {
        let Some(entry) = self.state.policies.get(policy) else {
            return false;
        };
        let default = lines.row(content.default);
        let classes = self.engine.classes.get(lines.direction);
        let exceptions = content.exceptions.iter().flat_map(|(signature, row)| {
            let of = classes.of(*signature).iter();
            of.map(|class| (*class, lines.row(*row)))
        });
        let unknown = (0, lines.row(content.unknown));
        let mut wanted: Vec<(u32, u32)> = exceptions
            .chain([unknown])
            .filter(|(_, row)| *row != default)
            .collect();
        wanted.sort_unstable();
        let held = entry.exceptions();
        let held = held.filter(|(class, row)| classes.is_live(*class) && *row != entry.default);
        entry.default == default && held.eq(wanted)
    }

    /// The class that every leaving group goes to, and the classes that are new with the places of
    /// the groups whose old column they take over.
    ///
    /// Two groups may share one if they mean the same from now on and no draining policy tells
    /// their old classes apart.
    #[expect(clippy::type_complexity, reason = "two lists that are used at once")]
    fn destinations(&mut self, lines: &Lines<'_>) -> Result<(Vec<u32>, Vec<(u32, usize)>), Error> {
        let policies = &self.state.policies;
        let column = |class: u32| -> Vec<u32> {
            let draining = lines.draining.iter();
            draining.map(|policy| policies.at(*policy, class)).collect()
        };
        let mut taken: Map<(Signature, Vec<u32>), u32> = Map::default();
        taken.insert((Signature::UNKNOWN, column(0)), 0);
        let classes = self.engine.classes.get(lines.direction);
        for group in lines.leaving {
            for class in classes.of(group.signature) {
                let key = (group.signature, column(*class));
                taken.entry(key).or_insert(*class);
            }
        }
        let numbers = self.state.classes.get_mut(lines.direction);
        let mut destinations = Vec::with_capacity(lines.leaving.len());
        let mut fresh = Vec::new();
        for (place, group) in lines.leaving.iter().enumerate() {
            let key = (group.signature, column(group.class));
            let class = if let Some(class) = taken.get(&key) {
                *class
            } else {
                let class = numbers.allocate()?;
                fresh.push((class, place));
                taken.insert(key, class);
                class
            };
            destinations.push(class);
        }
        Ok((destinations, fresh))
    }

    /// Writes the columns of the fresh classes in every policy in force.
    fn columns(
        &mut self,
        lines: &Lines<'_>,
        fresh: &[(u32, usize)],
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let heirs = lines
            .taken_over
            .iter()
            .map(|(policy, side)| (*side, *policy));
        outcome.numbers.extend(heirs.clone());
        if lines.leaving.is_empty() {
            return Ok(());
        }
        for (side, policy) in heirs.chain(lines.kept.iter().copied()) {
            let columns: Vec<(u32, u32)> = fresh
                .iter()
                .filter_map(|(class, place)| {
                    let group = lines.leaving.get(*place)?;
                    Some((*class, self.row(lines, side, policy, group)))
                })
                .collect();
            for group in lines.leaving {
                let row = self.row(lines, side, policy, group);
                if self.state.policies.at(policy, group.class) != row {
                    outcome.change = true;
                    outcome.known_change |= group.class != 0;
                }
            }
            self.set(lines.direction, policy, &columns, outcome)?;
        }
        for policy in &lines.draining {
            let columns: Vec<(u32, u32)> = fresh
                .iter()
                .filter_map(|(class, place)| {
                    let group = lines.leaving.get(*place)?;
                    Some((*class, self.state.policies.at(*policy, group.class)))
                })
                .collect();
            self.set(lines.direction, *policy, &columns, outcome)?;
        }
        Ok(())
    }

    /// The row that a side whose policy stays in force has for a leaving group.
    fn row(&self, lines: &Lines<'_>, side: u32, policy: u32, group: &Leaving) -> u32 {
        if let Some(content) = lines.draft.contents.get(&side) {
            return lines.row(content.row(group.signature));
        }
        if group.signature == Signature::UNKNOWN {
            return self.state.policies.at(policy, 0);
        }
        if group.is_settled {
            return self.state.policies.at(policy, group.class);
        }
        let columns = lines.draft.columns.get(lines.direction);
        let decided = columns
            .get(&group.signature)
            .and_then(|column| column.get(&side));
        match decided {
            Some(row) => lines.row(*row),
            None => self.state.policies.get(policy).map_or(0, |one| one.default),
        }
    }

    fn set(
        &mut self,
        direction: Direction,
        policy: u32,
        columns: &[(u32, u32)],
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let classes = self.engine.classes.get(direction);
        let is_dead = |class| !classes.is_live(class);
        let policies = &mut self.state.policies;
        if policies.set(policy, columns, is_dead, &mut self.writes)? == Moved::Yes {
            outcome.relocated = Moved::Yes;
        }
        Ok(())
    }

    /// Writes the policies of new sides that take over none in force.
    fn new_lines(&mut self, lines: &Lines<'_>, outcome: &mut Outcome) -> Result<(), Error> {
        let mut fresh: Vec<(u32, &Content)> = Vec::new();
        for side in self.delta.sides.new.iter().chain(&outcome.replaced) {
            let sided = self.engine.logic.side(*side);
            let is_here = sided.is_some_and(|sided| sided.direction == lines.direction);
            if let Some(content) = lines.draft.contents.get(side)
                && is_here
                && !outcome.numbers.contains_key(side)
            {
                fresh.push((*side, content));
            }
        }
        fresh.sort_by_key(|(_, content)| std::cmp::Reverse(content.exceptions.len()));
        let classes = self.engine.classes.get(lines.direction);
        for (side, content) in fresh {
            let mut columns: Vec<(u32, u32)> = Vec::with_capacity(content.exceptions.len() + 1);
            for (signature, row) in &content.exceptions {
                let of = classes.of(*signature).iter();
                columns.extend(of.map(|class| (*class, lines.row(*row))));
            }
            let unknown = outcome.parting.iter().chain([&0]);
            columns.extend(unknown.map(|class| (*class, lines.row(content.unknown))));
            let default = lines.row(content.default);
            columns.retain(|(_, row)| *row != default);
            columns.sort_unstable();
            let policies = &mut self.state.policies;
            let number = policies.add(default, columns, &mut self.writes)?;
            outcome.numbers.insert(side, number);
        }
        Ok(())
    }
}

impl Lines<'_> {
    /// The number of a row that was decided.
    fn row(&self, place: u32) -> u32 {
        self.rows.get(place as usize).copied().unwrap_or_default()
    }
}
