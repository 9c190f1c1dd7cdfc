//! The other side of a rule.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use palisade_abi::Prefix;
use palisade_fqdn::MatchPattern;
use palisade_identity::Selector;

use crate::span::Location;

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
    /// The prefixes of the CIDR groups that the selector names, less some prefixes.
    CidrGroup {
        /// How the document says it: a group's name, or a selector of groups.
        text: Arc<str>,
        /// What is taken out of them.
        except: Vec<Prefix>,
    },
    /// A label selector.
    Endpoints,
    /// An entity. Some entities become several selectors.
    Entity(Entity),
    /// A DNS name or pattern: matches identities with the label `fqdn:TEXT`.
    Fqdn(MatchPattern),
    /// A security group of a cloud, which selects nobody until it is resolved.
    Group(Arc<GroupReference>),
    /// The nodes that a label selector matches.
    Nodes,
    /// Kubernetes services, which select nobody until they are resolved.
    Service(Arc<ServiceReference>),
}

/// Security groups of a cloud (`toGroups`, `fromGroups`).
///
/// Each field that is not empty must hold: all of the labels, one of the numbers, one of the names.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct GroupReference {
    /// The labels that the group must have.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The numbers of groups.
    pub ids: Vec<Arc<str>>,
    /// The names of groups.
    pub names: Vec<Arc<str>>,
    /// The region of the cloud; empty for the default one.
    pub region: Arc<str>,
}

/// Services of Kubernetes (`toServices`).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ServiceReference {
    /// A service by name.
    Name {
        /// The namespace; `None` for any.
        namespace: Option<Arc<str>>,
        /// The name.
        name: Arc<str>,
    },
    /// The services whose own labels a selector matches.
    Labels {
        /// The namespace; `None` for any.
        namespace: Option<Arc<str>>,
        /// The selector.
        selector: Selector,
    },
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

    /// How many peers the entity becomes in a rule.
    pub(crate) const fn selector_count(self) -> usize {
        match self {
            Self::All | Self::None => 0,
            Self::Cluster => 8,
            Self::World => 3,
            Self::Health
            | Self::Host
            | Self::Ingress
            | Self::Init
            | Self::KubeApiserver
            | Self::RemoteNode
            | Self::Unmanaged
            | Self::WorldIpv4
            | Self::WorldIpv6 => 1,
        }
    }

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

impl fmt::Display for GroupReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let ids = self.ids.iter().chain(&self.names).map(ToString::to_string);
        let all: Vec<String> = ids.chain(labels).collect();
        f.write_str(&all.join(", "))
    }
}

impl fmt::Display for ServiceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, what) = match self {
            Self::Name { namespace, name } => (namespace, name.to_string()),
            Self::Labels {
                namespace,
                selector,
            } => (namespace, format!("{{{selector}}}")),
        };
        match namespace {
            Some(namespace) => write!(f, "{namespace}/{what}"),
            None => write!(f, "*/{what}"),
        }
    }
}
