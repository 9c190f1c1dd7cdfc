//! Packets through the programs of a device that leads to the network: forged sources, direct
//! delivery, the host's own policies. To add a case, add a line to a table.

mod rig;

use palisade_abi::{DenyAnswer, Direction, DropReason, Identity, Mark, MarkKind, Protocol};
use palisade_datapath::TcAction;
use palisade_testkit::packet::{self, Packet, TCP_ACK, TCP_SYN};

use crate::rig::{
    DB, DB_IDENTITY, DB_MAC, DB_NODE_MAC, Family, HOST, Place, Rig, Rule, SITE_IDENTITY, Setup,
    WEB, WEB_IDENTITY, WEB_MAC, WEB_NODE_MAC, allow, at, default_deny, deny, drops, otherwise,
    redirect, rule,
};

use Direction::{Egress, Ingress};
use DropReason::{ForgedSource, Fragment, Malformed, Policy, PolicyDeny, ProxyLeg, TtlExceeded};
use Expect::{Back, Drop, Pass, Peer};
use Place::{FromNetwork, FromWeb, ToDb, ToNetwork, ToWeb};

/// What must become of a packet.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// On its way, without a mark of ours.
    Pass,
    /// Straight into the endpoint's namespace.
    Peer,
    /// Dropped for a reason, by the rule with this cookie (0: by none).
    Drop(DropReason, u32),
    /// The same, and its sender told.
    Back(DropReason, u32),
}

/// Name, where the packet is seen, with which mark, the packet, what becomes of it.
type Row = (&'static str, Place, u32, fn(Family) -> Vec<u8>, Expect);

const FROM_WEB: u32 = Mark::with_identity(MarkKind::Identity, WEB_IDENTITY).bits();
const FOR_WEB: u32 = Mark::with_identity(MarkKind::ProxyForward, WEB_IDENTITY).bits();
const ANSWER: u32 = Mark::new(MarkKind::Answer).bits();

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("allowed to an endpoint", FromNetwork, 0, |f| tcp(f.site(), f.web(), 8080), Peer),
    ("not allowed to an endpoint", FromNetwork, 0, |f| tcp(f.site(), f.web(), 8081), Drop(Policy, 29)),
    ("denied by a rule", FromNetwork, 0, |f| tcp(f.site(), f.web(), 8082), Drop(PolicyDeny, 22)),
    ("who is unknown is the world, which no rule names", FromNetwork, 0, |f| tcp(f.stranger(), f.web(), 8080), Drop(Policy, 29)),
    ("an answer that nobody waits for", FromNetwork, 0, |f| ack(f.site(), f.web()), Drop(Policy, 29)),
    ("an endpoint's address from outside", FromNetwork, 0, |f| tcp(f.db(), f.web(), 80), Drop(ForgedSource, 0)),
    ("an endpoint's address to somebody else", FromNetwork, 0, |f| tcp(f.db(), f.site(), 80), Drop(ForgedSource, 0)),
    ("the node's address from outside", FromNetwork, 0, |f| tcp(f.host(), f.web(), 8080), Drop(ForgedSource, 0)),
    ("a mark from outside vouches for nobody", FromNetwork, FROM_WEB, |f| tcp(f.web(), f.db(), 80), Drop(ForgedSource, 0)),
    ("a mark of the proxy from outside", FromNetwork, FOR_WEB, |f| tcp(f.site(), f.db(), 80), Drop(Policy, 19)),
    ("a last hop", FromNetwork, 0, |f| syn(f.site(), f.web(), 8080).ttl(1).bytes(), Back(TtlExceeded, 0)),
    ("between other machines", FromNetwork, 0, |f| tcp(f.site(), f.stranger(), 80), Pass),
    ("to the host", FromNetwork, 0, |f| tcp(f.site(), f.host(), 23), Pass),
    ("a header cut off", FromNetwork, 0, |f| cut(tcp(f.site(), f.web(), 8080)), Drop(Malformed, 0)),
    ("a fragment without its first", FromNetwork, 0, |f| later(f, f.web()), Drop(Fragment, 0)),
    ("the host puts fragments together itself", FromNetwork, 0, |f| later(f, f.host()), Pass),
    ("neither IP nor ARP", FromNetwork, 0, |_| other_l2(), Pass),
    ("neighbours", FromNetwork, 0, neighbour, Pass),
    ("an endpoint's packet", ToNetwork, FROM_WEB, |f| tcp(f.web(), f.site(), 443), Pass),
    ("an endpoint's address from elsewhere", ToNetwork, 0, |f| tcp(f.web(), f.site(), 443), Drop(ForgedSource, 0)),
    ("an answer of the proxy's does not leave", ToNetwork, 0x0a00, |f| tcp(f.web(), f.site(), 443), Drop(ForgedSource, 0)),
    ("the proxy with its client's address", ToNetwork, FOR_WEB, |f| tcp(f.web(), f.site(), 443), Pass),
    ("an answer to who was refused", ToNetwork, ANSWER, |f| ack(f.web(), f.site()), Pass),
    ("the host's packet", ToNetwork, 0, |f| tcp(f.host(), f.site(), 80), Pass),
    ("others' packets, forwarded", ToNetwork, 0, |f| tcp(f.stranger(), f.site(), 80), Pass),
    ("neither IP nor ARP, outwards", ToNetwork, 0, |_| other_l2(), Pass),
];

