//! The programs against walks in user space: random tables, and random policies of random nodes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

mod rig;
#[path = "../../policy-engine/tests/support/walk.rs"]
mod walk;
#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "../../policy-engine/tests/support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use palisade_abi::{
    Direction, EndpointId, EndpointRecord, Identity, IpcacheEntry, Line, PeerClass, PeerClasses,
    PolicyId, PolicyPair, PortClass, PortIndex, Prefix, Protocol, ROW_BLOCK, ROW_BLOCKS, ROW_WIDE,
    RowId, Slot, Table, TableSizes, Verdict, VerdictIndex, Write,
};
use palisade_policy::{Image, Tables};
use palisade_testkit::packet::{Packet, TCP_SYN};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::rig::{Place, Rig, Setup};
use crate::walk::{Other, Walked};

/// Questions that the programs are asked about each random node.
const QUESTIONS: usize = 120;
const NODES: usize = 60;
const RANDOM_TABLES: u32 = 400;

/// What a program is asked: an endpoint's view of a peer.
#[derive(Clone, Copy, Debug)]
struct Question {
    endpoint: EndpointId,
    direction: Direction,
    peer: Identity,
    protocol: Protocol,
    port: u16,
}

/// A rig where every identity and endpoint of the random worlds has addresses.
struct Oracle {
    rig: Rig,
}

impl Oracle {
    fn new(sizes: TableSizes) -> Self {
        let mut rig = Rig::with_sizes(Setup::default(), sizes);
        let record = rig.record(rig::WEB);
        for endpoint in world::endpoints() {
            for address in endpoint_addresses(endpoint) {
                let id = endpoint.get();
                let record = EndpointRecord { id, ..record };
                rig.apply(&[Write::Endpoint(address.into(), Some(record))]);
            }
        }
        for identity in world::identities() {
            for address in peer_addresses(identity) {
                let entry = Some(IpcacheEntry::new(identity));
                rig.apply(&[Write::Ipcache(Prefix::exact(address), entry)]);
            }
        }
        Self { rig }
    }

    /// The verdict of the program, as its event tells it.
    fn ask(&mut self, question: Question) -> Verdict {
        let (outgoing, place) = match question.direction {
            Direction::Egress => (true, Place::FromWeb),
            Direction::Ingress => (false, Place::ToWeb),
        };
        let frame = packet(question, outgoing).bytes();
        let (_, events) = self.rig.run(place, 0, &frame);
        self.rig.forget_connections();
        let told = events.first().copied();
        let told = told.unwrap_or_else(|| unreachable!("{question:?} was not judged"));
        assert_eq!(
            told.direction, question.direction as u8,
            "{question:?}: {told:?}"
        );
        assert_eq!(
            told.endpoint,
            question.endpoint.get(),
            "{question:?}: {told:?}"
        );
        told.verdict
    }
}

fn endpoint_addresses(endpoint: EndpointId) -> [IpAddr; 2] {
    let id = endpoint.get();
    addresses(0x0a01_0000 + u32::from(id), id)
}

fn peer_addresses(identity: Identity) -> [IpAddr; 2] {
    let place = world::identities()
        .iter()
        .position(|known| *known == identity);
    let place = u16::try_from(place.unwrap()).unwrap() + 1;
    addresses(0xcb00_7100 + u32::from(place), 0x100 + place)
}

fn addresses(v4: u32, v6: u16) -> [IpAddr; 2] {
    [
        Ipv4Addr::from_bits(v4).into(),
        Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, v6).into(),
    ]
}

