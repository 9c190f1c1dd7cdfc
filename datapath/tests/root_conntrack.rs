//! What conntrack does to a flow's packets: replies, cached verdicts, changes of policy, endings.

#![expect(
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

mod rig;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;

use libbpf_rs::{MapHandle, MapType};
use palisade_abi::{
    Direction, DropReason, EVENT_FLAG_AUDITED, EVENT_FLAG_REPLY, EVENT_VERDICT, FLOW_SEEN_REPLY,
    FLOW_SOURCE_FROM_MARK, HALF_DECIDED, HALF_FOREIGN, HALF_UNDECIDED, Mark, MarkKind, Mode,
    Prefix, Protocol, Verdict, Write, ZONE_PROXY_LEG,
};
use palisade_datapath::{Map, Programs, TcAction, uptime};
use palisade_testkit::packet::{Packet, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};

use crate::rig::{
    DB, DB_IDENTITY, Family, Place, Rig, Rule, SITE_IDENTITY, SIZES, Setup, WEB, WEB_IDENTITY,
    allow, at, compile, default_deny, deny, drops, otherwise, redirect, rule,
};

use Direction::{Egress, Ingress};
use DropReason::{CtFull, NoProxy, Policy, PolicyDeny, ProxyLeg};
use Place::{FromDb, FromWeb, ToDb, ToWeb};

const PROXY: u32 = Mark::new(MarkKind::ProxyReturn).bits();
const FOR_WEB: u32 = Mark::with_identity(MarkKind::ProxyForward, WEB_IDENTITY).bits();
const FROM_WEB: u32 = Mark::with_identity(MarkKind::Identity, WEB_IDENTITY).bits();

const PASSED: Fate = (TcAction::Pass, None);
const DELIVERED: Fate = (TcAction::Redirect, None);

/// What became of a packet, and what it was dropped for with which cookie.
type Fate = (TcAction, Option<(DropReason, u32)>);

fn dropped(reason: DropReason, cookie: u32) -> Fate {
    (TcAction::Drop, Some((reason, cookie)))
}

/// Rules of the two endpoints: only what the one starts towards the other is allowed.
fn rules(egress: Verdict, ingress: Verdict) -> Vec<Rule> {
    let mut rules = Vec::new();
    for protocol in [Protocol::TCP, Protocol::UDP] {
        rules.push(rule(WEB, Egress, DB_IDENTITY, (protocol, 80), egress));
        rules.push(rule(WEB, Egress, SITE_IDENTITY, (protocol, 80), egress));
        rules.push(rule(DB, Ingress, WEB_IDENTITY, (protocol, 80), ingress));
    }
    for family in Family::BOTH {
        let echo = (family.icmp(), family.echo());
        rules.push(rule(WEB, Egress, DB_IDENTITY, echo, egress));
        rules.push(rule(DB, Ingress, WEB_IDENTITY, echo, ingress));
    }
    rules.extend([
        otherwise(WEB, Egress, default_deny(9)),
        otherwise(WEB, Ingress, default_deny(29)),
        otherwise(DB, Egress, default_deny(39)),
        otherwise(DB, Ingress, default_deny(19)),
    ]);
    rules
}

fn allowed() -> Vec<Rule> {
    rules(allow(1), allow(11))
}

/// One rig for a test, in one family at a time.
struct Scene {
    rig: Rig,
    family: Family,
}

fn in_both_families(setup: fn() -> Setup, play: fn(&mut Scene)) {
    for family in Family::BOTH {
        let mut rig = Rig::new(setup());
        rig.rules(&allowed());
        play(&mut Scene { rig, family });
    }
}

impl Scene {
    fn web(&self) -> IpAddr {
        self.family.web()
    }

    fn db(&self) -> IpAddr {
        self.family.db()
    }

    fn sent(&mut self, place: Place, mark: u32, packet: &Packet) -> Fate {
        let (outcome, events) = self.rig.run(place, mark, &packet.bytes());
        let dropped = drops(&events);
        assert!(dropped.len() <= 1, "{events:?}");
        (outcome.action, dropped.first().copied())
    }

    fn ask(&self, flags: u8) -> Packet {
        Packet::tcp(at(self.web(), 1025), at(self.db(), 80), flags)
    }

