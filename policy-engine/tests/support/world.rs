//! Random nodes: identities, endpoints and policies that have something to do with each other.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId, Identity, PortIndex, Protocol, ProxyPort};
use palisade_identity::{LabelSet, Prefix, Requirement, Selector, reserved};
use palisade_policy::{
    AllowLocalhost, AuthMode, Desired, Effect, Enforcement, HostFirewall, Kind, L7Rules, Listener,
    LocalEndpoint, Location, NamedPorts, Options, Peer, PeerKind, Peers, Policy, PortMatch,
    PortRule, Ports, Position, Priority, Proxy, ProxyPorts, Redirect, ResourceName, Rule, Subject,
    Tier,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// A node at one moment.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) identities: BTreeMap<Identity, LabelSet>,
    pub(crate) endpoints: Vec<LocalEndpoint>,
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) options: Options,
    pub(crate) named_ports: NamedPorts,
    pub(crate) proxy_ports: ProxyPorts,
}

impl World {
    pub(crate) fn desired(&self) -> Desired<'_> {
        Desired {
            identities: &self.identities,
            endpoints: &self.endpoints,
            policies: &self.policies,
            options: &self.options,
            named_ports: &self.named_ports,
            proxy_ports: &self.proxy_ports,
        }
    }
}

const APPS: [&str; 4] = ["a", "b", "c", "d"];
const TIERS: [&str; 3] = ["x", "y", "z"];
const NAMES: [&str; 2] = ["web", "admin"];
const PREFIXES: [&str; 5] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "fd00::/8",
];
pub(crate) const IDENTITIES: RangeInclusive<u32> = 256..=267;
const FIRST_LOCAL: u32 = 0x0100_0001;

/// Every identity that a world may know, and some that none does.
pub(crate) fn identities() -> Vec<Identity> {
    let fixed = [1, 2, 9, 77, FIRST_LOCAL + 9, u32::MAX];
    let local = (0..).zip(PREFIXES).map(|(at, _)| FIRST_LOCAL + at);
    IDENTITIES
        .chain(fixed)
        .chain(local)
        .map(Identity::new)
        .collect()
}

/// Endpoints that a world may have, and one that none has.
pub(crate) fn endpoints() -> Vec<EndpointId> {
    (1..=7).map(EndpointId::new).collect()
}

/// Ports on both sides of every boundary that a rule may draw.
pub(crate) fn ports() -> Vec<(Protocol, u16)> {
    let ports = [
        0, 1, 52, 53, 54, 79, 80, 81, 443, 1023, 1024, 2000, 2009, 2010, 2020, 2047, 8080, 8081,
        65_535,
    ];
    let both = [Protocol::TCP, Protocol::UDP];
    let mut all: Vec<_> = both
        .into_iter()
        .flat_map(|protocol| ports.map(|port| (protocol, port)))
        .collect();
    all.extend([
        (Protocol::ICMP, 0),
        (Protocol::ICMP, 8),
        (Protocol::ICMPV6, 128),
    ]);
    all.extend([(Protocol::SCTP, 80), (Protocol::new(47), 0)]);
    all
}

/// The places of these ports.
pub(crate) fn port_indexes() -> Vec<PortIndex> {
    ports()
        .into_iter()
        .map(|(protocol, port)| PortIndex::new(protocol, port))
        .collect()
}

/// Moments of one node that differ as moments do: some of this and some of that.
pub(crate) fn worlds(count: usize) -> impl Strategy<Value = Vec<World>> {
    let policies = vec(rules(), 1..6);
    let labels = vec(labels(), 12..=12);
    (policies, labels).prop_flat_map(move |(policies, labels)| {
        let policies: Vec<Arc<Policy>> = (0..)
            .zip(policies)
            .map(|(number, (kind, node, rules))| {
                let (parts, manners): (Vec<RuleParts>, Vec<Manners>) = rules.into_iter().unzip();
                let mut policy = of_kind(kind, policy(number, parts));
                for (rule, manners) in policy.rules.iter_mut().zip(manners) {
                    manners.apply(rule, node);
                }
                Arc::new(policy)
            })
            .collect();
        vec(moment(policies, labels), count..=count)
    })
}

