//! Programs over maps of their own, in a namespace with two devices, without traffic.

#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "test support, shared by several test binaries"
)]

pub mod node;
pub mod pair;
pub mod seen;
pub mod tables;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use palisade_abi::{
    Address, Cookie, CtEntry, CtKey, DatapathConfig, DenyAnswer, Direction, DropReason, EVENT_DROP,
    EndpointId, EndpointRecord, Identity, IpcacheEntry, Mode, Port, Prefix, Protocol, RawEvent,
    Table, TableSizes, Verdict, Write,
};
use palisade_datapath::netlink::Netlink;
use palisade_datapath::{Events, Frame, Map, Maps, Outcome, Programs};
use palisade_testkit::Namespace;

pub use self::tables::{Rule, compile};

pub const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 1024,
    rows: 1024,
    cell_slots: 16_384,
    verdicts: 256,
    endpoints: 64,
    ipcache: 64,
    conntrack: 4096,
    events: 1 << 20,
};

pub const WEB: EndpointId = EndpointId::new(1);
pub const DB: EndpointId = EndpointId::new(2);
/// The host, where it has policies of its own.
pub const HOST: EndpointId = EndpointId::new(3);
pub const WEB_IDENTITY: Identity = Identity::new(1001);
pub const DB_IDENTITY: Identity = Identity::new(1002);
pub const SITE_IDENTITY: Identity = Identity::new(0x0100_0001);
pub const PROXY_PORT: u16 = 10_053;

pub const WEB_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
pub const WEB_NODE_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];
pub const DB_MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];
pub const DB_NODE_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// Every row runs in both families.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn choose(self, v4: &str, v6: &str) -> IpAddr {
        match self {
            Self::V4 => v4.parse().unwrap(),
            Self::V6 => v6.parse().unwrap(),
        }
    }

    /// Endpoint 1 of this node.
    pub fn web(self) -> IpAddr {
        self.choose("10.0.0.1", "fd00::1")
    }

    /// Endpoint 2 of this node.
    pub fn db(self) -> IpAddr {
        self.choose("10.0.0.2", "fd00::2")
    }

    /// A host whose prefix the ipcache knows.
    pub fn site(self) -> IpAddr {
        self.choose("192.0.2.7", "2001:db8::7")
    }

    /// A host that nothing is known of.
    pub fn stranger(self) -> IpAddr {
        self.choose("198.51.100.9", "2001:db8:ffff::9")
    }

    /// The node itself.
    pub fn host(self) -> IpAddr {
        self.choose("10.0.0.254", "fd00::fe")
    }

    /// The type of an echo request.
    pub fn echo(self) -> u16 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    pub fn icmp(self) -> Protocol {
        match self {
            Self::V4 => Protocol::ICMP,
            Self::V6 => Protocol::ICMPV6,
        }
    }
}

/// An address with a port.
pub fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// Where a packet meets which program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    FromWeb,
    FromDb,
    ToWeb,
    ToDb,
    /// A device without an endpoint.
    FromNobody,
    ToNobody,
    /// The device that leads to other machines.
    FromNetwork,
    ToNetwork,
    /// The device of tunnels to other nodes.
    FromOverlay,
    ToOverlay,
}

pub struct Rig {
    pub namespace: Namespace,
    pub maps: Maps,
    pub programs: Programs,
    pub events: Events,
    web: u32,
    db: u32,
    nobody: u32,
    uplink: u32,
}

/// What the tests change of the configuration.
pub struct Setup {
    pub mode: Mode,
    pub deny_answer: DenyAnswer,
    pub redirect_peer: bool,
    /// The ports that are given away, if endpoints speak with the node's address.
    pub masquerade: Option<(u16, u16)>,
    pub host_firewall: bool,
    pub own: BTreeMap<Map, OwnedFd>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            deny_answer: DenyAnswer::Silent,
            redirect_peer: true,
            masquerade: None,
            host_firewall: false,
            own: BTreeMap::new(),
        }
    }
}

impl Rig {
    pub fn new(setup: Setup) -> Self {
        Self::with_sizes(setup, SIZES)
    }

    pub fn with_sizes(setup: Setup, sizes: TableSizes) -> Self {
        let namespace = Namespace::new("rig").expect("these tests need root");
        for device in ["web", "db", "nobody", "uplink"] {
            let add = format!("link add {device} type veth peer name {device}-peer");
            namespace.ip(&add).unwrap();
        }
        // Every test has a thread of its own, so this one may move in for good.
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
        let mut netlink = Netlink::open().unwrap();
        let [web, db, nobody, uplink] = ["web", "db", "nobody", "uplink"]
            .map(|name| netlink.device(name).unwrap().unwrap().ifindex);
        let maps = Maps::create_with(sizes, setup.own).unwrap();
        let config = DatapathConfig {
            redirect_peer: u32::from(setup.redirect_peer),
            deny_answer: setup.deny_answer as u32,
            masquerade: setup.masquerade.is_some().into(),
            nat_port_low: setup.masquerade.unwrap_or_default().0.into(),
            nat_port_high: setup.masquerade.unwrap_or_default().1.into(),
            host_endpoint: if setup.host_firewall {
                HOST.get().into()
            } else {
                0
            },
            node_ipv4: Family::V4.host().into(),
            node_ipv6: Family::V6.host().into(),
            ..DatapathConfig::new(sizes, setup.mode)
        };
        let programs = Programs::load(&maps, &config).unwrap_or_else(|error| panic!("{error}"));
        let events = Events::open(&maps).unwrap();
        let mut rig = Self {
            namespace,
            maps,
            programs,
            events,
            web,
            db,
            nobody,
            uplink,
        };
        rig.populate();
        rig
    }

