//! Nodes that nobody would want: shapes that a user who writes policies could make on purpose.
//!
//! Each is made for the form of the tables that it would blow up: rows times port classes, policies
//! times peer classes, ranges over port classes that other policies made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use palisade_abi::{EndpointId, TableSizes};
use palisade_identity::{Identity, LabelSet, reserved};
use palisade_policy::{Level, LocalEndpoint, Options, Policy, ingest};

use crate::scenario::Scenario;

/// The groups that identities are spread over in the shapes of many identities.
const GROUPS: u32 = 1_000;
/// To how many groups each identity belongs.
const GROUPS_OF_ONE: u32 = 10;
/// The endpoints of the shapes that are spread over several.
const ENDPOINTS: u32 = 100;
/// Port items of one rule: no document may have more.
const PORTS: u32 = 40;

/// Ports inside a range that another rule of its policy decides about.
const HOLES: u32 = 20;

/// What makes labels those of a pod.
const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace=default";
/// Prefixes in a chain: from a site of IPv6 down to an address.
const LINKS: u32 = 81;

/// A shape and how large it is in full.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    /// What it is called.
    pub name: &'static str,
    /// Its size in full.
    pub full: u32,
    make: fn(u32, &mut Node),
}

/// Every shape.
pub const HOSTILE: [Hostile; 13] = [
    Hostile::new("h1", 10_000, tree_on_one_port),
    Hostile::new("h1b", 10_000, tree_with_a_port_for_each),
    Hostile::new("h1c", 10_000, tree_over_endpoints),
    Hostile::new("h2", 5_000, one_with_all_and_all_with_one),
    Hostile::new("h3a", 64_000, groups_on_one_port),
    Hostile::new("h3b", 64_000, groups_with_a_port_for_each),
    Hostile::new("h3c", 64_000, groups_over_endpoints),
    Hostile::new("h4", 5_000, ranges_over_the_ports_of_others),
    Hostile::new("h4b", 5_000, ranges_with_holes_over_the_ports_of_others),
    Hostile::new("selectors", 10_000, selectors_on_one_port),
    Hostile::new("nested", 10_000, chains_of_prefixes),
    Hostile::new("ranges", 1_000, rules_of_forty_ranges),
    Hostile::new("ports", 5_000, policies_with_a_port_each),
];

impl Hostile {
    const fn new(name: &'static str, full: u32, make: fn(u32, &mut Node)) -> Self {
        Self { name, full, make }
    }

    /// The shape with a name.
    pub fn find(name: &str) -> Option<Self> {
        HOSTILE.into_iter().find(|shape| shape.name == name)
    }

    /// A node of this shape.
    ///
    /// # Errors
    /// What is wrong with the policies or labels made; never, if the shape is right.
    pub fn scenario(&self, size: u32) -> Result<Scenario, String> {
        let mut node = Node::default();
        (self.make)(size, &mut node);
        node.scenario(self.name)
    }

    /// Tables that have room for any shape: what is measured is how much of it is used.
    pub fn sizes() -> TableSizes {
        TableSizes {
            policies: 1 << 17,
            row_slots: 1 << 26,
            rows: 1 << 22,
            cell_slots: 1 << 26,
            ..TableSizes::default()
        }
    }
}

/// What a shape is made of, as text.
#[derive(Default)]
struct Node {
    policies: String,
    count: u32,
    /// The labels of each identity, from the first of the cluster on.
    identities: Vec<String>,
    /// The labels of each endpoint.
    endpoints: Vec<String>,
}

impl Node {
    /// A policy of these ingress rules for the endpoints with a value of the label `app`.
    fn policy(&mut self, app: &str, rules: &str) {
        let number = self.count;
        self.count += 1;
        let _written = write!(
            self.policies,
            "---\napiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
             metadata: {{name: p{number}}}\nspec:\n  \
             endpointSelector: {{matchExpressions: [{{key: app, operator: In, values: [{app}]}}]}}\n  \
             ingress:\n{rules}"
        );
    }

    fn endpoint(&mut self, app: &str) {
        self.endpoints.push(format!("k8s:app={app}"));
    }

