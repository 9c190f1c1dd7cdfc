//! Where the proxies of the vectors listen.

use std::sync::Arc;

use palisade_abi::{Direction, ProxyPort};
use palisade_policy::{Policy, Ports, Proxy, ProxyPorts};

/// Listeners are above, each at a place of its name.
const LISTENERS: u16 = 12_000;

/// A port for every proxy that these policies ask for.
pub(super) fn ports(policies: &[Arc<Policy>]) -> ProxyPorts {
    let rules = policies.iter().flat_map(|policy| &policy.rules);
    let asked = rules.flat_map(|rule| match &rule.ports {
        Ports::All => Vec::new(),
        Ports::Some(items) => {
            let redirects = items.iter().filter_map(|item| item.redirect.as_deref());
            redirects
                .map(|redirect| Proxy::of(rule.direction, redirect))
                .collect()
        }
    });
    asked
        .filter_map(|proxy| {
            let port = ProxyPort::new(port(&proxy)).ok()?;
            Some((proxy, port))
        })
        .collect()
}

fn port(proxy: &Proxy) -> u16 {
    match proxy {
        Proxy::Http(Direction::Ingress) => 10_001,
        Proxy::Http(Direction::Egress) => 10_002,
        Proxy::Dns => 10_003,
        Proxy::Proxylib(Direction::Ingress) => 10_004,
        Proxy::Proxylib(Direction::Egress) => 10_005,
        Proxy::Listener(name) => {
            let place = name.bytes().fold(0_u64, |place, byte| {
                place.wrapping_mul(31).wrapping_add(byte.into())
            });
            LISTENERS + u16::try_from(place % 1_000).unwrap_or_default()
        }
    }
}