    fn answer(&self, flags: u8) -> Packet {
        Packet::tcp(at(self.db(), 80), at(self.web(), 1025), flags)
    }

    fn ask_udp(&self, server: IpAddr) -> Packet {
        Packet::udp(at(self.web(), 1025), at(server, 80), b"?")
    }

    fn answer_udp(&self, server: IpAddr) -> Packet {
        Packet::udp(at(server, 80), at(self.web(), 1025), b"!")
    }

    /// SYN, SYN and ACK, ACK.
    fn connect(&mut self) {
        let packets = [
            (FromWeb, self.ask(TCP_SYN)),
            (FromDb, self.answer(TCP_SYN | TCP_ACK)),
            (FromWeb, self.ask(TCP_ACK)),
        ];
        for (place, packet) in packets {
            assert_eq!(self.sent(place, 0, &packet), DELIVERED);
        }
    }

    /// Seconds that the connection has left.
    fn lease(&self) -> u64 {
        let (_, entry) = self.rig.connection();
        u64::from(entry.expires) - uptime().as_secs()
    }
}

#[test]
fn a_reply_needs_no_rule_of_its_own() {
    in_both_families(Setup::default, |scene| {
        let answer = scene.answer(TCP_SYN | TCP_ACK);
        let before = scene.sent(FromDb, 0, &answer);
        assert_eq!(before, dropped(Policy, 39), "there is no flow yet");
        scene.connect();
        let (_, entry) = scene.rig.connection();
        assert_eq!((entry.packets_original, entry.packets_reply), (2, 1));
        let frame = answer.bytes().len() as u64;
        assert_eq!(
            (entry.bytes_original, entry.bytes_reply),
            (2 * frame, frame)
        );
        assert_eq!(entry.flags & FLOW_SEEN_REPLY, FLOW_SEEN_REPLY);
        assert_eq!((entry.egress, entry.ingress), (allow(1), allow(11)));
    });
}

#[test]
fn a_cached_verdict_lives_as_long_as_its_generation() {
    in_both_families(Setup::default, |scene| {
        scene.connect();
        let writes = tables(&rules(deny(2), allow(11)));
        let (generation, tables) = writes.split_last().unwrap();
        assert_eq!(*generation, Write::Generation);
        scene.rig.apply(tables);
        let ack = scene.ask(TCP_ACK);
        assert_eq!(scene.sent(FromWeb, 0, &ack), DELIVERED, "not bumped yet");
        scene.rig.apply(&[*generation]);
        assert_eq!(scene.sent(FromWeb, 0, &ack), dropped(PolicyDeny, 2));
    });
}

#[test]
fn a_server_that_only_sends_is_cut_as_surely_as_its_client() {
    in_both_families(Setup::default, |scene| {
        scene.connect();
        let data = scene.answer(TCP_ACK);
        scene.rig.rules(&rules(deny(2), allow(11)));
        for _ in 0..3 {
            assert_eq!(scene.sent(FromDb, 0, &data), dropped(PolicyDeny, 2));
        }
        let (_, events) = scene.rig.run(FromDb, 0, &data.bytes());
        let event = events[0];
        assert_eq!((event.direction, event.endpoint), (Egress as u8, WEB.get()));
        assert_eq!(event.flags & EVENT_FLAG_REPLY, EVENT_FLAG_REPLY);
        assert_eq!(event.source_identity, DB_IDENTITY.get());
        assert_eq!(event.destination_identity, WEB_IDENTITY.get());
        scene.rig.rules(&rules(allow(1), deny(12)));
        assert_eq!(scene.sent(FromDb, 0, &data), dropped(PolicyDeny, 12));
    });
}

#[test]
fn a_drop_is_never_cached() {
    in_both_families(Setup::default, |scene| {
        scene.rig.rules(&rules(deny(2), allow(11)));
        let syn = scene.ask(TCP_SYN);
        assert_eq!(scene.sent(FromWeb, 0, &syn), dropped(PolicyDeny, 2));
        assert_eq!(scene.rig.maps.conntrack.entries().unwrap(), []);
        scene.rig.rules(&allowed());
        scene.connect();
        scene.rig.rules(&rules(deny(2), allow(11)));
        let ack = scene.ask(TCP_ACK);
        assert_eq!(scene.sent(FromWeb, 0, &ack), dropped(PolicyDeny, 2));
        scene.rig.rules(&allowed());
        assert_eq!(scene.sent(FromWeb, 0, &ack), DELIVERED);
    });
}

