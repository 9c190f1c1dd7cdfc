//! The cluster as one node sees it: its own addresses are the host, those of others are remote.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_abi::{Cookie, Direction, EndpointId, Protocol, ProxyPort, TableSizes, Verdict};
use palisade_identity::{Identity, Label, LabelSet, Prefix, Source, reserved};
use palisade_policy::{
    CidrMatch, Desired, LocalEndpoint, NamedPorts, Origin, Proxy, ProxyPorts, Rule, Tables,
};

use super::world::{Cluster, Node, Pod, World};

/// One side of a connection.
#[derive(Clone, Copy)]
pub(super) enum Party<'w> {
    /// An address that nobody in the cluster has.
    Address(IpAddr),
    /// A node, met at one of its addresses.
    Host(&'w Node, Option<IpAddr>),
    /// The ingress proxy.
    Ingress,
    /// A pod with a network of its own.
    Pod(&'w Pod),
}

/// The decision tables of a node.
pub(super) struct View<'w> {
    world: &'w World,
    cluster: &'w Cluster,
    node: Option<&'w str>,
    tables: Tables,
    named_ports: NamedPorts,
    /// The labels of every identity, and the way back.
    identities: BTreeMap<Identity, LabelSet>,
    numbers: BTreeMap<String, Identity>,
}

impl<'w> View<'w> {
    /// Compiles what the node would; `parties` are those that are going to be asked about.
    pub(super) fn compile(
        world: &'w World,
        cluster: &'w Cluster,
        node: Option<&'w str>,
        parties: &[Party<'w>],
    ) -> Result<Self, String> {
        let mut view = Self {
            world,
            cluster,
            node,
            tables: Tables::new(TableSizes::default()),
            named_ports: world.named_ports(),
            identities: reserved::ALL
                .into_iter()
                .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
                .collect(),
            numbers: BTreeMap::new(),
        };
        let own_network = world.pods.iter().filter(|pod| !pod.host_network);
        let nodes = world.nodes.iter().map(|node| Party::Host(node, None));
        let all = own_network.map(Party::Pod).chain(nodes);
        for party in all.chain(parties.iter().copied()) {
            view.learn(party);
        }
        let endpoints = view.endpoints();
        view.tables
            .update(&Desired {
                identities: &view.identities,
                endpoints: &endpoints,
                policies: &cluster.policies,
                options: &cluster.options,
                named_ports: &view.named_ports,
                proxy_ports: &proxy_ports(),
            })
            .map_err(|error| error.to_string())?;
        Ok(view)
    }

    /// Gives the labels of a party a number.
    fn learn(&mut self, party: Party<'w>) {
        let labels = self.labels(party);
        let key = labels.canonical_key();
        if self.numbers.contains_key(&key) {
            return;
        }
        let free = |first: u32| {
            (first..=u32::MAX)
                .map(Identity::new)
                .find(|number| !self.identities.contains_key(number))
        };
        let number = match party {
            Party::Host(node, _) if self.is_own(node) => Some(Identity::HOST),
            Party::Pod(_) => free(FIRST_POD),
            Party::Address(_) | Party::Host(..) | Party::Ingress => reserved::by_labels(&labels)
                .or_else(|| match party {
                    Party::Host(..) => free(FIRST_NODE),
                    Party::Address(_) | Party::Ingress | Party::Pod(_) => free(FIRST_LOCAL),
                }),
        };
        if let Some(number) = number {
            self.identities.insert(number, labels);
            self.numbers.insert(key, number);
        }
    }

    /// The pods of this cluster, the node itself and the ingress proxy.
    fn endpoints(&self) -> Vec<LocalEndpoint> {
        let pods = (FIRST_ENDPOINT..).zip(&self.world.pods);
        let pods = pods.filter(|(_, pod)| !pod.host_network && self.is_local(pod));
        let mut endpoints: Vec<_> = pods
            .map(|(number, pod)| LocalEndpoint {
                named_ports: pod.ports.clone(),
                ..LocalEndpoint::new(EndpointId::new(number), self.labels(Party::Pod(pod)))
            })
            .collect();
        let own = self.node.and_then(|name| self.world.node(name));
        if let Some(node) = own {
            // The host's endpoint has the labels of the node as Kubernetes gives them, too.
            let labels = node
                .labels
                .iter()
                .filter_map(|label| Label::new(Source::K8s, label.key(), label.value()).ok());
            let labels = self
                .labels(Party::Host(node, None))
                .merged(&labels.collect());
            endpoints.push(LocalEndpoint::new(HOST, labels));
        }
        endpoints.push(LocalEndpoint::new(INGRESS, self.labels(Party::Ingress)));
        endpoints
    }

    /// The endpoint whose policy judges a party; `None` if it is none of this node's.
    fn endpoint(&self, party: Party<'w>) -> Option<EndpointId> {
        match party {
            Party::Address(_) => None,
            Party::Host(node, _) => self.is_own(node).then_some(HOST),
            Party::Ingress => Some(INGRESS),
            Party::Pod(pod) => {
                let mut pods = (FIRST_ENDPOINT..).zip(&self.world.pods);
                pods.find(|(_, one)| one.name == pod.name && self.is_local(pod))
                    .map(|(number, _)| EndpointId::new(number))
            }
        }
    }

    /// What is done with a packet of a party; `None` if no policy of this node judges it.
    pub(super) fn verdict(
        &self,
        party: Party<'w>,
        direction: Direction,
        peer: Party<'w>,
        protocol: Protocol,
        port: u16,
    ) -> Option<Verdict> {
        let endpoint = self.endpoint(party)?;
        let key = self.labels(peer).canonical_key();
        let peer = self.numbers.get(&key).copied().unwrap_or(Identity::UNKNOWN);
        Some(
            self.tables
                .verdict(endpoint, direction, peer, protocol, port),
        )
    }

    pub(super) fn origin(&self, cookie: Cookie) -> Option<Origin> {
        self.tables.origin(cookie)
    }

    /// The rules in force in the cluster.
    pub(super) fn rules(&self) -> impl Iterator<Item = &'w Rule> {
        self.cluster
            .policies
            .iter()
            .flat_map(|policy| &policy.rules)
    }

