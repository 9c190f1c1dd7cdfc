//! The node against a plain model: random events, crashes at any write, every write looked at.
//!
//! After each single write of each plan, every flow of a small world must meet the decision from
//! before the event or the one after it, as a model decides that knows only rules and addresses.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the whole binary is a test, its helpers too"
)]

mod kernel;
mod model;
mod names;
mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_abi::{EndpointId, Write};
use palisade_node::{Checkpoint, Checkpointing, Config, Event, Node, Plan};
use palisade_testkit::cases;
use proptest::prelude::*;

use self::kernel::Kernel;
use self::model::{Decisions, HALVES, Model};
use self::world::{Happening, config, happenings};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(128)))]

    #[test]
    fn every_flow_meets_the_old_decision_or_the_new_one(story in happenings()) {
        let mut simulation = Simulation::new();
        for happening in story {
            simulation.happen(&happening);
        }
        simulation.end();
    }
}

/// A node, the tables it writes, and the model of both.
struct Simulation {
    node: Node,
    stored: Checkpoint,
    /// The journal of names, as far as it was stored.
    journal: Vec<u8>,
    kernel: Kernel,
    model: Model,
    now: Duration,
}

impl Simulation {
    fn new() -> Self {
        let mut node = Node::new(config());
        Self {
            stored: node.checkpoint(),
            journal: node.start_journal(),
            node,
            kernel: Kernel::new(),
            model: Model::default(),
            now: Duration::ZERO,
        }
    }

    fn happen(&mut self, happening: &Happening) {
        self.now += Duration::from_secs(1);
        let Some(event) = self.model.take(happening, self.now) else {
            return;
        };
        let plan = self.node.handle(event, self.now).unwrap();
        self.carry_out(&plan, happening.crash_after());
    }

    /// Applies a plan write by write, and stops in the middle of it if it is to crash.
    fn carry_out(&mut self, plan: &Plan, crash_after: Option<usize>) {
        if plan.checkpoint == Checkpointing::Needed {
            self.stored = self.node.checkpoint();
        } else {
            check_stored(&self.stored, &self.node.checkpoint());
        }
        self.journal.extend(&plan.journal);
        let (before, after) = (self.kernel.decisions(), self.model.decisions());
        let mut stale = false;
        let mut earlier = before.clone();
        for (index, write) in plan.writes.iter().enumerate() {
            if crash_after == Some(index) {
                self.restart();
                return;
            }
            self.kernel.write(write);
            let now = self.kernel.decisions();
            check_step(&before, &now, &after, plan, index);
            stale = (stale || earlier != now) && *write != Write::Generation;
            earlier = now;
        }
        assert!(!stale, "connections keep what changed: {:?}", plan.writes);
        assert_eq!(earlier, after, "{:?}", plan.writes);
        self.check_entries();
    }

    /// Comes back from the checkpoint, the journal and the tables alone.
    fn restart(&mut self) {
        let stored = serde_json::to_string(&self.stored).unwrap();
        let stored: Checkpoint = serde_json::from_str(&stored).unwrap();
        let found = self.kernel.found();
        let known = names_of(&self.node);
        self.node = Node::restore(config(), &stored, &self.journal, found).unwrap();
        assert_eq!(
            names_of(&self.node),
            known,
            "what was forgotten stays so, the rest is known"
        );
        self.journal = self.node.start_journal();
        for event in self.model.everything() {
            let plan = self.node.handle(event, self.now).unwrap();
            assert!(plan.writes.is_empty());
        }
        let plan = self.node.handle(Event::Restored, self.now).unwrap();
        self.carry_out(&plan, None);
    }

    /// What is in the tables is what the node says is in them.
    fn check_entries(&self) {
        let mut entries: Vec<_> = self.node.ipcache().collect();
        entries.sort();
        assert_eq!(entries, self.kernel.entries());
    }