#[test]
fn only_a_change_of_the_verdict_is_told_again() {
    in_both_families(Setup::default, |scene| {
        scene.connect();
        scene.rig.apply(&[Write::Generation]);
        let ack = scene.ask(TCP_ACK).bytes();
        let (_, events) = scene.rig.run(FromWeb, 0, &ack);
        assert_eq!(events, []);
        scene.rig.rules(&rules(allow(3), allow(11)));
        let (_, events) = scene.rig.run(FromWeb, 0, &ack);
        let told: Vec<_> = events.iter().map(|e| (e.kind, e.verdict.cookie)).collect();
        assert_eq!(told, [(EVENT_VERDICT, 3)]);
    });
}

#[test]
fn allowed_then_redirected_goes_to_the_proxy_at_once() {
    in_both_families(Setup::default, |scene| {
        let udp = scene.ask_udp(scene.db());
        scene.connect();
        assert_eq!(scene.sent(FromWeb, 0, &udp), DELIVERED);
        scene.rig.rules(&rules(redirect(4), allow(11)));
        // Nobody listens here: that it was meant for the proxy shows in the reason.
        let ack = scene.ask(TCP_ACK);
        assert_eq!(scene.sent(FromWeb, 0, &ack), dropped(NoProxy, 4));
        assert_eq!(scene.sent(FromWeb, 0, &udp), dropped(NoProxy, 4));
        let data = scene.answer(TCP_ACK);
        assert_eq!(scene.sent(FromDb, 0, &data), dropped(ProxyLeg, 0));
    });
}

#[test]
fn redirected_then_allowed_stays_with_the_proxy_but_denied_ends() {
    in_both_families(Setup::default, |scene| {
        scene.rig.rules(&rules(redirect(4), allow(11)));
        let server = scene.family.site();
        let udp = scene.ask_udp(server);
        assert_eq!(scene.sent(FromWeb, 0, &udp), dropped(NoProxy, 4));
        scene.rig.rules(&allowed());
        assert_eq!(scene.sent(FromWeb, 0, &udp), dropped(NoProxy, 1));
        let answer = scene.answer_udp(server);
        assert_eq!(scene.sent(ToWeb, PROXY, &answer), PASSED);
        scene.rig.rules(&rules(deny(2), allow(11)));
        assert_eq!(scene.sent(ToWeb, PROXY, &answer), dropped(PolicyDeny, 2));
    });
}

#[test]
fn the_answer_to_a_redirected_flow_comes_from_the_proxy_or_not_at_all() {
    in_both_families(Setup::default, |scene| {
        scene.rig.rules(&rules(redirect(4), allow(11)));
        let db = scene.db();
        scene.sent(FromWeb, 0, &scene.ask_udp(db));
        let answer = scene.answer_udp(db);
        assert_eq!(scene.sent(ToWeb, PROXY, &answer), PASSED);
        assert_eq!(scene.sent(FromDb, 0, &answer), dropped(ProxyLeg, 0));
        let (_, entry) = scene.rig.connection();
        assert_eq!(
            entry.ingress_half, HALF_FOREIGN,
            "the proxy's leg is judged apart"
        );
        scene.rig.forget_connections();
        assert_eq!(scene.sent(ToWeb, PROXY, &answer), dropped(ProxyLeg, 0));

        let site = scene.family.site();
        scene.sent(FromWeb, 0, &scene.ask_udp(site));
        let answer = scene.answer_udp(site);
        assert_eq!(scene.sent(ToWeb, 0, &answer), dropped(ProxyLeg, 0));
    });
}

