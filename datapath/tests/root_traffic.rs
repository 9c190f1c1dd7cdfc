//! Real traffic through attached programs: pods, the world beyond, the proxy, restarts.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::Duration;

use libbpf_rs::{TC_EGRESS, TcHookBuilder};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};
use palisade_abi::{Direction, DropReason, Mark, MarkKind, Protocol, Verdict};
use palisade_datapath::netlink::Netlink;
use palisade_datapath::{Datapath, Error, Hook, Need, Origin, Program, features, route};
use palisade_testkit::{Namespace, echo};

use crate::rig::node::Node;
use crate::rig::{
    DB, DB_IDENTITY, Family, PROXY_PORT, Rule, SITE_IDENTITY, WEB, WEB_IDENTITY, allow, at,
    default_deny, deny, otherwise, redirect, rule,
};

use Direction::{Egress, Ingress};

const PATIENCE: Duration = Duration::from_secs(3);

fn rules(to_db: Verdict, to_site: Verdict) -> Vec<Rule> {
    let mut rules = Vec::new();
    for protocol in [Protocol::TCP, Protocol::UDP] {
        rules.push(rule(WEB, Egress, DB_IDENTITY, (protocol, 80), to_db));
        rules.push(rule(WEB, Egress, SITE_IDENTITY, (protocol, 80), to_site));
        rules.push(rule(DB, Ingress, WEB_IDENTITY, (protocol, 80), allow(11)));
        rules.push(rule(DB, Ingress, SITE_IDENTITY, (protocol, 80), allow(12)));
    }
    rules.extend([
        otherwise(WEB, Egress, default_deny(9)),
        otherwise(WEB, Ingress, default_deny(29)),
        otherwise(DB, Egress, default_deny(39)),
        otherwise(DB, Ingress, default_deny(19)),
    ]);
    rules
}

/// Connects from a namespace and has one byte echoed.
fn tcp_echo(from: &Namespace, to: SocketAddr) -> io::Result<TcpStream> {
    from.run(|| {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        exchange(&mut stream)?;
        Ok(stream)
    })
    .unwrap()
}

fn exchange(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

fn udp_echo(from: &Namespace, to: SocketAddr) -> io::Result<()> {
    from.run(|| {
        let any: SocketAddr = if to.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        socket.send(b"x")?;
        socket.recv(&mut [0]).map(drop)
    })
    .unwrap()
}

fn servers(namespace: &Namespace, address: IpAddr) -> [echo::Server; 2] {
    let address = at(address, 80);
    [
        echo::Server::tcp(namespace, address).unwrap(),
        echo::Server::udp(namespace, address).unwrap(),
    ]
}

fn allowed_and_denied(hook: Hook, redirect_peer: bool) {
    let mut node = Node::new(hook, redirect_peer);
    node.rules(&rules(allow(1), allow(2)));
    for family in Family::BOTH {
        let _db = servers(&node.db.namespace, family.db());
        let _site = servers(&node.site, family.site());
        let (db, site) = (at(family.db(), 80), at(family.site(), 80));
        for (from, to) in [
            (&node.web.namespace, db),
            (&node.web.namespace, site),
            (&node.site, db),
        ] {
            tcp_echo(from, to).unwrap_or_else(|error| panic!("{to}: {error}"));
            udp_echo(from, to).unwrap_or_else(|error| panic!("{to}: {error}"));
        }
        let closed = at(family.db(), 81);
        thread::scope(|scope| {
            let web = &node.web.namespace;
            let refused = scope.spawn(move || tcp_echo(web, closed).unwrap_err().kind());
            let (events, expected) = (&mut node.events, (DropReason::Policy as u8, 9));
            let found = palisade_testkit::wait_some("the drop", PATIENCE, || {
                let events = events.poll(Duration::from_millis(20)).unwrap();
                events.into_iter().find(|event| {
                    (event.reason, event.verdict.cookie) == expected
                        && event.destination_port.get() == 81
                        && event.source == family.web().into()
                })
            });
            assert_eq!(found.unwrap().destination, family.db().into());
            assert_eq!(refused.join().unwrap(), ErrorKind::TimedOut);
        });
    }
}

#[test]
fn what_is_allowed_is_echoed_and_what_is_not_is_dropped() {
    allowed_and_denied(Hook::Auto, true);
}

#[test]
fn the_same_through_the_hosts_stack() {
    allowed_and_denied(Hook::Auto, false);
}

#[test]
fn the_same_with_filters_of_clsact() {
    allowed_and_denied(Hook::Clsact, true);
}

/// A socket that may answer with an address of another host, and whose packets say so.
fn transparent(kind: SockType, address: SocketAddr) -> OwnedFd {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, sockopt::IpTransparent, &true).unwrap();
    setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
    let mark = Mark::new(MarkKind::ProxyReturn).bits();
    setsockopt(&fd, sockopt::Mark, &mark).unwrap();
    let address = SockaddrStorage::from(address);
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()), &address).unwrap();
    fd
}

