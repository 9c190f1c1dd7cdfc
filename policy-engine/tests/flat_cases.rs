//! Cases of Cilium's entries that the tables and the plain walk must agree with.

#![expect(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that meets something unexpected fails, and uses a part of what is shared"
)]

#[path = "support/walk.rs"]
mod walk;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{Action, Direction, EndpointId, Identity, Protocol, ProxyPort, TableSizes};
use palisade_identity::{LabelSet, Selector, reserved};
use palisade_policy::flat::policies;
use palisade_policy::{
    AuthMode, Effect, Kind, LocalEndpoint, NamedPorts, Options, Peer, PeerKind, Peers, Policy,
    PortMatch, PortRule, Ports, Priority, ProxyPorts, ResourceName, Rule, Tables, Tier,
};

use self::walk::{Other, Packet, Walked};
use self::world::World;

const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 4_096,
    rows: 1_024,
    cell_slots: 65_536,
    verdicts: 4_096,
    endpoints: 16,
    ipcache: 16,
    conntrack: 16,
    events: 4_096,
};
const POD: Identity = Identity::new(256);

/// Policies of the pod `app=a`, each with the rules that it is given, under the default options.
fn node(policies: Vec<Policy>) -> World {
    let pod = LabelSet::parse(["k8s:app=a"]).unwrap();
    let host = reserved::labels(Identity::HOST).unwrap();
    World {
        identities: BTreeMap::from([(Identity::HOST, host), (POD, pod.clone())]),
        endpoints: vec![LocalEndpoint::new(EndpointId::new(1), pod)],
        policies: policies.into_iter().map(Arc::new).collect(),
        options: Options::default(),
        named_ports: NamedPorts::new(),
        proxy_ports: ProxyPorts::default(),
    }
}

/// A policy of one rule about everybody, whom it lets in or not.
fn everybody(number: u32, effect: Effect, change: impl Fn(&mut Rule)) -> Policy {
    let peers = Peers::Any { location: None };
    let subject = Selector::everything();
    let parts = (subject, Direction::Ingress, effect, true, peers, Ports::All);
    let mut policy = world::policy(number, vec![parts]);
    policy.rules.iter_mut().for_each(change);
    policy
}

/// What is done with packets to TCP port 80 of the pod; all three must say the same.
fn ingress(world: &World, from: Identity) -> Walked {
    let (direction, protocol, port) = (Direction::Ingress, Protocol::TCP, 80);
    let desired = world.desired();
    let mut tables = Tables::new(SIZES);
    tables.update(&desired).unwrap();
    let endpoint = world.endpoints.first().unwrap();
    let verdict = tables.verdict(endpoint.id, direction, from, protocol, port);
    let policy = policies(&desired).remove(0).unwrap();
    let found = policy.side(direction).lookup(from, protocol, port);
    let flat = found.map_or(walk::DENIED, |(_, entry)| Walked {
        action: entry.action(),
        proxy: entry.proxy_port.map_or(0, ProxyPort::get),
        auth: entry.auth.kind(),
    });
    let known = world.identities.get(&from);
    let packet = Packet {
        endpoint,
        direction,
        other: known.map_or(Other::Unknown, Other::Known),
        protocol,
        port,
    };
    let walked = walk::verdict(&desired, packet);
    let of_tables = Walked {
        action: verdict.action(),
        proxy: verdict.proxy_port,
        auth: verdict.auth(),
    };
    assert_eq!((of_tables, flat), (walked, walked));
    walked
}

#[test]
fn the_node_is_let_in_before_the_baseline_denies_where_no_rule_is_between() {
    let baseline = |rule: &mut Rule| rule.tier = Tier::Baseline;
    let world = node(vec![everybody(0, Effect::Deny, baseline)]);
    assert_eq!(ingress(&world, Identity::HOST).action, Action::Allow);
    assert_eq!(ingress(&world, POD).action, Action::Deny);
    // Nor does what goes before them take the place of the node.
    let admin = |rule: &mut Rule| rule.tier = Tier::Admin;
    let mut both = world.clone();
    let denies = Arc::new(everybody(1, Effect::Deny, admin));
    both.policies.push(denies);
    assert_eq!(ingress(&both, Identity::HOST).action, Action::Deny);
}