#[test]
fn the_proxys_leg_keeps_the_identity_that_came_with_it() {
    in_both_families(Setup::default, |scene| {
        let host = scene.family.host();
        let ask = Packet::udp(at(host, 4000), at(scene.db(), 80), b"?");
        let answer = Packet::udp(at(scene.db(), 80), at(host, 4000), b"!");
        assert_eq!(scene.sent(ToDb, FOR_WEB, &ask), PASSED);
        scene.rig.apply(&[Write::Generation]);
        assert_eq!(scene.sent(FromDb, 0, &answer), PASSED);
        let (_, entry) = scene.rig.connection();
        assert_eq!(entry.flags & FLOW_SOURCE_FROM_MARK, FLOW_SOURCE_FROM_MARK);
        assert_eq!(entry.source_identity, WEB_IDENTITY.get());
        assert_eq!(entry.egress_half, HALF_FOREIGN);
        assert_eq!(
            scene.sent(ToDb, 0, &ask),
            dropped(Policy, 19),
            "the host itself"
        );
        scene.rig.rules(&rules(allow(1), deny(12)));
        assert_eq!(scene.sent(FromDb, 0, &answer), dropped(PolicyDeny, 12));
    });
}

#[test]
fn the_legs_of_a_proxy_with_its_clients_address_are_kept_apart() {
    in_both_families(Setup::default, |scene| {
        scene.rig.rules(&rules(redirect(4), allow(11)));
        let db = scene.db();
        let (ask, answer) = (scene.ask_udp(db), scene.answer_udp(db));
        assert_eq!(scene.sent(FromWeb, 0, &ask), dropped(NoProxy, 4));
        assert_eq!(scene.sent(ToDb, FOR_WEB, &ask), PASSED);
        let mut zones: Vec<u8> = Vec::new();
        for (key, _) in scene.rig.maps.conntrack.entries().unwrap() {
            zones.push(key.zone);
        }
        zones.sort_unstable();
        assert_eq!(zones, [0, ZONE_PROXY_LEG]);
        // Back to the proxy's socket, which this namespace lacks; not past the proxy.
        let (_, reason) = scene.sent(FromDb, 0, &answer);
        assert_eq!(reason.map(|(reason, _)| reason), Some(NoProxy));
    });
}

#[test]
fn an_icmp_error_belongs_to_the_flow_it_speaks_about() {
    in_both_families(Setup::default, |scene| {
        let ask = scene.ask_udp(scene.db());
        let error = Packet::unreachable(scene.db(), &ask);
        assert_eq!(
            scene.sent(FromDb, 0, &error),
            dropped(Policy, 39),
            "no flow"
        );
        assert_eq!(scene.sent(FromWeb, 0, &ask), DELIVERED);
        let (_, before) = scene.rig.connection();
        assert_eq!(scene.sent(FromDb, 0, &error), DELIVERED);
        let (_, after) = scene.rig.connection();
        assert_eq!(before, after, "an error is no packet of the flow");
        let other = Packet::udp(at(scene.web(), 1026), at(scene.db(), 80), b"?");
        let error_about_other = Packet::unreachable(scene.db(), &other);
        assert_eq!(
            scene.sent(FromDb, 0, &error_about_other),
            dropped(Policy, 39)
        );
        scene.rig.rules(&rules(deny(2), allow(11)));
        assert_eq!(scene.sent(FromDb, 0, &error), dropped(PolicyDeny, 2));
    });
}

#[test]
fn an_icmp_error_from_the_way_reaches_the_sender() {
    in_both_families(Setup::default, |scene| {
        let ask = scene.ask_udp(scene.family.site());
        assert_eq!(scene.sent(FromWeb, 0, &ask), PASSED);
        let error = Packet::unreachable(scene.family.stranger(), &ask);
        assert_eq!(scene.sent(ToWeb, 0, &error), PASSED);
    });
}

#[test]
fn an_echo_is_a_flow_of_the_side_that_asks() {
    in_both_families(Setup::default, |scene| {
        let (web, db) = (scene.web(), scene.db());
        let request = Packet::echo_request(web, db, 7);
        let reply = Packet::echo_reply(db, web, 7);
        assert_eq!(
            scene.sent(FromDb, 0, &reply),
            dropped(Policy, 39),
            "unasked"
        );
        assert_eq!(scene.sent(FromWeb, 0, &request), DELIVERED);
        assert_eq!(scene.sent(FromDb, 0, &reply), DELIVERED);
        let other = Packet::echo_reply(db, web, 8);
        assert_eq!(scene.sent(FromDb, 0, &other), dropped(Policy, 39));
        let counter_request = Packet::echo_request(db, web, 7);
        assert_eq!(scene.sent(FromDb, 0, &counter_request), dropped(Policy, 39));
    });
}

