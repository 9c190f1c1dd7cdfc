//! Two nodes with a pod each, and tunnels or routes between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use palisade_abi::{
    DatapathConfig, DropReason, Identity, IpcacheEntry, Mode, Prefix, RawEvent, Table, Write,
};
use palisade_datapath::netlink::{Netlink, Route};
use palisade_datapath::{Config, Datapath, Events, Hook, overlay, route};
use palisade_testkit::{BpfFs, Namespace, link};

use super::node::{Pod, expect_drop, pod};
use super::{DB, DB_IDENTITY, Family, Rule, SITE_IDENTITY, SIZES, WEB, WEB_IDENTITY, compile};

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// With the pod `web`.
    Near,
    /// With the pod `db`.
    Far,
}

impl Which {
    pub const BOTH: [Self; 2] = [Self::Near, Self::Far];

    /// The node's address.
    pub fn node(self, family: Family) -> IpAddr {
        let last = self as u16 + 1;
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, 2, last as u8).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into(),
        }
    }

    /// The address of the node's pod.
    pub fn pod(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 0, self as u8, 1).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, self as u16, 0, 0, 0, 0, 0, 1).into(),
        }
    }

    /// The prefix of the node's pods.
    pub fn pods(self, family: Family) -> Prefix {
        let length = if family == Family::V4 { 24 } else { 64 };
        Prefix::new(self.pod(family), length).unwrap()
    }

    pub fn identity(self) -> Identity {
        match self {
            Self::Near => WEB_IDENTITY,
            Self::Far => DB_IDENTITY,
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

pub struct Pair {
    pub near: OneOf,
    pub far: OneOf,
}

pub struct OneOf {
    pub which: Which,
    pub datapath: Datapath,
    pub events: Events,
    pub config: Config,
    pub host: Namespace,
    pub pod: Pod,
    pub overlay: u32,
    pub uplink: u32,
    _bpffs: BpfFs,
}

impl Pair {
    /// Nodes whose tunnels lead over one family, with programs that are configured otherwise.
    pub fn with(hook: Hook, over: Family, change: impl Fn(&mut DatapathConfig)) -> Self {
        Self::between(hook, Some(over), change)
    }

    /// Nodes that route each other's pods.
    pub fn routed(hook: Hook) -> Self {
        Self::between(hook, None, |_| {})
    }

    fn between(hook: Hook, over: Option<Family>, change: impl Fn(&mut DatapathConfig)) -> Self {
        let hosts =
            ["near", "far"].map(|name| Namespace::new(name).expect("these tests need root"));
        let [near, far] = &hosts;
        let end = |namespace, addresses| link::End {
            namespace,
            name: "uplink",
            addresses,
        };
        link::pair(
            &end(near, &["192.0.2.1/24", "2001:db8::1/64"]),
            &end(far, &["192.0.2.2/24", "2001:db8::2/64"]),
        )
        .unwrap();
        let [near, far] = hosts;
        Self {
            near: OneOf::new(Which::Near, near, hook, over, &change),
            far: OneOf::new(Which::Far, far, hook, over, &change),
        }
    }

    /// Puts rules in force on both nodes, in place of those that are.
    pub fn rules(&mut self, rules: &[Rule]) {
        for node in [&mut self.near, &mut self.far] {
            node.rules(rules);
        }
    }
}

impl OneOf {
    fn new(
        which: Which,
        host: Namespace,
        hook: Hook,
        over: Option<Family>,
        change: &impl Fn(&mut DatapathConfig),
    ) -> Self {
        let bpffs = BpfFs::mount().unwrap();
        host.forward().unwrap();
        let mtu = over.map(|over| overlay::mtu(1500, which.node(over)));
        let (name, id) = match which {
            Which::Near => ("web", WEB),
            Which::Far => ("db", DB),
        };
        let addresses = Family::BOTH.map(|family| which.pod(family));
        let pod = pod(&host, name, (id, which.identity()), &addresses, mtu);
        let mut config = Config::new(bpffs.path().join("palisade"), SIZES, Mode::Enforce);
        config.hook = hook;
        config.programs.node_ipv4 = which.node(Family::V4).into();
        config.programs.node_ipv6 = which.node(Family::V6).into();
        config.programs.overlay_port = overlay::PORT.into();
        change(&mut config.programs);
        let open = || open(&mut config, which, over, &pod, mtu);
        let (datapath, uplink) = host.run(open).unwrap();
        Self {
            which,
            events: datapath.events().unwrap(),
            datapath,
            overlay: config.programs.overlay,
            config,
            host,
            pod,
            uplink,
            _bpffs: bpffs,
        }
    }

    pub fn rules(&mut self, rules: &[Rule]) {
        let identities = [
            WEB_IDENTITY,
            DB_IDENTITY,
            SITE_IDENTITY,
            Identity::HOST,
            Identity::REMOTE_NODE,
        ];
        self.apply(&compile(rules, &identities));
    }

    pub fn apply(&mut self, writes: &[Write]) {
        self.datapath.apply_all(writes).unwrap();
    }

    pub fn expect_drop(&mut self, to: SocketAddr, reason: DropReason, cookie: u32) -> RawEvent {
        expect_drop(&mut self.events, to, reason, cookie)
    }

    /// What an agent that was killed does on its next start.
    pub fn restart(&mut self) {
        let config = &self.config;
        let datapath = self.host.run(|| Datapath::open(config)).unwrap();
        self.datapath = datapath.unwrap_or_else(|error| panic!("{error}"));
        self.events = self.datapath.events().unwrap();
    }
}

fn open(
    config: &mut Config,
    which: Which,
    over: Option<Family>,
    pod: &Pod,
    mtu: Option<u32>,
) -> (Datapath, u32) {
    let mut netlink = Netlink::open().unwrap();
    if let Some(mtu) = mtu {
        config.programs.overlay = add_overlay(&mut netlink, which, mtu);
    } else {
        for family in Family::BOTH {
            let other = which.other();
            route::add_node(&mut netlink, other.node(family), other.pods(family)).unwrap();
        }
    }
    let uplink = netlink.device("uplink").unwrap().unwrap().ifindex;
    let mut datapath = Datapath::open(config).unwrap_or_else(|error| panic!("{error}"));
    datapath.apply_all(&records(which, over, pod)).unwrap();
    datapath.attach(pod.ifindex).unwrap();
    datapath.attach_network(uplink).unwrap();
    if mtu.is_some() {
        let device = config.programs.overlay;
        datapath.attach_overlay(device).unwrap();
        assert_eq!(datapath.attached_overlay().unwrap(), [device]);
    }
    (datapath, uplink)
}

fn add_overlay(netlink: &mut Netlink, which: Which, mtu: u32) -> u32 {
    let [device, again] = [(); 2].map(|()| overlay::add(netlink, overlay::PORT, mtu).unwrap());
    let (device, again) = (device.unwrap(), again.unwrap());
    assert_eq!(device.ifindex, again.ifindex, "the second time");
    for family in Family::BOTH {
        // The host's own packets take a route; those of pods need none.
        let route = Route::on_link(which.other().pods(family), device.ifindex);
        netlink.set_route(&route).unwrap();
    }
    device.ifindex
}

fn records(which: Which, over: Option<Family>, pod: &Pod) -> Vec<Write> {
    let other = which.other();
    let behind = |identity| {
        let entry = IpcacheEntry::new(identity);
        Some(over.map_or(entry, |over| entry.behind(other.node(over).into())))
    };
    let mut writes = Vec::new();
    for family in Family::BOTH {
        let own = Some(IpcacheEntry::new(Identity::HOST));
        let node = behind(Identity::REMOTE_NODE);
        writes.extend([
            Write::Endpoint(which.pod(family).into(), Some(pod.record)),
            Write::Ipcache(Prefix::exact(which.node(family)), own),
            Write::Ipcache(Prefix::exact(other.node(family)), node),
            Write::Ipcache(Prefix::exact(other.pod(family)), behind(other.identity())),
        ]);
    }
    writes.push(Write::Generation);
    writes
}