#[rustfmt::skip]
const FIREWALL: &[Row] = &[
    ("allowed to the host", FromNetwork, 0, |f| tcp(f.site(), f.host(), 22), Pass),
    ("not allowed to the host", FromNetwork, 0, |f| tcp(f.site(), f.host(), 23), Drop(Policy, 49)),
    ("an answer the host does not wait for", FromNetwork, 0, |f| ack(f.site(), f.host()), Drop(Policy, 49)),
    ("a fragment to the host without its first", FromNetwork, 0, |f| later(f, f.host()), Drop(Fragment, 0)),
    ("allowed to an endpoint", FromNetwork, 0, |f| tcp(f.site(), f.web(), 8080), Peer),
    ("between other machines", FromNetwork, 0, |f| tcp(f.site(), f.stranger(), 80), Pass),
    ("neighbours", FromNetwork, 0, neighbour, Pass),
    ("allowed from the host", ToNetwork, 0, |f| tcp(f.host(), f.site(), 443), Pass),
    ("not allowed from the host", ToNetwork, 0, |f| tcp(f.host(), f.site(), 80), Drop(Policy, 59)),
    ("the proxy's own leg is not the host's", ToNetwork, FOR_WEB, |f| tcp(f.host(), f.site(), 80), Pass),
    ("an endpoint's packet", ToNetwork, FROM_WEB, |f| tcp(f.web(), f.site(), 80), Pass),
    ("others' packets, forwarded", ToNetwork, 0, |f| tcp(f.stranger(), f.site(), 80), Pass),
    ("from an endpoint to the host", FromWeb, 0, |f| tcp(f.web(), f.host(), 22), Pass),
    ("the host lets no endpoint in there", FromWeb, 0, |f| tcp(f.web(), f.host(), 25), Drop(Policy, 49)),
    ("the endpoint is not let out", FromWeb, 0, |f| tcp(f.web(), f.host(), 26), Drop(Policy, 9)),
    ("from the host to an endpoint", ToDb, 0, |f| tcp(f.host(), f.db(), 80), Pass),
    ("the host is not let out to it", ToDb, 0, |f| tcp(f.host(), f.db(), 81), Drop(Policy, 59)),
    ("the endpoint does not let it in", ToDb, 0, |f| tcp(f.host(), f.db(), 82), Drop(Policy, 19)),
    ("from the network by way of the stack", ToWeb, 0, |f| tcp(f.site(), f.web(), 8080), Pass),
];

fn rules() -> Vec<Rule> {
    let tcp = |port| (Protocol::TCP, port);
    let host = Identity::HOST;
    vec![
        rule(WEB, Ingress, SITE_IDENTITY, tcp(8080), allow(21)),
        rule(WEB, Ingress, SITE_IDENTITY, tcp(8082), deny(22)),
        rule(WEB, Egress, SITE_IDENTITY, tcp(443), allow(3)),
        rule(WEB, Egress, host, tcp(22), allow(4)),
        rule(WEB, Egress, host, tcp(25), allow(5)),
        rule(WEB, Egress, SITE_IDENTITY, tcp(7777), redirect(6)),
        rule(DB, Ingress, host, tcp(80), allow(11)),
        rule(DB, Ingress, host, tcp(81), allow(12)),
        rule(HOST, Ingress, SITE_IDENTITY, tcp(22), allow(41)),
        rule(HOST, Ingress, WEB_IDENTITY, tcp(22), allow(42)),
        rule(HOST, Egress, SITE_IDENTITY, tcp(443), allow(51)),
        rule(HOST, Egress, DB_IDENTITY, tcp(80), allow(52)),
        rule(HOST, Egress, DB_IDENTITY, tcp(82), allow(53)),
        otherwise(WEB, Egress, default_deny(9)),
        otherwise(WEB, Ingress, default_deny(29)),
        otherwise(DB, Egress, default_deny(39)),
        otherwise(DB, Ingress, default_deny(19)),
        otherwise(HOST, Ingress, default_deny(49)),
        otherwise(HOST, Egress, default_deny(59)),
    ]
}

