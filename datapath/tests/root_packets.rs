//! Packets through the programs under `BPF_PROG_TEST_RUN`: what goes in, what becomes of it, what is
//! told. To add a case, add a line to [`ROWS`].

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use palisade_abi::{
    Direction, DropReason, EVENT_FLAG_IPV6, EVENT_VERDICT, Mark, MarkKind, Protocol,
};
use palisade_datapath::TcAction;
use palisade_testkit::packet::{self, Packet, TCP_ACK, TCP_SYN};

use crate::rig::{
    DB, DB_IDENTITY, DB_MAC, DB_NODE_MAC, Family, Place, Rig, Rule, SITE_IDENTITY, Setup, WEB,
    WEB_IDENTITY, WEB_MAC, WEB_NODE_MAC, allow, at, default_deny, deny, drops, otherwise, redirect,
    rule,
};

/// What must become of a packet.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// Up the host's stack with the sender's identity, or on to the endpoint without a mark.
    Pass,
    /// Straight into the other endpoint's namespace.
    Peer,
    /// Back to where it came from, as an answer.
    Answer,
    /// Dropped for a reason, by the rule with this cookie (0: by none).
    Drop(DropReason, u32),
    /// Dropped for a reason, and its sender told.
    Refuse(DropReason),
    /// Dropped without a word.
    Silence,
}

use DropReason::{
    AuthRequired, ForgedSource, Fragment, InvalidSource, Malformed, NoEndpoint, NoProxy, Policy,
    PolicyDeny, ProxyLeg, TtlExceeded, UnsupportedL2,
};
use Expect::{Answer, Drop, Pass, Peer, Refuse, Silence};
use Place::{FromDb, FromNobody, FromWeb, ToDb, ToNobody, ToWeb};

