//! Allocators of several nodes over one store, with crashes, failures and any order of events.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper that fails is a failed test"
)]

mod store;
mod world;

use palisade_identity::{Identity, StoreEvent};
use palisade_testkit::cases;
use proptest::collection::vec;
use proptest::prelude::*;

use self::world::{Fault, NODES, World, keys, sets};

/// Something that happens, somewhere, to some label set.
type Happening = (u8, usize, usize);

fn happen(world: &mut World, (what, at, pick): Happening) {
    let sets = sets();
    let labels = &sets[pick % sets.len()];
    match what {
        0..4 => world.allocate(at, labels),
        4..7 => world.release(at, labels),
        7..17 => world.execute(at, pick, Fault::None),
        17 => world.execute(at, pick, Fault::Refused),
        18 => world.execute(at, pick, Fault::Unanswered),
        19..28 => world.respond(at, pick),
        28..32 => world.watch(at),
        32 => world.retry(at),
        33 => world.late(pick),
        34 => world.store.revoke(pick),
        35 if world.nodes[at].is_some() => world.crash(at),
        35 => world.start(at),
        36 => world.expire(),
        37 => world.resync(at),
        _ => world.collect(pick),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(400)))]

    #[test]
    fn labels_and_numbers_in_use_belong_to_each_other(
        happenings in vec((0u8..44, 0..NODES, 0usize..64), 0..400),
    ) {
        let mut world = World::new();
        for happening in happenings {
            happen(&mut world, happening);
            world.check();
        }
        world.finish();
        world.check();
        prop_assert_eq!(world.outcomes.lost, 0, "nothing is lost while leases last");

        // Nothing is left over: no slave without a holder, and in the end no master.
        for at in 0..NODES {
            for labels in sets() {
                let holds = |world: &World| {
                    world.nodes[at].as_ref().is_some_and(|node| node.held.contains_key(&labels))
                };
                let slave = world.store.keys.contains_key(&keys(at).slave(&labels));
                prop_assert_eq!(slave, holds(&world), "{} on {}", &labels, at);
                while holds(&world) {
                    world.release(at, &labels);
                }
            }
        }
        world.finish();
        prop_assert!(world.used().is_empty());
        for round in 0..64 {
            world.collect(round);
        }
        world.finish();
        prop_assert!(world.store.masters().is_empty());
    }
}

/// Lets everything happen that is due.
fn settled(world: &mut World) {
    world.finish();
    world.check();
}

fn number(world: &World, at: usize, set: usize) -> Option<Identity> {
    let node = world.nodes[at].as_ref()?;
    node.held.get(&sets()[set]).map(|held| held.1)
}

#[test]
fn nodes_share_a_number_and_the_last_one_leaves_it_to_the_collector() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    world.allocate(1, &sets()[0]);
    world.allocate(1, &sets()[1]);
    settled(&mut world);
    let shared = number(&world, 0, 0).unwrap();
    assert_eq!(number(&world, 1, 0), Some(shared));
    assert_ne!(number(&world, 1, 1), Some(shared));
    assert_eq!((world.outcomes.made, world.outcomes.shared), (2, 1));
    world.release(0, &sets()[0]);
    settled(&mut world);
    for _ in 0..16 {
        (0..2).for_each(|pick| world.collect(pick));
    }
    assert_eq!(world.outcomes.collected, 0);
    world.release(1, &sets()[0]);
    settled(&mut world);
    // A number without users is had again before it is collected.
    world.allocate(2, &sets()[0]);
    settled(&mut world);
    assert_eq!(number(&world, 2, 0), Some(shared));
    world.release(2, &sets()[0]);
    settled(&mut world);
    for _ in 0..16 {
        (0..2).for_each(|pick| world.collect(pick));
    }
    assert_eq!(
        (world.outcomes.collected, world.store.masters().len()),
        (1, 1)
    );
}

#[test]
fn a_master_that_is_lost_is_written_again() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    settled(&mut world);
    let identity = number(&world, 0, 0).unwrap();
    world.store.remove(&keys(0).master(identity));
    settled(&mut world);
    assert_eq!(number(&world, 0, 0), Some(identity));
    assert_eq!(world.outcomes.lost, 0);
}

