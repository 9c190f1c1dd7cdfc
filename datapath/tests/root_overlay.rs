//! Real traffic between the pods of two nodes, through tunnels that carry identities.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use std::io::{self, ErrorKind, Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use palisade_abi::{
    DenyAnswer, Direction, DropReason, EndpointRecord, Identity, IpcacheEntry, Prefix, Protocol,
    Write,
};
use palisade_datapath::netlink::Netlink;
use palisade_datapath::{Hook, overlay, route};
use palisade_testkit::packet::Packet;
use palisade_testkit::{Namespace, echo, link};

use crate::rig::pair::{OneOf, Pair, Which};
use crate::rig::{
    DB, DB_IDENTITY, Family, HOST, Rule, SITE_IDENTITY, WEB, WEB_IDENTITY, allow, at, default_deny,
    otherwise, rule,
};

use Direction::{Egress, Ingress};
use Which::{Far, Near};

const PATIENCE: Duration = Duration::from_secs(3);

fn open() -> Vec<Rule> {
    [WEB, DB]
        .into_iter()
        .flat_map(|endpoint| Direction::BOTH.map(|way| otherwise(endpoint, way, allow(1))))
        .collect()
}

fn connect(from: &Namespace, to: SocketAddr) -> io::Result<TcpStream> {
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

/// More than any packet or window holds, there and back.
fn bulk(stream: &mut TcpStream) {
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut reader = stream.try_clone().unwrap();
    let length = sent.len();
    let received = std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut received = vec![0; length];
            reader.read_exact(&mut received).unwrap();
            received
        });
        stream.write_all(&sent).unwrap();
        reading.join().unwrap()
    });
    assert!(sent == received, "what came back is not what was sent");
}

fn ping(from: &Namespace, to: IpAddr, size: u32) {
    let (size, to) = (size.to_string(), to.to_string());
    let words = ["-n", "-c", "2", "-i", "0.05", "-W", "3", "-s", &size, &to];
    let output = from.output(Command::new("ping").args(words)).unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("2 received"), "{said}");
}

fn udp(from: &Namespace, to: SocketAddr) {
    let any: SocketAddr = if to.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = from.run(|| UdpSocket::bind(any)).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let long = [7; 4000];
    socket.send_to(&long, to).unwrap();
    let mut got = [0; 5000];
    let (length, source) = socket.recv_from(&mut got).unwrap();
    assert_eq!((length, source), (long.len(), to));
}

fn pods_speak(hook: Hook, over: Family, redirect_peer: bool) {
    let mut pair = Pair::with(hook, over, |programs| {
        programs.redirect_peer = u32::from(redirect_peer);
    });
    pair.rules(&open());
    speak(&pair);
}

fn speak(pair: &Pair) {
    for family in Family::BOTH {
        for (from, to) in [(&pair.near, &pair.far), (&pair.far, &pair.near)] {
            let address = at(to.which.pod(family), 80);
            let _tcp = echo::Server::tcp(&to.pod.namespace, address).unwrap();
            let _udp = echo::Server::udp(&to.pod.namespace, address).unwrap();
            let client = connect(&from.pod.namespace, address);
            bulk(&mut client.unwrap_or_else(|error| panic!("{address}: {error}")));
            udp(&from.pod.namespace, address);
            ping(&from.pod.namespace, address.ip(), 3000);
        }
    }
}

#[test]
fn pods_of_two_nodes_speak_through_a_tunnel() {
    pods_speak(Hook::Auto, Family::V4, true);
}

#[test]
fn the_same_over_ipv6() {
    pods_speak(Hook::Auto, Family::V6, true);
}

#[test]
fn the_same_through_the_hosts_stack() {
    pods_speak(Hook::Auto, Family::V4, false);
}

#[test]
fn the_same_with_filters_of_clsact() {
    pods_speak(Hook::Clsact, Family::V4, true);
}