#[test]
fn a_syn_against_a_closing_connection_is_a_new_flow() {
    in_both_families(Setup::default, |scene| {
        scene.connect();
        let fin = scene.ask(TCP_FIN | TCP_ACK);
        assert_eq!(scene.sent(FromWeb, 0, &fin), DELIVERED);
        let last = scene.answer(TCP_ACK);
        assert_eq!(scene.sent(FromDb, 0, &last), DELIVERED, "half closed");
        let syn = scene.answer(TCP_SYN);
        assert_eq!(scene.sent(FromDb, 0, &syn), dropped(Policy, 39));
        let again = scene.ask(TCP_SYN);
        assert_eq!(scene.sent(FromWeb, 0, &again), DELIVERED);
        let (_, entry) = scene.rig.connection();
        assert_eq!((entry.packets_original, entry.packets_reply), (1, 0));
    });
}

#[test]
fn a_connection_lives_as_long_as_its_state_allows() {
    in_both_families(Setup::default, |scene| {
        scene.sent(FromWeb, 0, &scene.ask(TCP_SYN));
        assert!((58..=60).contains(&scene.lease()), "before the answer");
        scene.sent(FromDb, 0, &scene.answer(TCP_SYN | TCP_ACK));
        assert!((7_998..=8_000).contains(&scene.lease()), "established");
        scene.sent(FromWeb, 0, &scene.ask(TCP_FIN | TCP_ACK));
        assert!((7_998..=8_000).contains(&scene.lease()), "half closed");
        scene.sent(FromDb, 0, &scene.answer(TCP_FIN | TCP_ACK));
        assert!((8..=10).contains(&scene.lease()), "closed by both");
        scene.rig.forget_connections();
        scene.connect();
        scene.sent(FromDb, 0, &scene.answer(TCP_RST));
        assert!((8..=10).contains(&scene.lease()), "reset");
        scene.rig.forget_connections();
        scene.sent(FromWeb, 0, &scene.ask_udp(scene.db()));
        assert!((58..=60).contains(&scene.lease()), "not TCP");
    });
}

#[test]
fn an_entry_that_has_run_out_is_none() {
    in_both_families(Setup::default, |scene| {
        scene.connect();
        let past = u32::try_from(uptime().as_secs()).unwrap() - 1;
        scene.rig.change_connection(|entry| entry.expires = past);
        let data = scene.answer(TCP_ACK);
        assert_eq!(scene.sent(FromDb, 0, &data), dropped(Policy, 39));
    });
}

#[test]
fn an_entry_without_proven_halves_is_decided_and_never_passed() {
    in_both_families(Setup::default, |scene| {
        scene.connect();
        scene.rig.change_connection(|entry| {
            entry.egress_half = HALF_UNDECIDED;
            entry.ingress_half = HALF_UNDECIDED;
        });
        let ack = scene.ask(TCP_ACK);
        assert_eq!(scene.sent(FromWeb, 0, &ack), DELIVERED);
        let (_, entry) = scene.rig.connection();
        let halves = (entry.egress_half, entry.ingress_half);
        assert_eq!(halves, (HALF_DECIDED, HALF_DECIDED));
        scene.rig.rules(&rules(allow(1), deny(12)));
        let generation = scene.rig.maps.state.get().generation;
        scene.rig.change_connection(|entry| {
            entry.generation = generation;
            entry.ingress_half = HALF_UNDECIDED;
        });
        assert_eq!(scene.sent(FromWeb, 0, &ack), dropped(PolicyDeny, 12));
    });
}

#[test]
fn identities_are_resolved_afresh_after_a_change() {
    in_both_families(Setup::default, |scene| {
        let site = scene.family.site();
        let ask = Packet::tcp(at(scene.web(), 1025), at(site, 80), TCP_SYN);
        assert_eq!(scene.sent(FromWeb, 0, &ask), PASSED);
        let length = if scene.family == Family::V4 { 24 } else { 48 };
        let network = Prefix::new(site, length).unwrap();
        scene.rig.apply(&[Write::Ipcache(network, None)]);
        assert_eq!(scene.sent(FromWeb, 0, &ask), PASSED, "not bumped yet");
        scene.rig.apply(&[Write::Generation]);
        assert_eq!(scene.sent(FromWeb, 0, &ask), dropped(Policy, 9));
    });
}

