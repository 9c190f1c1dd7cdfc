//! A small world in which much can happen.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_node::{Config, Endpoint, Link};
use palisade_policy::{NamedPorts, Options, Policy, ingest};
use proptest::prelude::*;

pub(crate) const ENDPOINTS: usize = 4;
pub(crate) const OUTSIDE: [&str; 6] = [
    "192.0.2.1",
    "192.0.2.129",
    "198.51.100.7",
    "203.0.113.9",
    "10.0.0.2",
    "2001:db8::1",
];
pub(crate) const HOSTS: [&str; 2] = ["10.0.0.1", "192.0.2.1"];
pub(crate) const NAMES: [&str; 3] = ["www.example.com", "api.example.com", "other.test"];
pub(crate) const POLICIES: [&str; 8] = [
    "egress: [{toEndpoints: [{matchLabels: {app: a1}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]",
    "ingress: [{fromEndpoints: [{matchLabels: {app: a0}}]}]",
    "egress: [{toCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}]}]",
    "egress: [{toFQDNs: [{matchPattern: '*.example.com'}]}]",
    "egress: [{toFQDNs: [{matchName: www.example.com}], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}]",
    "egress: [{toEntities: [world]}]\n  egressDeny: [{toCIDR: [192.0.2.128/25]}]",
    "egress: [{toEndpoints: [{matchLabels: {app: a2}}], toPorts: [{ports: [{port: '53', protocol: ANY}], rules: {dns: [{matchPattern: '*'}]}}]}]",
    "ingress: [{fromCIDR: [192.0.2.0/25, 10.0.0.0/8]}, {fromEntities: [host]}]",
];

/// Something that happens; with the number of writes after which the agent crashes, if it does.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Answer {
        client: usize,
        name: usize,
        address: usize,
        ttl: u64,
        crash: Option<usize>,
    },
    Hosts(Vec<usize>),
    Join(usize),
    Leave(usize),
    Policies(Vec<usize>, Option<usize>),
    Tick(Vec<(usize, usize)>, Option<usize>),
}

impl Happening {
    pub(crate) fn crash_after(&self) -> Option<usize> {
        match self {
            Self::Answer { crash, .. } | Self::Policies(_, crash) | Self::Tick(_, crash) => *crash,
            Self::Hosts(_) | Self::Join(_) | Self::Leave(_) => None,
        }
    }
}

pub(crate) fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let crash = || prop_oneof![3 => Just(None), 1 => (0..60_usize).prop_map(Some)];
    let some = |count: usize| prop::collection::vec(0..count, 0..=count);
    let connections = prop::collection::vec((0..ENDPOINTS, 0..OUTSIDE.len()), 0..8);
    let one = prop_oneof![
        4 => (0..ENDPOINTS, 0..NAMES.len(), 0..OUTSIDE.len(), 1..20_u64, crash()).prop_map(
            |(client, name, address, ttl, crash)| Happening::Answer { client, name, address, ttl, crash }
        ),
        1 => some(HOSTS.len()).prop_map(Happening::Hosts),
        3 => (0..ENDPOINTS).prop_map(Happening::Join),
        1 => (0..ENDPOINTS).prop_map(Happening::Leave),
        4 => (some(POLICIES.len()), crash()).prop_map(|(set, crash)| Happening::Policies(set, crash)),
        2 => (connections, crash()).prop_map(|(live, crash)| Happening::Tick(live, crash)),
    ];
    prop::collection::vec(one, 1..24)
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.names.grace = Duration::ZERO;
    config
}

/// An endpoint of the world. The last two have equal labels.
pub(crate) fn endpoint(number: usize) -> Endpoint {
    let app = format!("k8s:app=a{}", number.min(ENDPOINTS - 2));
    let namespace = "k8s:io.kubernetes.pod.namespace=shop";
    let cluster = "k8s:io.cilium.k8s.policy.cluster=default";
    Endpoint {
        name: name(number),
        labels: palisade_identity::LabelSet::parse([app.as_str(), namespace, cluster]).unwrap(),
        addresses: addresses(number),
        named_ports: NamedPorts::new(),
        link: Link {
            ifindex: 10 + u32::try_from(number).unwrap(),
            ..Link::default()
        },
    }
}

pub(crate) fn name(number: usize) -> Arc<str> {
    format!("shop/p{number}").into()
}

/// The first endpoint may have an address that was learnt before as one outside.
pub(crate) fn addresses(number: usize) -> Vec<IpAddr> {
    let v4 = format!("10.0.0.{}", number + 2).parse().unwrap();
    let v6 = format!("fd00::{}", number + 2).parse().unwrap();
    // One of both families is enough, and each costs its square.
    let both = [v4, v6];
    both.into_iter().take(2 - number.min(1)).collect()
}

/// The policy of this number, about endpoint 0 or 1.
pub(crate) fn policy(number: usize) -> Vec<Policy> {
    let subject = if POLICIES[number].starts_with("ingress") {
        "a1"
    } else {
        "a0"
    };
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{name: p{number}, namespace: shop}}\nspec:\n  \
         endpointSelector: {{matchLabels: {{app: {subject}}}}}\n  {}\n",
        POLICIES[number]
    );
    ingest::read("p.yaml", &text, &Options::default())
        .unwrap_or_else(|errors| panic!("{}", errors[0].render(&text)))
        .policies
}

pub(crate) fn every_policy() -> Vec<Arc<Policy>> {
    crate::shared((0..POLICIES.len()).flat_map(policy).collect())
}