fn proxy_address(family: Family) -> SocketAddr {
    match family {
        Family::V4 => ([127, 0, 0, 1], PROXY_PORT).into(),
        Family::V6 => ([0_u16, 0, 0, 0, 0, 0, 0, 1], PROXY_PORT).into(),
    }
}

#[test]
fn a_redirected_datagram_reaches_the_proxy_which_answers_for_the_server() {
    let mut node = Node::new(Hook::Auto, true);
    node.rules(&rules(redirect(3), redirect(4)));
    for family in Family::BOTH {
        for server in [at(family.site(), 80), at(family.db(), 80)] {
            let (listener, answering) = node
                .host
                .run(|| {
                    let listener = transparent(SockType::Datagram, proxy_address(family));
                    (listener, transparent(SockType::Datagram, server))
                })
                .unwrap();
            let (listener, answering) = (UdpSocket::from(listener), UdpSocket::from(answering));
            listener.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::scope(|scope| {
                let asked = scope.spawn(|| udp_echo(&node.web.namespace, server));
                let (_, client) = listener.recv_from(&mut [0; 8]).unwrap();
                assert_eq!(client.ip(), family.web());
                answering.send_to(b"y", client).unwrap();
                asked.join().unwrap().unwrap();
            });
        }
    }
}

#[test]
fn a_redirected_connection_is_the_proxys_until_it_ends() {
    let mut node = Node::new(Hook::Auto, true);
    for family in Family::BOTH {
        node.rules(&rules(redirect(3), redirect(4)));
        let server = at(family.site(), 80);
        let listener = node
            .host
            .run(|| {
                let fd = transparent(SockType::Stream, proxy_address(family));
                listen(&fd, Backlog::new(8).unwrap()).unwrap();
                fd
            })
            .unwrap();
        let listener = TcpListener::from(listener);
        let (mut client, mut served) = thread::scope(|scope| {
            let served = scope.spawn(|| {
                let (mut served, _) = listener.accept().unwrap();
                served.set_read_timeout(Some(PATIENCE)).unwrap();
                echo_once(&mut served);
                served
            });
            let client = tcp_echo(&node.web.namespace, server).unwrap();
            (client, served.join().unwrap())
        });
        assert_eq!(
            served.local_addr().unwrap(),
            server,
            "it stands in for the server"
        );
        node.rules(&rules(allow(1), allow(2)));
        thread::scope(|scope| {
            scope.spawn(|| echo_once(&mut served));
            exchange(&mut client).unwrap();
        });
        node.rules(&rules(deny(5), deny(6)));
        client.write_all(b"x").unwrap();
        node.expect_drop(server, DropReason::PolicyDeny, 6);
    }
}

fn echo_once(stream: &mut TcpStream) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    stream.write_all(&byte).unwrap();
}

