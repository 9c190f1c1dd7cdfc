//! The model: what documents become once they are read.
//!
//! A [`Policy`] is one document; a [`Rule`] is one item of its `ingress`, `egress`, `ingressDeny` or
//! `egressDeny` lists. Every peer and every port keeps the place it was read from, so that a verdict
//! can name its line.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::{Direction, Prefix, Protocol};
use palisade_fqdn::MatchPattern;
use palisade_identity::{LabelSet, Selector, Source};

use crate::span::Location;

/// A document: the rules of one resource, in the order they stand in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The name of the resource.
    pub resource: Arc<ResourceName>,
    /// Where the document starts.
    pub location: Location,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// The prefixes that the policy names, exceptions included, in the order they stand in.
    ///
    /// A node gives each of them an identity.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.peers().flat_map(|peer| match &peer.kind {
            PeerKind::Cidr { prefix, except } => [*prefix].iter().chain(except).copied().collect(),
            PeerKind::Endpoints | PeerKind::Entity(_) | PeerKind::Fqdn(_) => Vec::new(),
        })
    }

    /// The DNS selectors of the policy, in the order they stand in.
    pub fn fqdns(&self) -> impl Iterator<Item = &MatchPattern> {
        self.peers().filter_map(|peer| match &peer.kind {
            PeerKind::Fqdn(pattern) => Some(pattern),
            PeerKind::Cidr { .. } | PeerKind::Endpoints | PeerKind::Entity(_) => None,
        })
    }

    fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.rules.iter().flat_map(|rule| rule.peers.list())
    }
}

/// The kinds of resource that are read.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `CiliumClusterwideNetworkPolicy`.
    CiliumClusterwideNetworkPolicy,
    /// `CiliumNetworkPolicy`.
    CiliumNetworkPolicy,
    /// Kubernetes' own `NetworkPolicy`.
    NetworkPolicy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [
        Self::CiliumClusterwideNetworkPolicy,
        Self::CiliumNetworkPolicy,
        Self::NetworkPolicy,
    ];

    /// The kind as documents name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::NetworkPolicy => "NetworkPolicy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of a resource; its order breaks ties between rules that would both decide.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceName {
    /// The kind.
    pub kind: Kind,
    /// The namespace; `None` for kinds that have none.
    pub namespace: Option<Arc<str>>,
    /// The name.
    pub name: Arc<str>,
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// One item of an `ingress`, `egress`, `ingressDeny` or `egressDeny` list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The resource that the rule belongs to.
    pub resource: Arc<ResourceName>,
    /// The place among the rules of the resource, from 0.
    pub index: u32,
    /// Where the item starts.
    pub location: Location,
    /// Where the key of its list stands (`ingress:`): what default deny leads to.
    pub section: Location,
    /// Whom the rule is about.
    pub subject: Subject,
    /// Which traffic of theirs.
    pub direction: Direction,
    /// What it does with what it matches.
    pub effect: Effect,
    /// Whether traffic of this direction that no rule allows is denied for the subject.
    pub default_deny: bool,
    /// The other side.
    pub peers: Peers,
    /// The protocols and ports.
    pub ports: Ports,
}

/// Whom a rule is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The endpoints that a selector matches; never the node itself.
    Endpoints(Selector),
}

impl Subject {
    /// Whether a rule of this subject is in force for an endpoint with these labels.
    pub fn selects(&self, labels: &LabelSet) -> bool {
        match self {
            Self::Endpoints(selector) => !is_host(labels) && selector.matches(labels),
        }
    }
}

fn is_host(labels: &LabelSet) -> bool {
    labels
        .get("host")
        .is_some_and(|label| label.source() == Source::Reserved)
}

/// What a rule does with what it matches. A deny beats every allow, however narrow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Effect {
    /// Lets it pass, to the proxy if the port says so.
    Allow,
    /// Drops it.
    Deny,
}