fn packet(question: Question, outgoing: bool) -> Packet {
    let family = usize::from(question.protocol == Protocol::ICMPV6);
    let at = |addresses: [IpAddr; 2]| addresses.into_iter().nth(family).unwrap();
    let (endpoint, peer) = (
        at(endpoint_addresses(question.endpoint)),
        at(peer_addresses(question.peer)),
    );
    let (source, destination) = if outgoing {
        (endpoint, peer)
    } else {
        (peer, endpoint)
    };
    let ends = (
        SocketAddr::new(source, 1025),
        SocketAddr::new(destination, question.port),
    );
    let kind = question.port.to_be_bytes()[1];
    match question.protocol {
        Protocol::TCP => Packet::tcp(ends.0, ends.1, TCP_SYN),
        Protocol::UDP => Packet::udp(ends.0, ends.1, b""),
        Protocol::ICMP | Protocol::ICMPV6 => Packet::icmp(source, destination, kind, 0, &[0; 4]),
        other => {
            let ports = [1025_u16.to_be_bytes(), question.port.to_be_bytes()].concat();
            let body = [&ports[..], &[0; 8]].concat();
            Packet::new(source, destination, other.get(), &body)
        }
    }
}

/// Tables of the worlds' size, with room for two moments side by side.
const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 1 << 14,
    rows: 1 << 12,
    cell_slots: 1 << 16,
    verdicts: 1 << 12,
    endpoints: 64,
    ipcache: 128,
    conntrack: 64,
    events: 1 << 16,
};

#[test]
fn program_tables_and_plain_walk_agree_about_random_policies() {
    let mut oracle = Oracle::new(SIZES);
    let mut tables = Tables::new(SIZES);
    let mut runner = TestRunner::new(Config::default());
    let questions = questions();
    let places = proptest::collection::vec(any::<Index>(), QUESTIONS);
    for _ in 0..NODES {
        let worlds = world::worlds(1).new_tree(&mut runner).unwrap().current();
        let world = worlds.first().unwrap();
        // One set of tables lives through all the nodes: every step is also a change.
        let writes = tables.update(&world.desired()).unwrap();
        oracle.rig.apply(&writes);
        for place in places.new_tree(&mut runner).unwrap().current() {
            let question = *place.get(&questions);
            let found = oracle.ask(question);
            let Question {
                endpoint,
                direction,
                peer,
                protocol,
                port,
            } = question;
            let expected = tables.verdict(endpoint, direction, peer, protocol, port);
            assert_eq!(found, expected, "{question:?}");
            let local = world.endpoints.iter().find(|local| local.id == endpoint);
            let Some(local) = local else {
                continue;
            };
            let other = world
                .identities
                .get(&peer)
                .map_or(Other::Unknown, Other::Known);
            let packet = walk::Packet {
                endpoint: local,
                direction,
                other,
                protocol,
                port,
            };
            // Rules that contradict each other are not put in force.
            let walked = if tables.conflicts().contains_key(&endpoint) {
                walk::DENIED
            } else {
                walk::verdict(&world.desired(), packet)
            };
            let found = Walked {
                action: found.action(),
                proxy: found.proxy_port,
                auth: found.auth(),
            };
            assert_eq!(found, walked, "{question:?}");
        }
    }
    assert_dump_rebuilds(&oracle.rig, &tables);
}

/// What the kernel holds, read back, decides as the tables do.
fn assert_dump_rebuilds(rig: &Rig, tables: &Tables) {
    let mut image = Image::new(SIZES);
    image.apply_all(&rig.maps.dump().unwrap()).unwrap();
    for question in questions() {
        let policies = image.policies_of(question.endpoint);
        let port = PortIndex::new(question.protocol, question.port);
        let found = image.lookup(policies, question.direction, question.peer, port);
        let policies = tables.image().policies_of(question.endpoint);
        let expected = tables
            .image()
            .lookup(policies, question.direction, question.peer, port);
        assert_eq!(found, expected, "{question:?}");
    }
}

fn questions() -> Vec<Question> {
    let mut all = Vec::new();
    for endpoint in world::endpoints() {
        for direction in Direction::BOTH {
            for peer in world::identities() {
                for (protocol, port) in world::ports() {
                    all.push(Question {
                        endpoint,
                        direction,
                        peer,
                        protocol,
                        port,
                    });
                }
            }
        }
    }
    all
}

