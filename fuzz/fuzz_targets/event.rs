//! Bytes of the event ring: decoded, named and printed, whatever they are.
#![no_main]

use std::net::IpAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use palisade_abi::Cookie;
use palisade_observe::{EndpointName, Flow, Origin, Resolver, decode};

/// Knows something about everything, in words that a terminal must be kept from.
struct Gossip;

impl Resolver for Gossip {
    fn endpoint(&self, _: IpAddr) -> Option<EndpointName> {
        Some(EndpointName::new("shop\u{1b}[2J", "pay\n"))
    }

    fn origin(&self, _: Cookie) -> Option<Origin> {
        Some(Origin::new("policies/\u{7}pay.yaml:9", "fromEndpoints\r\n"))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = decode(bytes) else {
        return;
    };
    let Ok(flow) = Flow::from_event(&event, Duration::from_secs(1_795_233_600), &Gossip) else {
        return;
    };
    for line in [flow.compact().to_string(), flow.json()] {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    let again: Flow = serde_json::from_str(&flow.json()).expect("a flow's JSON is a flow");
    assert_eq!(again.json(), flow.json());
});