/// Name, where the packet is seen, with which mark, the packet, what becomes of it.
type Row = (&'static str, Place, u32, fn(Family) -> Vec<u8>, Expect);

const FROM_WEB: u32 = Mark::with_identity(MarkKind::Identity, WEB_IDENTITY).bits();
const FOR_WEB: u32 = Mark::with_identity(MarkKind::ProxyForward, WEB_IDENTITY).bits();
const PROXY: u32 = Mark::new(MarkKind::ProxyReturn).bits();

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("allowed on both sides", FromWeb, 0, |f| tcp(f, 80), Peer),
    ("allowed to the world", FromWeb, 0, |f| site(f, 443), Pass),
    ("a mark from inside is cleared", FromWeb, 0xffff_ffff, |f| site(f, 443), Pass),
    ("no egress rule", FromWeb, 0, |f| tcp(f, 99), Drop(Policy, 9)),
    ("an egress deny rule", FromWeb, 0, |f| tcp(f, 81), Drop(PolicyDeny, 2)),
    ("no ingress rule", FromWeb, 0, |f| tcp(f, 82), Drop(Policy, 19)),
    ("a stranger is the world, which no rule names", FromWeb, 0, stranger, Drop(Policy, 9)),
    ("echo allowed on both sides", FromWeb, 0, echo, Peer),
    ("an echo reply nobody asked for", FromWeb, 0, unasked, Drop(Policy, 9)),
    ("allowed to who has authenticated", FromWeb, 0, |f| site(f, 444), Drop(AuthRequired, 7)),
    ("redirect without a proxy", FromWeb, 0, |f| dns(f), Drop(NoProxy, 4)),
    ("not a segment's ports", FromWeb, 0, |f| cut(tcp(f, 80), 6), Drop(Malformed, 0)),
    ("a version the link header does not announce", FromWeb, 0, misnamed, Drop(Malformed, 0)),
    ("a length beyond the packet", FromWeb, 0, longer, Drop(Malformed, 0)),
    ("a TCP header of 4 words", FromWeb, 0, short_tcp, Drop(Malformed, 0)),
    ("a fragment", FromWeb, 0, |f| fragment(f, 8), Drop(Fragment, 0)),
    ("a first fragment", FromWeb, 0, |f| fragment(f, more_fragments(f)), Peer),
    ("a first fragment that is not allowed", FromWeb, 0, |f| first(f, 99), Drop(Policy, 9)),
    ("a fragment for the proxy", FromWeb, 0, first_dns, Drop(Fragment, 0)),
    ("a fragment inside a TCP header", FromWeb, 0, |f| fragment(f, units(f, 2)), Drop(Fragment, 0)),
    ("a fragment to the endpoint", ToWeb, 0, |f| later(f, Protocol::TCP), Drop(Fragment, 0)),
    ("an ICMP error in parts", FromWeb, 0, error_in_parts, Drop(Fragment, 0)),
    ("a neighbour in parts", FromWeb, 0, neighbour_in_parts, Drop(Fragment, 0)),
    ("neither IP nor ARP", FromWeb, 0, |_| other_l2(), Drop(UnsupportedL2, 0)),
    ("neither IP nor ARP, inwards", ToWeb, 0, |_| other_l2(), Drop(UnsupportedL2, 0)),
    ("another endpoint's address", FromWeb, 0, |f| tcp_from(f.db(), f.web()), Drop(InvalidSource, 0)),
    ("an address of the world", FromWeb, 0, |f| tcp_from(f.site(), f.db()), Drop(InvalidSource, 0)),
    ("a device without a record", FromNobody, 0, |f| tcp(f, 80), Drop(InvalidSource, 0)),
    ("a last hop", FromWeb, 0, |f| syn(f.web(), f.db(), 80).ttl(1).bytes(), Refuse(TtlExceeded)),
    ("one hop left", FromWeb, 0, |f| syn(f.web(), f.db(), 80).ttl(2).bytes(), Peer),
    ("from the world, allowed", ToWeb, 0, |f| arrives(f, 8080), Pass),
    ("from the world, not allowed", ToWeb, 0, |f| arrives(f, 8081), Drop(Policy, 29)),
    ("nobody's address", ToWeb, 0, |f| syn(f.site(), f.stranger(), 80).bytes(), Drop(NoEndpoint, 0)),
    ("another endpoint's packet", ToWeb, 0, |f| syn(f.site(), f.db(), 80).bytes(), Drop(NoEndpoint, 0)),
    ("to a device without a record", ToNobody, 0, |f| tcp(f, 80), Drop(NoEndpoint, 0)),
    ("an endpoint's address from elsewhere", ToDb, 0, |f| tcp(f, 80), Drop(ForgedSource, 0)),
    ("to the proxy is not from it", ToDb, 0x0200, |f| tcp(f, 80), Drop(ForgedSource, 0)),
    ("vouched for by from_container", ToDb, FROM_WEB, |f| tcp(f, 80), Pass),
    ("the mark vouches for the source only", ToDb, FROM_WEB, |f| tcp(f, 82), Drop(Policy, 19)),
    ("the proxy for its client", ToDb, FOR_WEB, |f| host(f, 80), Pass),
    ("the proxy with its client's address", ToDb, FOR_WEB, |f| tcp(f, 80), Pass),
    ("the proxy for a client without right", ToDb, FOR_WEB, |f| host(f, 82), Drop(Policy, 19)),
    ("the host itself has no right", ToDb, 0, |f| host(f, 80), Drop(Policy, 19)),
    ("the proxy answers what was not asked", ToWeb, PROXY, |f| arrives(f, 8080), Drop(ProxyLeg, 0)),
    ("ARP or solicitation", FromWeb, 0, |f| who_has(f, f.db()), Answer),
    ("who has the endpoint's own address", FromWeb, 0, own_address, Silence),
    ("a probe for a duplicate address", FromWeb, 0, |f| probe(f), Silence),
    ("ARP or solicitation of another's", FromDb, 0, |f| who_has(f, f.host()), Drop(InvalidSource, 0)),
    ("neighbours from the host", ToWeb, 0, |f| who_has(f, f.db()), Pass),
    ("a group that no router forwards", FromWeb, 0, group, Silence),
];

