//! Ranges that the ports of others cut to pieces: rows with a slot for sixteen port classes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets something unexpected fails"
)]

#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "support/history.rs"]
mod history;
#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{
    Action, Direction, EndpointId, Identity, PolicyId, PortIndex, Protocol, ROW_BLOCKS, ROW_WIDE,
    RowId, TableSizes,
};
use palisade_identity::LabelSet;
use palisade_policy::{
    Effect, LoadOrder, LocalEndpoint, NamedPorts, Options, Peer, PeerKind, Peers, PortMatch,
    PortRule, Ports, ProxyPorts, Tables,
};
use proptest::prelude::*;

use self::history::{History, Question, ask};
use self::world::World;

const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 1_024,
    rows: 256,
    cell_slots: 16_384,
    verdicts: 1_024,
    endpoints: 16,
    ipcache: 16,
    conntrack: 16,
    events: 4_096,
};

/// The peer that rules are about.
const PEER: Identity = Identity::new(256);

/// A node with these policies; endpoint n has the label `own=en`.
fn node(policies: &[(u16, Effect, &[RangeInclusive<u16>])]) -> World {
    let of = |(number, (to, effect, ports)): (u32, &(u16, Effect, &[RangeInclusive<u16>]))| {
        let to = format!("e{to}");
        let item = |ports: &RangeInclusive<u16>| PortRule {
            protocol: Protocol::TCP,
            ports: PortMatch::Numbers(ports.clone()),
            redirect: None,
            location: world::place(number, 1),
        };
        let peer = Peer {
            selector: world::requirement("app", "In", &["a"]),
            kind: PeerKind::Endpoints,
            location: world::place(number, 1),
        };
        let rule = (
            world::requirement("own", "In", &[&to]),
            Direction::Ingress,
            *effect,
            true,
            Peers::Some {
                location: None,
                list: vec![peer],
            },
            Ports::Some(ports.iter().map(item).collect()),
        );
        Arc::new(world::policy(number, vec![rule]))
    };
    let endpoint = |id: u16| {
        let labels = LabelSet::parse([format!("k8s:own=e{id}")]).unwrap();
        LocalEndpoint::new(EndpointId::new(id), labels)
    };
    World {
        identities: [(PEER, LabelSet::parse(["k8s:app=a"]).unwrap())].into(),
        endpoints: (1..=4).map(endpoint).collect(),
        policies: (1..).zip(policies).map(of).collect(),
        options: Options::default(),
        named_ports: NamedPorts::new(),
        proxy_ports: ProxyPorts::default(),
    }
}

fn each(ports: impl Iterator<Item = u16>) -> Vec<RangeInclusive<u16>> {
    ports.map(|port| port..=port).collect()
}

fn tables(world: &World) -> Tables {
    let mut tables = Tables::new(SIZES);
    tables.update(&world.desired()).unwrap();
    tables
}

/// Whether the row of an endpoint and the peer is wide, and its slots: place and value.
fn row(tables: &Tables, endpoint: u16) -> (bool, Vec<(u32, u32)>) {
    let image = tables.image();
    let policy = image.policies_of(EndpointId::new(endpoint)).ingress;
    let line = image.policy_line(PolicyId::new(policy));
    let peer = image.peer_class(PEER, Direction::Ingress).get();
    let slot = image.row_slot(line.base + peer);
    assert_eq!(slot.owner, line.base, "the peer has a row of its own");
    let line = image.row_line(RowId::new(slot.value));
    let slots = (line.base..SIZES.cell_slots).map(|at| (at - line.base, image.cell_slot(at)));
    let slots = slots.filter(|(_, slot)| slot.owner == line.base);
    let slots = slots.map(|(place, slot)| (place, slot.value));
    (line.default & ROW_WIDE != 0, slots.collect())
}