/// The walk of `palisade_abi`'s policy page, over words as they were written.
#[derive(Default)]
struct Plain {
    port_class: BTreeMap<PortIndex, PortClass>,
    classes: BTreeMap<Identity, PeerClasses>,
    policy_line: BTreeMap<u32, Line>,
    row_slot: BTreeMap<u32, Slot>,
    row_line: BTreeMap<u32, Line>,
    cell_slot: BTreeMap<u32, Slot>,
    verdict: BTreeMap<u32, Verdict>,
    policy_of: BTreeMap<EndpointId, PolicyPair>,
}

impl Plain {
    fn apply(&mut self, write: Write) {
        match write {
            Write::PortClass(index, class) => drop(self.port_class.insert(index, class)),
            Write::PeerClasses(identity, classes) => drop(self.classes.insert(identity, classes)),
            Write::PolicyLine(policy, line) => drop(self.policy_line.insert(policy.get(), line)),
            Write::RowSlot(index, slot) => drop(self.row_slot.insert(index, slot)),
            Write::RowLine(row, line) => drop(self.row_line.insert(row.get(), line)),
            Write::CellSlot(index, slot) => drop(self.cell_slot.insert(index, slot)),
            Write::Verdict(at, verdict) => drop(self.verdict.insert(at.get().into(), verdict)),
            Write::PolicyOf(endpoint, pair) => drop(self.policy_of.insert(endpoint, pair)),
            Write::Endpoint(..) | Write::Ipcache(..) | Write::Generation | Write::Grace => {}
        }
    }

    fn lookup(&self, question: Question) -> Verdict {
        let pair = self
            .policy_of
            .get(&question.endpoint)
            .copied()
            .unwrap_or_default();
        let classes = self
            .classes
            .get(&question.peer)
            .copied()
            .unwrap_or_default();
        let (policy, peer) = match question.direction {
            Direction::Ingress => (pair.ingress, classes.ingress),
            Direction::Egress => (pair.egress, classes.egress),
        };
        let index = PortIndex::new(question.protocol, question.port);
        let port = self.port_class.get(&index).copied().unwrap_or_default();
        let row = at(
            self.policy_line.get(&policy),
            &self.row_slot,
            SMALL.row_slots,
            peer,
        );
        let cell = self.cell(self.row_line.get(&row), port.get().into());
        let cell = cell & 0xffff;
        self.verdict.get(&cell).copied().unwrap_or_default()
    }

    /// What a row holds for a port class.
    fn cell(&self, row: Option<&Line>, class: u32) -> u32 {
        let line = row.copied().unwrap_or_default();
        if line.default & ROW_WIDE == 0 {
            return at(row, &self.cell_slot, SMALL.cell_slots, class);
        }
        let (block, column) = (class / ROW_BLOCK, class % ROW_BLOCK);
        // A line that holds no more than this block: 0 if it is not there.
        let of_block = Line { default: 0, ..line };
        let block = at(Some(&of_block), &self.cell_slot, SMALL.cell_slots, block);
        if block & ROW_WIDE << column != 0 {
            return block;
        }
        at(row, &self.cell_slot, SMALL.cell_slots, ROW_BLOCKS + class)
    }
}

/// The value at an index of a line; a slot that was never written is free: all zero.
fn at(line: Option<&Line>, slots: &BTreeMap<u32, Slot>, limit: u32, index: u32) -> u32 {
    let line = line.copied().unwrap_or_default();
    let place = line.base.checked_add(index);
    let Some(place) = place.filter(|place| *place < limit) else {
        return line.default;
    };
    let slot = slots.get(&place).copied().unwrap_or_default();
    if slot.owner == line.base {
        slot.value
    } else {
        line.default
    }
}

