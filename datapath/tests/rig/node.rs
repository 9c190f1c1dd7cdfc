//! A node with two pods and a host beyond it, in namespaces of their own, with real traffic.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use palisade_abi::{
    DatapathConfig, DropReason, EVENT_DROP, EndpointId, EndpointRecord, Identity, IpcacheEntry,
    Mode, Prefix, RawEvent, Table, Write,
};
use palisade_datapath::netlink::{Netlink, Route, Veth, set_sysctl};
use palisade_datapath::{Config, Datapath, Events, Hook, route};
use palisade_testkit::{BpfFs, Namespace, link};

use super::{DB, DB_IDENTITY, Family, Rule, SITE_IDENTITY, SIZES, WEB, WEB_IDENTITY, compile};

pub struct Node {
    pub datapath: Datapath,
    pub events: Events,
    pub config: Config,
    pub host: Namespace,
    pub web: Pod,
    pub db: Pod,
    pub site: Namespace,
    _bpffs: BpfFs,
}

pub struct Pod {
    pub namespace: Namespace,
    pub ifindex: u32,
    pub record: EndpointRecord,
}

impl Node {
    pub fn new(hook: Hook, redirect_peer: bool) -> Self {
        Self::with(hook, |programs| {
            programs.redirect_peer = u32::from(redirect_peer);
        })
    }

    /// A node whose programs are configured otherwise.
    pub fn with(hook: Hook, change: impl FnOnce(&mut DatapathConfig)) -> Self {
        let bpffs = BpfFs::mount().expect("these tests need root");
        let host = Namespace::new("node").unwrap();
        let site = Namespace::new("site").unwrap();
        host.forward().unwrap();
        let near = link::End {
            namespace: &host,
            name: "uplink",
            addresses: &["192.0.2.1/24", "2001:db8::1/64"],
        };
        let far = link::End {
            namespace: &site,
            name: "eth0",
            addresses: &["192.0.2.7/24", "2001:db8::7/64"],
        };
        link::pair(&near, &far).unwrap();
        site.ip("route add 10.0.0.0/24 via 192.0.2.1").unwrap();
        site.ip("route add fd00::/64 via 2001:db8::1").unwrap();
        let (web, db) = (Family::BOTH.map(Family::web), Family::BOTH.map(Family::db));
        let web = pod(&host, "web", (WEB, WEB_IDENTITY), &web, None);
        let db = pod(&host, "db", (DB, DB_IDENTITY), &db, None);
        let mut config = Config::new(bpffs.path().join("palisade"), SIZES, Mode::Enforce);
        config.hook = hook;
        config.programs.node_ipv4 = node_address(Family::V4).into();
        config.programs.node_ipv6 = node_address(Family::V6).into();
        change(&mut config.programs);
        let datapath = host.run(|| {
            let mut datapath = Datapath::open(&config).unwrap_or_else(|error| panic!("{error}"));
            datapath.apply_all(&records(&web, &db)).unwrap();
            for pod in [&web, &db] {
                datapath.attach(pod.ifindex).unwrap();
            }
            route::add(&mut Netlink::open().unwrap()).unwrap();
            datapath
        });
        let datapath = datapath.unwrap();
        Self {
            events: datapath.events().unwrap(),
            datapath,
            config,
            host,
            web,
            db,
            site,
            _bpffs: bpffs,
        }
    }

    pub fn rules(&mut self, rules: &[Rule]) {
        let identities = [WEB_IDENTITY, DB_IDENTITY, SITE_IDENTITY, Identity::HOST];
        let writes = compile(rules, &identities);
        self.datapath.apply_all(&writes).unwrap();
    }

    /// Puts the programs of the network on the device that leads to the site.
    pub fn attach_network(&mut self) -> u32 {
        let Self { datapath, host, .. } = self;
        host.run(|| {
            let uplink = Netlink::open().unwrap().device("uplink").unwrap().unwrap();
            datapath.attach_network(uplink.ifindex).unwrap();
            uplink.ifindex
        })
        .unwrap()
    }

    /// Waits for a drop with this cookie, towards this address.
    pub fn expect_drop(&mut self, to: SocketAddr, reason: DropReason, cookie: u32) -> RawEvent {
        expect_drop(&mut self.events, to, reason, cookie)
    }

    /// The devices that have both programs.
    pub fn attached(&self) -> Vec<u32> {
        let datapath = &self.datapath;
        let attached = self.host.run(|| datapath.attached());
        attached.unwrap().unwrap()
    }

