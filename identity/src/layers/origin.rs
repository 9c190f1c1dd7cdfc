use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Who says something of a prefix, the most trusted first: of two that contradict, the first in
/// this order is believed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Origin {
    /// Where the Kubernetes API server is.
    KubeApiServer,
    /// This node itself.
    Local,
    /// The cluster's store.
    KvStore,
    /// A Cilium resource in Kubernetes.
    CustomResource,
    /// Kubernetes.
    Kubernetes,
    /// Another cluster of the mesh.
    ClusterMesh,
    /// A directory of files.
    Directory,
    /// The agent's API.
    Api,
    /// Derived from something else, such as the prefixes that policies name.
    Generated,
    /// What was known before a restart.
    Restored,
    /// Not stated.
    Unspecified,
}

/// What a prefix is said of: a policy, an endpoint, a node and so on, as `kind/namespace/name`.
///
/// ```
/// use palisade_identity::{ResourceId, ResourceKind};
///
/// let policy = ResourceId::new(ResourceKind::Policy, "shop", "to-bank");
/// assert_eq!(policy.to_string(), "cnp/shop/to-bank");
/// assert_eq!("cnp/shop/to-bank".parse(), Ok(policy));
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceId {
    kind: ResourceKind,
    namespace: String,
    name: String,
}

/// The kind of a [`ResourceId`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ResourceKind {
    /// `ccnp`: a policy of the whole cluster.
    ClusterwidePolicy,
    /// `cidrgroup`: a CIDR group.
    CidrGroup,
    /// `cnp`: a policy of one namespace.
    Policy,
    /// `daemon`: the agent itself.
    Daemon,
    /// `ep`: an endpoint.
    Endpoint,
    /// `file`: a file of static configuration.
    File,
    /// `netpol`: a policy of Kubernetes' own.
    KubernetesPolicy,
    /// `node`: a node.
    Node,
}

/// A text that is no [`ResourceId`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not kind/namespace/name")]
pub struct ResourceIdError {
    /// The text as it was given.
    pub text: String,
}

impl Origin {
    /// The name that Cilium gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KubeApiServer => "kube-apiserver",
            Self::Local => "local",
            Self::KvStore => "kvstore",
            Self::CustomResource => "custom-resource",
            Self::Kubernetes => "k8s",
            Self::ClusterMesh => "clustermesh",
            Self::Directory => "directory",
            Self::Api => "api",
            Self::Generated => "generated",
            Self::Restored => "restored",
            Self::Unspecified => "unspec",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl ResourceId {
    /// A resource by its parts; the namespace is empty where there is none.
    pub fn new(kind: ResourceKind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The kind.
    pub const fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// The namespace; empty if there is none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/');
        let kind = parts.next().and_then(ResourceKind::named);
        match (kind, parts.next(), parts.next()) {
            (Some(kind), Some(namespace), Some(name)) => Ok(Self::new(kind, namespace, name)),
            _ => Err(ResourceIdError { text: text.into() }),
        }
    }
}

impl ResourceKind {
    const ALL: [Self; 8] = [
        Self::ClusterwidePolicy,
        Self::CidrGroup,
        Self::Policy,
        Self::Daemon,
        Self::Endpoint,
        Self::File,
        Self::KubernetesPolicy,
        Self::Node,
    ];

    /// The first part of the resource's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterwidePolicy => "ccnp",
            Self::CidrGroup => "cidrgroup",
            Self::Policy => "cnp",
            Self::Daemon => "daemon",
            Self::Endpoint => "ep",
            Self::File => "file",
            Self::KubernetesPolicy => "netpol",
            Self::Node => "node",
        }
    }

    fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read_and_printed() {
        for text in ["cnp/shop/a", "ccnp//b", "node//n/1"] {
            let resource: ResourceId = text.parse().unwrap();
            assert_eq!(resource.to_string(), text);
        }
        for text in ["", "cnp", "cnp/a", "pod/a/b"] {
            assert!(text.parse::<ResourceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn kinds_sort_by_their_texts() {
        let texts = ResourceKind::ALL.map(ResourceKind::as_str);
        assert!(texts.is_sorted());
        assert!(ResourceKind::ALL.is_sorted());
        assert!(Origin::KubeApiServer < Origin::Local && Origin::Generated < Origin::Restored);
    }
}
