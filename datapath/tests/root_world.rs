//! Real traffic between pods, the node and the world beyond, through the programs of the device that
//! leads there.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use palisade_abi::{DenyAnswer, Direction, DropReason, Identity, Protocol};
use palisade_datapath::Hook;
use palisade_testkit::{Namespace, echo, wait_for};

use crate::rig::node::{Node, node_address};
use crate::rig::{
    DB, Family, HOST, Rule, SITE_IDENTITY, WEB, WEB_IDENTITY, allow, at, default_deny, otherwise,
    rule,
};

use Direction::{Egress, Ingress};

const PATIENCE: Duration = Duration::from_secs(3);

/// Connects from a namespace, has one byte echoed, and says who the server saw.
fn tcp(from: &Namespace, to: SocketAddr) -> io::Result<TcpStream> {
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

/// What of a pod's address is left where its datagram arrives.
fn udp_source(from: &Namespace, to: SocketAddr, server: &Namespace) -> SocketAddr {
    let listener = server.run(|| UdpSocket::bind(to)).unwrap().unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let any: SocketAddr = if to.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let client = from.run(|| UdpSocket::bind(any)).unwrap().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(to).unwrap();
    // As long as the device lets through in parts only.
    let long = [7; 4000];
    client.send(&long).unwrap();
    let mut got = [0; 5000];
    let (length, source) = listener.recv_from(&mut got).unwrap();
    assert_eq!(length, long.len());
    listener.send_to(&long, source).unwrap();
    assert_eq!(client.recv(&mut got).unwrap(), long.len());
    source
}

fn ping(from: &Namespace, words: &[&str]) -> String {
    let mut all = vec!["-n", "-c", "2", "-i", "0.05", "-W", "3"];
    all.extend(words);
    let output = from.output(Command::new("ping").args(all)).unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn open() -> Vec<Rule> {
    [WEB, DB]
        .into_iter()
        .flat_map(|endpoint| Direction::BOTH.map(|way| otherwise(endpoint, way, allow(1))))
        .collect()
}

/// The site knows no way to the pods.
fn without_routes_back(node: &Node) {
    node.site.ip("route del 10.0.0.0/24").unwrap();
    node.site.ip("-6 route del fd00::/64").unwrap();
}

fn pods_reach_the_world_as_the_node(hook: Hook, redirect_peer: bool) {
    let mut node = Node::with(hook, |programs| {
        programs.masquerade = 1;
        programs.redirect_peer = u32::from(redirect_peer);
    });
    node.attach_network();
    without_routes_back(&node);
    node.rules(&open());
    for family in Family::BOTH {
        let site = at(family.site(), 80);
        let listener = node.site.run(|| TcpListener::bind(site)).unwrap().unwrap();
        for pod in [&node.web.namespace, &node.db.namespace] {
            std::thread::scope(|scope| {
                let served = scope.spawn(|| {
                    let (mut served, peer) = listener.accept().unwrap();
                    let mut byte = [0];
                    served.read_exact(&mut byte).unwrap();
                    served.write_all(&byte).unwrap();
                    peer
                });
                tcp(pod, site).unwrap_or_else(|error| panic!("{site}: {error}"));
                assert_eq!(served.join().unwrap().ip(), node_address(family));
            });
            let source = udp_source(pod, at(family.site(), 53), &node.site);
            assert_eq!(source.ip(), node_address(family));
            let said = ping(pod, &["-s", "3000", &family.site().to_string()]);
            assert!(said.contains("2 received"), "{said}");
        }
    }
}

#[test]
fn pods_reach_the_world_with_the_nodes_address() {
    pods_reach_the_world_as_the_node(Hook::Auto, true);
}

#[test]
fn the_same_through_the_hosts_stack() {
    pods_reach_the_world_as_the_node(Hook::Auto, false);
}

#[test]
fn the_same_with_filters_of_clsact() {
    pods_reach_the_world_as_the_node(Hook::Clsact, true);
}

#[test]
fn a_restart_keeps_masqueraded_connections() {
    let mut node = Node::with(Hook::Auto, |programs| programs.masquerade = 1);
    let uplink = node.attach_network();
    without_routes_back(&node);
    node.rules(&open());
    let attached = |node: &Node| {
        let datapath = &node.datapath;
        node.host
            .run(|| datapath.attached_network())
            .unwrap()
            .unwrap()
    };
    for family in Family::BOTH {
        let site = at(family.site(), 80);
        let _server = echo::Server::tcp(&node.site, site).unwrap();
        let mut client = tcp(&node.web.namespace, site).unwrap();
        node.restart();
        assert_eq!(attached(&node), [uplink]);
        exchange(&mut client).unwrap();
    }
    assert!(node.detach(uplink));
    assert_eq!(attached(&node), []);
}

#[test]
fn tcpdump_sees_no_address_of_a_pod_in_the_world() {
    let mut node = Node::with(Hook::Auto, |programs| programs.masquerade = 1);
    node.attach_network();
    without_routes_back(&node);
    node.rules(&open());
    let mut dump = Command::new("tcpdump");
    dump.args([
        "-n",
        "-l",
        "-i",
        "eth0",
        "-c",
        "8",
        "icmp or (icmp6 and (ip6[40] = 128 or ip6[40] = 129))",
    ]);
    dump.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut witness = node.site.spawn(&mut dump).unwrap();
    let mut said = BufReader::new(witness.child().stderr.take().unwrap()).lines();
    let listens = said.any(|line| line.unwrap().starts_with("listening on"));
    assert!(listens, "tcpdump ended");
    for family in Family::BOTH {
        let said = ping(&node.web.namespace, &[&family.site().to_string()]);
        assert!(said.contains("2 received"), "{said}");
    }
    wait_for("tcpdump", PATIENCE, || {
        matches!(witness.ended(), Ok(Some(_)))
    })
    .unwrap();
    let mut seen = String::new();
    witness
        .child()
        .stdout
        .as_mut()
        .unwrap()
        .read_to_string(&mut seen)
        .unwrap();
    for family in Family::BOTH {
        assert!(!seen.contains(&format!("{} ", family.web())), "{seen}");
        assert!(!seen.contains(&format!("{}:", family.web())), "{seen}");
        assert!(seen.contains(&node_address(family).to_string()), "{seen}");
    }
}

#[test]
fn the_world_reaches_pods_directly_where_policy_lets_it() {
    for hook in [Hook::Auto, Hook::Clsact] {
        let mut node = Node::with(hook, |programs| {
            programs.deny_answer = DenyAnswer::Reset as u32;
        });
        node.attach_network();
        node.rules(&[
            rule(WEB, Ingress, SITE_IDENTITY, (Protocol::TCP, 80), allow(1)),
            otherwise(WEB, Ingress, default_deny(29)),
        ]);
        for family in Family::BOTH {
            let to = at(family.web(), 80);
            let _server = echo::Server::tcp(&node.web.namespace, to).unwrap();
            tcp(&node.site, to).unwrap_or_else(|error| panic!("{to}: {error}"));
            let closed = at(family.web(), 81);
            let refused = tcp(&node.site, closed).unwrap_err().kind();
            assert_eq!(refused, ErrorKind::ConnectionRefused);
            node.expect_drop(closed, DropReason::Policy, 29);
        }
    }
}

#[test]
fn nobody_out_there_speaks_with_an_address_of_this_node() {
    let mut node = Node::new(Hook::Auto, true);
    node.attach_network();
    node.rules(&open());
    for family in Family::BOTH {
        let whole = if family == Family::V4 { 32 } else { 128 };
        let claims = [family.db(), node_address(family)];
        for claimed in claims {
            // The site would not use an address that it has no way to.
            node.site
                .ip(&format!("address add {claimed}/{whole} dev lo nodad"))
                .unwrap();
            let to = at(family.web(), 80);
            node.site
                .run(|| UdpSocket::bind(at(claimed, 0)).unwrap().send_to(b"x", to))
                .unwrap()
                .unwrap();
            let event = node.expect_drop(to, DropReason::ForgedSource, 0);
            assert_eq!(event.source, claimed.into());
            node.site
                .ip(&format!("address del {claimed}/{whole} dev lo"))
                .unwrap();
        }
        // Nor does a process of the node's leave with a pod's address.
        let (web, site) = (family.web(), at(family.site(), 80));
        node.host
            .ip(&format!("address add {web}/{whole} dev lo nodad"))
            .unwrap();
        node.host
            .run(|| UdpSocket::bind(at(web, 0)).unwrap().send_to(b"x", site))
            .unwrap()
            .unwrap();
        let event = node.expect_drop(site, DropReason::ForgedSource, 0);
        assert_eq!(event.source, web.into());
        node.host
            .ip(&format!("address del {web}/{whole} dev lo"))
            .unwrap();
    }
}

#[test]
fn the_hosts_own_policies_hold_towards_the_world_and_towards_pods() {
    let mut node = Node::with(Hook::Auto, |programs| {
        programs.host_endpoint = HOST.get().into();
        programs.deny_answer = DenyAnswer::Reset as u32;
    });
    node.attach_network();
    let tcp_at = |port| (Protocol::TCP, port);
    node.rules(&[
        rule(HOST, Ingress, SITE_IDENTITY, tcp_at(22), allow(41)),
        rule(HOST, Ingress, WEB_IDENTITY, tcp_at(23), allow(42)),
        rule(HOST, Egress, SITE_IDENTITY, tcp_at(443), allow(51)),
        otherwise(HOST, Ingress, default_deny(49)),
        otherwise(HOST, Egress, default_deny(59)),
        otherwise(WEB, Egress, allow(1)),
        otherwise(WEB, Ingress, allow(2)),
        rule(WEB, Ingress, Identity::HOST, tcp_at(9), allow(3)),
    ]);
    for family in Family::BOTH {
        let host = node_address(family);
        let servers = [
            (&node.host, at(host, 22)),
            (&node.host, at(host, 23)),
            (&node.site, at(family.site(), 443)),
            (&node.site, at(family.site(), 80)),
            (&node.web.namespace, at(family.web(), 9)),
        ];
        let _servers = servers.map(|(at, address)| echo::Server::tcp(at, address).unwrap());
        let (site, web) = (&node.site, &node.web.namespace);
        for (from, to) in [
            (site, at(host, 22)),
            (web, at(host, 23)),
            (&node.host, at(family.site(), 443)),
        ] {
            tcp(from, to).unwrap_or_else(|error| panic!("{to}: {error}"));
        }
        for (from, to) in [(site, at(host, 23)), (web, at(host, 22))] {
            let refused = tcp(from, to).unwrap_err().kind();
            assert_eq!(refused, ErrorKind::ConnectionRefused, "{to}");
        }
        for to in [at(family.site(), 80), at(family.web(), 9)] {
            let stopped = node
                .host
                .run(|| TcpStream::connect_timeout(&to, Duration::from_millis(300)));
            assert!(stopped.unwrap().is_err(), "{to}");
            node.expect_drop(to, DropReason::Policy, 59);
        }
    }
}
