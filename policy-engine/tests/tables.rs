//! The tables against the plain walk, and every change as a reader sees it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets something unexpected fails"
)]

#[path = "support/history.rs"]
mod history;
#[path = "support/walk.rs"]
mod walk;
#[path = "support/world.rs"]
mod world;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{
    Action, Direction, EndpointId, Identity, Line, PolicyId, PortIndex, Protocol, Table,
    TableSizes, Verdict, Write,
};
use palisade_identity::LabelSet;
use palisade_policy::tables::Error;
use palisade_policy::{
    Effect, Image, LoadOrder, LocalEndpoint, NamedPorts, Options, Peer, PeerKind, Peers, PortMatch,
    PortRule, Ports, Priority, ProxyPorts, Tables,
};
use palisade_testkit::cases;
use proptest::prelude::*;

use self::history::{History, LOADS, Loads, Question, ask, questions};
use self::walk::{Other, Packet, Walked};
use self::world::{RuleParts, World};

const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 1_024,
    rows: 256,
    cell_slots: 8_192,
    verdicts: 1_024,
    endpoints: 16,
    ipcache: 16,
    conntrack: 16,
    events: 4_096,
};

fn config(usual: u32) -> ProptestConfig {
    ProptestConfig {
        cases: cases(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What a verdict says, with the line that it leads to instead of the number.
fn reading(tables: &Tables, verdict: Verdict) -> String {
    let origin = tables.origin(verdict.cookie());
    let origin = origin.map(|origin| format!("{} {:#}", origin.resource, origin.location));
    format!(
        "{:?} {} {} {origin:?}",
        verdict.action(),
        verdict.flags,
        verdict.proxy_port
    )
}

fn assert_same_reading(left: &Tables, right: &Tables) -> Result<(), TestCaseError> {
    let mut compared = HashSet::new();
    for question in questions() {
        let (a, b) = (ask(left.image(), question), ask(right.image(), question));
        if compared.insert((a, b)) {
            prop_assert_eq!(reading(left, a), reading(right, b), "{:?}", question);
        }
    }
    Ok(())
}

fn fresh(world: &World) -> Tables {
    let mut tables = Tables::new(SIZES);
    tables.update(&world.desired()).unwrap();
    tables
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn tables_decide_as_the_plain_walk_does(worlds in world::worlds(1)) {
        let world = &worlds[0];
        let tables = fresh(world);
        for endpoint in &world.endpoints {
            if tables.conflicts().contains_key(&endpoint.id) {
                // What contradicts itself is not in force.
                continue;
            }
            for direction in Direction::BOTH {
                for peer in world::identities() {
                    let other = world.identities.get(&peer).map_or(Other::Unknown, Other::Known);
                    for (protocol, port) in world::ports() {
                        let packet = Packet { endpoint, direction, other, protocol, port };
                        // Rules that contradict each other are not put in force.
                        let is_void = tables.conflicts().contains_key(&endpoint.id);
                        let walked = if is_void {
                            walk::DENIED
                        } else {
                            walk::verdict(&world.desired(), packet)
                        };
                        let verdict = tables.verdict(endpoint.id, direction, peer, protocol, port);
                        let found = Walked {
                            action: verdict.action(),
                            proxy: verdict.proxy_port,
                            auth: verdict.auth(),
                        };
                        prop_assert_eq!(found, walked, "{:?} with {}", packet, peer);
                    }
                }
            }
        }
    }

}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_an_unknown_identity_may_do_everybody_may(worlds in world::worlds(1)) {
        let world = &worlds[0];
        let tables = fresh(world);
        let nobody = Identity::new(77);
        for question in questions() {
            let unknown = Question { peer: nobody, ..question };
            if ask(tables.image(), unknown).action() == Action::Allow
                && world.identities.contains_key(&question.peer)
            {
                // That is why learning an identity leaves the generation alone.
                prop_assert_eq!(ask(tables.image(), question).action(), Action::Allow);
            }
        }
    }

    #[test]
    fn a_sequence_of_updates_ends_where_a_fresh_compile_does(worlds in world::worlds(4)) {
        let mut tables = Tables::new(SIZES);
        let mut image = Image::new(SIZES);
        for world in &worlds {
            let writes = tables.update(&world.desired()).unwrap();
            image.apply_all(&writes).unwrap();
            assert_same_reading(&tables, &fresh(world))?;
            for question in questions() {
                prop_assert_eq!(ask(&image, question), ask(tables.image(), question));
            }
        }
    }

    #[test]
    fn nothing_is_written_when_nothing_changes(worlds in world::worlds(2)) {
        let mut tables = fresh(&worlds[0]);
        tables.update(&worlds[1].desired()).unwrap();
        let mut same = worlds[1].clone();
        same.policies.reverse();
        same.endpoints.reverse();
        prop_assert_eq!(tables.update(&same.desired()).unwrap(), []);
    }

    #[test]
    fn the_order_in_which_policies_arrive_decides_nothing(worlds in world::worlds(1)) {
        let mut reversed = worlds[0].clone();
        reversed.policies.reverse();
        reversed.endpoints.reverse();
        assert_same_reading(&fresh(&worlds[0]), &fresh(&reversed))?;
    }

    #[test]
    fn adopted_tables_end_where_a_fresh_compile_does(worlds in world::worlds(3)) {
        let mut before = fresh(&worlds[0]);
        before.update(&worlds[1].desired()).unwrap();
        let mut adopted = Tables::adopt(before.image().clone());
        let writes = adopted.update(&worlds[2].desired()).unwrap();
        let mut image = before.image().clone();
        image.apply_all(&writes).unwrap();
        assert_same_reading(&adopted, &fresh(&worlds[2]))?;
        for question in questions() {
            prop_assert_eq!(ask(&image, question), ask(adopted.image(), question));
        }
    }

    #[test]
    fn tables_that_are_too_small_stay_as_they_are(
        worlds in world::worlds(3),
        policies in 2..12_u32,
        rows in 2..12_u32,
        slots in 1..64_u32,
    ) {
        let sizes = TableSizes { policies, rows, row_slots: slots, cell_slots: slots, ..SIZES };
        let mut tables = Tables::new(sizes);
        let mut accepted: Option<&World> = None;
        for world in &worlds {
            let before = tables.clone();
            match tables.update(&world.desired()) {
                Ok(_) => {
                    assert_same_reading(&tables, &fresh(world))?;
                    accepted = Some(world);
                }
                Err(Error::Full { needed, size, .. }) => {
                    prop_assert!(needed > size);
                    for question in questions() {
                        let verdict = ask(tables.image(), question);
                        prop_assert_eq!(verdict, ask(before.image(), question));
                        let (now, then) = (reading(&tables, verdict), reading(&before, verdict));
                        prop_assert_eq!(now, then);
                    }
                    if let Some(accepted) = accepted {
                        prop_assert_eq!(tables.update(&accepted.desired()).unwrap(), []);
                    }
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn readers_that_load_in_order_see_the_old_verdict_or_the_new(
        worlds in world::worlds(4),
        learnt in any::<[u8; 4]>(),
        mut rng in any::<u64>().prop_perturb(|_, rng| rng),
    ) {
        let history = History::of(&worlds, learnt, LoadOrder::InOrder, Tables::new(SIZES));
        history.check(LoadOrder::InOrder, &mut rng)?;
    }

    #[test]
    fn readers_that_load_in_any_order_see_the_old_verdict_or_the_new(
        worlds in world::worlds(4),
        learnt in any::<[u8; 4]>(),
        mut rng in any::<u64>().prop_perturb(|_, rng| rng),
    ) {
        let history = History::of(&worlds, learnt, LoadOrder::Any, Tables::new(SIZES));
        history.check(LoadOrder::Any, &mut rng)?;
    }

    #[test]
    fn readers_of_adopted_tables_see_the_old_verdict_or_the_new(
        worlds in world::worlds(4),
        learnt in any::<[u8; 4]>(),
        mut rng in any::<u64>().prop_perturb(|_, rng| rng),
    ) {
        let mut before = fresh(&worlds[0]);
        before.update(&worlds[1].desired()).unwrap();
        let adopted = Tables::adopt(before.image().clone());
        let history = History::of(&worlds[2..], learnt, LoadOrder::InOrder, adopted);
        history.check(LoadOrder::InOrder, &mut rng)?;
    }

    #[test]
    fn readers_meet_no_half_change_where_room_is_scarce(
        worlds in world::worlds(5),
        learnt in any::<[u8; 4]>(),
        slots in 24..64_u32,
        any_order in any::<bool>(),
        mut rng in any::<u64>().prop_perturb(|_, rng| rng),
    ) {
        let order = if any_order { LoadOrder::Any } else { LoadOrder::InOrder };
        // Lines collide and move, numbers are soon used again, some updates do not fit.
        let sizes = TableSizes { row_slots: slots, cell_slots: 2 * slots, ..SIZES };
        let history = History::of(&worlds, learnt, order, Tables::new(sizes));
        history.check(order, &mut rng)?;
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn any_sequence_of_single_changes_ends_where_a_fresh_compile_does(
        worlds in world::worlds(3),
        picks in proptest::collection::vec(any::<(u8, u8, u8)>(), 100..400),
    ) {
        let mut world = worlds[0].clone();
        let mut tables = fresh(&world);
        let mut image = tables.image().clone();
        for (count, pick) in (1..).zip(&picks) {
            let writes = one_change(&mut tables, &mut world, &worlds, *pick);
            image.apply_all(&writes).unwrap();
            if count % 32 == 0 || count == picks.len() {
                let compiled = fresh(&world);
                assert_same_reading(&tables, &compiled)?;
                for question in questions() {
                    prop_assert_eq!(ask(&image, question), ask(tables.image(), question));
                }
                let (grown, least) = (tables.budget(), compiled.budget());
                prop_assert!(grown.ingress_classes <= 3 * least.ingress_classes + 200);
                prop_assert!(grown.egress_classes <= 3 * least.egress_classes + 200);
                prop_assert_eq!(tables.update(&world.desired()).unwrap(), []);
            }
        }
    }
}

/// One thing comes, changes or goes; in the tables and in the world.
fn one_change(
    tables: &mut Tables,
    world: &mut World,
    worlds: &[World],
    (kind, which, from): (u8, u8, u8),
) -> Vec<Write> {
    let from = &worlds[usize::from(from) % worlds.len()];
    let which = usize::from(which);
    match kind % 7 {
        0 | 1 => {
            let place = u32::try_from(which % 12).unwrap();
            let identity = Identity::new(world::IDENTITIES.start() + place);
            let labels = from.identities.values().nth(which % from.identities.len());
            world.identities.insert(identity, labels.unwrap().clone());
            tables.add_identity(identity, labels.unwrap()).unwrap()
        }
        2 => {
            let nth = world
                .identities
                .keys()
                .nth(which % world.identities.len().max(1));
            let Some(identity) = nth.copied() else {
                return Vec::new();
            };
            world.identities.remove(&identity);
            tables.remove_identity(identity)
        }
        3 => {
            let Some(policy) = from.policies.get(which % from.policies.len().max(1)) else {
                return Vec::new();
            };
            world.policies.retain(|one| one.resource != policy.resource);
            world.policies.push(policy.clone());
            tables.add_policy(policy).unwrap()
        }
        4 if !world.policies.is_empty() => {
            let gone = world.policies.remove(which % world.policies.len());
            tables.remove_policy(&gone.resource).unwrap()
        }
        5 => {
            let Some(endpoint) = from.endpoints.get(which % from.endpoints.len().max(1)) else {
                return Vec::new();
            };
            world.endpoints.retain(|one| one.id != endpoint.id);
            world.endpoints.push(endpoint.clone());
            tables.add_endpoint(endpoint).unwrap()
        }
        6 if !world.endpoints.is_empty() => {
            let gone = world.endpoints.remove(which % world.endpoints.len());
            tables.remove_endpoint(gone.id).unwrap()
        }
        _ => {
            world.identities.clone_from(&from.identities);
            world.endpoints.clone_from(&from.endpoints);
            world.policies.clone_from(&from.policies);
            tables.update(&world.desired()).unwrap()
        }
    }
}

/// A port item without a redirect.
fn port(ports: RangeInclusive<u16>) -> Ports {
    Ports::Some(vec![PortRule {
        protocol: Protocol::TCP,
        ports: PortMatch::Numbers(ports),
        redirect: None,
        location: world::place(0, 1),
    }])
}

/// A rule for what comes to endpoints of one label from peers of another.
fn rule(effect: Effect, (key, to): (&str, &str), from: (&str, &str), ports: Ports) -> RuleParts {
    let peers = Peers::Some {
        location: None,
        list: vec![Peer {
            selector: world::requirement(from.0, "In", &[from.1]),
            kind: PeerKind::Endpoints,
            location: world::place(0, 1),
        }],
    };
    (
        world::requirement(key, "In", &[to]),
        Direction::Ingress,
        effect,
        true,
        peers,
        ports,
    )
}

fn labels(texts: &[&str]) -> LabelSet {
    LabelSet::parse(texts).unwrap()
}

fn local(id: u16, text: &str) -> LocalEndpoint {
    LocalEndpoint::new(EndpointId::new(id), labels(&[text]))
}

/// One change, write by write, and every reader that pauses once during it.
fn assert_all_readers_see(
    tables: &mut Tables,
    world: &World,
    order: LoadOrder,
    questions: &[Question],
    expected: Action,
) {
    let mut history = History::new(tables, questions.to_vec());
    history.push(tables.update(&world.desired()).unwrap());
    history.end();
    let masks = match order {
        LoadOrder::InOrder => (1..=LOADS).map(|loads| (1 << loads) - 1).collect(),
        LoadOrder::Any => Loads::early(),
    };
    let end = history.images.len() - 1;
    for first in 0..=end {
        for then in first..=history.last_seen[first] {
            for early in &masks {
                let loads = Loads::paused(first, then, *early);
                for question in questions {
                    let seen = history.read(*question, &loads).action();
                    assert_eq!(seen, expected, "{question:?} with {loads:?}");
                }
            }
        }
    }
}

#[test]
fn a_port_class_from_before_a_split_never_meets_a_row_from_after_it() {
    // A rule for a peer that nobody has been yet: the policy goes on, and the first such peer comes
    // together with the rule. To a reader that holds the old class of port 443 its row would allow.
    let c = ("app", "c");
    let first = rule(Effect::Allow, c, ("app", "a"), port(80..=80));
    let all = rule(Effect::Allow, c, ("app", "b"), Ports::All);
    let but = rule(Effect::Deny, c, ("app", "b"), port(443..=443));
    let (a, b) = (Identity::new(256), Identity::new(257));
    let mut world = World {
        identities: [(a, labels(&["k8s:app=a"]))].into(),
        endpoints: vec![local(1, "k8s:app=c")],
        policies: vec![Arc::new(world::policy(1, vec![first]))],
        options: Options::default(),
        named_ports: NamedPorts::new(),
        proxy_ports: ProxyPorts::default(),
    };
    let mut tables = Tables::new(SIZES).for_readers(LoadOrder::InOrder);
    tables.update(&world.desired()).unwrap();
    let policies = tables.image().policies_of(EndpointId::new(1));
    world
        .policies
        .push(Arc::new(world::policy(2, vec![all, but])));
    world.identities.insert(b, labels(&["k8s:app=b"]));
    let question = Question {
        endpoint: EndpointId::new(1),
        direction: Direction::Ingress,
        peer: b,
        port: PortIndex::new(Protocol::TCP, 443),
    };
    let order = LoadOrder::InOrder;
    assert_all_readers_see(&mut tables, &world, order, &[question], Action::Deny);
    assert_eq!(
        tables.image().policies_of(EndpointId::new(1)),
        policies,
        "the policy goes on"
    );
}

#[test]
fn lines_that_move_are_not_read_at_their_old_place() {
    // Lines of one exception each lie side by side, so that every further column makes them move.
    let crowd = |ids: RangeInclusive<u16>| -> Vec<LocalEndpoint> {
        ids.map(|id| local(id, &format!("k8s:own=e{id}"))).collect()
    };
    let allow = |id: u32, from, ports| {
        let to = format!("e{id}");
        Arc::new(world::policy(
            id,
            vec![rule(Effect::Allow, ("own", &to), from, ports)],
        ))
    };
    let both = Identity::new(257);
    let mut world = World {
        identities: [
            (Identity::new(256), labels(&["k8s:app=a"])),
            (both, labels(&["k8s:app=a", "k8s:tier=x"])),
        ]
        .into(),
        endpoints: crowd(1..=5),
        policies: (1..=5)
            .map(|id| allow(id, ("app", "a"), port(53..=443)))
            .collect(),
        options: Options::default(),
        named_ports: NamedPorts::new(),
        proxy_ports: ProxyPorts::default(),
    };
    let mut tables = Tables::new(SIZES).for_readers(LoadOrder::Any);
    tables.update(&world.desired()).unwrap();
    let lines = |tables: &Tables| -> Vec<Line> {
        let policies = (1..=5).map(|id| tables.image().policies_of(EndpointId::new(id)).ingress);
        policies
            .map(|policy| tables.image().policy_line(PolicyId::new(policy)))
            .collect()
    };
    let before = lines(&tables);
    let questions: Vec<Question> = (1..=5)
        .map(|id| Question {
            endpoint: EndpointId::new(id),
            direction: Direction::Ingress,
            peer: both,
            port: PortIndex::new(Protocol::TCP, 80),
        })
        .collect();
    // Neither the new selector nor the new port means anything to the five.
    world.endpoints = crowd(1..=6);
    world.policies.push(allow(6, ("tier", "x"), port(53..=443)));
    assert_all_readers_see(
        &mut tables,
        &world,
        LoadOrder::Any,
        &questions,
        Action::Allow,
    );
    assert_ne!(lines(&tables), before, "some line moved");
    world.policies.push(allow(6, ("tier", "x"), port(80..=80)));
    assert_all_readers_see(
        &mut tables,
        &world,
        LoadOrder::Any,
        &questions,
        Action::Allow,
    );
}

#[test]
fn a_pass_with_nothing_behind_it_does_not_fall_back_to_the_tier_it_left() {
    let c = ("app", "c");
    let pass = rule(Effect::Pass, c, ("app", "a"), port(80..=80));
    let allow = rule(Effect::Allow, c, ("app", "a"), Ports::All);
    let mut policy = world::policy(1, vec![pass, allow]);
    policy.rules[1].priority = Priority::whole(1);
    let a = Identity::new(256);
    let world = World {
        identities: [(a, labels(&["k8s:app=a"]))].into(),
        endpoints: vec![local(1, "k8s:app=c")],
        policies: vec![Arc::new(policy)],
        options: Options::default(),
        named_ports: NamedPorts::new(),
        proxy_ports: ProxyPorts::default(),
    };
    let tables = fresh(&world);
    let ask = |port| {
        let verdict = tables.verdict(
            EndpointId::new(1),
            Direction::Ingress,
            a,
            Protocol::TCP,
            port,
        );
        verdict.action()
    };
    assert_eq!((ask(80), ask(81)), (Action::Deny, Action::Allow));
}

#[test]
fn empty_tables_deny_everything() {
    let tables = Tables::new(SIZES);
    for question in questions() {
        assert_eq!(ask(tables.image(), question), Verdict::default());
    }
}