fn question(endpoint: u16, port: u16) -> Question {
    Question {
        endpoint: EndpointId::new(endpoint),
        direction: Direction::Ingress,
        peer: PEER,
        port: PortIndex::new(Protocol::TCP, port),
    }
}

fn action(tables: &Tables, endpoint: u16, port: u16) -> Action {
    ask(tables.image(), question(endpoint, port)).action()
}

/// What every port of endpoint 1 gets, of some that matter.
fn allowed(tables: &Tables, ports: impl Iterator<Item = u16>) -> BTreeSet<u16> {
    ports
        .filter(|port| action(tables, 1, *port) == Action::Allow)
        .collect()
}

const CUT: std::ops::Range<u16> = 2_000..2_160;

#[test]
fn a_range_that_others_cut_to_pieces_takes_a_slot_for_sixteen() {
    let others = each(CUT);
    let world = node(&[
        (1, Effect::Allow, &[1_000..=60_000]),
        (2, Effect::Allow, &others),
    ]);
    let tables = tables(&world);
    let (is_wide, slots) = row(&tables, 1);
    assert!(is_wide);
    assert!(slots.len() <= 160 / 16 + 2, "{slots:?}");
    // Each of the others' ports has a verdict of its own.
    assert!(!row(&tables, 2).0);
    let ports = [999, 1_000, 1_999, 2_000, 2_159, 2_160, 60_000, 60_001];
    let range = allowed(&tables, ports.into_iter().chain(CUT));
    let inside = ports
        .into_iter()
        .filter(|port| (1_000..=60_000).contains(port));
    assert_eq!(range, inside.chain(CUT).collect());
}

#[test]
fn what_differs_inside_a_block_has_a_slot_of_its_own() {
    let others = each(CUT);
    let world = node(&[
        (1, Effect::Allow, &[1_000..=60_000]),
        (1, Effect::Deny, &[2_040..=2_040, 2_077..=2_078]),
        (2, Effect::Allow, &others),
    ]);
    let tables = tables(&world);
    let (is_wide, slots) = row(&tables, 1);
    assert!(is_wide);
    let singles = slots.iter().filter(|(place, _)| *place >= ROW_BLOCKS);
    assert_eq!(singles.count(), 3);
    assert!(slots.len() <= 160 / 16 + 2 + 3, "{slots:?}");
    let denied = [2_040, 2_077, 2_078];
    let expected = CUT.filter(|port| !denied.contains(port)).collect();
    assert_eq!(allowed(&tables, CUT), expected);
}

#[test]
fn a_row_that_is_cut_more_and_more_becomes_wide() {
    let mut policies: Vec<(u16, Effect, Vec<RangeInclusive<u16>>)> =
        vec![(1, Effect::Allow, vec![1_000..=60_000])];
    let mut tables = Tables::new(SIZES);
    for port in CUT {
        policies.push((2, Effect::Allow, vec![port..=port]));
        let shown: Vec<_> = policies
            .iter()
            .map(|(to, effect, ports)| (*to, *effect, ports.as_slice()))
            .collect();
        tables.update(&node(&shown).desired()).unwrap();
        assert_eq!(allowed(&tables, CUT), CUT.collect(), "with {port}");
    }
    let (is_wide, slots) = row(&tables, 1);
    assert!(is_wide);
    assert!(slots.len() <= 160 / 16 + 4, "{slots:?}");
    // The others' do not run on.
    assert!(!row(&tables, 2).0);
}

