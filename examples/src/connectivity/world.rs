//! The cluster of a case: who is in it and what policies say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use palisade_fqdn::DnsName;
use palisade_identity::{Label, LabelSet, Prefix, Source};
use palisade_policy::{
    CidrGroup, CidrMatch, HostFirewall, Kind, NamedPorts, NodeLabels, Options, Policy, ingest,
};

use super::manifest::{self, Metadata, Object};
use super::vector::Case;

/// Everything of a case that does not depend on who asks.
pub(super) struct World {
    /// The policies as each cluster reads them, by its name.
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) pods: Vec<Pod>,
    pub(super) nodes: Vec<Node>,
    /// The `fqdn` labels of addresses that names stand for.
    pub(super) learnt: BTreeMap<IpAddr, LabelSet>,
    /// Whether prefixes select nodes, too.
    pub(super) match_nodes: bool,
}

/// The policies of a case, which all of its clusters are given.
pub(super) struct Cluster {
    pub(super) options: Options,
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) groups: Vec<CidrGroup>,
}

/// A pod.
pub(super) struct Pod {
    /// `namespace/name`.
    pub(super) name: String,
    pub(super) labels: LabelSet,
    /// The node by name.
    pub(super) node: Option<String>,
    /// Whether it has no network of its own, and so is its node to everybody.
    pub(super) host_network: bool,
    /// The cluster by name.
    pub(super) cluster: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: NamedPorts,
}

/// A node.
pub(super) struct Node {
    pub(super) name: String,
    /// The cluster by name.
    pub(super) cluster: String,
    /// Its own labels, with the source `node`.
    pub(super) labels: LabelSet,
    pub(super) addresses: Vec<IpAddr>,
    /// Whether it runs the API server.
    pub(super) api_server: bool,
    /// Whether an agent runs there; else its addresses are the world.
    pub(super) managed: bool,
}

/// Why a case cannot be judged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Unbuilt {
    /// A policy says what is not modelled yet.
    Unmodelled(String),
    /// The case or a policy of it is refused.
    Refused(String),
}

impl World {
    pub(super) fn build(case: &Case, cidr_match: CidrMatch) -> Result<Self, Unbuilt> {
        let objects = manifest::read(&case.manifests).map_err(Unbuilt::Refused)?;
        let local = case.config.as_ref().map_or("default", |one| &one.cluster);
        let others = objects.iter().filter_map(|one| cluster_of(&one.metadata));
        let clusters = [local].into_iter().chain(others);
        let clusters: BTreeMap<String, Cluster> = clusters
            .map(|name| Ok((name.to_owned(), Cluster::read(case, name, cidr_match)?)))
            .collect::<Result<_, _>>()?;
        let of_kind = |kind: &'static str| objects.iter().filter(move |one| one.kind == kind);
        let namespaces: BTreeMap<&str, &Metadata> = of_kind("Namespace")
            .map(|one| (one.metadata.name.as_str(), &one.metadata))
            .collect();
        let nodes: Vec<Node> = of_kind("Node")
            .map(|object| node(object, local))
            .collect::<Result<_, _>>()
            .map_err(Unbuilt::Refused)?;
        let pods = of_kind("Pod")
            .map(|object| pod(object, &namespaces, &nodes, local))
            .collect::<Result<_, _>>()
            .map_err(Unbuilt::Refused)?;
        let policies = clusters.values().flat_map(|cluster| &cluster.policies);
        let learnt = learnt(case, policies).map_err(Unbuilt::Refused)?;
        Ok(Self {
            clusters,
            pods,
            nodes,
            learnt,
            match_nodes: case.config.as_ref().is_some_and(|one| one.cidr_match_nodes)
                || cidr_match == CidrMatch::Everybody,
        })
    }

    pub(super) fn pod(&self, name: &str) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == name)
    }

    pub(super) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Whether a `ClusterNetworkPolicy` names networks.
    pub(super) fn has_networks(&self) -> bool {
        let policies = self.clusters.values().flat_map(|one| &one.policies);
        let mut of_kind = policies.filter(|one| one.resource.kind == Kind::ClusterNetworkPolicy);
        of_kind.any(|policy| policy.prefixes().next().is_some())
    }

    /// The names that pods of the cluster gave their ports.
    pub(super) fn named_ports(&self) -> NamedPorts {
        let mut all = NamedPorts::new();
        for pod in self.pods.iter().filter(|pod| !pod.host_network) {
            all.extend(&pod.ports);
        }
        all
    }
}

impl Cluster {
    fn read(case: &Case, name: &str, cidr_match: CidrMatch) -> Result<Self, Unbuilt> {
        let options = options(case, name, cidr_match);
        let (policies, groups) = read_policies(case, &options)?;
        Ok(Self {
            options,
            policies,
            groups,
        })
    }

    /// The prefixes that policies name.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.policies.iter().flat_map(|policy| policy.prefixes())
    }
}

fn options(case: &Case, cluster: &str, cidr_match: CidrMatch) -> Options {
    let mut options = Options {
        cluster_name: cluster.into(),
        policy_cluster: Some(cluster.into()),
        node_labels: NodeLabels::Known,
        cidr_match,
        ..Options::default()
    };
    if let Some(config) = &case.config {
        if !config.policy_default_local_cluster {
            options.policy_cluster = None;
        }
        if config.host_firewall {
            options.host_firewall = HostFirewall::Enabled;
        }
    }
    options
}

