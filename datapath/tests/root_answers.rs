//! What the sender of a dropped packet is told: ICMP errors and TCP resets, packet by packet and to
//! real tools.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use palisade_abi::{DenyAnswer, Direction, DropReason, Mark, MarkKind, Protocol};
use palisade_datapath::{Hook, TcAction};
use palisade_testkit::Namespace;
use palisade_testkit::packet::{self, Packet, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};

use crate::rig::node::{Node, node_address};
use crate::rig::{
    DB, DB_IDENTITY, Family, Place, Rig, Rule, Setup, WEB, WEB_IDENTITY, WEB_MAC, WEB_NODE_MAC,
    allow, at, default_deny, deny, drops, otherwise, rule,
};

use DenyAnswer::{Icmp, Reset, Silent};
use Direction::{Egress, Ingress};
use Told::{Expired, Nothing, Prohibited, Refused};

/// What the sender is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Nothing,
    /// An ICMP error: an administrator prohibits it.
    Prohibited,
    /// An ICMP error: no hop was left.
    Expired,
    /// A reset with these flags, sequence and acknowledgement.
    Refused(u8, u32, u32),
}

/// Name, what is configured, the packet that the endpoint sends, what it is told.
type Row = (&'static str, DenyAnswer, fn(Family) -> Packet, Told);

const RST_ACK: u8 = TCP_RST | TCP_ACK;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("no rule allows it", Silent, |f| tcp(f, 99, TCP_SYN), Nothing),
    ("no rule allows it", Icmp, |f| tcp(f, 99, TCP_SYN), Prohibited),
    ("no rule allows it", Reset, |f| tcp(f, 99, TCP_SYN), Refused(RST_ACK, 0, 2)),
    ("a rule denies it", Icmp, |f| tcp(f, 81, TCP_SYN), Prohibited),
    ("the other endpoint does not let it in", Icmp, |f| tcp(f, 82, TCP_SYN), Prohibited),
    ("it asks for authentication", Reset, |f| tcp(f, 83, TCP_SYN), Refused(RST_ACK, 0, 2)),
    ("within a connection", Reset, |f| tcp(f, 99, TCP_ACK), Refused(TCP_RST, 7, 0)),
    ("the end of a connection", Reset, |f| tcp(f, 99, TCP_FIN | TCP_ACK), Refused(TCP_RST, 7, 0)),
    ("a segment with data", Reset, |f| with_data(tcp(f, 99, 0)), Refused(RST_ACK, 0, 6)),
    ("a reset", Reset, |f| tcp(f, 99, TCP_RST), Nothing),
    ("a datagram", Icmp, |f| udp(f, &[9; 5]), Prohibited),
    ("a datagram", Reset, |f| udp(f, &[9; 5]), Prohibited),
    ("a long datagram", Icmp, |f| udp(f, &[9; 1000]), Prohibited),
    ("an echo request", Icmp, |f| Packet::echo_request(f.web(), f.db(), 7), Prohibited),
    ("an ICMP error", Icmp, error, Nothing),
    ("a later fragment", Icmp, |f| tcp(f, 99, TCP_SYN).fragment(later(f)), Nothing),
    ("to a group", Icmp, to_group, Nothing),
    ("the last hop", Silent, |f| tcp(f, 80, TCP_SYN).ttl(1), Expired),
    ("the last hop of an ICMP error", Silent, |f| error_about_allowed(f).ttl(1), Nothing),
    ("what is denied tells of no hop", Silent, |f| tcp(f, 99, TCP_SYN).ttl(1), Nothing),
];

fn rules() -> Vec<Rule> {
    let tcp = |port| (Protocol::TCP, port);
    vec![
        rule(WEB, Egress, DB_IDENTITY, tcp(80), allow(1)),
        rule(WEB, Egress, DB_IDENTITY, tcp(81), deny(2)),
        rule(WEB, Egress, DB_IDENTITY, tcp(82), allow(3)),
        rule(WEB, Egress, DB_IDENTITY, tcp(83), allow(4).with_auth(1)),
        rule(DB, Ingress, WEB_IDENTITY, tcp(80), allow(11)),
        otherwise(WEB, Egress, default_deny(9)),
        otherwise(WEB, Ingress, default_deny(29)),
        otherwise(DB, Egress, default_deny(39)),
        otherwise(DB, Ingress, default_deny(19)),
    ]
}