    fn scenario(self, name: &str) -> Result<Scenario, String> {
        let options = Options {
            level: Level::Agent,
            policy_cluster: None,
            ..Options::default()
        };
        let read = ingest::read(name, &self.policies, &options).map_err(|errors| {
            let texts = errors.iter().take(1);
            let texts = texts.map(|error| error.render(&self.policies));
            texts.collect::<String>()
        })?;
        let policies: Vec<Arc<Policy>> = read.policies.into_iter().map(Arc::new).collect();
        let parse = |text: &String| {
            let labels = text.split(',').filter(|label| !label.is_empty());
            LabelSet::parse(labels.chain([NAMESPACE])).map_err(|error| error.to_string())
        };
        let reserved = reserved::ALL.into_iter();
        let mut identities: BTreeMap<Identity, LabelSet> = reserved
            .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
            .collect();
        for (number, text) in (1_000..).zip(&self.identities) {
            identities.insert(Identity::new(number), parse(text)?);
        }
        let prefixes = policies.iter().flat_map(|policy| policy.prefixes());
        let prefixes: BTreeSet<_> = prefixes.collect();
        let local = (Identity::FIRST_LOCAL.get()..).map(Identity::new);
        identities.extend(local.zip(prefixes.into_iter().map(LabelSet::of_prefix)));
        let mut endpoints = Vec::with_capacity(self.endpoints.len());
        for (id, text) in (1..).zip(&self.endpoints) {
            endpoints.push(LocalEndpoint::new(EndpointId::new(id), parse(text)?));
        }
        Ok(Scenario {
            name: name.to_owned(),
            identities,
            endpoints,
            policies,
            options,
        })
    }
}

fn cidr(prefix: &str, port: u32) -> String {
    format!(
        "  - fromCIDR: [{prefix:?}]\n    {}\n",
        ports(&[port..=port])
    )
}

fn group(number: u32, port: u32) -> String {
    let ports = ports(&[port..=port]);
    format!(
        "  - fromEndpoints: [{{matchExpressions: [{{key: g{number}, operator: Exists}}]}}]\n    {ports}\n"
    )
}

fn peer(number: u32, port: u32) -> String {
    let ports = ports(&[port..=port]);
    format!("  - fromEndpoints: [{{matchLabels: {{peer: v{number}}}}}]\n    {ports}\n")
}

fn ports(ranges: &[std::ops::RangeInclusive<u32>]) -> String {
    let mut text = "toPorts: [{ports: [".to_owned();
    for range in ranges {
        let (first, last) = (range.start(), range.end());
        let _written = if first == last {
            write!(text, "{{port: \"{first}\", protocol: TCP}}, ")
        } else {
            write!(
                text,
                "{{port: \"{first}\", endPort: {last}, protocol: TCP}}, "
            )
        };
    }
    text + "]}]"
}

/// A node of a binary tree of prefixes, numbered from 1 level by level.
fn of_tree(number: u32) -> String {
    let depth = number.ilog2();
    let path = number - (1 << depth);
    let address = 10 << 24 | path << (24 - depth);
    format!("{}/{}", std::net::Ipv4Addr::from(address), 8 + depth)
}