    /// The names of ports that a rule of this direction goes by.
    pub(super) fn named_ports(&self, direction: Direction, party: Party<'w>) -> &NamedPorts {
        match (direction, party) {
            (Direction::Egress, _) => &self.named_ports,
            (Direction::Ingress, Party::Pod(pod)) => &pod.ports,
            (Direction::Ingress, Party::Address(_) | Party::Host(..) | Party::Ingress) => {
                NamedPorts::NONE
            }
        }
    }

    fn is_local(&self, pod: &Pod) -> bool {
        pod.cluster == *self.cluster.options.cluster_name
    }

    fn is_own(&self, node: &Node) -> bool {
        self.node == Some(node.name.as_str())
    }

    /// The labels of a party's identity.
    pub(super) fn labels(&self, party: Party<'w>) -> LabelSet {
        match party {
            Party::Address(address) => self.of_world(address),
            Party::Host(node, address) => self.of_node(node, address),
            Party::Ingress => reserved::labels(Identity::INGRESS).unwrap_or_default(),
            Party::Pod(pod) if self.cluster.options.cidr_match == CidrMatch::Everybody => {
                let addresses = pod.addresses.iter();
                let own = addresses.map(|address| Label::cidr(Prefix::exact(*address)));
                pod.labels.merged(&own.collect())
            }
            Party::Pod(pod) => pod.labels.clone(),
        }
    }

    fn of_node(&self, node: &Node, address: Option<IpAddr>) -> LabelSet {
        let own = self.is_own(node);
        let names = [
            Some(if own { "host" } else { "remote-node" }),
            node.api_server.then_some("kube-apiserver"),
        ];
        let names = names.into_iter().flatten();
        let mut labels: LabelSet = names
            .filter_map(|name| Label::reserved(name).ok())
            .collect();
        labels = labels.merged(&node.labels);
        if !self.world.match_nodes {
            return labels;
        }
        // This node is one identity at all of its addresses, every other one at each.
        let addresses = node.addresses.iter().copied();
        for address in addresses.filter(|one| own || Some(*one) == address) {
            labels = labels.merged(&self.of_address(address));
        }
        labels
    }

    fn of_world(&self, address: IpAddr) -> LabelSet {
        let mut labels = self.of_address(address);
        if let Some(learnt) = self.world.learnt.get(&address) {
            labels = labels.merged(learnt);
        }
        let name = if address.is_ipv4() {
            "world-ipv4"
        } else {
            "world-ipv6"
        };
        match Label::reserved(name) {
            Ok(world) => labels.with(world),
            Err(_) => labels,
        }
    }

    /// The labels of the closest prefix that a policy names, and of all groups that hold an
    /// address.
    fn of_address(&self, address: IpAddr) -> LabelSet {
        let exact = Prefix::exact(address);
        let mut labels = LabelSet::new();
        let in_groups = self.cluster.groups.iter();
        for group in in_groups.filter(|one| one.prefixes.iter().any(|outer| outer.covers(exact))) {
            labels = labels.merged(&group.labels);
        }
        let named = self.cluster.prefixes();
        let of_groups = self
            .cluster
            .groups
            .iter()
            .flat_map(|one| &one.prefixes)
            .copied();
        let closest = named
            .chain(of_groups)
            .filter(|outer| outer.covers(exact) && outer.length() > 0)
            .max_by_key(|outer| outer.length());
        match (closest, self.cluster.options.cidr_match) {
            (Some(closest), _) => labels.with(Label::cidr(closest)),
            (None, CidrMatch::Outside) => labels,
            (None, CidrMatch::Everybody) => match Prefix::new(address, 0) {
                Ok(all) => labels.with(Label::cidr(all)),
                Err(_) => labels,
            },
        }
    }
}

/// Every proxy listens.
fn proxy_ports() -> ProxyPorts {
    let both = Direction::BOTH.into_iter();
    let of = |direction| [Proxy::Http(direction), Proxy::Proxylib(direction)];
    let proxies = both.flat_map(of).chain([Proxy::Dns]);
    let ports = (FIRST_PROXY..).filter_map(|port| ProxyPort::new(port).ok());
    proxies.zip(ports).collect()
}

const FIRST_ENDPOINT: u16 = 1;
const HOST: EndpointId = EndpointId::new(60_000);
const INGRESS: EndpointId = EndpointId::new(60_001);
const FIRST_POD: u32 = 1_000;
const FIRST_LOCAL: u32 = 1 << 24;
const FIRST_NODE: u32 = 2 << 24;
const FIRST_PROXY: u16 = 10_001;
