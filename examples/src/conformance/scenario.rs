//! A scenario as a node sees it: identities, addresses, policies, endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palisade_abi::EndpointId;
use palisade_identity::{Identity, Label, LabelSet, Prefix, Source, reserved};
use palisade_policy::{
    AllowLocalhost, CidrMatch, DefaultDenyChoice, Desired, Enforcement, ExtendedProtocols,
    HostFirewall, IpBlocks, L7Proxy, Level, LocalEndpoint, NamedPorts, NodeLabels, Options, Policy,
    ProxyPorts, Stack, Strictness, Tier, ingest,
};
use serde_json::Value;

use super::vector::{Config, NamedPort, Vector};
use super::{entries, proxies};

/// What an engine judges.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The settings of the node.
    pub options: Options,
    /// Every identity with its labels, the reserved ones among them.
    pub identities: BTreeMap<Identity, LabelSet>,
    /// The prefixes that have an identity.
    pub prefixes: Vec<(Prefix, Identity)>,
    /// The policies that were taken.
    pub policies: Vec<Arc<Policy>>,
    /// The endpoints of the node.
    pub endpoints: Vec<LocalEndpoint>,
    /// The names of ports in the whole cluster.
    pub named_ports: NamedPorts,
    /// Where every proxy listens that a rule asks for.
    pub proxy_ports: ProxyPorts,
    /// The documents that were refused.
    pub refused: BTreeSet<usize>,
}

/// Why a scenario cannot be built.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unbuilt {
    /// A document says what is not modelled yet.
    Unmodelled(String),
    /// The scenario itself is not understood.
    Unreadable(String),
}

impl Scenario {
    /// Builds the world of a vector.
    ///
    /// # Errors
    /// [`Unbuilt`] if a document is not modelled yet, or the vector is not understood.
    pub fn build(vector: &Vector) -> Result<Self, Unbuilt> {
        let options = options(&vector.config);
        let mut policies = Vec::new();
        let mut refused = BTreeSet::new();
        for (index, document) in vector.policies.iter().enumerate() {
            match read(index, document, &options)? {
                Some(more) => policies.extend(more.into_iter().map(Arc::new)),
                None => {
                    refused.insert(index);
                }
            }
        }
        let mut identities = known_identities(vector)?;
        let prefixes = allocate(vector, &policies, options.stack, &mut identities)?;
        let endpoints = vector.endpoints.iter().map(|endpoint| {
            let identity = identities.get(&Identity::new(endpoint.identity));
            let unknown = || Unbuilt::Unreadable(format!("identity {}", endpoint.identity));
            Ok(LocalEndpoint {
                named_ports: named_ports(&endpoint.named_ports)?,
                ..LocalEndpoint::new(
                    EndpointId::new(endpoint.id),
                    identity.ok_or_else(unknown)?.clone(),
                )
            })
        });
        Ok(Self {
            endpoints: endpoints.collect::<Result<_, Unbuilt>>()?,
            proxy_ports: proxies::ports(&policies),
            named_ports: named_ports(&vector.egress_named_ports)?,
            options,
            identities,
            prefixes,
            policies,
            refused,
        })
    }

    /// What the engine is to put in force.
    pub fn desired(&self) -> Desired<'_> {
        Desired {
            identities: &self.identities,
            endpoints: &self.endpoints,
            policies: &self.policies,
            options: &self.options,
            named_ports: &self.named_ports,
            proxy_ports: &self.proxy_ports,
        }
    }

    /// The identity of an address: that of the longest prefix, else the world.
    pub fn identity_of(&self, address: IpAddr) -> Identity {
        let exact = Prefix::exact(address);
        let longest = self
            .prefixes
            .iter()
            .filter(|(prefix, _)| prefix.covers(exact))
            .max_by_key(|(prefix, _)| prefix.length());
        match (longest, self.options.stack) {
            (Some((_, identity)), _) => *identity,
            (None, Stack::Single) => Identity::WORLD,
            (None, Stack::Dual) if address.is_ipv4() => Identity::WORLD_IPV4,
            (None, Stack::Dual) => Identity::WORLD_IPV6,
        }
    }
}