    /// Whether the device had programs, which it now has not.
    pub fn detach(&mut self, ifindex: u32) -> bool {
        let datapath = &mut self.datapath;
        let detached = self.host.run(|| datapath.detach(ifindex));
        detached.unwrap().unwrap()
    }

    /// What an agent that was killed does on its next start.
    pub fn restart(&mut self) {
        let config = &self.config;
        let datapath = self.host.run(|| Datapath::open(config)).unwrap();
        self.datapath = datapath.unwrap_or_else(|error| panic!("{error}"));
        self.events = self.datapath.events().unwrap();
    }
}

/// Waits for a drop with this cookie, towards this address.
pub fn expect_drop(
    events: &mut Events,
    to: SocketAddr,
    reason: DropReason,
    cookie: u32,
) -> RawEvent {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut seen = Vec::new();
    while Instant::now() < deadline {
        for event in events.poll(Duration::from_millis(50)).unwrap() {
            let matches = event.kind == EVENT_DROP
                && event.reason == reason as u8
                && event.verdict.cookie == cookie
                && event.destination == to.ip().into()
                && event.destination_port.get() == to.port();
            if matches {
                return event;
            }
            seen.push(event);
        }
    }
    panic!("no drop of {to} for {reason} by {cookie} among {seen:#?}");
}

/// A namespace with a veth to the host's.
pub fn pod(
    host: &Namespace,
    name: &str,
    (id, identity): (EndpointId, Identity),
    addresses: &[IpAddr],
    mtu: Option<u32>,
) -> Pod {
    let namespace = Namespace::new(name).unwrap();
    let outer = || outer_end(name, &namespace, addresses, mtu);
    let (ifindex, node_mac) = host.run(outer).unwrap();
    let mac = namespace.run(|| inner_end(addresses)).unwrap();
    let record = EndpointRecord {
        ifindex,
        identity: identity.get(),
        id: id.get(),
        mac,
        node_mac,
        pad: [0; 2],
    };
    Pod {
        namespace,
        ifindex,
        record,
    }
}

fn outer_end(
    name: &str,
    pod: &Namespace,
    addresses: &[IpAddr],
    mtu: Option<u32>,
) -> (u32, [u8; 6]) {
    let mut netlink = Netlink::open().unwrap();
    let veth = Veth {
        name,
        peer: "eth0",
        peer_namespace: pod.as_fd(),
        mtu,
    };
    assert!(netlink.add_veth(&veth).unwrap());
    assert!(!netlink.add_veth(&veth).unwrap(), "the second time");
    let device = netlink.device(name).unwrap().unwrap();
    netlink.set_up(device.ifindex).unwrap();
    for address in addresses {
        let route = Route::on_link(Prefix::exact(*address), device.ifindex);
        netlink.set_route(&route).unwrap();
        netlink.set_route(&route).unwrap();
    }
    (device.ifindex, device.mac)
}

fn inner_end(addresses: &[IpAddr]) -> [u8; 6] {
    let mut netlink = Netlink::open().unwrap();
    set_sysctl("ipv6/conf/eth0/accept_dad", "0").unwrap();
    let device = netlink.device("eth0").unwrap().unwrap();
    netlink.set_up(device.ifindex).unwrap();
    for address in addresses {
        let length = Prefix::exact(*address).length();
        netlink
            .add_address(device.ifindex, *address, length)
            .unwrap();
        let everything: IpAddr = if address.is_ipv4() {
            [0, 0, 0, 0].into()
        } else {
            [0_u16; 8].into()
        };
        let default = Prefix::new(everything, 0).unwrap();
        netlink
            .set_route(&Route::on_link(default, device.ifindex))
            .unwrap();
    }
    device.mac
}

/// The node's own address towards the site.
pub fn node_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [192, 0, 2, 1].into(),
        Family::V6 => "2001:db8::1".parse().unwrap(),
    }
}

fn records(web: &Pod, db: &Pod) -> Vec<Write> {
    let mut writes = Vec::new();
    for family in Family::BOTH {
        let site = Prefix::exact(family.site());
        let node = node_address(family);
        writes.extend([
            Write::Endpoint(family.web().into(), Some(web.record)),
            Write::Endpoint(family.db().into(), Some(db.record)),
            Write::Ipcache(site, Some(IpcacheEntry::new(SITE_IDENTITY))),
            Write::Ipcache(Prefix::exact(node), Some(IpcacheEntry::new(Identity::HOST))),
        ]);
    }
    writes.push(Write::Generation);
    writes
}