/// Worlds whose rows are wide, and differ as the places of others' ports and denials do.
fn cut_worlds() -> impl Strategy<Value = Vec<World>> {
    let ports = || proptest::collection::btree_set(CUT, 0..6);
    let world = (any::<[bool; 4]>(), ports(), ports(), ports()).prop_map(
        |([range, crowd, other, late], own, denied, more)| {
            let crowd_ports = each(CUT.step_by(2));
            let late_ports = each(CUT.skip(1).step_by(2));
            let (own, denied, more) = (
                each(own.into_iter()),
                each(denied.into_iter()),
                each(more.into_iter()),
            );
            let mut policies: Vec<(u16, Effect, &[RangeInclusive<u16>])> =
                vec![(1, Effect::Deny, &denied), (3, Effect::Allow, &more)];
            let range_of: &[RangeInclusive<u16>] = if range { &[1..=65_000] } else { &[] };
            policies.push((1, Effect::Allow, range_of));
            let [crowd_ports, late_ports, own] = [
                (crowd, crowd_ports.as_slice()),
                (late, late_ports.as_slice()),
                (other, own.as_slice()),
            ]
            .map(|(is_there, ports)| if is_there { ports } else { &[] });
            policies.push((2, Effect::Allow, crowd_ports));
            policies.push((4, Effect::Allow, late_ports));
            policies.push((1, Effect::Allow, own));
            let mut world = node(&policies);
            // A rule without ports is about all of them.
            world.policies.retain(
                |policy| !matches!(&policy.rules[0].ports, Ports::Some(items) if items.is_empty()),
            );
            world
        },
    );
    proptest::collection::vec(world, 5)
}

fn cut_questions() -> Vec<Question> {
    let ports = || CUT.step_by(3).chain([1, 999, 65_000, 65_001]);
    (1..=4)
        .flat_map(|endpoint| ports().map(move |port| question(endpoint, port)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: palisade_testkit::cases(48),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn wide_rows_that_change_end_where_a_fresh_compile_does(
        worlds in cut_worlds(),
        slots in prop_oneof![Just(SIZES.cell_slots), 220..320_u32],
    ) {
        // Where there is little room rows of either form collide, move and do not fit.
        let sizes = TableSizes { cell_slots: slots, ..SIZES };
        let mut tables = Tables::new(sizes);
        let mut accepted = None;
        for world in &worlds {
            let before = tables.clone();
            if tables.update(&world.desired()).is_ok() {
                accepted = Some(world);
                let fresh = self::tables(world);
                let adopted = Tables::adopt(tables.image().clone());
                for question in cut_questions() {
                    let expected = ask(fresh.image(), question).action();
                    prop_assert_eq!(ask(tables.image(), question).action(), expected);
                    prop_assert_eq!(ask(adopted.image(), question).action(), expected);
                }
                let mut adopted = adopted;
                if adopted.update(&worlds[0].desired()).is_ok() {
                    let fresh = self::tables(&worlds[0]);
                    for question in cut_questions() {
                        let expected = ask(fresh.image(), question).action();
                        prop_assert_eq!(ask(adopted.image(), question).action(), expected);
                    }
                }
            } else {
                for question in cut_questions() {
                    let expected = ask(before.image(), question);
                    prop_assert_eq!(ask(tables.image(), question), expected);
                }
                if let Some(world) = accepted {
                    prop_assert_eq!(tables.update(&world.desired()).unwrap(), []);
                }
            }
        }
    }

    #[test]
    fn readers_of_wide_rows_see_the_old_verdict_or_the_new(
        worlds in cut_worlds(),
        any_order in any::<bool>(),
        adopted_at in proptest::option::of(1..5_usize),
        slots in prop_oneof![Just(SIZES.cell_slots), 220..320_u32],
        mut rng in any::<u64>().prop_perturb(|_, rng| rng),
    ) {
        let order = if any_order { LoadOrder::Any } else { LoadOrder::InOrder };
        let sizes = TableSizes { cell_slots: slots, ..SIZES };
        let mut tables = Tables::new(sizes).for_readers(order);
        let mut history = History::new(&tables, cut_questions());
        for (place, world) in worlds.iter().enumerate() {
            if adopted_at == Some(place) {
                tables = Tables::adopt(tables.image().clone()).for_readers(order);
            }
            history.push(tables.update(&world.desired()).unwrap_or_default());
        }
        history.end();
        history.check(order, &mut rng)?;
    }
}