    /// Once everything is gone, nothing is left.
    fn end(&mut self) {
        self.restart();
        for name in self.model.endpoint_names() {
            self.happen(&Happening::Leave(name));
        }
        self.happen(&Happening::Hosts(vec![]));
        self.happen(&Happening::Policies(vec![], None));
        self.now += Duration::from_secs(3_600);
        self.happen(&Happening::Tick(vec![], None));
        assert_eq!(self.node.ipcache().count(), 0);
        let allocated = self.node.identities().keys();
        let left: Vec<_> = allocated
            .filter(|identity| !identity.is_reserved())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Whatever a stored checkpoint leaves out was there when the last one was needed.
fn check_stored(stored: &Checkpoint, now: &Checkpoint) {
    let content = |checkpoint: &Checkpoint| serde_json::to_value(checkpoint).unwrap();
    let (stored, now) = (content(stored), content(now));
    assert_eq!(
        stored["revision"], now["revision"],
        "a checkpoint was needed"
    );
    for kind in ["identities", "endpoints"] {
        for (key, value) in now[kind].as_object().unwrap() {
            let known = stored[kind].get(key);
            assert_eq!(known, Some(value), "a checkpoint was needed for {key}");
        }
    }
}

/// What is to be the same after a restart, which knows no identity yet.
fn names_of(node: &Node) -> BTreeSet<(EndpointId, String, IpAddr, Duration)> {
    let known = node.known_addresses();
    known
        .map(|known| {
            (
                known.endpoint,
                known.name.to_string(),
                known.address,
                known.until,
            )
        })
        .collect()
}

fn check_step(before: &Decisions, now: &Decisions, after: &Decisions, plan: &Plan, index: usize) {
    for (place, half) in HALVES.iter().enumerate() {
        let (old, now, new) = (before[place], now[place], after[place]);
        assert!(
            now == old || now == new,
            "{half:?} meets {now:?}, neither {old:?} nor {new:?}, after write {index} of {:#?}",
            plan.writes
        );
    }
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let mut config = Config::default();
    config.sizes.row_slots = 2;
    config.sizes.rows = 3;
    let mut node = Node::new(config);
    let mut model = Model::default();
    let now = Duration::ZERO;
    let join = model.take(&Happening::Join(0), now).unwrap();
    let _plan = node.handle(join, now).unwrap();
    let before = (node.checkpoint(), node.revision());
    let everything = world::every_policy();
    let error = node
        .handle(Event::Policies(everything.into()), now)
        .unwrap_err();
    assert!(matches!(error, palisade_node::Error::Tables(_)), "{error}");
    assert_eq!((node.checkpoint(), node.revision()), before);
    assert!(node.policies().is_empty());
    // What comes after it is not held up.
    let leave = model.take(&Happening::Leave(0), now).unwrap();
    assert!(node.handle(leave, now).is_ok());
}

#[test]
fn learning_another_address_of_a_name_takes_one_map_write() {
    let mut node = Node::new(config());
    let now = Duration::ZERO;
    let mut model = Model::default();
    for happening in [Happening::Policies(vec![3], None), Happening::Join(0)] {
        let _plan = node
            .handle(model.take(&happening, now).unwrap(), now)
            .unwrap();
    }
    let answer = Happening::Answer {
        client: 0,
        name: 0,
        address: 1,
        ttl: 30,
        crash: None,
    };
    let plan = node.handle(model.take(&answer, now).unwrap(), now).unwrap();
    assert_eq!(plan.map_writes(), 1, "{:?}", plan.writes);
    assert_eq!(plan.effects.len(), 1);
    // An address that is enforced already waits for nothing.
    let plan = node.handle(model.take(&answer, now).unwrap(), now).unwrap();
    assert!(plan.writes.is_empty());
    assert_eq!(plan.effects.len(), 1);
}

#[test]
fn a_restart_over_tables_that_are_in_order_writes_nothing_but_the_generation() {
    let mut simulation = Simulation::new();
    for happening in [
        Happening::Policies(vec![0, 1, 3], None),
        Happening::Join(0),
        Happening::Join(1),
        Happening::Answer {
            client: 0,
            name: 0,
            address: 1,
            ttl: 30,
            crash: None,
        },
    ] {
        simulation.happen(&happening);
    }
    let revision = simulation.node.revision();
    let found = simulation.kernel.found();
    let (stored, journal) = (&simulation.stored, &simulation.journal);
    let mut node = Node::restore(config(), stored, journal, found).unwrap();
    for event in simulation.model.everything() {
        let _plan = node.handle(event, simulation.now).unwrap();
    }
    let plan = node.handle(Event::Restored, simulation.now).unwrap();
    let entries = |write: &&Write| matches!(write, Write::Endpoint(..) | Write::Ipcache(..));
    assert_eq!(plan.writes.iter().find(entries), None);
    assert_eq!(node.revision(), revision);
    assert_eq!(plan.writes.last(), Some(&Write::Generation));
}

/// Policies in the form that events carry them.
fn shared(policies: Vec<palisade_policy::Policy>) -> Vec<Arc<palisade_policy::Policy>> {
    policies.into_iter().map(Arc::new).collect()
}