fn through_the_stack() -> Setup {
    Setup {
        redirect_peer: false,
        ..Setup::default()
    }
}

#[test]
fn through_the_stack_each_side_decides_its_own_half() {
    in_both_families(through_the_stack, |scene| {
        let syn = scene.ask(TCP_SYN);
        assert_eq!(scene.sent(FromWeb, 0, &syn), PASSED);
        let (_, entry) = scene.rig.connection();
        let halves = (entry.egress_half, entry.ingress_half);
        assert_eq!(halves, (HALF_DECIDED, HALF_UNDECIDED));
        assert_eq!(scene.sent(ToDb, FROM_WEB, &syn), PASSED);
        let (_, entry) = scene.rig.connection();
        let halves = (entry.egress_half, entry.ingress_half);
        assert_eq!(halves, (HALF_DECIDED, HALF_DECIDED));
        scene.rig.forget_connections();
        scene.rig.rules(&rules(allow(1), deny(12)));
        assert_eq!(scene.sent(FromWeb, 0, &syn), PASSED);
        assert_eq!(scene.sent(ToDb, FROM_WEB, &syn), dropped(PolicyDeny, 12));
    });
}

#[test]
fn through_the_stack_a_server_that_only_sends_is_cut_by_its_clients_policy() {
    in_both_families(through_the_stack, |scene| {
        assert_eq!(scene.sent(FromWeb, 0, &scene.ask(TCP_SYN)), PASSED);
        assert_eq!(scene.sent(ToDb, FROM_WEB, &scene.ask(TCP_SYN)), PASSED);
        let data = scene.answer(TCP_ACK);
        assert_eq!(scene.sent(FromDb, 0, &data), PASSED);
        scene.rig.rules(&rules(deny(2), allow(11)));
        assert_eq!(scene.sent(FromDb, 0, &data), dropped(PolicyDeny, 2));
    });
}

fn audit() -> Setup {
    Setup {
        mode: Mode::Audit,
        ..Setup::default()
    }
}

#[test]
fn audit_mode_passes_and_tells_once_and_enforcement_does_not_inherit_it() {
    in_both_families(audit, |scene| {
        scene.rig.rules(&rules(deny(2), allow(11)));
        let syn = scene.ask(TCP_SYN);
        let (outcome, events) = scene.rig.run(FromWeb, 0, &syn.bytes());
        assert_eq!(outcome.action, TcAction::Redirect);
        let told: Vec<_> = events
            .iter()
            .map(|e| (e.kind, e.flags & EVENT_FLAG_AUDITED, e.verdict.cookie))
            .collect();
        let audited = (EVENT_VERDICT, EVENT_FLAG_AUDITED, 2);
        assert_eq!(told, [audited, (EVENT_VERDICT, 0, 11)]);
        let (_, events) = scene.rig.run(FromWeb, 0, &scene.ask(TCP_ACK).bytes());
        assert_eq!(events, []);
        let config = palisade_abi::DatapathConfig::new(SIZES, Mode::Enforce);
        scene.rig.programs = Programs::load(&scene.rig.maps, &config).unwrap();
        let ack = scene.ask(TCP_ACK);
        assert_eq!(scene.sent(FromWeb, 0, &ack), dropped(PolicyDeny, 2));
    });
}

fn room_for_one() -> Setup {
    let (key, value) = (40, 64);
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let map = MapHandle::create(
        MapType::Hash,
        Some(Map::Conntrack.name()),
        key,
        value,
        1,
        &options,
    )
    .unwrap();
    let fd = map.as_fd().try_clone_to_owned().unwrap();
    Setup {
        own: BTreeMap::from([(Map::Conntrack, fd)]),
        ..Setup::default()
    }
}

#[test]
fn a_flow_that_finds_no_room_is_dropped() {
    in_both_families(room_for_one, |scene| {
        scene.connect();
        let udp = scene.ask_udp(scene.db());
        assert_eq!(scene.sent(FromWeb, 0, &udp), dropped(CtFull, 0));
    });
}

fn tables(rules: &[Rule]) -> Vec<Write> {
    let host = palisade_abi::Identity::HOST;
    compile(rules, &[WEB_IDENTITY, DB_IDENTITY, SITE_IDENTITY, host])
}