/// Numbers that look drawn at random, the same ones each time.
fn drawn(seed: u64) -> u32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    state = (state ^ state >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    state = (state ^ state >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    u32::try_from(state >> 33).unwrap_or_default()
}

/// Nested prefixes on one port, a rule for each.
fn tree_on_one_port(size: u32, node: &mut Node) {
    let rules: String = (1..=size).map(|one| cidr(&of_tree(one), 443)).collect();
    node.policy("all", &rules);
    node.endpoint("all");
}

/// Nested prefixes, each with a port of its own: every row differs in every port class.
fn tree_with_a_port_for_each(size: u32, node: &mut Node) {
    let rule = |one| cidr(&of_tree(one), 1_000 + one);
    let rules: String = (1..=size).map(rule).collect();
    node.policy("all", &rules);
    node.endpoint("all");
}

/// The same, spread over endpoints and over as many ports.
fn tree_over_endpoints(size: u32, node: &mut Node) {
    for endpoint in 0..ENDPOINTS {
        let of_endpoint = (1..=size).filter(|one| one % ENDPOINTS == endpoint);
        let rule = |one| cidr(&of_tree(one), 1_000 + one / ENDPOINTS % ENDPOINTS);
        let rules: String = of_endpoint.map(rule).collect();
        if !rules.is_empty() {
            node.policy(&format!("app{endpoint}"), &rules);
            node.endpoint(&format!("app{endpoint}"));
        }
    }
}

/// Policies with a port and a peer of their own: one endpoint has all of them, and as many
/// endpoints have one each.
fn one_with_all_and_all_with_one(size: u32, node: &mut Node) {
    node.endpoint("all");
    for one in 0..size {
        node.policy(&format!("all, app{one}"), &peer(one, 1_000 + one));
        node.endpoint(&format!("app{one}"));
        node.identities.push(format!("k8s:peer=v{one}"));
    }
}

/// Identities that belong to several groups each, so that nearly each is a class of its own.
fn grouped(size: u32, node: &mut Node) {
    for one in 0..size {
        let group = |place: u32| drawn(u64::from(one * GROUPS_OF_ONE + place)) % GROUPS;
        let groups: BTreeSet<u32> = (0..GROUPS_OF_ONE).map(group).collect();
        let labels: Vec<String> = groups
            .iter()
            .map(|group| format!("k8s:g{group}="))
            .collect();
        node.identities.push(labels.join(","));
    }
}

fn groups_on_one_port(size: u32, node: &mut Node) {
    grouped(size, node);
    let rules: String = (0..GROUPS).map(|one| group(one, 443)).collect();
    node.policy("all", &rules);
    node.endpoint("all");
}

fn groups_with_a_port_for_each(size: u32, node: &mut Node) {
    grouped(size, node);
    let rules: String = (0..GROUPS).map(|one| group(one, 1_000 + one)).collect();
    node.policy("all", &rules);
    node.endpoint("all");
}

/// Every endpoint has a part of the groups, on some of twenty ports.
fn groups_over_endpoints(size: u32, node: &mut Node) {
    grouped(size, node);
    for endpoint in 0..ENDPOINTS {
        let mut rules = String::new();
        for place in 0..GROUPS / 10 {
            let number = drawn(u64::from(1 << 24 | endpoint << 8 | place));
            rules += &group(number % GROUPS, 1_000 + number / GROUPS % 20);
        }
        node.policy(&format!("app{endpoint}"), &rules);
        node.endpoint(&format!("app{endpoint}"));
    }
}

/// One endpoint has ports and peers of its own; a fifth as many others have a long range each,
/// which those ports cut to pieces.
fn ranges_over_the_ports_of_others(size: u32, node: &mut Node) {
    ranges(size, 0, node);
}

/// The same, where another rule of the same policy decides about some ports inside.
fn ranges_with_holes_over_the_ports_of_others(size: u32, node: &mut Node) {
    ranges(size, HOLES, node);
}

fn ranges(size: u32, holes: u32, node: &mut Node) {
    let rule = |one| peer(one, 1 + one * 13 % 65_535);
    let rules: String = (0..size).map(rule).collect();
    node.policy("all", &rules);
    node.endpoint("all");
    let labels = (0..size).map(|one| format!("k8s:peer=v{one}"));
    node.identities.extend(labels);
    for one in 0..size / 5 {
        let first = 1 + drawn(u64::from(one)) % 35_000;
        let hole = |place| 1 + 13 * (1 + first / 13 + place * (30_000 / 13) / holes);
        let holes: Vec<_> = (0..holes).map(hole).map(|port| port..=port).collect();
        let app = format!("app{one}");
        let mut rules = String::new();
        for ports in [holes, vec![first..=first + 30_000]] {
            if !ports.is_empty() {
                let ports = self::ports(&ports);
                let _written = write!(
                    rules,
                    "  - fromEndpoints: [{{matchLabels: {{peer: v{one}}}}}]\n    {ports}\n"
                );
            }
        }
        node.policy(&app, &rules);
        node.endpoint(&app);
    }
}

/// A rule for each of many selectors, all on one port; every other identity is met by one of them.
fn selectors_on_one_port(size: u32, node: &mut Node) {
    let rules: String = (0..size).map(|one| peer(one, 443)).collect();
    node.policy("all", &rules);
    node.endpoint("all");
    let labels = (0..size).map(|one| format!("k8s:peer=v{}", one * 2));
    node.identities.extend(labels);
}

/// Chains of prefixes, each inside the one before, with a port for each link.
fn chains_of_prefixes(size: u32, node: &mut Node) {
    let rule = |one: u32| {
        let (chain, link) = (one / LINKS, one % LINKS);
        let bits = 0x2001_0db8 << 96 | u128::from(chain) << 80;
        let prefix = format!("{}/{}", std::net::Ipv6Addr::from(bits), 48 + link);
        cidr(&prefix, 1_000 + link)
    };
    let rules: String = (0..size).map(rule).collect();
    node.policy("all", &rules);
    node.endpoint("all");
}

/// Rules of as many ranges as a rule may have, anywhere, so that each is cut by most others.
fn rules_of_forty_ranges(size: u32, node: &mut Node) {
    let mut rules = String::new();
    for rule in 0..size {
        let range = |place| {
            let end = |which| 1 + drawn(u64::from(rule * PORTS + place) << 1 | which) % 65_000;
            end(0).min(end(1))..=end(0).max(end(1))
        };
        let ranges: Vec<_> = (0..PORTS).map(range).collect();
        let ports = ports(&ranges);
        let _written = write!(
            rules,
            "  - fromEndpoints: [{{matchLabels: {{peer: v{}}}}}]\n    {ports}\n",
            rule % 4
        );
    }
    node.policy("all", &rules);
    node.endpoint("all");
    node.identities
        .extend((0..4).map(|one| format!("k8s:peer=v{one}")));
}

/// Policies for everybody, each with a port of its own.
fn policies_with_a_port_each(size: u32, node: &mut Node) {
    for one in 0..size {
        node.policy("all", &peer(one % 50, 1_000 + one));
    }
    node.endpoint("all");
    node.identities
        .extend((0..50).map(|one| format!("k8s:peer=v{one}")));
}

#[cfg(test)]
mod tests {
    use palisade_policy::Tables;

    use super::*;

    /// Bytes of tables, of Cilium's entries, and writes.
    fn counts(shape: Hostile, size: u32) -> (u64, u64, usize) {
        let scenario = shape.scenario(size).expect("the shape is right");
        let mut tables = Tables::new(Hostile::sizes());
        let writes = tables.update(&scenario.desired()).expect("there is room");
        let bytes = tables.budget().table_bytes;
        (bytes, tables.flat_entries() * 64, writes.len())
    }

    #[test]
    fn what_a_shape_takes_grows_as_it_does() {
        for shape in HOSTILE {
            let size = shape.full / 100;
            let (bytes, flat, writes) = counts(shape, size);
            let (double, _, double_writes) = counts(shape, 2 * size);
            assert!(
                bytes <= 4 * flat,
                "{}: {bytes} bytes, {flat} flat",
                shape.name
            );
            assert!(double < 3 * bytes, "{}: {bytes}, then {double}", shape.name);
            assert!(
                double_writes < 3 * writes,
                "{}: {writes} writes, then {double_writes}",
                shape.name
            );
        }
    }

    #[test]
    fn shapes_are_what_they_say() {
        let of = |name| Hostile::find(name).expect("there is such a shape");
        let tree = of("h1b").scenario(100).expect("the shape is right");
        let mut tables = Tables::new(Hostile::sizes());
        tables.update(&tree.desired()).expect("there is room");
        // The prefixes, four more known identities that differ, and the unknown one.
        let budget = tables.budget();
        assert_eq!(budget.port_classes, 101);
        assert!(budget.ingress_classes >= 100);
        // A prefix at depth d has the ports of d + 1 rules.
        let entries: u32 = (1..=100_u32).map(|one| one.ilog2() + 1).sum();
        let host_and_egress = 2;
        assert_eq!(tables.flat_entries(), u64::from(entries) + host_and_egress);
    }
}