#[test]
fn nodes_on_one_link_route_each_others_pods() {
    let mut pair = Pair::routed(Hook::Auto);
    pair.rules(&open());
    speak(&pair);
    let Pair { near, far } = &pair;
    for family in Family::BOTH {
        let (node, pods) = (Far.node(family), Far.pods(family));
        let leave = |node| route::remove_node(&mut Netlink::open().unwrap(), node, pods).unwrap();
        assert!(near.host.run(|| leave(node)).unwrap());
        assert!(!near.host.run(|| leave(node)).unwrap(), "the second time");
        let to = at(Far.pod(family), 80);
        let _server = echo::Server::tcp(&far.pod.namespace, to).unwrap();
        let gone = connect(&near.pod.namespace, to).unwrap_err().kind();
        let unreachable = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
        assert!(unreachable.contains(&gone), "{gone}");
        // One that a router stands before cannot be routed so, nor one of the other family.
        let join = |node| route::add_node(&mut Netlink::open().unwrap(), node, pods).unwrap();
        let other = [Family::V4, Family::V6][usize::from(family == Family::V4)];
        for node in [family.stranger(), Far.node(other), Near.node(family)] {
            assert!(!near.host.run(|| join(node)).unwrap(), "{node}");
        }
        assert!(near.host.run(|| join(node)).unwrap());
        connect(&near.pod.namespace, to).unwrap();
    }
}

#[test]
fn each_end_decides_its_own_half_and_the_sender_is_told() {
    let mut pair = Pair::with(Hook::Auto, Family::V4, |programs| {
        programs.deny_answer = DenyAnswer::Reset as u32;
    });
    let tcp = |port| (Protocol::TCP, port);
    pair.rules(&[
        rule(WEB, Egress, DB_IDENTITY, tcp(80), allow(11)),
        rule(WEB, Egress, DB_IDENTITY, tcp(81), allow(12)),
        otherwise(WEB, Egress, default_deny(19)),
        rule(DB, Ingress, WEB_IDENTITY, tcp(80), allow(21)),
        otherwise(DB, Ingress, default_deny(29)),
    ]);
    for family in Family::BOTH {
        let db = Far.pod(family);
        let _server = echo::Server::tcp(&pair.far.pod.namespace, at(db, 80)).unwrap();
        connect(&pair.near.pod.namespace, at(db, 80)).unwrap();
        for (port, cookie) in [(81, 29), (82, 19)] {
            let to = at(db, port);
            let refused = connect(&pair.near.pod.namespace, to).unwrap_err().kind();
            assert_eq!(refused, ErrorKind::ConnectionRefused, "{to}");
            let judge = if port == 81 {
                &mut pair.far
            } else {
                &mut pair.near
            };
            let event = judge.expect_drop(to, DropReason::Policy, cookie);
            assert_eq!(event.source_identity, WEB_IDENTITY.get());
        }
    }
}

/// A datagram that needs no answer.
fn tell(from: &Namespace, to: SocketAddr, text: &[u8]) {
    let any: SocketAddr = if to.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let send = || UdpSocket::bind(any).unwrap().send_to(text, to);
    from.run(send).unwrap().unwrap();
}

#[test]
fn the_identity_that_a_packet_carries_is_the_one_that_counts() {
    let mut pair = Pair::with(Hook::Auto, Family::V4, |_| {});
    pair.near.rules(&open());
    pair.far.rules(&[
        rule(DB, Ingress, WEB_IDENTITY, (Protocol::UDP, 53), allow(21)),
        otherwise(DB, Ingress, default_deny(29)),
    ]);
    for family in Family::BOTH {
        // What the far node has heard of the near one's pod is old.
        let web = Prefix::exact(Near.pod(family));
        let old = IpcacheEntry::new(SITE_IDENTITY).behind(Near.node(Family::V4).into());
        pair.far
            .apply(&[Write::Ipcache(web, Some(old)), Write::Generation]);
        let to = at(Far.pod(family), 53);
        let socket = pair
            .far
            .pod
            .namespace
            .run(|| UdpSocket::bind(to))
            .unwrap()
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let client = pair
            .near
            .pod
            .namespace
            .run(|| UdpSocket::bind(at(Near.pod(family), 4000)));
        let client = client.unwrap().unwrap();
        client.send_to(b"one", to).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 3);
        // The pod becomes another, and what it says next is another's.
        let record = pair.near.pod.record;
        let renamed = EndpointRecord {
            identity: SITE_IDENTITY.get() & 0xffff | 0x1_0000,
            ..record
        };
        let put = |record| Write::Endpoint(Near.pod(family).into(), Some(record));
        pair.near.apply(&[put(renamed), Write::Generation]);
        client.send_to(b"two", to).unwrap();
        let event = pair.far.expect_drop(to, DropReason::Policy, 29);
        assert_eq!(event.source_identity, renamed.identity);
        pair.near.apply(&[put(record), Write::Generation]);
    }
}