/// Small tables, so that random numbers meet.
const SMALL: TableSizes = TableSizes {
    policies: 8,
    row_slots: 32,
    rows: 16,
    cell_slots: ROW_BLOCKS + 32,
    verdicts: 16,
    ..SIZES
};

/// Words that no compiler would write: anything may point anywhere, also past every end.
fn write() -> impl Strategy<Value = Write> {
    let base = || prop_oneof![8 => 0..32_u32, 1 => Just(u32::MAX), 1 => any::<u32>()];
    let number = || prop_oneof![8 => 0..20_u32, 1 => any::<u32>()];
    let line = move || (base(), number()).prop_map(|(base, default)| Line { base, default });
    let slot = move || (base(), number()).prop_map(|(owner, value)| Slot { owner, value });
    let row = (line(), any::<bool>()).prop_map(|(line, is_wide)| Line {
        default: if is_wide {
            line.default | ROW_WIDE
        } else {
            line.default
        },
        ..line
    });
    let cell_at = prop_oneof![2 => 0..32_u32, 1 => ROW_BLOCKS..ROW_BLOCKS + 32];
    let cell =
        (slot(), prop_oneof![2 => Just(0), 1 => any::<u16>()]).prop_map(|(slot, classes)| {
            let value = slot.value | u32::from(classes) << 16;
            Slot { value, ..slot }
        });
    let identity = || select(world::identities());
    let port = || select(world::port_indexes());
    let class = prop_oneof![8 => 0..6_u16, 1 => any::<u16>()];
    prop_oneof![
        2 => (port(), class).prop_map(|(port, class)| {
            Write::PortClass(port, PortClass::new(class))
        }),
        2 => (identity(), number(), number()).prop_map(|(identity, ingress, egress)| {
            // An identity without a page stays unknown, whatever is said of it.
            let classes = PeerClasses::new(PeerClass::new(ingress), PeerClass::new(egress));
            match identity.get() >> 16 {
                0..=1023 => Write::PeerClasses(identity, classes),
                _ => Write::Generation,
            }
        }),
        3 => (0..8_u32, line()).prop_map(|(at, line)| Write::PolicyLine(PolicyId::new(at), line)),
        4 => (0..32_u32, slot()).prop_map(|(at, slot)| Write::RowSlot(at, slot)),
        4 => (0..16_u32, row).prop_map(|(at, line)| Write::RowLine(RowId::new(at), line)),
        8 => (cell_at, cell).prop_map(|(at, slot)| Write::CellSlot(at, slot)),
        3 => (0..16_u16, 1..1000_u32, 0..4_u8).prop_map(|(at, cookie, action)| {
            let verdict = Verdict { cookie, proxy_port: 1, action, flags: 0 };
            Write::Verdict(VerdictIndex::new(at), verdict)
        }),
        3 => (1..8_u16, 0..10_u32, 0..10_u32).prop_map(|(at, ingress, egress)| {
            let pair = PolicyPair::new(PolicyId::new(ingress), PolicyId::new(egress));
            Write::PolicyOf(EndpointId::new(at), pair)
        }),
    ]
}

#[test]
fn program_and_plain_walk_agree_about_random_tables() {
    let mut oracle = Oracle::new(SMALL);
    let mut plain = Plain::default();
    let mut runner = TestRunner::new(Config::default());
    let questions = questions();
    let writes = proptest::collection::vec(write(), 1..40);
    let places = proptest::collection::vec(any::<Index>(), 12);
    let mut allowed = 0;
    for _ in 0..RANDOM_TABLES {
        for write in writes.new_tree(&mut runner).unwrap().current() {
            plain.apply(write);
            oracle.rig.apply(&[write]);
        }
        for place in places.new_tree(&mut runner).unwrap().current() {
            let question = *place.get(&questions);
            let expected = plain.lookup(question);
            assert_eq!(oracle.ask(question), expected, "{question:?}");
            allowed += u32::from(expected.action == 1);
        }
    }
    assert!(allowed > 100, "too few questions had an answer: {allowed}");
}
