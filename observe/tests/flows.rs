//! Events in, lines out.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use palisade_abi::{
    Address, Cookie, Direction, DropReason, EVENT_DROP, EVENT_FLAG_AUDITED, EVENT_FLAG_IPV6,
    EVENT_FLAG_REPLY, EVENT_VERDICT, EndpointId, Identity, Port, Protocol, RawEvent, Verdict,
};
use palisade_identity::LabelSet;
use palisade_observe::{
    DecodeError, DnsQuery, EndpointName, Filter, Flow, FlowVerdict, Origin, Outcome, Query,
    Resolver, Ring, Summary, Timestamp, decode,
};
use palisade_testkit::cases;
use proptest::prelude::*;
use zerocopy::IntoBytes;

const BOOT: Duration = Duration::from_secs(1_795_233_600);

struct Shop;

impl Resolver for Shop {
    fn labels(&self, identity: Identity) -> Option<LabelSet> {
        (identity == Identity::new(1007)).then(|| LabelSet::parse(["k8s:app=cart"]).unwrap())
    }

    fn endpoint(&self, address: IpAddr) -> Option<EndpointName> {
        match address.to_string().as_str() {
            "10.0.0.1" | "fd00::1" => Some("shop/cart".into()),
            "10.0.0.2" | "fd00::2" => Some("shop/pay".into()),
            "10.0.0.66" => Some("shop/\u{1b}[31mevil".into()),
            _ => None,
        }
    }

    fn endpoint_by_id(&self, id: EndpointId) -> Option<EndpointName> {
        (id.get() == 9).then(|| "shop/liar".into())
    }

    fn dns_names(&self, address: IpAddr) -> Vec<String> {
        match address.to_string().as_str() {
            "198.51.100.7" => vec!["ok.domain.com".into(), "www.domain.com".into()],
            _ => Vec::new(),
        }
    }