#[test]
fn every_sender_of_the_table_is_told_what_it_should_be() {
    for mode in [Silent, Icmp, Reset] {
        let mut rig = Rig::new(Setup {
            deny_answer: mode,
            ..Setup::default()
        });
        rig.rules(&rules());
        for family in Family::BOTH {
            let rows = ROWS.iter().filter(|row| row.1 == mode);
            for (name, _, packet, told) in rows {
                rig.forget_connections();
                let sent = packet(family).between(WEB_MAC, WEB_NODE_MAC).bytes();
                let (outcome, events) = rig.run(Place::FromWeb, 0, &sent);
                let context = format!("{name}, {mode:?}, {family:?}: {outcome:?}");
                if *told == Nothing {
                    assert_eq!(outcome.action, TcAction::Drop, "{context}");
                    continue;
                }
                assert_eq!(drops(&events).len(), 1, "it is a drop: {context}");
                assert_eq!(outcome.action, TcAction::Redirect, "{context}");
                assert_eq!(
                    outcome.mark,
                    Mark::new(MarkKind::Answer).bits(),
                    "{context}"
                );
                check(&sent, &outcome.data, family, *told, &context);
            }
        }
    }
}

/// The answer goes back with right lengths and sums, from whom it should, and says what it should.
fn check(sent: &[u8], got: &[u8], family: Family, told: Told, context: &str) {
    assert_eq!(got[..6], WEB_MAC, "{context}");
    assert_eq!(got[6..12], WEB_NODE_MAC, "{context}");
    let v4 = family == Family::V4;
    let (addresses, body, protocol) = if v4 {
        (26, 34, got[23])
    } else {
        (22, 54, got[20])
    };
    if v4 {
        assert_eq!(packet::checksum(&got[14..34]), 0, "{context}");
        assert_eq!(be16(got, 16), got.len() - 14, "{context}");
    } else {
        assert_eq!(be16(got, 18), got.len() - 54, "{context}");
    }
    let length = (body - addresses) / 2;
    let from = &got[addresses..addresses + length];
    let to = &got[addresses + length..body];
    assert_eq!(to, octets(family.web()), "{context}");
    let speaker = if told == Expired {
        family.host()
    } else {
        family.db()
    };
    assert_eq!(from, octets(speaker), "{context}");
    let rest = u16::try_from(got.len() - body).unwrap().to_be_bytes();
    let pseudo = [from, to, &[0, protocol], &rest].concat();
    // ICMP for IPv4 alone is summed without a pseudo header.
    let pseudo = if v4 && protocol == 1 {
        Vec::new()
    } else {
        pseudo
    };
    let sum = packet::checksum(&[&pseudo, &got[body..]].concat());
    assert_eq!(sum, 0, "{context}");
    if let Refused(flags, sequence, acknowledged) = told {
        assert_eq!(protocol, 6, "{context}");
        assert_eq!(got.len(), body + 20, "{context}");
        assert_eq!(got[body..body + 2], sent[body + 2..body + 4], "{context}");
        assert_eq!(got[body + 2..body + 4], sent[body..body + 2], "{context}");
        assert_eq!(got[body + 13], flags, "{context}");
        assert_eq!(be32(got, body + 4), sequence, "{context}");
        assert_eq!(be32(got, body + 8), acknowledged, "{context}");
        return;
    }
    let expected = match (told, v4) {
        (Expired, true) => [11, 0],
        (Expired, false) => [3, 0],
        (_, true) => [3, 13],
        (_, false) => [1, 1],
    };
    assert_eq!(got[body..body + 2], expected, "{context}");
    let quoted = &got[body + 8..];
    assert!(quoted.len() >= body - 14 + 8, "{context}");
    assert_eq!(*quoted, sent[14..14 + quoted.len()], "{context}");
}

#[test]
fn an_answer_reaches_its_endpoint_and_nobody_elses() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    let mark = Mark::new(MarkKind::Answer).bits();
    for family in Family::BOTH {
        let answer = Packet::unreachable(family.db(), &tcp(family, 99, TCP_SYN)).bytes();
        let (outcome, _) = rig.run(Place::ToWeb, mark, &answer);
        assert_eq!((outcome.action, outcome.mark), (TcAction::Pass, 0));
        let (outcome, events) = rig.run(Place::ToDb, mark, &answer);
        assert_eq!(outcome.action, TcAction::Drop);
        assert_eq!(drops(&events), [(DropReason::NoEndpoint, 0)]);
        let (outcome, events) = rig.run(Place::FromDb, mark, &answer);
        assert_eq!(outcome.action, TcAction::Drop, "a mark of its own making");
        assert_eq!(drops(&events), [(DropReason::Policy, 39)]);
    }
}