fn moment(policies: Vec<Arc<Policy>>, labels: Vec<LabelSet>) -> impl Strategy<Value = World> {
    let count = policies.len();
    let pods: Vec<_> = IDENTITIES.map(Identity::new).zip(labels.clone()).collect();
    let pods = subsequence(pods, 0..=12);
    // Now and then an identity has other labels than a moment ago.
    let relabelled = proptest::option::weighted(0.2, (0..12_usize, labels_of()));
    let prefixes = subsequence((0..).zip(PREFIXES).collect::<Vec<(u32, &str)>>(), 0..=5);
    let endpoints = subsequence((1..=6_u16).collect::<Vec<_>>(), 0..=6);
    (
        subsequence(policies, 0..=count),
        (pods, relabelled, prefixes),
        endpoints,
        options(),
        (subsequence(proxies(), 0..=6), vec(named_ports(), 8..=8)),
    )
        .prop_map(
            move |(policies, (pods, relabelled, prefixes), endpoints, options, (ports, names))| {
                let mut identities: BTreeMap<Identity, LabelSet> = pods.into_iter().collect();
                for (identity, name) in reserved::ALL {
                    if let Some(labels) = reserved::labels(identity).filter(|_| name != "world") {
                        identities.insert(identity, labels);
                    }
                }
                for (at, prefix) in prefixes {
                    let prefix: Prefix = prefix.parse().unwrap();
                    identities.insert(Identity::new(FIRST_LOCAL + at), LabelSet::of_prefix(prefix));
                }
                if let Some((at, labels)) = relabelled {
                    let at = u32::try_from(at).unwrap();
                    identities.insert(Identity::new(IDENTITIES.start() + at), labels);
                }
                let endpoint = |id: u16| {
                    let labels = labels.get(usize::from(id)).cloned().unwrap_or_default();
                    LocalEndpoint {
                        named_ports: names.get(usize::from(id)).cloned().unwrap_or_default(),
                        ..LocalEndpoint::new(EndpointId::new(id), labels)
                    }
                };
                World {
                    identities,
                    endpoints: endpoints.into_iter().map(endpoint).collect(),
                    policies,
                    options,
                    named_ports: names.first().cloned().unwrap_or_default(),
                    proxy_ports: ports.into_iter().collect(),
                }
            },
        )
}

fn options() -> impl Strategy<Value = Options> {
    let enforcement = prop_oneof![
        10 => Just(Enforcement::Default),
        1 => Just(Enforcement::Always),
        1 => Just(Enforcement::Never),
    ];
    let localhost = select(vec![AllowLocalhost::Always, AllowLocalhost::ByPolicy]);
    let firewall = select(vec![HostFirewall::Disabled, HostFirewall::Enabled]);
    let tier = prop_oneof![3 => Just(Tier::Normal), 1 => select(Tier::ALL.to_vec())];
    (enforcement, localhost, firewall, tier).prop_map(
        |(enforcement, allow_localhost, host_firewall, tier)| Options {
            enforcement,
            allow_localhost,
            host_firewall,
            tier,
            ..Options::default()
        },
    )
}

/// Where each proxy listens, if it does.
fn proxies() -> Vec<(Proxy, ProxyPort)> {
    let [ingress, egress] = Direction::BOTH;
    let proxies = [
        (Proxy::Http(ingress), 10_001),
        (Proxy::Http(egress), 10_002),
        (Proxy::Dns, 10_003),
        (Proxy::Proxylib(ingress), 10_004),
        (Proxy::Proxylib(egress), 10_005),
        (Proxy::Listener("ns/config/one".into()), 12_001),
        (Proxy::Listener("ns/config/two".into()), 12_000),
    ];
    proxies
        .into_iter()
        .filter_map(|(proxy, port)| Some((proxy, ProxyPort::new(port).ok()?)))
        .collect()
}

/// What names of ports stand for; one of them is not clear.
fn named_ports() -> impl Strategy<Value = NamedPorts> {
    vec((select(&NAMES), select(vec![80_u16, 443, 1023])), 0..3).prop_map(|names| {
        let mut ports = NamedPorts::new();
        for (name, port) in names {
            ports.insert(name, Protocol::TCP, port);
        }
        ports
    })
}

fn labels() -> impl Strategy<Value = LabelSet> {
    let reserved = |text| Just(LabelSet::parse([text]).unwrap());
    prop_oneof![
        30 => labels_of(),
        1 => reserved("reserved:init"),
        3 => labels_of().prop_map(|labels| labels.with("reserved:host".parse().unwrap())),
    ]
}