#[test]
fn nodes_speak_with_pods_of_other_nodes_and_are_spoken_to() {
    for over in Family::BOTH {
        let mut pair = Pair::with(Hook::Auto, over, |_| {});
        pair.rules(&[
            otherwise(WEB, Egress, allow(1)),
            otherwise(WEB, Ingress, default_deny(19)),
            rule(
                DB,
                Ingress,
                Identity::REMOTE_NODE,
                (Protocol::TCP, 80),
                allow(21),
            ),
            otherwise(DB, Ingress, default_deny(29)),
            otherwise(DB, Egress, default_deny(39)),
        ]);
        for family in Family::BOTH {
            let pod = at(Far.pod(family), 80);
            let _pod = echo::Server::tcp(&pair.far.pod.namespace, pod).unwrap();
            bulk(&mut connect(&pair.near.host, pod).unwrap());
            let node = at(Far.node(family), 22);
            let _node = echo::Server::tcp(&pair.far.host, node).unwrap();
            bulk(&mut connect(&pair.near.pod.namespace, node).unwrap());
            // Nobody else is a node.
            assert!(connect(&pair.near.pod.namespace, pod).is_err());
            pair.far.expect_drop(pod, DropReason::Policy, 29);
        }
    }
}

/// A packet as it comes out of a tunnel, sent there by hand.
fn tunnelled(from: &Namespace, to: IpAddr, vni: u32, inner: &Packet) {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend((vni << 8).to_be_bytes());
    packet.extend(inner.bytes());
    tell(from, at(to, overlay::PORT), &packet);
}

#[test]
fn only_nodes_are_believed_and_only_about_their_own_pods() {
    let mut pair = Pair::with(Hook::Auto, Family::V4, |_| {});
    pair.rules(&open());
    let stranger = Namespace::new("stranger").unwrap();
    let end = |namespace, name, addresses| link::End {
        namespace,
        name,
        addresses,
    };
    link::pair(
        &end(&pair.near.host, "side", &["198.51.100.1/24"]),
        &end(&stranger, "eth0", &["198.51.100.9/24"]),
    )
    .unwrap();
    let side = "198.51.100.1".parse().unwrap();
    let node = Near.node(Family::V4);
    let Pair { near, far } = &mut pair;
    for family in Family::BOTH {
        let (web, db) = (at(Near.pod(family), 53), at(Far.pod(family), 4000));
        let packet = |source, to| Packet::udp(source, to, b"x");
        let identity = DB_IDENTITY.get();
        // Not even with everything else as it should be.
        tunnelled(&stranger, side, identity, &packet(db, web));
        near.expect_drop(web, DropReason::UnknownNode, 0);
        for vni in [0, Identity::HOST.get()] {
            tunnelled(&far.host, node, vni, &packet(db, web));
            near.expect_drop(web, DropReason::InvalidIdentity, 0);
        }
        // The node's own, its pod's, and one that is behind a third node.
        let third = at(third_pod(near, family), 4000);
        for forged in [
            at(Near.node(family), 4000),
            at(Near.pod(family), 4000),
            third,
        ] {
            tunnelled(&far.host, node, identity, &packet(forged, web));
            let event = near.expect_drop(web, DropReason::ForgedSource, 0);
            assert_eq!(event.source, forged.ip().into());
        }
        // Nobody is behind us but our pods and ourselves.
        tunnelled(&far.host, node, identity, &packet(db, third));
        near.expect_drop(third, DropReason::NoEndpoint, 0);
        // And all of it can be right.
        let socket = near
            .pod
            .namespace
            .run(|| UdpSocket::bind(web))
            .unwrap()
            .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        tunnelled(&far.host, node, identity, &packet(db, web));
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    }
}

/// The address of a pod that is behind a third node.
fn third_pod(node: &mut OneOf, family: Family) -> IpAddr {
    let (pod, behind): (IpAddr, IpAddr) = match family {
        Family::V4 => ([10, 0, 2, 1].into(), [192, 0, 2, 3].into()),
        Family::V6 => ("fd00:2::1".parse().unwrap(), [192, 0, 2, 3].into()),
    };
    let entry = IpcacheEntry::new(DB_IDENTITY).behind(behind.into());
    node.apply(&[
        Write::Ipcache(Prefix::exact(pod), Some(entry)),
        Write::Generation,
    ]);
    pod
}

