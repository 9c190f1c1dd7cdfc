//! Endpoints that speak to the world with the node's address: every packet of a flow there and back.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use palisade_abi::{
    Direction, DropReason, EndpointId, Identity, IpcacheEntry, Mark, MarkKind, Prefix, Protocol,
    Write,
};
use palisade_datapath::TcAction;
use palisade_testkit::packet::{Packet, TCP_ACK, TCP_FIN, TCP_SYN};

use crate::rig::seen::{Seen, quoted, read};
use crate::rig::{
    DB, DB_IDENTITY, Family, Place, Rig, SITE_IDENTITY, Setup, WEB, WEB_IDENTITY, WEB_MAC, allow,
    at, drops, otherwise, rule,
};

use Direction::{Egress, Ingress};
use Place::{FromDb, FromNetwork, FromWeb, ToNetwork};

const LOW: u16 = 1024;
const HIGH: u16 = 32_767;
/// Outside the node's ports.
const EPHEMERAL: u16 = 40_000;

fn rig(ports: (u16, u16)) -> Rig {
    let mut rig = Rig::new(Setup {
        masquerade: Some(ports),
        ..Setup::default()
    });
    let mut rules = vec![rule(
        WEB,
        Ingress,
        SITE_IDENTITY,
        (Protocol::TCP, 8080),
        allow(2),
    )];
    for endpoint in [WEB, DB] {
        rules.push(otherwise(endpoint, Egress, allow(1)));
    }
    rig.rules(&rules);
    rig
}

/// What an endpoint sends, as it leaves the node; the reason if it does not.
fn leave(rig: &mut Rig, endpoint: EndpointId, packet: &Packet) -> Result<Seen, DropReason> {
    let (place, identity) = match endpoint {
        WEB => (FromWeb, WEB_IDENTITY),
        _ => (FromDb, DB_IDENTITY),
    };
    let (outcome, events) = rig.run(place, 0, &packet.bytes());
    let mark = Mark::with_identity(MarkKind::Identity, identity).bits();
    assert_eq!(
        (outcome.action, outcome.mark),
        (TcAction::Pass, mark),
        "{events:?}"
    );
    let (outcome, events) = rig.run(ToNetwork, mark, &outcome.data);
    if let Some((reason, _)) = drops(&events).first() {
        assert_eq!(outcome.action, TcAction::Drop);
        return Err(*reason);
    }
    assert_eq!((outcome.action, outcome.mark), (TcAction::Pass, 0));
    Ok(read(&outcome.data))
}

/// What comes from the network, as its endpoint gets it; nothing if it is for the host.
fn arrive(rig: &mut Rig, packet: &Packet) -> Option<Seen> {
    let (outcome, events) = rig.run(FromNetwork, 0, &packet.bytes());
    match outcome.action {
        TcAction::Redirect => Some(read(&outcome.data)),
        TcAction::Pass => {
            assert_eq!(outcome.data, packet.bytes(), "left as it was");
            None
        }
        _ => panic!("{packet:?}: {events:?}"),
    }
}

fn source(seen: &Seen) -> SocketAddr {
    at(seen.source, seen.ports.0)
}

fn destination(seen: &Seen) -> SocketAddr {
    at(seen.destination, seen.ports.1)
}

fn is_given(port: u16) -> bool {
    (LOW..=HIGH).contains(&port)
}

#[test]
fn a_connection_goes_out_with_the_nodes_address_and_its_answers_come_back() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        for own in [EPHEMERAL, 5000] {
            let (web, site) = (at(family.web(), own), at(family.site(), 443));
            let out = leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_SYN)).unwrap();
            assert_eq!((out.source, destination(&out)), (family.host(), site));
            let port = out.ports.0;
            assert!(is_given(port), "{port}");
            assert_eq!(port == own, is_given(own), "a port in the range is kept");
            let node = at(family.host(), port);
            for flags in [TCP_SYN | TCP_ACK, TCP_ACK, TCP_FIN | TCP_ACK] {
                let back = arrive(&mut rig, &Packet::tcp(site, node, flags)).unwrap();
                assert_eq!((source(&back), destination(&back)), (site, web));
                let out = leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_ACK)).unwrap();
                assert_eq!(source(&out), node, "one port for the whole flow");
            }
        }
    }
}