/// The other side of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Peers {
    /// Everybody, known or not.
    Any {
        /// Where the document says so; `None` if it names no peers at all.
        location: Option<Location>,
    },
    /// Whoever one of the selectors matches; an empty list matches nobody.
    Some {
        /// Where the key of the list stands (`fromEndpoints:`); `None` if there is no list.
        location: Option<Location>,
        /// The selectors.
        list: Vec<Peer>,
    },
}

impl Peers {
    /// The selectors; empty for [`Peers::Any`].
    pub fn list(&self) -> &[Peer] {
        match self {
            Self::Any { .. } => &[],
            Self::Some { list, .. } => list,
        }
    }
}

/// A selector for the other side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// What the labels of an identity must be; the only thing that decides.
    pub selector: Selector,
    /// What the selector was made from.
    pub kind: PeerKind,
    /// Where it stands.
    pub location: Location,
}

/// What the selector of a [`Peer`] was made from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PeerKind {
    /// A prefix, less some prefixes inside it.
    Cidr {
        /// The prefix.
        prefix: Prefix,
        /// What is taken out of it.
        except: Vec<Prefix>,
    },
    /// A label selector.
    Endpoints,
    /// An entity. Some entities become several selectors.
    Entity(Entity),
    /// A DNS name or pattern: matches identities with the label `fqdn:TEXT`.
    Fqdn(MatchPattern),
}

/// A name for a set of peers that have no pods' labels.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Entity {
    /// Everybody.
    All,
    /// Everything of this cluster, nodes included.
    Cluster,
    /// The health endpoints.
    Health,
    /// The node itself.
    Host,
    /// The ingress proxy.
    Ingress,
    /// Endpoints whose labels are not known yet.
    Init,
    /// The nodes that run the Kubernetes API server.
    KubeApiserver,
    /// Nobody.
    None,
    /// The other nodes.
    RemoteNode,
    /// Endpoints that another network plugin manages.
    Unmanaged,
    /// Everything outside.
    World,
    /// Everything outside, over IPv4.
    WorldIpv4,
    /// Everything outside, over IPv6.
    WorldIpv6,
}

impl Entity {
    /// Every entity in the order of their names.
    pub const ALL: [Self; 13] = [
        Self::All,
        Self::Cluster,
        Self::Health,
        Self::Host,
        Self::Ingress,
        Self::Init,
        Self::KubeApiserver,
        Self::None,
        Self::RemoteNode,
        Self::Unmanaged,
        Self::World,
        Self::WorldIpv4,
        Self::WorldIpv6,
    ];

    /// The entity as documents name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Cluster => "cluster",
            Self::Health => "health",
            Self::Host => "host",
            Self::Ingress => "ingress",
            Self::Init => "init",
            Self::KubeApiserver => "kube-apiserver",
            Self::None => "none",
            Self::RemoteNode => "remote-node",
            Self::Unmanaged => "unmanaged",
            Self::World => "world",
            Self::WorldIpv4 => "world-ipv4",
            Self::WorldIpv6 => "world-ipv6",
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The protocols and ports of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ports {
    /// Every IP protocol, with or without ports.
    All,
    /// What one of the items matches; an empty list matches nothing.
    Some(Vec<PortRule>),
}

/// A protocol and a range of its ports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortRule {
    /// The protocol. `ANY` becomes one item each for TCP, UDP and SCTP.
    pub protocol: Protocol,
    /// The destination ports, or ICMP types. `0..=65535` is every packet of the protocol.
    pub ports: RangeInclusive<u16>,
    /// The proxy that has the last word.
    pub redirect: Option<Redirect>,
    /// Where the item stands.
    pub location: Location,
}

impl PortRule {
    /// Every port of a protocol.
    pub const EVERY_PORT: RangeInclusive<u16> = 0..=u16::MAX;
}

/// The proxy that has the last word on what a rule allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Redirect {
    /// The DNS proxy: a query passes if one of the rules matches its name.
    Dns(Arc<[DnsRule]>),
}

/// A name that may be asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsRule {
    /// What the name must match.
    pub pattern: MatchPattern,
    /// Where the item stands.
    pub location: Location,
}