    fn populate(&mut self) {
        let web = self.record(WEB);
        let db = self.record(DB);
        let site = Some(IpcacheEntry::new(SITE_IDENTITY));
        let host = Some(IpcacheEntry::new(Identity::HOST));
        for family in Family::BOTH {
            let network = match family {
                Family::V4 => Prefix::new(family.site(), 24),
                Family::V6 => Prefix::new(family.site(), 48),
            };
            self.apply(&[
                Write::Endpoint(family.web().into(), Some(web)),
                Write::Endpoint(family.db().into(), Some(db)),
                Write::Ipcache(network.unwrap(), site),
                Write::Ipcache(Prefix::exact(family.host()), host),
            ]);
        }
        self.apply(&[Write::Generation]);
    }

    pub fn record(&self, endpoint: EndpointId) -> EndpointRecord {
        let (ifindex, identity, mac, node_mac) = if endpoint == WEB {
            (self.web, WEB_IDENTITY, WEB_MAC, WEB_NODE_MAC)
        } else {
            (self.db, DB_IDENTITY, DB_MAC, DB_NODE_MAC)
        };
        EndpointRecord {
            ifindex,
            identity: identity.get(),
            id: endpoint.get(),
            mac,
            node_mac,
            pad: [0; 2],
        }
    }

    pub fn apply(&mut self, writes: &[Write]) {
        self.maps.apply_all(writes).unwrap();
    }

    /// Puts rules in force, in place of those that are.
    pub fn rules(&mut self, rules: &[Rule]) {
        let identities = [WEB_IDENTITY, DB_IDENTITY, SITE_IDENTITY, Identity::HOST];
        self.apply(&compile(rules, &identities));
    }

    /// Runs a frame through the program of a place; returns what became of it and what was told.
    pub fn run(&mut self, place: Place, mark: u32, frame: &[u8]) -> (Outcome, Vec<RawEvent>) {
        let (program, ifindex) = match place {
            Place::FromWeb => (&self.programs.from_container, self.web),
            Place::FromDb => (&self.programs.from_container, self.db),
            Place::FromNobody => (&self.programs.from_container, self.nobody),
            Place::ToWeb => (&self.programs.to_container, self.web),
            Place::ToDb => (&self.programs.to_container, self.db),
            Place::ToNobody => (&self.programs.to_container, self.nobody),
            Place::FromNetwork => (&self.programs.from_network, self.uplink),
            Place::ToNetwork => (&self.programs.to_network, self.uplink),
            Place::FromOverlay => (&self.programs.from_overlay, self.uplink),
            Place::ToOverlay => (&self.programs.to_overlay, self.uplink),
        };
        let frame = Frame {
            data: frame,
            mark,
            ifindex,
        };
        let outcome = program.run(&frame).unwrap();
        (outcome, self.events.poll(Duration::ZERO).unwrap())
    }

    /// The frame's time to run, in nanoseconds, for benches.
    pub fn forget_connections(&self) {
        for (key, _) in self.maps.conntrack.entries().unwrap() {
            self.maps.conntrack.remove(&key).unwrap();
        }
    }

    /// The only connection there is.
    pub fn connection(&self) -> (CtKey, CtEntry) {
        let entries = self.maps.conntrack.entries().unwrap();
        assert_eq!(entries.len(), 1, "connections: {entries:?}");
        entries[0]
    }

    pub fn change_connection(&self, change: impl FnOnce(&mut CtEntry)) {
        let (key, mut entry) = self.connection();
        change(&mut entry);
        self.maps.conntrack.insert(&key, &entry).unwrap();
    }
}

/// A rule about one peer and port.
pub fn rule(
    endpoint: EndpointId,
    direction: Direction,
    peer: Identity,
    port: (Protocol, u16),
    verdict: Verdict,
) -> Rule {
    Rule {
        endpoint,
        direction,
        peer: Some(peer),
        port: Some(port),
        verdict,
    }
}

/// What holds where no rule does.
pub fn otherwise(endpoint: EndpointId, direction: Direction, verdict: Verdict) -> Rule {
    Rule {
        endpoint,
        direction,
        peer: None,
        port: None,
        verdict,
    }
}

pub fn allow(cookie: u32) -> Verdict {
    Verdict::allow(Cookie::new(cookie))
}

pub fn deny(cookie: u32) -> Verdict {
    Verdict::deny(Cookie::new(cookie))
}

pub fn default_deny(cookie: u32) -> Verdict {
    Verdict::default_deny(Cookie::new(cookie))
}

pub fn redirect(cookie: u32) -> Verdict {
    Verdict::redirect(Cookie::new(cookie), Port::new(PROXY_PORT).unwrap())
}

pub fn drops(events: &[RawEvent]) -> Vec<(DropReason, u32)> {
    let dropped = events.iter().filter(|event| event.kind == EVENT_DROP);
    dropped
        .map(|event| {
            let reason = DropReason::from_number(event.reason).unwrap();
            (reason, event.verdict.cookie)
        })
        .collect()
}

pub fn mapped(address: IpAddr) -> Address {
    address.into()
}