fn rules() -> Vec<Rule> {
    use Direction::{Egress, Ingress};
    let mut rules = vec![
        rule(WEB, Egress, DB_IDENTITY, (Protocol::TCP, 80), allow(1)),
        rule(WEB, Egress, DB_IDENTITY, (Protocol::TCP, 81), deny(2)),
        rule(WEB, Egress, SITE_IDENTITY, (Protocol::TCP, 443), allow(3)),
        rule(WEB, Egress, SITE_IDENTITY, (Protocol::UDP, 53), redirect(4)),
        rule(WEB, Egress, DB_IDENTITY, (Protocol::TCP, 82), allow(6)),
        rule(
            WEB,
            Egress,
            SITE_IDENTITY,
            (Protocol::TCP, 444),
            allow(7).with_auth(1),
        ),
        rule(DB, Ingress, WEB_IDENTITY, (Protocol::TCP, 80), allow(11)),
        rule(
            WEB,
            Ingress,
            SITE_IDENTITY,
            (Protocol::TCP, 8080),
            allow(21),
        ),
    ];
    for family in Family::BOTH {
        let echo = (family.icmp(), family.echo());
        rules.push(rule(WEB, Egress, DB_IDENTITY, echo, allow(5)));
        rules.push(rule(DB, Ingress, WEB_IDENTITY, echo, allow(12)));
    }
    rules.extend([
        otherwise(WEB, Egress, default_deny(9)),
        otherwise(DB, Ingress, default_deny(19)),
        otherwise(WEB, Ingress, default_deny(29)),
        otherwise(DB, Egress, default_deny(39)),
    ]);
    rules
}

#[test]
fn every_packet_of_the_table_meets_its_fate() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    for family in Family::BOTH {
        for (name, place, mark, packet, expect) in ROWS {
            rig.forget_connections();
            let frame = packet(family);
            let (outcome, events) = rig.run(*place, *mark, &frame);
            let dropped = drops(&events);
            let context = format!("{name}, {family:?}: {outcome:?}, {events:?}");
            let (action, drop) = match *expect {
                Pass => (TcAction::Pass, None),
                Peer | Answer => (TcAction::Redirect, None),
                Drop(reason, cookie) => (TcAction::Drop, Some((reason, cookie))),
                Refuse(reason) => (TcAction::Redirect, Some((reason, 0))),
                Silence => (TcAction::Drop, None),
            };
            assert_eq!(outcome.action, action, "{context}");
            assert_eq!(dropped, drop.into_iter().collect::<Vec<_>>(), "{context}");
            match *expect {
                Pass => assert_eq!(
                    outcome.mark,
                    passed_mark(*place, *mark, &frame),
                    "{context}"
                ),
                Peer => assert_delivered(&frame, &outcome.data, family, &context),
                Silence => assert!(events.is_empty(), "{context}"),
                Answer | Drop(..) | Refuse(_) => {}
            }
            for event in &events {
                let ipv6 = event.flags & EVENT_FLAG_IPV6 != 0;
                let has_addresses = event.source != rig::mapped("::".parse().unwrap());
                assert!(
                    !has_addresses || ipv6 == (family == Family::V6),
                    "{context}"
                );
                assert_eq!(event.length as usize, frame.len(), "{context}");
            }
        }
    }
}

/// Others' bits stay; ours are gone, or say who sent the packet.
fn passed_mark(place: Place, mark: u32, frame: &[u8]) -> u32 {
    let others = mark & !Mark::MASK;
    let is_ip = frame[12] == 8 && frame[13] == 0 || frame[12] == 0x86;
    match place {
        FromWeb if is_ip => others | FROM_WEB,
        _ => others,
    }
}

/// Link addresses of the far end, one hop less, everything else as it was.
fn assert_delivered(sent: &[u8], got: &[u8], family: Family, context: &str) {
    assert_eq!(got[..6], DB_MAC, "{context}");
    assert_eq!(got[6..12], DB_NODE_MAC, "{context}");
    let hops = match family {
        Family::V4 => 22,
        Family::V6 => 21,
    };
    assert_eq!(got[hops], sent[hops] - 1, "{context}");
    if family == Family::V4 {
        assert_eq!(packet::checksum(&got[14..34]), 0, "{context}");
    }
    assert_eq!(got[34..], sent[34..], "{context}");
}

#[test]
fn the_node_answers_for_every_address_with_its_own_link_address() {
    let mut rig = Rig::new(Setup::default());
    let (outcome, _) = rig.run(FromWeb, 0, &who_has(Family::V4, Family::V4.stranger()));
    let reply = outcome.data;
    assert_eq!(reply[..12], [WEB_MAC, WEB_NODE_MAC].concat());
    assert_eq!(reply[20..22], [0, 2], "an ARP reply");
    assert_eq!(reply[22..28], WEB_NODE_MAC);
    assert_eq!(reply[28..32], [198, 51, 100, 9]);

    let (outcome, _) = rig.run(FromWeb, 0, &who_has(Family::V6, Family::V6.stranger()));
    let reply = outcome.data;
    assert_eq!(reply.len(), 86);
    assert_eq!(reply[..12], [WEB_MAC, WEB_NODE_MAC].concat());
    assert_eq!((reply[21], reply[54], reply[58]), (255, 136, 0x60));
    assert_eq!(reply[62..78], reply[22..38], "the target speaks for itself");
    assert_eq!(reply[78..], [&[2, 1][..], &WEB_NODE_MAC].concat());
    let pseudo = [&reply[22..54], &[0, 58, 0, 32]].concat();
    assert_eq!(packet::checksum(&[&pseudo, &reply[54..]].concat()), 0);
}