#[test]
fn datagrams_with_and_without_a_checksum_go_there_and_back() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), EPHEMERAL), at(family.site(), 53));
        let out = leave(&mut rig, WEB, &Packet::udp(web, site, b"who?")).unwrap();
        assert_eq!((out.source, destination(&out)), (family.host(), site));
        assert!(is_given(out.ports.0));
        let answer = Packet::udp(site, source(&out), b"you");
        let back = arrive(&mut rig, &answer).unwrap();
        assert_eq!((source(&back), destination(&back)), (site, web));
        assert_eq!(back.body[8..], *b"you");
    }
    let family = Family::V4;
    let (web, site) = (at(family.web(), EPHEMERAL), at(family.site(), 54));
    let mut body = Packet::udp(web, site, b"who?").body;
    body[6..8].copy_from_slice(&[0, 0]);
    let unsummed = Packet::new(web.ip(), site.ip(), Protocol::UDP.get(), &body);
    let out = leave(&mut rig, WEB, &unsummed).unwrap();
    assert_eq!(out.body[6..8], [0, 0], "an absent sum stays absent");
}

#[test]
fn echoes_of_two_endpoints_with_one_identifier_are_told_apart() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let site = family.site();
        let ask = |endpoint, from| (endpoint, Packet::echo_request(from, site, 7), from);
        let mut ids = Vec::new();
        for (endpoint, request, from) in [ask(WEB, family.web()), ask(DB, family.db())] {
            let out = leave(&mut rig, endpoint, &request).unwrap();
            assert_eq!(out.source, family.host());
            let id = u16::from_be_bytes([out.body[4], out.body[5]]);
            ids.push(id);
            let reply = Packet::echo_reply(site, family.host(), id);
            let back = arrive(&mut rig, &reply).unwrap();
            assert_eq!((back.destination, &back.body[4..6]), (from, &[0, 7][..]));
        }
        assert_eq!(ids[0], 7, "the first keeps its own");
        assert_ne!(ids[1], 7);
        let unasked = Packet::echo_reply(family.stranger(), family.host(), 7);
        assert_eq!(arrive(&mut rig, &unasked), None, "it is the host's");
    }
}

#[test]
fn flows_of_one_port_get_ports_of_their_own_towards_one_server_only() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let site = at(family.site(), 443);
        let syn = |from: IpAddr, to| Packet::tcp(at(from, 5000), to, TCP_SYN);
        let first = leave(&mut rig, WEB, &syn(family.web(), site)).unwrap();
        let second = leave(&mut rig, DB, &syn(family.db(), site)).unwrap();
        assert_eq!(first.ports.0, 5000);
        assert_ne!(second.ports.0, 5000);
        assert!(is_given(second.ports.0));
        let elsewhere = leave(&mut rig, DB, &syn(family.db(), at(family.site(), 444))).unwrap();
        assert_eq!(elsewhere.ports.0, 5000, "another server, no conflict");
        for (port, owner) in [(5000, family.web()), (second.ports.0, family.db())] {
            let answer = Packet::tcp(site, at(family.host(), port), TCP_SYN | TCP_ACK);
            assert_eq!(arrive(&mut rig, &answer).unwrap().destination, owner);
        }
    }
}

#[test]
fn errors_from_the_way_speak_of_the_endpoints_own_packet() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), EPHEMERAL), at(family.site(), 53));
        let router = family.stranger();
        for request in [
            Packet::udp(web, site, &[1; 40]),
            Packet::tcp(web, site, TCP_SYN),
            Packet::echo_request(web.ip(), site.ip(), EPHEMERAL),
        ] {
            let out = leave(&mut rig, WEB, &request).unwrap();
            let node = Packet::new(out.source, out.destination, out.protocol, &out.body);
            let back = arrive(&mut rig, &Packet::unreachable(router, &node)).unwrap();
            assert_eq!((back.source, back.destination), (router, web.ip()));
            let inner = quoted(&back);
            assert_eq!((inner.source, inner.destination), (web.ip(), site.ip()));
            assert_eq!(
                inner.body[..6],
                request.body[..6].to_vec().summed(&inner),
                "{request:?}"
            );
        }
        let nobodys = Packet::udp(at(family.host(), 999), site, b"?");
        assert_eq!(
            arrive(&mut rig, &Packet::unreachable(router, &nobodys)),
            None
        );
    }
}

/// The first bytes of a transport as they should be quoted: ICMP's own sum, which nobody mends, is
/// the one that went out.
trait Summed {
    fn summed(self, quoted: &Seen) -> Self;
}