/// The policies of a document; `None` if it is refused.
fn read(index: usize, document: &Value, options: &Options) -> Result<Option<Vec<Policy>>, Unbuilt> {
    if document.get("kind").and_then(Value::as_str) == Some("PolicyEntries") {
        return entries::read(index, document, options);
    }
    match ingest::read(&format!("{index}.json"), &document.to_string(), options) {
        Ok(read) => Ok(Some(read.policies)),
        Err(errors) if errors.iter().all(ingest::Error::is_unmodelled) => {
            let first = errors.first().map(ToString::to_string);
            Err(Unbuilt::Unmodelled(first.unwrap_or_default()))
        }
        Err(_) => Ok(None),
    }
}

fn named_ports(ports: &[NamedPort]) -> Result<NamedPorts, Unbuilt> {
    let mut named = NamedPorts::new();
    for port in ports {
        let protocol = port.proto.parse();
        let protocol = protocol.map_err(|_| Unbuilt::Unreadable(format!("{port:?}")))?;
        named.insert(&port.name, protocol, port.port);
    }
    Ok(named)
}

fn options(config: &Config) -> Options {
    let cluster_name = config.cluster_name.as_deref().unwrap_or("default");
    Options {
        enforcement: match config.enforcement.as_deref() {
            Some("always") => Enforcement::Always,
            Some("never") => Enforcement::Never,
            _ => Enforcement::Default,
        },
        allow_localhost: match config.allow_localhost.as_deref() {
            Some("always") => AllowLocalhost::Always,
            _ => AllowLocalhost::ByPolicy,
        },
        cluster_name: cluster_name.into(),
        policy_cluster: Some(config.policy_cluster.as_str())
            .filter(|name| !name.is_empty())
            .map(Into::into),
        level: Level::Agent,
        strictness: Strictness::Lenient,
        // In the vectors all kinds of document share the first tier.
        tier: Tier::Admin,
        host_firewall: if config.host_firewall {
            HostFirewall::Enabled
        } else {
            HostFirewall::Disabled
        },
        stack: if config.ipv4_only {
            Stack::Single
        } else {
            Stack::Dual
        },
        default_deny_choice: if config.disable_non_default_deny {
            DefaultDenyChoice::Forced
        } else {
            DefaultDenyChoice::Honoured
        },
        l7_proxy: if config.disable_l7_proxy {
            L7Proxy::Disabled
        } else {
            L7Proxy::Enabled
        },
        node_labels: if config.node_selector_labels {
            NodeLabels::Known
        } else {
            NodeLabels::Unknown
        },
        extended_protocols: if config.extended_ip_protocols {
            ExtendedProtocols::Enabled
        } else {
            ExtendedProtocols::Disabled
        },
        ip_blocks: IpBlocks::AddressesAndNamespace,
        cidr_match: CidrMatch::Outside,
    }
}

fn known_identities(vector: &Vector) -> Result<BTreeMap<Identity, LabelSet>, Unbuilt> {
    let mut identities: BTreeMap<Identity, LabelSet> = reserved::ALL
        .into_iter()
        .filter(|(identity, _)| {
            // A node of one family has one world.
            let of_two = [Identity::WORLD_IPV4, Identity::WORLD_IPV6].contains(identity);
            !(of_two && vector.config.ipv4_only)
        })
        .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
        .collect();
    for identity in &vector.identities {
        identities.insert(Identity::new(identity.id), labels(&identity.labels)?);
    }
    Ok(identities)
}

fn labels(texts: &[String]) -> Result<LabelSet, Unbuilt> {
    LabelSet::parse(texts).map_err(|error| Unbuilt::Unreadable(error.to_string()))
}