#[test]
fn a_kernel_that_checks_a_neighbour_from_its_link_local_address_is_answered() {
    let mut rig = Rig::new(Setup::default());
    let target = v6(Family::V6.host());
    let solicit = Packet::neighbour_solicit("fe80::1".parse().unwrap(), target, Some(WEB_MAC));
    let unicast = solicit.clone().between(WEB_MAC, WEB_NODE_MAC).bytes();
    let (outcome, events) = rig.run(FromWeb, 0, &unicast);
    assert_eq!((outcome.action, events), (TcAction::Redirect, vec![]));
    let multicast = solicit.between(WEB_MAC, [0x33, 0x33, 0, 0, 0, 1]).bytes();
    let (outcome, events) = rig.run(FromWeb, 0, &multicast);
    assert_eq!((outcome.action, events), (TcAction::Drop, vec![]));
}

#[test]
fn an_advertisement_speaks_only_for_its_own_endpoint() {
    let mut rig = Rig::new(Setup::default());
    let host = Family::V6.host();
    for (speaker, expected) in [
        (Family::V6.web(), TcAction::Pass),
        (Family::V6.db(), TcAction::Drop),
    ] {
        let advert = Packet::neighbour_advert(Family::V6.web(), host, v6(speaker));
        let (outcome, _) = rig.run(FromWeb, 0, &advert.bytes());
        assert_eq!(outcome.action, expected, "{speaker}");
    }
}

#[test]
fn a_new_flow_is_told_once_for_each_side() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    let (_, events) = rig.run(FromWeb, 0, &tcp(Family::V4, 80));
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.kind,
                event.direction,
                event.endpoint,
                event.verdict.cookie,
            )
        })
        .collect();
    assert_eq!(told, [(EVENT_VERDICT, 1, 1, 1), (EVENT_VERDICT, 0, 2, 11)]);
    let event = events[0];
    assert_eq!(event.source, rig::mapped(Family::V4.web()));
    assert_eq!(event.destination, rig::mapped(Family::V4.db()));
    assert_eq!(
        (event.source_port.get(), event.destination_port.get()),
        (1025, 80)
    );
    assert_eq!(event.source_identity, WEB_IDENTITY.get());
    assert_eq!(event.destination_identity, DB_IDENTITY.get());
    let (_, events) = rig.run(FromWeb, 0, &tcp(Family::V4, 80));
    assert_eq!(events, [], "the second packet");
}

#[test]
fn extension_headers_are_walked_up_to_a_bound() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    for (count, expected) in [
        (1, TcAction::Redirect),
        (6, TcAction::Redirect),
        (7, TcAction::Drop),
    ] {
        let packet = syn(Family::V6.web(), Family::V6.db(), 80).behind(&vec![60; count]);
        let (outcome, events) = rig.run(FromWeb, 0, &packet.bytes());
        assert_eq!(outcome.action, expected, "{count} headers: {events:?}");
        if expected == TcAction::Drop {
            assert_eq!(drops(&events), [(Malformed, 0)]);
        }
    }
}

/// Runs the first fragment and a later one; returns what became of the later one.
fn both_fragments(
    rig: &mut Rig,
    place: Place,
    family: Family,
    first: &Packet,
) -> (TcAction, Vec<(DropReason, u32)>) {
    let frame = first.clone().fragment(more_fragments(family)).bytes();
    rig.run(place, 0, &frame);
    let later = Packet::new(first.source, first.destination, first.protocol, &[7; 32]);
    let frame = later.fragment(units(family, 3)).bytes();
    let (outcome, events) = rig.run(place, 0, &frame);
    let told = events.iter().all(|event| event.kind != EVENT_VERDICT);
    assert!(told, "a flow is told once: {events:?}");
    (outcome.action, drops(&events))
}