impl Summed for Vec<u8> {
    fn summed(mut self, quoted: &Seen) -> Self {
        if matches!(quoted.protocol, 1 | 58) {
            self[2..4].copy_from_slice(&quoted.body[2..4]);
        }
        self
    }
}

#[test]
fn an_endpoints_own_errors_speak_of_what_the_server_sent() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), EPHEMERAL), at(family.site(), 53));
        let out = leave(&mut rig, WEB, &Packet::udp(web, site, b"who?")).unwrap();
        let node = source(&out);
        arrive(&mut rig, &Packet::udp(site, node, b"you")).unwrap();
        let error = Packet::unreachable(web.ip(), &Packet::udp(site, web, b"you"));
        let out = leave(&mut rig, WEB, &error).unwrap();
        assert_eq!((out.source, out.destination), (family.host(), site.ip()));
        let inner = quoted(&out);
        assert_eq!((source(&inner), destination(&inner)), (site, node));
    }
}

#[test]
fn fragments_follow_their_first_there_and_back() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let more = if family == Family::V4 { 0x2000 } else { 1 };
        let offset = if family == Family::V4 { 3 } else { 3 << 3 };
        let (web, site) = (at(family.web(), EPHEMERAL), at(family.site(), 53));
        let whole = Packet::udp(web, site, &[1; 16]);
        let first = leave(&mut rig, WEB, &whole.fragment(more)).unwrap();
        let later = Packet::new(web.ip(), site.ip(), Protocol::UDP.get(), &[2; 32]);
        let second = leave(&mut rig, WEB, &later.fragment(offset)).unwrap();
        assert_eq!(
            (first.source, second.source),
            (family.host(), family.host())
        );
        let skip = if family == Family::V4 { 0 } else { 8 };
        assert_eq!(second.body[skip..], [2; 32]);
        let port = u16::from_be_bytes([first.body[skip], first.body[skip + 1]]);
        assert!(is_given(port));

        let node = at(family.host(), port);
        let answer = Packet::udp(site, node, &[3; 16]).fragment(more);
        assert_eq!(arrive(&mut rig, &answer).unwrap().destination, web.ip());
        let later = Packet::new(site.ip(), node.ip(), Protocol::UDP.get(), &[4; 32]);
        let back = arrive(&mut rig, &later.fragment(offset)).unwrap();
        assert_eq!(back.destination, web.ip());
        assert_eq!(back.body[skip..], [4; 32]);
    }
}

#[test]
fn the_cluster_and_those_who_asked_get_the_endpoints_own_address() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let remote = match family {
            Family::V4 => "10.1.0.9",
            Family::V6 => "fd01::9",
        };
        let remote: IpAddr = remote.parse().unwrap();
        for identity in [Identity::new(1003), Identity::REMOTE_NODE] {
            let entry = Some(IpcacheEntry::new(identity));
            rig.apply(&[
                Write::Ipcache(Prefix::exact(remote), entry),
                Write::Generation,
            ]);
            rig.forget_connections();
            let packet = Packet::tcp(at(family.web(), EPHEMERAL), at(remote, 80), TCP_SYN);
            let out = leave(&mut rig, WEB, &packet).unwrap();
            assert_eq!(source(&out), at(family.web(), EPHEMERAL), "{identity}");
        }
        let (site, web) = (at(family.site(), 1025), at(family.web(), 8080));
        arrive(&mut rig, &Packet::tcp(site, web, TCP_SYN)).unwrap();
        let answer = Packet::tcp(web, site, TCP_SYN | TCP_ACK);
        assert_eq!(source(&leave(&mut rig, WEB, &answer).unwrap()), web);
        let stranger = Packet::tcp(at(family.web(), 1), at(family.stranger(), 80), TCP_SYN);
        assert_eq!(
            leave(&mut rig, WEB, &stranger).unwrap().source,
            family.host()
        );
    }
}