#[test]
fn the_baseline_of_administrators_gives_way_to_what_isolates() {
    let of_cluster = |rule: &mut Rule| {
        rule.tier = Tier::Baseline;
        rule.default_deny = false;
        rule.resource = Arc::new(ResourceName {
            kind: Kind::ClusterNetworkPolicy,
            namespace: None,
            name: "baseline".into(),
        });
    };
    let mut world = node(vec![everybody(0, Effect::Allow, of_cluster)]);
    assert_eq!(ingress(&world, POD).action, Action::Allow);
    let nobody = |rule: &mut Rule| {
        rule.peers = Peers::Some {
            location: None,
            list: Vec::new(),
        }
    };
    world
        .policies
        .push(Arc::new(everybody(1, Effect::Allow, nobody)));
    assert_eq!(ingress(&world, POD).action, Action::Deny);
}

/// Those whom a selector matches.
fn those(selector: Selector) -> Peers {
    let peer = Peer {
        selector,
        kind: PeerKind::Endpoints,
        location: world::place(0, 1),
    };
    Peers::Some {
        location: None,
        list: vec![peer],
    }
}

fn port_80() -> Ports {
    Ports::Some(vec![PortRule {
        protocol: Protocol::TCP,
        ports: PortMatch::Numbers(80..=80),
        redirect: None,
        location: world::place(0, 2),
    }])
}

#[test]
fn what_a_later_tier_asks_of_the_node_does_not_count_once_it_is_let_in() {
    let asks = |rule: &mut Rule| {
        rule.peers = those(world::requirement("$host", "Exists", &[]));
        rule.ports = port_80();
        rule.auth = Some(AuthMode::Required);
    };
    let mut world = node(vec![everybody(0, Effect::Allow, asks)]);
    // At one level it does.
    assert_eq!(ingress(&world, Identity::HOST).auth, 1);
    world.options.tier = Tier::Admin;
    assert_eq!(ingress(&world, Identity::HOST).auth, 0);
}

#[test]
fn beside_a_pass_too_a_narrower_entry_asks_for_what_the_wider_does() {
    let asks = everybody(0, Effect::Allow, |rule| {
        rule.auth = Some(AuthMode::Required);
    });
    let narrow = everybody(1, Effect::Allow, |rule| {
        rule.ports = port_80();
    });
    let passes = everybody(2, Effect::Pass, |rule| {
        rule.peers = those(world::requirement("app", "In", &["b"]));
        rule.priority = Priority::whole(1);
    });
    let without = node(vec![asks, narrow]);
    let mut with = without.clone();
    with.policies.push(Arc::new(passes));
    for world in [without, with] {
        assert_eq!(ingress(&world, POD).auth, 1);
        assert_eq!(ingress(&world, Identity::HOST).auth, 1);
    }
}

#[test]
fn what_a_later_level_asks_does_not_count_once_an_earlier_lets_in() {
    let asks = |ports: Ports, priority: u16| {
        everybody(0, Effect::Allow, |rule| {
            rule.peers = those(world::requirement("app", "In", &["a"]));
            rule.ports = ports.clone();
            rule.auth = Some(AuthMode::Required);
            rule.priority = Priority::whole(priority);
        })
    };
    // Another selector, so that nothing is merged before identities are known.
    let plain = everybody(1, Effect::Allow, |rule| {
        rule.peers = those(world::requirement("app", "Exists", &[]));
    });
    for ports in [Ports::All, port_80()] {
        let earlier = node(vec![asks(ports.clone(), 1), plain.clone()]);
        assert_eq!(ingress(&earlier, POD).auth, 0, "{ports:?}");
        let beside = node(vec![asks(ports.clone(), 0), plain.clone()]);
        assert_eq!(ingress(&beside, POD).auth, 1, "{ports:?}");
    }
}