#[test]
fn a_later_fragment_goes_the_way_of_the_first() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    for family in Family::BOTH {
        let (web, db, site) = (family.web(), family.db(), family.site());
        let arrives = syn(site, web, 8080);
        let table = [
            (FromWeb, syn(web, db, 80), TcAction::Redirect, None),
            (FromWeb, syn(web, site, 443), TcAction::Pass, None),
            (FromWeb, syn(web, db, 99), TcAction::Drop, Some((Policy, 9))),
            (
                FromWeb,
                syn(web, db, 81),
                TcAction::Drop,
                Some((PolicyDeny, 2)),
            ),
            (
                FromWeb,
                Packet::echo_request(web, db, 7),
                TcAction::Redirect,
                None,
            ),
            (
                FromWeb,
                Packet::echo_reply(web, db, 7),
                TcAction::Drop,
                Some((Policy, 9)),
            ),
            (ToWeb, arrives.clone(), TcAction::Pass, None),
        ];
        for (place, first, action, dropped) in table {
            rig.forget_connections();
            let found = both_fragments(&mut rig, place, family, &first);
            assert_eq!(found, (action, dropped.into_iter().collect()), "{first:?}");
        }
        for (key, mut entry) in rig.maps.fragments.entries().unwrap() {
            entry.expires = 0;
            rig.maps.fragments.insert(&key, &entry).unwrap();
        }
        let (outcome, events) = rig.run(ToWeb, 0, &later(family, Protocol::TCP));
        assert_eq!(outcome.action, TcAction::Drop, "its first came long ago");
        assert_eq!(drops(&events), [(Fragment, 0)]);
    }
}

#[test]
fn counters_say_what_became_of_the_packets() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    let allowed = tcp(Family::V4, 80);
    let denied = tcp(Family::V4, 99);
    rig.run(FromWeb, 0, &allowed);
    rig.run(FromWeb, 0, &denied);
    rig.run(FromWeb, 0, &denied);
    let counters = &rig.maps.counters;
    assert_eq!(counters.passed().unwrap().packets, 1);
    let dropped = counters.dropped(Policy).unwrap();
    assert_eq!(
        (dropped.packets, dropped.bytes),
        (2, 2 * denied.len() as u64)
    );
    assert_eq!(counters.lost_events().unwrap(), 0);
}

fn v6(address: std::net::IpAddr) -> std::net::Ipv6Addr {
    match address {
        std::net::IpAddr::V6(v6) => v6,
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
    }
}

fn syn(source: std::net::IpAddr, destination: std::net::IpAddr, port: u16) -> Packet {
    Packet::tcp(at(source, 1025), at(destination, port), TCP_SYN)
}

fn tcp(family: Family, port: u16) -> Vec<u8> {
    syn(family.web(), family.db(), port).bytes()
}

fn site(family: Family, port: u16) -> Vec<u8> {
    syn(family.web(), family.site(), port).bytes()
}

fn arrives(family: Family, port: u16) -> Vec<u8> {
    syn(family.site(), family.web(), port).bytes()
}

fn host(family: Family, port: u16) -> Vec<u8> {
    syn(family.host(), family.db(), port).bytes()
}

fn stranger(family: Family) -> Vec<u8> {
    syn(family.web(), family.stranger(), 443).bytes()
}

fn tcp_from(source: std::net::IpAddr, destination: std::net::IpAddr) -> Vec<u8> {
    Packet::tcp(at(source, 80), at(destination, 1025), TCP_SYN | TCP_ACK).bytes()
}

fn dns(family: Family) -> Vec<u8> {
    Packet::udp(at(family.web(), 1025), at(family.site(), 53), b"?").bytes()
}

fn echo(family: Family) -> Vec<u8> {
    Packet::echo_request(family.web(), family.db(), 7).bytes()
}

fn unasked(family: Family) -> Vec<u8> {
    Packet::echo_reply(family.web(), family.db(), 7).bytes()
}

/// The packet ends early, and its IP header says so.
fn cut(frame: Vec<u8>, by: usize) -> Vec<u8> {
    let mut frame = frame;
    frame.truncate(frame.len() - by);
    let ip = frame.len() - packet::LINK_HEADER;
    let (place, length) = if frame[14] >> 4 == 4 {
        (16, ip)
    } else {
        (18, ip - 40)
    };
    frame[place..place + 2].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
    frame
}