fn check(setup: Setup, rows: &[Row]) {
    let mut rig = Rig::new(setup);
    rig.rules(&rules());
    for family in Family::BOTH {
        for (name, place, mark, packet, expect) in rows {
            rig.forget_connections();
            let (outcome, events) = rig.run(*place, *mark, &packet(family));
            let context = format!("{name}, {family:?}: {outcome:?}, {events:?}");
            let (action, drop) = match *expect {
                Pass => (TcAction::Pass, None),
                Peer => (TcAction::Redirect, None),
                Drop(reason, cookie) => (TcAction::Drop, Some((reason, cookie))),
                Back(reason, cookie) => (TcAction::Redirect, Some((reason, cookie))),
            };
            assert_eq!(outcome.action, action, "{context}");
            assert_eq!(
                drops(&events),
                drop.into_iter().collect::<Vec<_>>(),
                "{context}"
            );
            match *expect {
                // The stack needs to know whom from_container has let go.
                Pass if *place == FromWeb => assert_eq!(outcome.mark, FROM_WEB, "{context}"),
                Pass => assert_eq!(outcome.mark, 0, "{context}"),
                Peer => {
                    let ends = [WEB_MAC, WEB_NODE_MAC].concat();
                    assert_eq!(outcome.data.get(..12), Some(ends.as_slice()), "{context}");
                }
                Drop(..) | Back(..) => {}
            }
        }
    }
}

#[test]
fn every_packet_of_the_table_meets_its_fate() {
    check(Setup::default(), ROWS);
}

#[test]
fn every_packet_of_the_hosts_table_meets_its_fate() {
    let setup = Setup {
        host_firewall: true,
        ..Setup::default()
    };
    check(setup, FIREWALL);
}

#[test]
fn without_policies_of_its_own_the_host_is_open() {
    let of_the_host = FIREWALL
        .iter()
        .filter(|row| matches!(row.4, Drop(Policy, 49 | 59)));
    let open: Vec<Row> = of_the_host
        .map(|row| (row.0, row.1, row.2, row.3, Pass))
        .collect();
    assert_eq!(open.len(), 5, "the table has changed");
    check(Setup::default(), &open);
}

#[test]
fn an_answer_to_the_host_passes_and_nothing_else_does() {
    let mut rig = Rig::new(Setup {
        host_firewall: true,
        ..Setup::default()
    });
    rig.rules(&rules());
    for family in Family::BOTH {
        let (host, site) = (at(family.host(), 1025), at(family.site(), 443));
        rig.forget_connections();
        rig.run(ToNetwork, 0, &Packet::tcp(host, site, TCP_SYN).bytes());
        let answer = Packet::tcp(site, host, TCP_SYN | TCP_ACK).bytes();
        assert_eq!(rig.run(FromNetwork, 0, &answer).0.action, TcAction::Pass);
        let other = Packet::tcp(at(family.site(), 444), host, TCP_SYN | TCP_ACK).bytes();
        assert_eq!(rig.run(FromNetwork, 0, &other).0.action, TcAction::Drop);
        let error = Packet::unreachable(family.stranger(), &Packet::tcp(host, site, TCP_SYN));
        let (outcome, _) = rig.run(FromNetwork, 0, &error.bytes());
        assert_eq!(outcome.action, TcAction::Pass, "an error about the flow");
        let error = Packet::unreachable(
            family.stranger(),
            &Packet::tcp(host, at(family.site(), 1), TCP_SYN),
        );
        let (outcome, _) = rig.run(FromNetwork, 0, &error.bytes());
        assert_eq!(outcome.action, TcAction::Drop, "an error about none");

        rig.rules(&[
            deny_to_site(),
            otherwise(HOST, Ingress, default_deny(49)),
            otherwise(WEB, Egress, allow(1)),
        ]);
        let (outcome, events) = rig.run(FromNetwork, 0, &answer);
        assert_eq!(outcome.action, TcAction::Drop, "what was allowed is cut");
        assert_eq!(drops(&events), [(PolicyDeny, 60)]);
        rig.rules(&rules());
    }
}

