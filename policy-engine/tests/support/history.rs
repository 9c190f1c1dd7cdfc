//! Every state that tables go through while they change, and readers that step through them.

use std::collections::HashSet;

use palisade_abi::{
    Direction, EndpointId, Identity, PolicyId, PolicyPair, PortIndex, ROW_BLOCK, ROW_BLOCKS,
    ROW_WIDE, RowId, Table, Verdict, VerdictIndex, Write,
};
use palisade_policy::{Image, LoadOrder, Tables};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::world::{self, World};

/// A question that the tables answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) endpoint: EndpointId,
    pub(crate) direction: Direction,
    pub(crate) peer: Identity,
    pub(crate) port: PortIndex,
}

pub(crate) fn questions() -> Vec<Question> {
    let mut all = Vec::new();
    for endpoint in world::endpoints() {
        for direction in Direction::BOTH {
            for peer in world::identities() {
                for port in world::port_indexes() {
                    all.push(Question {
                        endpoint,
                        direction,
                        peer,
                        port,
                    });
                }
            }
        }
    }
    all
}

pub(crate) fn ask(image: &Image, question: Question) -> Verdict {
    let pair = image.policies_of(question.endpoint);
    image.lookup(pair, question.direction, question.peer, question.port)
}

/// Every state that the tables go through, write by write.
pub(crate) struct History {
    /// The contents after each write, from before the first.
    pub(crate) images: Vec<Image>,
    /// For each state the last one that a reader which is there already can live to see.
    pub(crate) last_seen: Vec<usize>,
    /// The states in which a plan is complete, ascending.
    pub(crate) complete: Vec<usize>,
    /// The states that are the last ones before a grace period, ascending.
    graces: Vec<usize>,
    /// What readers ask.
    questions: Vec<Question>,
    ports: HashSet<PortIndex>,
}

impl History {
    /// Goes through the worlds one by one; between them identities come and go.
    pub(crate) fn of(worlds: &[World], learnt: [u8; 4], order: LoadOrder, tables: Tables) -> Self {
        let mut tables = tables.for_readers(order);
        let mut history = Self::new(&tables, questions());
        for (world, learnt) in worlds.iter().zip(learnt.into_iter().cycle()) {
            let update = tables.update(&world.desired());
            history.push(update.unwrap_or_default());
            let identity = Identity::new(world::IDENTITIES.start() + u32::from(learnt % 12));
            let labels = worlds[0]
                .identities
                .values()
                .nth(usize::from(learnt) % 6)
                .unwrap();
            let added = tables.add_identity(identity, labels);
            history.push(added.unwrap_or_default());
            if learnt % 3 == 0 {
                history.push(tables.remove_identity(identity));
            }
        }
        history.end();
        history
    }

    /// A history that begins with what these tables hold.
    pub(crate) fn new(tables: &Tables, questions: Vec<Question>) -> Self {
        Self {
            images: vec![tables.image().clone()],
            last_seen: Vec::new(),
            complete: vec![0],
            graces: Vec::new(),
            ports: questions.iter().map(|question| question.port).collect(),
            questions,
        }
    }

    /// Ends it, before readers step through.
    pub(crate) fn end(&mut self) {
        let end = self.images.len() - 1;
        let last = |at| self.graces.iter().copied().find(|grace| *grace > at);
        self.last_seen = (0..=end).map(|at| last(at).unwrap_or(end)).collect();
    }

    /// Goes through the states of one plan.
    pub(crate) fn push(&mut self, writes: Vec<Write>) {
        for write in writes {
            if write == Write::Grace {
                // Whoever reads now is done before the next write.
                self.graces.push(self.images.len() - 1);
                continue;
            }
            let last = self.images.len() - 1;
            // No reader asks for most of the ports: their moves need no state of their own.
            if !matches!(write, Write::PortClass(port, _) if !self.ports.contains(&port)) {
                self.images.push(self.images[last].clone());
            }
            self.images.last_mut().unwrap().apply(&write).unwrap();
        }
        self.complete.push(self.images.len() - 1);
    }

    /// Steps readers through, each with its loads spread over a stretch of the history.
    pub(crate) fn check(&self, order: LoadOrder, rng: &mut TestRng) -> Result<(), TestCaseError> {
        for _ in 0..2_000 {
            let question = self.questions[rng.random_range(0..self.questions.len())];
            let start = rng.random_range(0..self.images.len());
            let loads = Loads::random(start, self.last_seen[start], order, rng);
            let seen = self.read(question, &loads);
            let end = loads.verdict;
            let first = self.complete.iter().rev().find(|at| **at <= start).unwrap();
            let last = self.complete.iter().find(|at| **at >= end).unwrap();
            let fine = self
                .complete
                .iter()
                .filter(|at| (first..=last).contains(at))
                .any(|at| ask(&self.images[*at], question) == seen);
            prop_assert!(
                fine,
                "{:?} with {:?} between {} and {} saw {:?}, not {:?} or {:?}",
                question,
                loads,
                first,
                last,
                seen,
                ask(&self.images[*first], question),
                ask(&self.images[*last], question)
            );
        }
        Ok(())
    }