/// What a program of the pod's says, its errors included.
fn says(pod: &Namespace, program: &str, words: &[&str]) -> String {
    let output = pod.output(Command::new(program).args(words)).unwrap();
    let both = [output.stdout, output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn connect(pod: &Namespace, family: Family, port: u16) -> ErrorKind {
    let to = at(family.db(), port);
    let connected = pod.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(3)));
    connected.unwrap().unwrap_err().kind()
}

#[test]
fn a_client_is_refused_at_once_where_resets_are_configured() {
    for redirect_peer in [true, false] {
        let mut node = Node::with(Hook::Auto, |programs| {
            programs.deny_answer = Reset as u32;
            programs.redirect_peer = u32::from(redirect_peer);
        });
        node.rules(&rules());
        for family in Family::BOTH {
            let refused = connect(&node.web.namespace, family, 99);
            assert_eq!(refused, ErrorKind::ConnectionRefused, "{family:?}");
        }
    }
}

#[test]
fn ping_tells_of_prohibitions_and_of_hops() {
    let mut node = Node::with(Hook::Auto, |programs| {
        programs.deny_answer = Icmp as u32;
    });
    let web_to_db = |family: Family| {
        let echo = (family.icmp(), family.echo());
        [
            rule(WEB, Egress, DB_IDENTITY, echo, allow(5)),
            rule(DB, Ingress, WEB_IDENTITY, echo, allow(12)),
        ]
    };
    for family in Family::BOTH {
        let to = family.db().to_string();
        let ping = ["-n", "-c", "1", "-W", "3", &to];
        node.rules(&rules());
        let said = says(&node.web.namespace, "ping", &ping);
        let prohibited = match family {
            Family::V4 => "Packet filtered",
            Family::V6 => "Administratively prohibited",
        };
        assert!(said.contains(prohibited), "{said}");

        let mut allowed = web_to_db(family).to_vec();
        allowed.extend(rules());
        node.rules(&allowed);
        let said = says(&node.web.namespace, "ping", &ping);
        assert!(said.contains("1 received"), "{said}");
        let one_hop = ["-n", "-c", "1", "-W", "3", "-t", "1", &to];
        let said = says(&node.web.namespace, "ping", &one_hop);
        let from = node_address(family).to_string();
        assert!(
            said.to_lowercase().contains(&format!("from {from}")),
            "{said}"
        );
        let gone = match family {
            Family::V4 => "Time to live exceeded",
            Family::V6 => "Hop limit",
        };
        assert!(said.contains(gone), "{said}");
    }
}

fn tcp(family: Family, port: u16, flags: u8) -> Packet {
    let mut packet = Packet::tcp(at(family.web(), 1025), at(family.db(), port), flags);
    if flags & TCP_ACK != 0 {
        packet.body[8..12].copy_from_slice(&[0, 0, 0, 7]);
    }
    packet
}

fn with_data(mut packet: Packet) -> Packet {
    packet.body.extend([1; 5]);
    packet
}

fn udp(family: Family, payload: &[u8]) -> Packet {
    Packet::udp(at(family.web(), 1025), at(family.db(), 53), payload)
}

fn error(family: Family) -> Packet {
    let about = Packet::tcp(at(family.db(), 99), at(family.web(), 1025), TCP_ACK);
    Packet::unreachable(family.web(), &about)
}

/// Made after the flow that it speaks about, it would be let through.
fn error_about_allowed(family: Family) -> Packet {
    let about = Packet::tcp(at(family.db(), 80), at(family.web(), 1025), TCP_ACK);
    Packet::unreachable(family.web(), &about)
}

fn to_group(family: Family) -> Packet {
    let group = match family {
        Family::V4 => "239.1.2.3",
        Family::V6 => "ff0e::3",
    };
    Packet::udp(at(family.web(), 1025), at(group.parse().unwrap(), 53), b"?")
}

/// The offset field of a fragment behind the transport's header.
fn later(family: Family) -> u16 {
    match family {
        Family::V4 => 3,
        Family::V6 => 3 << 3,
    }
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