/// The policies among the manifests, which must all be taken.
fn read_policies(
    case: &Case,
    options: &Options,
) -> Result<(Vec<Arc<Policy>>, Vec<CidrGroup>), Unbuilt> {
    let (mut policies, mut groups, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for document in ingest::read_documents("manifests.yaml", &case.manifests, options) {
        match document.outcome {
            Ok(ingest::Resource::Policy(policy)) => policies.push(Arc::new(policy)),
            Ok(ingest::Resource::CidrGroup(group)) => groups.push(group),
            Ok(_) => errors.push("a resource that is new".to_owned()),
            Err(more) if more.iter().all(is_other_kind) => {}
            Err(more) if more.iter().all(ingest::Error::is_unmodelled) => {
                let first = more.first().map(|error| error.cause.to_string());
                return Err(Unbuilt::Unmodelled(first.unwrap_or_default()));
            }
            Err(more) => errors.extend(more.iter().map(ToString::to_string)),
        }
    }
    match errors.into_iter().next() {
        None => Ok((policies, groups)),
        Some(first) => Err(Unbuilt::Refused(first)),
    }
}

fn is_other_kind(error: &ingest::Error) -> bool {
    matches!(error.cause, ingest::Cause::OtherKind { .. })
}

/// The cluster that an object is said to be of; none is the one that tests run in.
fn cluster_of(meta: &Metadata) -> Option<&str> {
    let name = meta.annotations.as_ref()?.get("e2e/cluster")?;
    Some(name.as_str())
}

fn node(object: &Object, local: &str) -> Result<Node, String> {
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let addresses = object.status.iter().flat_map(|status| &status.addresses);
    Ok(Node {
        name: object.metadata.name.clone(),
        cluster: cluster_of(&object.metadata).unwrap_or(local).to_owned(),
        api_server: labels.contains_key("node-role.kubernetes.io/control-plane"),
        managed: !labels.contains_key("cilium.io/no-schedule"),
        addresses: addresses
            .filter_map(|one| one.address.parse().ok())
            .collect(),
        labels: label_set(Source::Node, labels.iter())?,
    })
}

fn pod(
    object: &Object,
    namespaces: &BTreeMap<&str, &Metadata>,
    nodes: &[Node],
    local: &str,
) -> Result<Pod, String> {
    let meta = &object.metadata;
    let spec = object.spec.clone().unwrap_or_default();
    let status = object.status.clone().unwrap_or_default();
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    let cluster = cluster_of(meta).unwrap_or(local);
    let account = spec.service_account_name.as_deref().unwrap_or("default");
    let known = [
        ("io.kubernetes.pod.namespace", namespace),
        ("io.cilium.k8s.policy.cluster", cluster),
        ("io.cilium.k8s.policy.serviceaccount", account),
    ];
    let known = known.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let own = meta.labels.clone().unwrap_or_default();
    let of_namespace = namespaces.get(namespace).and_then(|one| one.labels.clone());
    let of_namespace = of_namespace.unwrap_or_default().into_iter();
    let of_namespace =
        of_namespace.map(|(key, value)| (format!("io.cilium.k8s.namespace.labels.{key}"), value));
    let all: Vec<_> = own.into_iter().chain(of_namespace).chain(known).collect();
    let on = |node: &&Node| {
        status
            .host_ip
            .is_some_and(|ip| node.addresses.contains(&ip))
    };
    let by_address = || nodes.iter().find(on).map(|node| node.name.clone());
    Ok(Pod {
        name: format!("{namespace}/{}", meta.name),
        labels: label_set(Source::K8s, all.iter().map(|(key, value)| (key, value)))?,
        node: spec.node_name.clone().or_else(by_address),
        host_network: spec.host_network,
        cluster: cluster.to_owned(),
        addresses: status.pod_ips.iter().map(|one| one.ip).collect(),
        ports: named_ports(&spec)?,
    })
}

fn named_ports(spec: &manifest::Spec) -> Result<NamedPorts, String> {
    let mut ports = NamedPorts::new();
    for port in spec.containers.iter().flat_map(|one| &one.ports) {
        if let Some(name) = &port.name {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let protocol = protocol
                .parse()
                .map_err(|_| format!("protocol {protocol}"))?;
            ports.insert(name, protocol, port.number);
        }
    }
    Ok(ports)
}

fn label_set<'a>(
    source: Source,
    labels: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<LabelSet, String> {
    labels
        .map(|(key, value)| Label::new(source, key, value).map_err(|error| error.to_string()))
        .collect()
}

/// What the DNS proxy would have told the identity of each address.
fn learnt<'p>(
    case: &Case,
    policies: impl Iterator<Item = &'p Arc<Policy>>,
) -> Result<BTreeMap<IpAddr, LabelSet>, String> {
    let patterns: Vec<_> = policies.flat_map(|policy| policy.fqdns()).collect();
    let mut learnt: BTreeMap<IpAddr, LabelSet> = BTreeMap::new();
    for (name, addresses) in &case.names {
        let parsed = DnsName::parse(name).map_err(|error| format!("name {name}: {error}"))?;
        for pattern in &patterns {
            if pattern.matches(&parsed) {
                let label = Label::fqdn(pattern.as_str()).map_err(|error| error.to_string())?;
                for address in addresses {
                    let labels = learnt.entry(*address).or_default();
                    *labels = labels.with(label.clone());
                }
            }
        }
    }
    Ok(learnt)
}