fn deny_to_site() -> Rule {
    rule(HOST, Egress, SITE_IDENTITY, (Protocol::TCP, 443), deny(60))
}

#[test]
fn the_proxys_own_leg_gets_its_answers_past_the_hosts_policies() {
    let mut rig = Rig::new(Setup {
        host_firewall: true,
        ..Setup::default()
    });
    rig.rules(&rules());
    for family in Family::BOTH {
        let (proxy, site) = (at(family.host(), 1025), at(family.site(), 80));
        rig.run(
            ToNetwork,
            FOR_WEB,
            &Packet::tcp(proxy, site, TCP_SYN).bytes(),
        );
        let answer = Packet::tcp(site, proxy, TCP_SYN | TCP_ACK).bytes();
        assert_eq!(rig.run(FromNetwork, 0, &answer).0.action, TcAction::Pass);
    }
}

#[test]
fn a_server_that_answers_past_the_proxy_is_not_heard() {
    let mut rig = Rig::new(Setup::default());
    rig.rules(&rules());
    for family in Family::BOTH {
        let (web, site) = (at(family.web(), 1025), at(family.site(), 7777));
        rig.run(FromWeb, 0, &Packet::tcp(web, site, TCP_SYN).bytes());
        let answer = Packet::tcp(site, web, TCP_SYN | TCP_ACK).bytes();
        let (outcome, events) = rig.run(FromNetwork, 0, &answer);
        assert_eq!(outcome.action, TcAction::Drop);
        assert_eq!(drops(&events), [(ProxyLeg, 0)]);
    }
}

#[test]
fn through_the_stack_a_packet_is_left_to_to_container() {
    let mut rig = Rig::new(Setup {
        redirect_peer: false,
        ..Setup::default()
    });
    rig.rules(&rules());
    for family in Family::BOTH {
        let frame = tcp(family.site(), family.web(), 8081);
        let (outcome, _) = rig.run(FromNetwork, 0, &frame);
        assert_eq!((outcome.action, outcome.mark), (TcAction::Pass, 0));
        assert_eq!(rig.run(ToWeb, 0, &frame).0.action, TcAction::Drop);
    }
}

#[test]
fn who_knocks_from_outside_is_told_where_that_is_configured() {
    let mut rig = Rig::new(Setup {
        deny_answer: DenyAnswer::Reset,
        host_firewall: true,
        ..Setup::default()
    });
    rig.rules(&rules());
    for family in Family::BOTH {
        for to in [family.web(), family.host()] {
            let (outcome, _) = rig.run(FromNetwork, 0, &tcp(family.site(), to, 23));
            assert_eq!((outcome.action, outcome.mark), (TcAction::Redirect, ANSWER));
            let seen = rig::seen::read(&outcome.data);
            assert_eq!((seen.source, seen.destination), (to, family.site()));
        }
    }
}

fn syn(source: std::net::IpAddr, destination: std::net::IpAddr, port: u16) -> Packet {
    Packet::tcp(at(source, 1025), at(destination, port), TCP_SYN)
}

fn tcp(source: std::net::IpAddr, destination: std::net::IpAddr, port: u16) -> Vec<u8> {
    let macs = ([2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]);
    syn(source, destination, port)
        .between(macs.0, macs.1)
        .bytes()
}

fn ack(source: std::net::IpAddr, destination: std::net::IpAddr) -> Vec<u8> {
    Packet::tcp(at(source, 443), at(destination, 1025), TCP_ACK).bytes()
}

fn cut(mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(frame.len() - 4);
    frame
}

fn later(family: Family, to: std::net::IpAddr) -> Vec<u8> {
    let packet = Packet::new(family.site(), to, Protocol::UDP.get(), &[7; 32]);
    let offset = if family == Family::V4 { 3 } else { 3 << 3 };
    packet.fragment(offset).bytes()
}

fn other_l2() -> Vec<u8> {
    packet::frame(DB_MAC, DB_NODE_MAC, 0x88cc, &[0; 46])
}

fn neighbour(family: Family) -> Vec<u8> {
    match (family.site(), family.host()) {
        (std::net::IpAddr::V4(site), std::net::IpAddr::V4(host)) => {
            packet::arp(1, (DB_MAC, site), ([0; 6], host))
        }
        (site, std::net::IpAddr::V6(host)) => {
            Packet::neighbour_solicit(site, host, Some(DB_MAC)).bytes()
        }
        (_, std::net::IpAddr::V4(_)) => unreachable!("both are of one family"),
    }
}