/// Gives every prefix that a policy or the vector names an identity, in the order of prefixes.
fn allocate(
    vector: &Vector,
    policies: &[Arc<Policy>],
    stack: Stack,
    identities: &mut BTreeMap<Identity, LabelSet>,
) -> Result<Vec<(Prefix, Identity)>, Unbuilt> {
    let mut named: BTreeMap<(bool, Prefix), LabelSet> = BTreeMap::new();
    let key = |prefix: Prefix| (!prefix.address().is_ipv4(), prefix);
    for prefix in &vector.prefixes {
        let parsed: Prefix = prefix
            .prefix
            .parse()
            .map_err(|_| Unbuilt::Unreadable(format!("prefix {}", prefix.prefix)))?;
        let before = named.entry(key(parsed)).or_default();
        for label in &labels(&prefix.labels)? {
            *before = before.with(label.clone());
        }
    }
    for group in &vector.cidr_groups {
        let own = group
            .labels
            .iter()
            .map(|(key, value)| format!("cidrgroup:{key}={value}"));
        let name = format!("cidrgroup:io.cilium.policy.cidrgroupname/{}", group.name);
        let own = labels(&own.chain([name]).collect::<Vec<_>>())?;
        for text in &group.cidrs {
            let prefix: Prefix = text
                .parse()
                .map_err(|_| Unbuilt::Unreadable(format!("prefix {text}")))?;
            let labels = named.entry(key(prefix)).or_default();
            for label in &own {
                *labels = labels.with(label.clone());
            }
        }
    }
    for prefix in policies.iter().flat_map(|policy| policy.prefixes()) {
        let labels = named.entry(key(prefix)).or_default();
        if prefix.length() > 0 {
            *labels = labels.with(Label::cidr(prefix));
        }
    }
    let nodes_apart = vector.config.cidr_match_nodes || vector.config.node_selector_labels;
    let mut numbers = Numbers::default();
    let mut found = Vec::new();
    for (_, prefix) in named.keys() {
        let labels = merged(*prefix, &named, vector.config.cidr_match_nodes, stack);
        let fixed = if is_node(&labels) {
            // All nodes are one, but those with the API server.
            let kept = labels.filtered(|label| label.source() == Source::Reserved);
            reserved::by_labels(&kept).filter(|_| !nodes_apart)
        } else {
            reserved::by_labels(&labels)
        };
        let identity = fixed.unwrap_or_else(|| numbers.number(&labels));
        identities.entry(identity).or_insert(labels);
        found.push((*prefix, identity));
    }
    Ok(found)
}

/// Numbers of the two local scopes: equal labels share one.
#[derive(Default)]
struct Numbers {
    given: BTreeMap<String, Identity>,
    locals: u32,
    nodes: u32,
}

impl Numbers {
    fn number(&mut self, labels: &LabelSet) -> Identity {
        let (locals, nodes) = (&mut self.locals, &mut self.nodes);
        *self.given.entry(labels.canonical_key()).or_insert_with(|| {
            let (scope, last) = if is_node(labels) {
                (2, nodes)
            } else {
                (1, locals)
            };
            *last += 1;
            Identity::new((scope << 24) + *last)
        })
    }
}

/// The labels of a prefix and of all that hold it; of their prefixes only the longest is kept.
///
/// What belongs to the cluster is not of the world and, unless nodes are matched by address, has
/// no labels of addresses and names.
fn merged(
    prefix: Prefix,
    named: &BTreeMap<(bool, Prefix), LabelSet>,
    match_nodes: bool,
    stack: Stack,
) -> LabelSet {
    let mut covering: Vec<_> = named
        .iter()
        .filter(|((_, outer), _)| outer.covers(prefix))
        .collect();
    covering.sort_by_key(|((_, outer), _)| std::cmp::Reverse(outer.length()));
    let mut labels = LabelSet::new();
    for label in covering.into_iter().flat_map(|(_, labels)| labels) {
        let second = label.source() == Source::Cidr && labels.has_source(Source::Cidr);
        if !second && labels.get(label.key()).is_none() {
            labels = labels.with(label.clone());
        }
    }
    let by_address = [Source::Cidr, Source::CidrGroup, Source::Fqdn];
    if ["host", "remote-node", "health", "ingress"]
        .iter()
        .any(|name| has_reserved(&labels, name))
    {
        let keep_addresses = match_nodes && has_reserved(&labels, "remote-node");
        return labels.filtered(|label| keep_addresses || !by_address.contains(&label.source()));
    }
    let world = match stack {
        Stack::Single if prefix.address().is_ipv4() => "world",
        Stack::Dual if prefix.address().is_ipv4() => "world-ipv4",
        Stack::Single | Stack::Dual => "world-ipv6",
    };
    match Label::reserved(world) {
        Ok(world) => labels.with(world),
        Err(_) => labels,
    }
}

fn is_node(labels: &LabelSet) -> bool {
    has_reserved(labels, "remote-node")
}

fn has_reserved(labels: &LabelSet, name: &str) -> bool {
    labels
        .get(name)
        .is_some_and(|label| label.source() == Source::Reserved)
}
