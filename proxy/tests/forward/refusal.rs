//! Queries outside the rules.

use std::net::Ipv4Addr;

use palisade_proxy::Reject;
use palisade_testkit::cases;
use proptest::prelude::*;

use crate::lab::{
    A, Lab, NOERROR, REFUSED, Server, Told, allows, ask_tcp, code, connect, edns_query, name,
    query, question_end,
};

#[test]
fn a_query_outside_the_rules_is_refused_and_goes_nowhere() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let asked = query(11, "No.Example.com", A);
    let reply = lab.client().ask(&asked);
    assert_eq!(code(&reply), REFUSED);
    assert_eq!(reply[..2], asked[..2], "the client's id");
    assert_eq!(reply[12..], asked[12..], "the question, case and all");
    assert_eq!(reply[2], 0x81, "an answer; recursion desired as asked");
    lab.await_told(|told| *told == Told::Asked("no.example.com".into(), false));
    assert_sees_nothing(&server, &lab);
    assert_eq!(lab.proxy.stats().refused, 1);
}

#[test]
fn a_refusal_answers_opt_with_opt_and_says_why() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    let asked = edns_query(12, "no.example.com", A);
    let reply = lab.client().ask(&asked);
    assert_eq!(code(&reply), REFUSED);
    assert_eq!(reply[11], 1, "one additional record");
    let opt = &reply[question_end(&reply)..];
    assert_eq!(opt[..3], [0, 0, 41], "which is OPT");
    // Option 15, extended error: code 18, "Prohibited".
    assert!(opt.windows(2).any(|two| two == [0, 18]), "{opt:?}");
    assert_eq!(opt[11..13], [0, 15]);
}

#[test]
fn a_zone_transfer_is_refused_whatever_its_name() {
    let server = Server::honest(Ipv4Addr::LOCALHOST);
    let lab = Lab::before(&server);
    for qtype in [251, 252] {
        let reply = ask_tcp(&mut connect(lab.address()), &query(1, "example.com", qtype));
        assert_eq!(code(&reply), REFUSED);
        lab.await_told(|told| *told == Told::Rejected(Reject::ZoneTransfer));
    }
    assert_sees_nothing(&server, &lab);
}

/// Whatever had been forwarded would reach the server before the query that this asks.
fn assert_sees_nothing(server: &Server, lab: &Lab) {
    lab.client().ask(&query(1, "marker.example.com", A));
    let seen: Vec<String> = server
        .all()
        .iter()
        .map(|seen| name(&seen.message))
        .collect();
    assert_eq!(seen, ["marker.example.com"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]

    /// Whatever mix of names and ways, exactly the allowed queries reach the server.
    #[test]
    fn nothing_that_was_refused_is_forwarded(
        names in prop::collection::vec(("(no|NO|yes)?[a-z]{1,6}", "[a-z]{1,8}", any::<bool>()), 1..24)
    ) {
        let server = Server::honest(Ipv4Addr::LOCALHOST);
        let lab = Lab::before(&server);
        let (client, mut stream) = (lab.client(), connect(lab.address()));
        let mut allowed = vec![];
        for (id, (label, zone, tcp)) in (0..).zip(&names) {
            let full = format!("{label}.{zone}");
            let asked = query(id, &full, A);
            let reply = if *tcp { ask_tcp(&mut stream, &asked) } else { client.ask(&asked) };
            let yes = allows(&full.to_lowercase());
            prop_assert_eq!(code(&reply), if yes { NOERROR } else { REFUSED });
            if yes {
                allowed.push(full);
            }
        }
        let seen: Vec<String> = server.all().iter().map(|seen| name(&seen.message)).collect();
        prop_assert_eq!(seen, allowed);
    }

    /// Bytes of any kind neither stop the proxy nor reach the server.
    #[test]
    fn noise_is_survived(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..40),
        edits in prop::collection::vec((0_usize..43, any::<u8>()), 0..40),
    ) {
        let server = Server::honest(Ipv4Addr::LOCALHOST);
        let lab = Lab::before(&server);
        let client = lab.client();
        for message in &noise {
            client.send(message);
        }
        for (at, byte) in edits {
            let mut message = edns_query(1, "no.example.com", A);
            message[at] = byte;
            client.send(&message);
        }
        let mut stream = connect(lab.address());
        prop_assert_eq!(code(&ask_tcp(&mut stream, &query(1, "a.example.com", A))), NOERROR);
        prop_assert_eq!(code(&ask_udp(&lab)), NOERROR);
        let unjudged = server.all().into_iter().filter(|seen| !allows(&name(&seen.message).to_lowercase()));
        prop_assert_eq!(unjudged.count(), 0);
        prop_assert!(!lab.proxy.is_broken());
    }
}

fn ask_udp(lab: &Lab) -> Vec<u8> {
    lab.client().ask(&query(2, "a.example.com", A))
}