    /// The walk of the programs, each load from the state of its own moment.
    pub(crate) fn read(&self, question: Question, loads: &Loads) -> Verdict {
        let PolicyPair { ingress, egress } =
            self.images[loads.policy].policies_of(question.endpoint);
        let policy = match question.direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        };
        let port = self.images[loads.port].port_class(question.port).get();
        let peer = self.images[loads.peer]
            .peer_class(question.peer, question.direction)
            .get();
        let line = self.images[loads.line].policy_line(PolicyId::new(policy));
        let slot = line
            .base
            .checked_add(peer)
            .map(|at| self.images[loads.slot].row_slot(at));
        let row = slot.filter(|slot| slot.owner == line.base);
        let row = row.map_or(line.default, |slot| slot.value);
        let line = self.images[loads.row].row_line(RowId::new(row));
        let class = u32::from(port);
        let is_wide = line.default & ROW_WIDE != 0;
        let block = is_wide.then_some(class / ROW_BLOCK);
        let single = if is_wide { ROW_BLOCKS + class } else { class };
        let held = |moment: usize, place: u32| {
            let at = line.base.checked_add(place);
            let slot = at.map(|at| self.images[moment].cell_slot(at));
            slot.filter(|slot| slot.owner == line.base)
        };
        let block = block.and_then(|place| held(loads.block, place));
        let cell = block
            .filter(|slot| slot.value >> 16 >> (class % ROW_BLOCK) & 1 == 1)
            .or_else(|| held(loads.cell, single));
        let cell = cell.map_or(line.default, |slot| slot.value) % ROW_WIDE;
        let index = VerdictIndex::new(u16::try_from(cell).unwrap());
        self.images[loads.verdict].verdict(index)
    }
}

/// The moment of each load.
#[derive(Debug)]
pub(crate) struct Loads {
    pub(crate) policy: usize,
    pub(crate) port: usize,
    pub(crate) peer: usize,
    pub(crate) line: usize,
    pub(crate) slot: usize,
    pub(crate) row: usize,
    pub(crate) block: usize,
    pub(crate) cell: usize,
    pub(crate) verdict: usize,
}

/// How many loads there are.
pub(crate) const LOADS: u32 = 9;

impl Loads {
    /// Every set of loads that a reader may make before a long pause, one bit each: a load comes
    /// after those that its address depends on.
    pub(crate) fn early() -> Vec<u16> {
        let [policy, port, peer, line, slot] = [1, 2, 4, 8, 16];
        let [row, block, cell, verdict] = [32, 64, 128, 256];
        let needs = [
            (line, policy),
            (slot, line | peer),
            (row, slot),
            // Whether the cell is asked for depends on the block, where it lies does not.
            (block, row | port),
            (cell, row | port),
            (verdict, block | cell),
        ];
        let holds = |mask: &u16| {
            needs
                .iter()
                .all(|(load, needed)| mask & load == 0 || mask & needed == *needed)
        };
        (0..1 << LOADS).filter(holds).collect()
    }

    /// These loads early, the rest late.
    pub(crate) fn paused(first: usize, then: usize, early: u16) -> Self {
        let at = |bit: u32| if early & (1 << bit) == 0 { then } else { first };
        Self {
            policy: at(0),
            port: at(1),
            peer: at(2),
            line: at(3),
            slot: at(4),
            row: at(5),
            block: at(6),
            cell: at(7),
            verdict: at(8),
        }
    }

    pub(crate) fn random(start: usize, last: usize, order: LoadOrder, rng: &mut TestRng) -> Self {
        // Short stretches and long ones are equally likely.
        let reach = (last - start) >> rng.random_range(0..6_u32);
        let end = start + reach;
        let mut moment = |from: usize| rng.random_range(from..=end.max(from));
        match order {
            LoadOrder::InOrder => {
                let mut moments = [start; LOADS as usize];
                if end.is_multiple_of(2) {
                    moments[1..].fill_with(|| moment(start));
                    moments.sort_unstable();
                } else {
                    // One long pause.
                    let before = moment(0) % moments.len() + 1;
                    let after = moment(start);
                    moments[before..].fill(after);
                }
                let [policy, port, peer, line, slot, row, block, cell, verdict] = moments;
                Self {
                    policy,
                    port,
                    peer,
                    line,
                    slot,
                    row,
                    block,
                    cell,
                    verdict,
                }
            }
            LoadOrder::Any if end % 2 == 1 => {
                let masks = Self::early();
                let early = masks[moment(0) % masks.len()];
                Self::paused(start, moment(start), early)
            }
            LoadOrder::Any => {
                let (policy, port, peer) = (moment(start), moment(start), moment(start));
                let line = moment(policy);
                let slot = moment(line.max(peer));
                let row = moment(slot);
                let block = moment(row.max(port));
                let cell = moment(row.max(port));
                let verdict = moment(block.max(cell));
                Self {
                    policy,
                    port,
                    peer,
                    line,
                    slot,
                    row,
                    block,
                    cell,
                    verdict,
                }
            }
        }
    }
}