#[test]
fn a_slave_that_is_lost_is_written_again_by_the_next_resync() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    settled(&mut world);
    world.store.remove(&keys(0).slave(&sets()[0]));
    world.resync(0);
    settled(&mut world);
}

#[test]
fn a_node_that_lost_its_lease_writes_everything_again() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    world.allocate(0, &sets()[1]);
    settled(&mut world);
    world.lose_lease(0);
    // Until it is written again, nobody else gets a reference.
    let before = world.outcomes.shared;
    world.allocate(0, &sets()[0]);
    assert_eq!(world.outcomes.shared, before);
    settled(&mut world);
    assert_eq!(
        (world.outcomes.shared, world.outcomes.lost),
        (before + 1, 0)
    );
}

#[test]
fn a_lease_lost_while_a_slave_is_written_is_not_overlooked() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    world.watch(0);
    // Lock, list, create the master.
    for _ in 0..3 {
        world.execute(0, 0, Fault::None);
        world.respond(0, 0);
    }
    // The slave is written, and gone before the node hears of it.
    world.execute(0, 0, Fault::None);
    assert!(world.store.keys.contains_key(&keys(0).slave(&sets()[0])));
    world.lose_lease(0);
    world.respond(0, 0);
    world.check();
    assert_eq!(number(&world, 0, 0), None);
    settled(&mut world);
    assert!(number(&world, 0, 0).is_some());
}

#[test]
fn a_release_that_comes_late_takes_nothing_from_who_came_after() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    settled(&mut world);
    world.release(0, &sets()[0]);
    world.execute(0, 0, Fault::Unanswered);
    world.respond(0, 0);
    world.allocate(0, &sets()[0]);
    world.retry(0);
    world.late(0);
    world.check();
    settled(&mut world);
    assert!(number(&world, 0, 0).is_some());

    // Once the slave is written again, the old delete does not find it.
    world.release(0, &sets()[0]);
    world.execute(0, 0, Fault::Unanswered);
    world.respond(0, 0);
    world.allocate(0, &sets()[0]);
    world.finish_without_late();
    world.check();
    world.late(0);
    world.check();
}

#[test]
fn a_number_given_to_others_in_the_meantime_is_reported_lost() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    settled(&mut world);
    let identity = number(&world, 0, 0).unwrap();
    // The worst case: the node was away so long that its number was collected and given away.
    let master = keys(0).master(identity);
    world.store.remove(&master);
    world.store.remove(&keys(0).slave(&sets()[0]));
    world.store.events.clear();
    let others = sets()[3].canonical_key();
    world.store.put_behind_backs(&master, &others);
    world.lose_lease(0);
    world.finish();
    assert_eq!(world.outcomes.lost, 1);
    assert_eq!(number(&world, 0, 0), None);
    world.allocate(0, &sets()[0]);
    world.finish();
    let now = number(&world, 0, 0).unwrap();
    assert_ne!(now, identity);
}

#[test]
fn nothing_is_given_out_before_the_first_listing_is_complete() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    for _ in 0..8 {
        world.execute(0, 0, Fault::None);
        world.respond(0, 0);
    }
    assert_eq!(number(&world, 0, 0), None);
    let node = world.nodes[0].as_mut().unwrap();
    assert_eq!(node.allocator.poll(), None);
    node.allocator.handle(StoreEvent::Synced);
    settled(&mut world);
    assert!(number(&world, 0, 0).is_some());
}

#[test]
fn a_store_that_always_fails_is_given_up() {
    let mut world = World::new();
    world.allocate(0, &sets()[0]);
    world.watch(0);
    for _ in 0..64 {
        world.execute(0, 0, Fault::Refused);
        world.respond(0, 0);
        world.retry(0);
    }
    assert_eq!(world.outcomes.failed, 1);
    settled(&mut world);
}

#[test]
fn a_full_range_is_said_at_once() {
    let mut world = World::new();
    for number in 256..265 {
        let key = keys(0).master(Identity::new(number));
        world
            .store
            .put_behind_backs(&key, &sets()[3].canonical_key());
    }
    world.allocate(0, &sets()[0]);
    settled(&mut world);
    assert_eq!((world.outcomes.failed, number(&world, 0, 0)), (1, None));
    world.allocate(0, &sets()[3]);
    settled(&mut world);
    assert_eq!(number(&world, 0, 3), Some(Identity::new(256)));
}