#[test]
fn what_comes_past_the_tunnel_or_has_none_is_dropped() {
    let mut pair = Pair::with(Hook::Auto, Family::V4, |_| {});
    pair.rules(&open());
    let Pair { near, far } = &mut pair;
    for family in Family::BOTH {
        // A node that sends what its pod says as it is, by its own route.
        let web = Near.pod(family);
        let via = Near.node(family);
        far.host
            .ip(&format!("route replace {web} via {via}"))
            .unwrap();
        let db = Far.pod(family);
        let whole = if family == Family::V4 { 32 } else { 128 };
        far.host
            .ip(&format!("address add {db}/{whole} dev lo nodad"))
            .unwrap();
        assert!(
            far.host
                .run(|| far.datapath.detach(far.uplink))
                .unwrap()
                .unwrap()
        );
        let to = at(web, 53);
        far.host
            .run(|| UdpSocket::bind(at(db, 0)).unwrap().send_to(b"x", to))
            .unwrap()
            .unwrap();
        let event = near.expect_drop(to, DropReason::ForgedSource, 0);
        assert_eq!(event.source, db.into());
        let uplink = far.uplink;
        far.host
            .run(|| far.datapath.attach_network(uplink))
            .unwrap()
            .unwrap();
        // An address of the far node's prefix that nobody has.
        let nobody = match family {
            Family::V4 => [10, 0, 1, 99].into(),
            Family::V6 => "fd00:1::99".parse().unwrap(),
        };
        tell(&near.host, at(nobody, 53), b"x");
        near.expect_drop(at(nobody, 53), DropReason::NoTunnel, 0);
    }
}

#[test]
fn a_restart_keeps_tunnels_and_connections() {
    for hook in [Hook::Auto, Hook::Clsact] {
        let mut pair = Pair::with(hook, Family::V4, |_| {});
        pair.rules(&open());
        for family in Family::BOTH {
            let to = at(Far.pod(family), 80);
            let _server = echo::Server::tcp(&pair.far.pod.namespace, to).unwrap();
            let mut client = connect(&pair.near.pod.namespace, to).unwrap();
            let entries = pair.near.datapath.dump().unwrap();
            for node in [&mut pair.near, &mut pair.far] {
                node.restart();
                let attached = node.host.run(|| node.datapath.attached_overlay());
                assert_eq!(attached.unwrap().unwrap(), [node.overlay]);
            }
            assert_eq!(pair.near.datapath.dump().unwrap(), entries);
            exchange(&mut client).unwrap();
        }
    }
}

#[test]
fn the_hosts_own_policies_are_about_what_tunnels_carry_and_not_about_tunnels() {
    let mut pair = Pair::with(Hook::Auto, Family::V4, |programs| {
        programs.host_endpoint = HOST.get().into();
    });
    pair.rules(&[
        otherwise(WEB, Egress, allow(1)),
        otherwise(WEB, Ingress, allow(2)),
        otherwise(DB, Ingress, allow(3)),
        otherwise(DB, Egress, allow(4)),
        rule(HOST, Ingress, WEB_IDENTITY, (Protocol::TCP, 22), allow(41)),
        otherwise(HOST, Ingress, default_deny(49)),
        otherwise(HOST, Egress, default_deny(59)),
    ]);
    for family in Family::BOTH {
        let pod = at(Far.pod(family), 80);
        let _pod = echo::Server::tcp(&pair.far.pod.namespace, pod).unwrap();
        connect(&pair.near.pod.namespace, pod).unwrap();
        let node = at(Far.node(family), 22);
        let _node = echo::Server::tcp(&pair.far.host, node).unwrap();
        connect(&pair.near.pod.namespace, node).unwrap();
        for node in [&pair.near, &pair.far] {
            let flows = node.datapath.maps().conntrack.entries().unwrap();
            let mut ports = flows
                .iter()
                .flat_map(|(key, _)| [key.low_port, key.high_port]);
            assert!(!ports.any(|port| port.get() == overlay::PORT), "{flows:?}");
        }
        let closed = at(Far.node(family), 23);
        let quick = Duration::from_millis(300);
        let stopped = |from: &Namespace, to| from.run(|| TcpStream::connect_timeout(&to, quick));
        assert!(stopped(&pair.near.pod.namespace, closed).unwrap().is_err());
        pair.far.expect_drop(closed, DropReason::Policy, 49);
        assert!(stopped(&pair.near.host, pod).unwrap().is_err());
        pair.near.expect_drop(pod, DropReason::Policy, 59);
    }
}