#[test]
fn an_allowed_connection_that_becomes_redirected_is_reset() {
    let mut node = Node::new(Hook::Auto, true);
    for family in Family::BOTH {
        node.rules(&rules(allow(1), allow(2)));
        let server = at(family.db(), 80);
        let _servers = servers(&node.db.namespace, family.db());
        let mut client = tcp_echo(&node.web.namespace, server).unwrap();
        let listener = node
            .host
            .run(|| {
                let fd = transparent(SockType::Stream, proxy_address(family));
                listen(&fd, Backlog::new(8).unwrap()).unwrap();
                fd
            })
            .unwrap();
        node.rules(&rules(redirect(3), redirect(4)));
        let error = exchange(&mut client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        drop(listener);
    }
}

#[test]
fn a_restart_keeps_tables_connections_and_devices() {
    let mut node = Node::new(Hook::Auto, true);
    node.rules(&rules(allow(1), allow(2)));
    assert_eq!(node.datapath.origin(), Origin::New);
    let server = at(Family::V4.db(), 80);
    let _servers = servers(&node.db.namespace, Family::V4.db());
    let mut client = tcp_echo(&node.web.namespace, server).unwrap();
    let before = node.datapath.dump().unwrap();
    let devices = node.attached();
    assert_eq!(devices, [node.web.ifindex, node.db.ifindex]);

    node.restart();
    assert_eq!(node.datapath.origin(), Origin::Adopted);
    assert_eq!(node.datapath.dump().unwrap(), before);
    assert_eq!(node.attached(), devices);
    exchange(&mut client).unwrap();
    let connections = node.datapath.connections().unwrap();
    let ours = connections
        .iter()
        .find(|c| c.destination == server)
        .unwrap();
    assert_eq!(ours.source, client.local_addr().unwrap());
    node.rules(&rules(deny(5), deny(6)));
    client.write_all(b"x").unwrap();
    node.expect_drop(server, DropReason::PolicyDeny, 5);
}

#[test]
fn another_layout_is_refused_with_the_command_that_clears_it() {
    let mut node = Node::new(Hook::Auto, true);
    node.rules(&rules(allow(1), allow(2)));
    let mut other = node.config.clone();
    other.sizes.rows *= 2;
    let refused = node
        .host
        .run(|| Datapath::open(&other))
        .unwrap()
        .unwrap_err();
    assert!(matches!(refused, Error::Layout { .. }), "{refused}");
    assert!(
        refused.to_string().contains("`palisade agent --clear`"),
        "{refused}"
    );
    let _servers = servers(&node.db.namespace, Family::V4.db());
    tcp_echo(&node.web.namespace, at(Family::V4.db(), 80)).unwrap();

    let root = node.config.root.clone();
    node.host.run(|| Datapath::clear(&root)).unwrap().unwrap();
    let datapath = node.host.run(|| Datapath::open(&other)).unwrap().unwrap();
    assert_eq!(datapath.origin(), Origin::New);
    assert_eq!(datapath.attached().unwrap(), []);
    assert_eq!(datapath.dump().unwrap(), []);
}

#[test]
fn a_device_that_is_gone_leaves_no_pin_behind() {
    let mut node = Node::new(Hook::Auto, true);
    let ifindex = node.db.ifindex;
    node.host
        .run(|| assert!(Netlink::open().unwrap().delete_device(ifindex).unwrap()))
        .unwrap();
    assert_eq!(node.attached(), [node.web.ifindex]);
    node.restart();
    assert!(
        !node
            .config
            .root
            .join(format!("links/{ifindex}-from"))
            .exists()
    );
    let web = node.web.ifindex;
    assert!(node.detach(web));
    assert!(!node.detach(web));
}

/// What `tc` lists of a device.
fn tc(namespace: &Namespace, what: &str) -> String {
    let words: Vec<&str> = what.split(' ').collect();
    let output = namespace.run(|| Command::new("tc").args(words).output());
    let output = output.unwrap().unwrap();
    assert!(output.status.success(), "tc {what}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn filters(node: &Node, device: &str) -> Vec<String> {
    let directions = ["ingress", "egress"].into_iter();
    let lists = directions.map(|way| tc(&node.host, &format!("filter show dev {device} {way}")));
    let ours = |line: &&str| line.contains("_container");
    lists
        .flat_map(|list| {
            list.lines()
                .filter(ours)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What somebody else does: a program on the egress side of a device.
fn add_filter(namespace: &Namespace, program: &Program, ifindex: u32, place: u32) {
    let add = || {
        let ifindex = i32::try_from(ifindex).unwrap();
        let mut builder = TcHookBuilder::new(program.as_fd());
        builder.ifindex(ifindex).handle(place).priority(place);
        builder.hook(TC_EGRESS).attach().map(drop)
    };
    namespace.run(add).unwrap().unwrap();
}

fn has_clsact(node: &Node, device: &str) -> bool {
    tc(&node.host, &format!("qdisc show dev {device}")).contains("clsact")
}

#[test]
fn a_restart_replaces_filters_where_they_stand() {
    let mut node = Node::new(Hook::Clsact, true);
    node.rules(&rules(allow(1), allow(2)));
    let server = at(Family::V4.db(), 80);
    let _servers = servers(&node.db.namespace, Family::V4.db());
    let mut client = tcp_echo(&node.web.namespace, server).unwrap();
    let before = filters(&node, "web");
    assert_eq!(before.len(), 2, "{before:?}");

    node.restart();
    let after = filters(&node, "web");
    assert_eq!(after.len(), 2, "{after:?}");
    assert_ne!(before, after, "the programs are new ones");
    let devices = [node.web.ifindex, node.db.ifindex];
    assert_eq!(node.attached(), devices);
    exchange(&mut client).unwrap();
}

#[test]
fn a_qdisc_goes_with_its_last_filter_if_it_was_made_for_it() {
    let mut node = Node::new(Hook::Clsact, true);
    let (web, db) = (node.web.ifindex, node.db.ifindex);
    assert!(has_clsact(&node, "web"));
    assert!(node.detach(web));
    assert!(!has_clsact(&node, "web"));
    assert_eq!(node.attached(), [db]);

    let program = &node.datapath.programs().to_container;
    add_filter(&node.host, program, db, 7);
    assert!(node.detach(db));
    assert_eq!(filters(&node, "db").len(), 1, "somebody else's");

    tc(&node.host, "qdisc add dev web clsact");
    let Node { host, datapath, .. } = &mut node;
    host.run(|| datapath.attach(web)).unwrap().unwrap();
    assert!(node.detach(web));
    assert!(has_clsact(&node, "web"), "it was there before");
}

#[test]
fn a_filter_of_somebody_else_is_not_replaced() {
    let mut node = Node::new(Hook::Clsact, true);
    let web = node.web.ifindex;
    assert!(node.detach(web));
    let Node { host, datapath, .. } = &mut node;
    tc(host, "qdisc add dev web clsact");
    // The other program at the place of this one.
    add_filter(host, &datapath.programs().from_container, web, 1);
    let refused = host.run(|| datapath.attach(web)).unwrap().unwrap_err();
    let text = std::error::Error::source(&refused).unwrap().to_string();
    assert!(text.contains("is program from_container"), "{text}");
    let left = filters(&node, "web");
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left.iter().all(|filter| filter.contains("from_container")),
        "{left:?}"
    );
}

#[test]
fn what_was_found_by_trying_is_what_can_be_used() {
    let features = features();
    let missing: Vec<_> = features
        .iter()
        .filter(|feature| feature.need == Need::Required && !feature.found)
        .collect();
    assert!(missing.is_empty(), "the programs load: {missing:?}");
    let tcx = features
        .iter()
        .find(|feature| feature.name == "tcx")
        .unwrap();
    let mut node = Node::new(Hook::Clsact, true);
    assert!(node.detach(node.web.ifindex));
    node.config.hook = Hook::Tcx;
    node.restart();
    let (web, Node { host, datapath, .. }) = (node.web.ifindex, &mut node);
    let attached = host.run(|| datapath.attach(web)).unwrap();
    assert_eq!(attached.is_ok(), tcx.found, "{attached:?}");
}

#[test]
fn the_proxys_routes_come_and_go() {
    let namespace = Namespace::new("routes").unwrap();
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            route::add(&mut netlink).unwrap();
            route::add(&mut netlink).unwrap();
        })
        .unwrap();
    for family in ["-4", "-6"] {
        let rules = namespace.ip(&format!("{family} rule")).unwrap();
        assert_eq!(
            rules.matches("fwmark 0x200/0xf00 lookup 2004").count(),
            1,
            "{rules}"
        );
        let routes = namespace
            .ip(&format!("{family} route show table 2004"))
            .unwrap();
        assert!(routes.starts_with("local default dev lo"), "{routes}");
    }
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            route::remove(&mut netlink).unwrap();
            route::remove(&mut netlink).unwrap();
        })
        .unwrap();
    let rules = namespace.ip("-4 rule").unwrap();
    assert!(!rules.contains("2004"), "{rules}");
}