    fn origin(&self, cookie: Cookie) -> Option<Origin> {
        (cookie.get() == 3).then(|| Origin::new("policies/pay.yaml:9", "fromEndpoints app=web"))
    }
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

/// The SYN of cart to pay that no rule allows.
fn denied() -> RawEvent {
    RawEvent {
        time: 1_123_000_000,
        kind: EVENT_DROP,
        reason: DropReason::Policy as u8,
        direction: Direction::Ingress as u8,
        protocol: 6,
        flags: 0,
        tcp_flags: 0x02,
        endpoint: 2,
        source_identity: 1007,
        destination_identity: 1011,
        verdict: Verdict::default_deny(Cookie::new(3)),
        source: address("10.0.0.1"),
        destination: address("10.0.0.2"),
        source_port: 41_022.into(),
        destination_port: 8_443.into(),
        ifindex: 4,
        length: 74,
        pad: 0,
    }
}

fn flow(event: &RawEvent) -> Flow {
    Flow::from_event(event, BOOT, &Shop).unwrap()
}

fn line(event: &RawEvent) -> String {
    let line = flow(event).compact().to_string();
    line.strip_prefix("Nov 21 04:00:01.123: ")
        .unwrap()
        .to_owned()
}

#[test]
fn a_drop_names_who_whom_why_and_the_line() {
    assert_eq!(
        line(&denied()),
        "shop/cart:41022 (ID:1007) -> shop/pay:8443 (ID:1011) Policy denied DROPPED \
         (TCP Flags: SYN) by policies/pay.yaml:9"
    );
}

#[test]
fn every_outcome_has_its_line() {
    let verdict = |verdict| RawEvent {
        kind: EVENT_VERDICT,
        reason: 0,
        verdict,
        ..denied()
    };
    let cookie = Cookie::new(3);
    let port = Port::new(10_053).unwrap();
    let ends = "shop/cart:41022 (ID:1007) -> shop/pay:8443 (ID:1011)";
    let cases = [
        (
            verdict(Verdict::allow(cookie)),
            "policy-verdict INGRESS ALLOWED",
        ),
        (
            verdict(Verdict::redirect(cookie, port)),
            "policy-verdict INGRESS REDIRECTED",
        ),
        (
            RawEvent {
                flags: EVENT_FLAG_AUDITED,
                ..verdict(Verdict::deny(cookie))
            },
            "policy-verdict INGRESS AUDITED",
        ),
        (
            RawEvent {
                flags: EVENT_FLAG_AUDITED,
                ..denied()
            },
            "policy-verdict INGRESS AUDITED",
        ),
        (
            verdict(Verdict::deny(cookie)),
            "Policy denied by denylist DROPPED",
        ),
        (
            verdict(Verdict::default_deny(cookie)),
            "Policy denied DROPPED",
        ),
    ];
    for (event, words) in cases {
        let expected = format!("{ends} {words} (TCP Flags: SYN) by policies/pay.yaml:9");
        assert_eq!(line(&event), expected);
    }
    let egress = RawEvent {
        direction: 1,
        ..verdict(Verdict::allow(cookie))
    };
    assert!(line(&egress).contains("policy-verdict EGRESS ALLOWED"));
}

#[test]
fn the_opener_of_a_flow_stands_on_the_left() {
    let reply = RawEvent {
        flags: EVENT_FLAG_REPLY,
        tcp_flags: 0x12,
        source: address("10.0.0.2"),
        destination: address("10.0.0.1"),
        source_identity: 1011,
        destination_identity: 1007,
        source_port: 8_443.into(),
        destination_port: 41_022.into(),
        ..denied()
    };
    assert!(line(&reply).starts_with(
        "shop/cart:41022 (ID:1007) <- shop/pay:8443 (ID:1011) Policy denied DROPPED \
         (TCP Flags: SYN, ACK)"
    ));
}

#[test]
fn the_world_is_named_by_dns_or_by_address() {
    let to = |text: &str, identity| RawEvent {
        destination: address(text),
        destination_identity: identity,
        ..denied()
    };
    let cases = [
        (
            to("198.51.100.7", 16_777_217),
            "ok.domain.com:8443 (ID:16777217)",
        ),
        (to("198.51.100.9", 9), "198.51.100.9:8443 (world-ipv4)"),
        (to("2001:db8::9", 10), "[2001:db8::9]:8443 (world-ipv6)"),
        (to("192.0.2.1", 0), "192.0.2.1:8443 (unknown)"),
        (to("192.0.2.1", 1), "192.0.2.1:8443 (host)"),
    ];
    for (event, name) in cases {
        let line = line(&event);
        assert!(line.contains(&format!("-> {name} Policy")), "{line}");
    }
}

#[test]
fn icmp_has_no_ports() {
    let ping = RawEvent {
        protocol: 1,
        source_port: 77.into(),
        destination_port: 8.into(),
        ..denied()
    };
    assert_eq!(
        line(&ping),
        "shop/cart (ID:1007) -> shop/pay (ID:1011) Policy denied DROPPED \
         (ICMPv4 EchoRequest) by policies/pay.yaml:9"
    );
    let ping6 = RawEvent {
        protocol: 58,
        flags: EVENT_FLAG_IPV6,
        source: address("fd00::1"),
        destination: address("2001:db8::9"),
        destination_port: 128.into(),
        ..ping
    };
    assert!(
        line(&ping6).contains("-> 2001:db8::9 (ID:1011)"),
        "{}",
        line(&ping6)
    );
    assert!(line(&ping6).contains("(ICMPv6 EchoRequest)"));
}

#[test]
fn a_drop_without_a_rule_says_whose_it_is() {
    let forged = RawEvent {
        reason: DropReason::ForgedSource as u8,
        verdict: Verdict::default(),
        endpoint: 9,
        ..denied()
    };
    assert!(line(&forged).ends_with("Forged source ip DROPPED (TCP Flags: SYN) at shop/liar"));
    let nobody = RawEvent {
        endpoint: 0,
        ..forged
    };
    assert!(line(&nobody).ends_with("Forged source ip DROPPED (TCP Flags: SYN)"));
    assert_eq!(flow(&nobody).endpoint, None);
    let gone = RawEvent {
        verdict: Verdict::deny(Cookie::new(4)),
        ..denied()
    };
    assert!(line(&gone).ends_with("by a rule that is gone (cookie 4)"));
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let evil = RawEvent {
        source: address("10.0.0.66"),
        ..denied()
    };
    assert!(
        line(&evil).starts_with(r"shop/\u{1b}[31mevil:41022 (ID:1007)"),
        "{}",
        line(&evil)
    );
    assert!(flow(&evil).json().contains(r"\u001b[31mevil"));
}

#[test]
fn the_json_line_has_hubbles_names_and_the_rule() {
    let expected = concat!(
        r#"{"time":"2026-11-21T04:00:01.123Z","verdict":"DROPPED","#,
        r#""drop_reason_desc":"POLICY_DENIED","reason":"policy","#,
        r#""IP":{"source":"10.0.0.1","destination":"10.0.0.2","ipVersion":"IPv4"},"#,
        r#""l4":{"TCP":{"source_port":41022,"destination_port":8443,"flags":{"SYN":true}}},"#,
        r#""source":{"identity":1007,"namespace":"shop","labels":["k8s:app=cart"],"pod_name":"cart"},"#,
        r#""destination":{"identity":1011,"namespace":"shop","labels":[],"pod_name":"pay"},"#,
        r#""Type":"L3_L4","is_reply":false,"traffic_direction":"INGRESS","#,
        r#""interface":{"index":4},"length":74,"#,
        r#""decided_by":{"cookie":3,"policy":"policies/pay.yaml:9","description":"fromEndpoints app=web"},"#,
        r#""endpoint":{"ID":2},"Summary":"TCP Flags: SYN"}"#,
    );
    assert_eq!(flow(&denied()).json(), expected);
}

#[test]
fn json_that_makes_no_flow_is_refused() {
    let json = flow(&denied()).json();
    let read = |text: &str| serde_json::from_str::<Flow>(text);
    assert!(read(&json).is_ok());
    assert!(read(&json.replace(r#""reason":"policy","#, "")).is_err());
    assert!(read(&json.replace(r#""TCP""#, r#""DCCP""#)).is_err());
    assert!(read(&json.replace("2026-11-21", "2026-11-31")).is_err());
}

#[test]
fn a_refused_question_is_a_flow_too() {
    let query = Query {
        time: Timestamp::from_boot(BOOT, Duration::from_millis(1_123)),
        outcome: Outcome::Dropped(DropReason::Policy),
        client: "10.0.0.1:40000".parse().unwrap(),
        client_identity: Identity::new(1007),
        endpoint: EndpointId::new(1),
        server: "10.0.0.2:53".parse().unwrap(),
        server_identity: Identity::new(1011),
        protocol: Protocol::UDP,
        question: DnsQuery {
            name: "evil.test".into(),
            record: "A".into(),
        },
        origin: Some(Origin::new(
            "policies/egress-domain-wildcard.yaml:10",
            "rules.dns",
        )),
    };
    let flow = Flow::from_query(query, &Shop);
    assert_eq!(
        flow.compact().to_string(),
        "Nov 21 04:00:01.123: shop/cart:40000 (ID:1007) -> shop/pay:53 (ID:1011) dns-request proxy \
         DROPPED (DNS Query evil.test. A) by policies/egress-domain-wildcard.yaml:10"
    );
    assert!(flow.json().contains(r#""Type":"L7""#));
    assert_eq!(serde_json::from_str::<Flow>(&flow.json()).unwrap(), flow);
}

#[test]
fn numbers_without_meaning_are_errors() {
    let error = |event: RawEvent| Flow::from_event(&event, BOOT, &()).unwrap_err();
    assert_eq!(
        error(RawEvent {
            kind: 7,
            ..denied()
        }),
        DecodeError::UnknownKind { kind: 7 }
    );
    assert_eq!(
        error(RawEvent {
            reason: 99,
            ..denied()
        }),
        DecodeError::UnknownReason { reason: 99 }
    );
    assert_eq!(
        error(RawEvent {
            direction: 2,
            ..denied()
        }),
        DecodeError::UnknownDirection { direction: 2 }
    );
}

#[test]
fn only_whole_events_of_a_known_kind_are_read() {
    let event = denied();
    let bytes = event.as_bytes();
    assert_eq!(decode(bytes).unwrap(), event);
    let expected = bytes.len();
    for short in [0, 1, expected - 1] {
        let found = decode(&bytes[..short]).unwrap_err();
        assert_eq!(
            found,
            DecodeError::Length {
                found: short,
                expected
            }
        );
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err());
    let unknown = RawEvent { kind: 0, ..event };
    assert_eq!(
        decode(unknown.as_bytes()),
        Err(DecodeError::UnknownKind { kind: 0 })
    );
}

#[test]
fn a_filter_wants_one_of_every_field() {
    let flow = flow(&denied());
    let cases = [
        ("{}", true),
        (r#"{"verdicts":["DROPPED"]}"#, true),
        (r#"{"verdicts":["FORWARDED"]}"#, false),
        (r#"{"verdicts":["FORWARDED","DROPPED"]}"#, true),
        (r#"{"pods":["shop/"]}"#, true),
        (r#"{"pods":["shop/pa"]}"#, true),
        (r#"{"pods":["shop/car"]}"#, true),
        (r#"{"pods":["shop/ay"]}"#, false),
        (r#"{"pods":["sho/"]}"#, false),
        (r#"{"pods":["pay"]}"#, false),
        (r#"{"identities":[1011]}"#, true),
        (r#"{"identities":[1]}"#, false),
        (r#"{"ports":[41022]}"#, true),
        (r#"{"ports":[1,8443]}"#, true),
        (r#"{"ports":[53]}"#, false),
        (r#"{"since":"2026-11-21T04:00:01.123Z"}"#, true),
        (r#"{"since":"2026-11-21T04:00:01.124Z"}"#, false),
        (r#"{"ports":[8443],"pods":["web/"]}"#, false),
    ];
    for (text, expected) in cases {
        let filter: Filter = serde_json::from_str(text).unwrap();
        assert_eq!(filter.matches(&flow), expected, "{text}");
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }
    assert!(serde_json::from_str::<Filter>(r#"{"prots":[1]}"#).is_err());
}

#[test]
fn the_type_of_a_ping_is_no_port() {
    let ping = RawEvent {
        protocol: 1,
        ..denied()
    };
    let port = Filter {
        ports: vec![41_022],
        ..Filter::default()
    };
    assert!(port.matches(&flow(&denied())));
    assert!(!port.matches(&flow(&ping)));
}

#[test]
fn verdicts_are_read_as_hubble_writes_them() {
    for verdict in FlowVerdict::ALL {
        assert_eq!(verdict.to_string().parse::<FlowVerdict>().unwrap(), verdict);
        assert_eq!(
            verdict
                .to_string()
                .to_lowercase()
                .parse::<FlowVerdict>()
                .unwrap(),
            verdict
        );
        assert_eq!(
            serde_json::to_string(&verdict).unwrap(),
            format!("\"{verdict}\"")
        );
    }
    assert!("denied".parse::<FlowVerdict>().is_err());
}

#[test]
fn a_summary_counts_by_verdict_reason_and_rule() {
    let allowed = RawEvent {
        kind: EVENT_VERDICT,
        verdict: Verdict::allow(Cookie::new(3)),
        ..denied()
    };
    let other = RawEvent {
        verdict: Verdict::deny(Cookie::new(4)),
        ..denied()
    };
    let forged = RawEvent {
        reason: DropReason::ForgedSource as u8,
        verdict: Verdict::default(),
        ..denied()
    };
    let flows: Vec<Flow> = [denied(), allowed, other, denied(), forged]
        .iter()
        .map(flow)
        .collect();
    let mut summary = Summary::default();
    summary.extend(&flows);
    assert_eq!(summary.total(), 5);
    assert_eq!(summary.of(FlowVerdict::Dropped), 4);
    assert_eq!(summary.of(FlowVerdict::Forwarded), 1);
    assert_eq!(summary.of(FlowVerdict::Audited), 0);
    assert_eq!(summary.dropped_for(DropReason::Policy), 3);
    assert_eq!(summary.dropped_for(DropReason::ForgedSource), 1);
    let drops: Vec<_> = summary
        .drops()
        .into_iter()
        .map(|one| (one.location, one.count))
        .collect();
    assert_eq!(
        drops,
        [("policies/pay.yaml:9".to_owned(), 2), (String::new(), 1)]
    );
}

#[test]
fn a_ring_keeps_the_last_and_tells_a_reader_what_it_missed() {
    let mut ring = Ring::new(NonZeroUsize::new(3).unwrap());
    assert_eq!(ring.after(0).flows, Vec::<u64>::new());
    for number in 0..10u64 {
        ring.push(number);
    }
    assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!((ring.seen(), ring.back(2), ring.back(100)), (10, 8, 7));
    let late = ring.after(4);
    assert_eq!((late.flows, late.missed, late.next), (vec![7, 8, 9], 3, 10));
    let early = ring.after(12);
    assert_eq!((early.flows.len(), early.missed, early.next), (0, 0, 10));
    ring.add_lost(5);
    ring.add_lost(1);
    assert_eq!(ring.lost(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn whatever_the_kernel_says_is_an_error_or_two_clean_lines(
        mut bytes in prop::array::uniform32(any::<u8>()).prop_flat_map(|head| {
            prop::collection::vec(any::<u8>(), size_of::<RawEvent>() - 32)
                .prop_map(move |tail| [&head[..], &tail].concat())
        }),
        kind in 1u8..3, reason in 0u8..14, direction in 0u8..2, protocol in prop::sample::select(vec![1u8, 6, 17, 47, 58, 132]),
    ) {
        // The first fields after the time, made likely to mean something.
        bytes[8..12].copy_from_slice(&[kind, reason, direction, protocol]);
        let event = decode(&bytes).unwrap();
        if let Ok(flow) = Flow::from_event(&event, BOOT, &Shop) {
            let (line, json) = (flow.compact().to_string(), flow.json());
            prop_assert!(!line.contains(char::is_control), "{line}");
            prop_assert!(!json.contains(char::is_control), "{json}");
            prop_assert_eq!(serde_json::from_str::<Flow>(&json).unwrap(), flow);
        } else {
            prop_assert!(kind == EVENT_DROP && DropReason::from_number(reason).is_none());
        }
    }

    #[test]
    fn a_time_survives_its_text(seconds in 0u64..20_000_000_000, nanos in 0u32..1_000_000_000) {
        let time = Timestamp::from_unix(Duration::new(seconds, nanos));
        prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }
}