fn labels_of() -> impl Strategy<Value = LabelSet> {
    (select(&APPS), select(&TIERS), any::<bool>()).prop_map(|(app, tier, both)| {
        let tier = both.then(|| format!("k8s:tier={tier}"));
        LabelSet::parse([format!("k8s:app={app}")].into_iter().chain(tier)).unwrap()
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    let apps = subsequence(APPS.to_vec(), 1..=2);
    let tiers = subsequence(TIERS.to_vec(), 1..=2);
    prop_oneof![
        4 => select(&APPS).prop_map(|app| requirement("app", "In", &[app])),
        1 => apps.prop_map(|apps| requirement("k8s:app", "In", &apps)),
        1 => tiers.prop_map(|tiers| requirement("tier", "NotIn", &tiers)),
        1 => Just(requirement("tier", "Exists", &[])),
        1 => Just(requirement("tier", "DoesNotExist", &[])),
        1 => Just(Selector::everything()),
    ]
}

/// A selector of one requirement.
pub(crate) fn requirement(key: &str, operator: &str, values: &[&str]) -> Selector {
    Selector::new([Requirement::parse(key, operator, values).unwrap()])
}

fn peer_selector() -> impl Strategy<Value = Selector> {
    let prefixes = select(&PREFIXES).prop_map(|prefix| prefix.parse::<Prefix>().unwrap());
    let world = ["$host", "$world-ipv4"].map(|name| requirement(name, "Exists", &[]));
    prop_oneof![
        5 => selector(),
        2 => (prefixes.clone(), proptest::option::of(prefixes))
            .prop_map(|(prefix, except)| Selector::cidr(prefix, except)),
        1 => select(world.to_vec()),
    ]
}

/// Subject, direction, effect, whether it switches default deny on, peers, ports.
pub(crate) type RuleParts = (Selector, Direction, Effect, bool, Peers, Ports);

/// How a rule says what it says.
#[derive(Clone, Debug)]
struct Manners {
    tier: Tier,
    priority: f64,
    auth: Option<AuthMode>,
    is_logged: bool,
}

impl Manners {
    fn apply(self, rule: &mut Rule, node: bool) {
        rule.tier = self.tier;
        rule.priority = Priority::new(self.priority).unwrap();
        rule.auth = self.auth.filter(|_| rule.effect == Effect::Allow);
        rule.log = self.is_logged.then(|| "noted".into());
        if node {
            rule.subject = Subject::Nodes(rule.subject.selector().clone());
        }
    }
}

fn manners() -> impl Strategy<Value = Manners> {
    let tier = prop_oneof![5 => Just(Tier::Normal), 2 => select(Tier::ALL.to_vec())];
    let priority = prop_oneof![3 => Just(0.0), 1 => select(vec![-1.0, 1.5, 10.0])];
    let modes = [AuthMode::Disabled, AuthMode::Required, AuthMode::AlwaysFail];
    let auth = proptest::option::weighted(0.15, select(modes.to_vec()));
    (tier, priority, auth, proptest::bool::weighted(0.1)).prop_map(
        |(tier, priority, auth, is_logged)| Manners {
            tier,
            priority,
            auth,
            is_logged,
        },
    )
}

/// The rules of one subject, their kind, and whether the subject is nodes.
fn rules() -> impl Strategy<Value = (Kind, bool, Vec<(RuleParts, Manners)>)> {
    let effect =
        prop_oneof![6 => Just(Effect::Allow), 2 => Just(Effect::Deny), 1 => Just(Effect::Pass)];
    let direction = select(Direction::BOTH.to_vec());
    let rule = (
        direction,
        effect,
        proptest::bool::weighted(0.8),
        peers(),
        port_items(),
        manners(),
    );
    // The baseline of the latter gives way to whatever isolates.
    let kind = prop_oneof![
        4 => Just(Kind::CiliumNetworkPolicy),
        1 => Just(Kind::ClusterNetworkPolicy),
    ];
    let node = proptest::bool::weighted(0.15);
    (selector(), kind, node, vec(rule, 1..4)).prop_map(|(subject, kind, node, rules)| {
        let rules = rules.into_iter();
        let rules = rules.map(|(direction, effect, default_deny, peers, ports, manners)| {
            let subject = subject.clone();
            let parts = (subject, direction, effect, default_deny, peers, ports);
            (parts, manners)
        });
        (kind, node, rules.collect())
    })
}

fn peers() -> impl Strategy<Value = Peers> {
    let some = vec(peer_selector(), 0..4).prop_map(|selectors| Peers::Some {
        location: None,
        list: (0..)
            .zip(selectors)
            .map(|(at, selector)| Peer {
                selector,
                kind: PeerKind::Endpoints,
                location: place(0, 100 + at),
            })
            .collect(),
    });
    prop_oneof![1 => Just(Peers::Any { location: None }), 3 => some]
}

fn port_items() -> impl Strategy<Value = Ports> {
    let some = (vec(port_item(), 0..4), proptest::bool::weighted(0.1));
    // Many ports of their own cut the ranges of others to pieces.
    let some = some.prop_map(|(mut items, crowd)| {
        let ports = crowd.then_some(2000..2048).into_iter().flatten();
        items.extend(ports.map(|port| PortRule {
            protocol: Protocol::TCP,
            ports: PortMatch::Numbers(port..=port),
            redirect: None,
            location: place(0, 200),
        }));
        Ports::Some(items)
    });
    prop_oneof![1 => Just(Ports::All), 3 => some]
}

fn port_item() -> impl Strategy<Value = PortRule> {
    let ranges = [
        53..=53,
        80..=80,
        80..=443,
        1..=1023,
        2009..=2009,
        2010..=2030,
        8080..=8080,
        1024..=65_535,
        0..=65_535,
    ];
    let ported = (
        select(vec![Protocol::TCP, Protocol::UDP]),
        select(ranges.to_vec()),
    );
    let other = prop_oneof![
        Just((Protocol::ICMP, 8..=8)),
        Just((Protocol::ICMPV6, 0..=65_535)),
        Just((Protocol::new(47), 0..=65_535)),
    ];
    let numbers = prop_oneof![6 => ported, 1 => other]
        .prop_map(|(protocol, ports)| (protocol, PortMatch::Numbers(ports)));
    let names = select(&NAMES).prop_map(|name| (Protocol::TCP, PortMatch::Named(name.into())));
    let redirect = proptest::option::weighted(0.3, redirect());
    (prop_oneof![5 => numbers, 1 => names], redirect).prop_map(|((protocol, ports), redirect)| {
        PortRule {
            protocol,
            ports,
            redirect: redirect.map(Arc::new),
            location: place(0, 200),
        }
    })
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let listener = |name: &str, priority| Redirect {
        listener: Some(Listener {
            name: format!("ns/config/{name}").into(),
            priority,
            namespaced: true,
        }),
        ..Redirect::default()
    };
    select(vec![
        Redirect::dns([]),
        Redirect::default(),
        Redirect {
            rules: L7Rules::Http([].into()),
            ..Redirect::default()
        },
        Redirect {
            rules: L7Rules::Kafka([].into()),
            ..Redirect::default()
        },
        listener("one", None),
        listener("two", None),
        listener("one", Some(7)),
    ])
}

/// The policy of these rules.
pub(crate) fn policy(number: u32, rules: Vec<RuleParts>) -> Policy {
    let resource = Arc::new(ResourceName {
        kind: Kind::CiliumNetworkPolicy,
        namespace: Some("default".into()),
        name: format!("policy-{number}").into(),
    });
    let rules = (0..).zip(rules).map(
        |(index, (subject, direction, effect, deny, peers, ports))| Rule {
            resource: resource.clone(),
            index,
            location: place(number, 10 * index + 2),
            section: place(number, 10 * index + 1),
            subject: Subject::Endpoints(subject),
            direction,
            effect,
            default_deny: deny,
            peers,
            ports,
            tier: Tier::Normal,
            priority: Priority::ZERO,
            auth: None,
            log: None,
        },
    );
    Policy {
        rules: rules.collect(),
        location: place(number, 1),
        resource: resource.clone(),
    }
}

fn of_kind(kind: Kind, mut policy: Policy) -> Policy {
    let resource = Arc::new(ResourceName {
        kind,
        namespace: (kind == Kind::CiliumNetworkPolicy).then(|| "default".into()),
        name: policy.resource.name.clone(),
    });
    for rule in &mut policy.rules {
        rule.resource = resource.clone();
    }
    policy.resource = resource;
    policy
}

/// A place in the file of a policy.
pub(crate) fn place(file: u32, line: u32) -> Location {
    Location::new(format!("policy-{file}.yaml"), Position { line, column: 1 })
}