#[test]
fn what_cannot_be_told_apart_does_not_leave() {
    let mut rig = rig((5000, 5000));
    for family in Family::BOTH {
        let site = at(family.site(), 443);
        let syn = |from: IpAddr, port| Packet::tcp(at(from, port), site, TCP_SYN);
        assert_eq!(
            leave(&mut rig, WEB, &syn(family.web(), EPHEMERAL))
                .unwrap()
                .ports
                .0,
            5000
        );
        let full = leave(&mut rig, DB, &syn(family.db(), EPHEMERAL));
        assert_eq!(full, Err(DropReason::NatNoPort));
        let ipip = Packet::new(family.web(), family.site(), 4, &[0; 40]);
        assert_eq!(leave(&mut rig, WEB, &ipip), Err(DropReason::NatProtocol));
        let kind = if family == Family::V4 { 13 } else { 138 };
        let message = Packet::icmp(family.web(), family.site(), kind, 0, &[0; 16]);
        assert_eq!(leave(&mut rig, WEB, &message), Err(DropReason::NatProtocol));

        for (key, mut entry) in rig.maps.nat.entries().unwrap() {
            entry.expires = 0;
            rig.maps.nat.insert(&key, &entry).unwrap();
        }
        let taken = leave(&mut rig, DB, &syn(family.db(), EPHEMERAL)).unwrap();
        assert_eq!(taken.ports.0, 5000, "its time was over");
        let late = leave(&mut rig, WEB, &syn(family.web(), EPHEMERAL));
        assert_eq!(late, Err(DropReason::NatNoPort), "it is another's now");
    }
}

#[test]
fn a_port_of_the_nodes_own_sockets_is_given_to_nobody() {
    let mut rig = rig((5000, 5001));
    for family in Family::BOTH {
        let any: IpAddr = if family == Family::V4 {
            [0, 0, 0, 0].into()
        } else {
            [0_u16; 8].into()
        };
        let _tcp = TcpListener::bind(at(any, 5000)).unwrap();
        let _udp = UdpSocket::bind(at(any, 5000)).unwrap();
        let (web, site) = (at(family.web(), 5000), at(family.site(), 443));
        for packet in [
            Packet::tcp(web, site, TCP_SYN),
            Packet::udp(web, site, b"?"),
        ] {
            let port = leave(&mut rig, WEB, &packet).map(|out| out.ports.0);
            assert_eq!(port, Ok(5001), "{packet:?}");
        }
    }
}

#[test]
fn what_was_pushed_out_of_the_maps_is_found_again() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), EPHEMERAL), at(family.site(), 443));
        let out = leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_SYN)).unwrap();
        let node = source(&out);
        rig.forget_connections();
        let out = leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_ACK)).unwrap();
        assert_eq!(source(&out), node, "the connection was forgotten");
        for (key, _) in rig.maps.nat.entries().unwrap() {
            rig.maps.nat.remove(&key).unwrap();
        }
        assert_eq!(arrive(&mut rig, &Packet::tcp(site, node, TCP_ACK)), None);
        let out = leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_ACK)).unwrap();
        assert_eq!(source(&out), node, "the mapping was");
        let back = arrive(&mut rig, &Packet::tcp(site, node, TCP_ACK)).unwrap();
        assert_eq!(destination(&back), web);
    }
}

#[test]
fn whoever_begins_a_connection_with_the_node_means_the_node() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), 5000), at(family.site(), 443));
        leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_SYN)).unwrap();
        let node = at(family.host(), 5000);
        assert_eq!(arrive(&mut rig, &Packet::tcp(site, node, TCP_SYN)), None);
        let elsewhere = at(family.site(), 444);
        assert_eq!(
            arrive(&mut rig, &Packet::tcp(elsewhere, node, TCP_ACK)),
            None
        );
        let back = arrive(&mut rig, &Packet::tcp(site, node, TCP_SYN | TCP_ACK)).unwrap();
        assert_eq!(destination(&back), web);
        let (outcome, _) = rig.run(FromNetwork, 0, &Packet::tcp(site, node, TCP_ACK).bytes());
        assert_eq!(outcome.data[..6], WEB_MAC);
    }
}

#[test]
fn an_answer_to_an_endpoint_that_has_gone_is_not_the_hosts() {
    let mut rig = rig((LOW, HIGH));
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), 5000), at(family.site(), 443));
        leave(&mut rig, WEB, &Packet::tcp(web, site, TCP_SYN)).unwrap();
        rig.apply(&[
            Write::Endpoint(family.web().into(), None),
            Write::Generation,
        ]);
        let answer = Packet::tcp(site, at(family.host(), 5000), TCP_ACK).bytes();
        let (outcome, events) = rig.run(FromNetwork, 0, &answer);
        assert_eq!(outcome.action, TcAction::Drop);
        assert_eq!(drops(&events), [(DropReason::NoEndpoint, 0)]);
    }
}