/// IPv4 in a frame of IPv6, or the other way round; long enough to be either.
fn misnamed(family: Family) -> Vec<u8> {
    let mut frame = Packet::udp(at(family.web(), 1), at(family.db(), 2), &[0; 64]).bytes();
    frame[14] ^= 0x20;
    frame
}

fn longer(family: Family) -> Vec<u8> {
    let mut frame = tcp(family, 80);
    let place = if family == Family::V4 { 17 } else { 19 };
    frame[place] += 1;
    frame
}

fn short_tcp(family: Family) -> Vec<u8> {
    let mut packet = syn(family.web(), family.db(), 80);
    packet.body[12] = 4 << 4;
    packet.bytes()
}

fn fragment(family: Family, offset: u16) -> Vec<u8> {
    syn(family.web(), family.db(), 80).fragment(offset).bytes()
}

/// The raw offset field of units of 8 bytes.
fn units(family: Family, count: u16) -> u16 {
    if family == Family::V4 {
        count
    } else {
        count << 3
    }
}

fn first(family: Family, port: u16) -> Vec<u8> {
    let packet = syn(family.web(), family.db(), port);
    packet.fragment(more_fragments(family)).bytes()
}

fn first_dns(family: Family) -> Vec<u8> {
    let (from, to) = (at(family.web(), 1025), at(family.site(), 53));
    let packet = Packet::udp(from, to, &[0; 16]);
    packet.fragment(more_fragments(family)).bytes()
}

/// From the world to the first endpoint, without a header of a transport.
fn later(family: Family, protocol: Protocol) -> Vec<u8> {
    let packet = Packet::new(family.site(), family.web(), protocol.get(), &[7; 32]);
    packet.fragment(units(family, 3)).bytes()
}

fn error_in_parts(family: Family) -> Vec<u8> {
    let about = syn(family.db(), family.web(), 80);
    let error = Packet::unreachable(family.web(), &about);
    error.fragment(more_fragments(family)).bytes()
}

fn neighbour_in_parts(family: Family) -> Vec<u8> {
    if family == Family::V4 {
        return error_in_parts(family);
    }
    let solicit = Packet::neighbour_solicit(family.web(), v6(family.db()), Some(WEB_MAC));
    solicit.fragment(more_fragments(family)).bytes()
}

fn more_fragments(family: Family) -> u16 {
    if family == Family::V4 { 0x2000 } else { 1 }
}

fn other_l2() -> Vec<u8> {
    packet::frame(WEB_MAC, WEB_NODE_MAC, 0x88cc, &[0; 46])
}

fn who_has(family: Family, target: std::net::IpAddr) -> Vec<u8> {
    match (family.web(), target) {
        (std::net::IpAddr::V4(web), std::net::IpAddr::V4(target)) => {
            packet::arp(1, (WEB_MAC, web), ([0; 6], target))
        }
        (web, target) => Packet::neighbour_solicit(web, v6(target), Some(WEB_MAC))
            .between(WEB_MAC, [0x33, 0x33, 0, 0, 0, 1])
            .bytes(),
    }
}

fn own_address(family: Family) -> Vec<u8> {
    who_has(family, family.web())
}

fn probe(family: Family) -> Vec<u8> {
    match family.web() {
        std::net::IpAddr::V4(web) => packet::arp(1, (WEB_MAC, [0, 0, 0, 0].into()), ([0; 6], web)),
        std::net::IpAddr::V6(web) => {
            Packet::neighbour_solicit("::".parse().unwrap(), web, None).bytes()
        }
    }
}

fn group(family: Family) -> Vec<u8> {
    let group = match family {
        Family::V4 => "224.0.0.251",
        Family::V6 => "ff02::fb",
    };
    Packet::udp(
        at(family.web(), 5353),
        at(group.parse().unwrap(), 5353),
        b"?",
    )
    .bytes()
}

#[test]
fn no_program_comes_near_what_the_verifier_takes() {
    for program in Rig::new(Setup::default()).programs.all() {
        let count = program.statistics().unwrap().verified_instructions;
        println!("{}: {count} instructions", program.name());
        // It gives up after a million, and kernels differ by up to a factor of two.
        let name = program.name();
        assert!((1_000..250_000).contains(&count), "{name}: {count}");
    }
}
