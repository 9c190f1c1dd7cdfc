//! What a resource is called.

use std::fmt;
use std::sync::Arc;

/// The kinds of resource that are read.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `AdminNetworkPolicy` of the Kubernetes network policy API, v1alpha1.
    AdminNetworkPolicy,
    /// `BaselineAdminNetworkPolicy` of the same.
    BaselineAdminNetworkPolicy,
    /// `CiliumClusterwideNetworkPolicy`.
    CiliumClusterwideNetworkPolicy,
    /// `CiliumNetworkPolicy`.
    CiliumNetworkPolicy,
    /// `ClusterNetworkPolicy` of the Kubernetes network policy API, v1alpha2.
    ClusterNetworkPolicy,
    /// Kubernetes' own `NetworkPolicy`.
    NetworkPolicy,
    /// Rules that a program made itself; no document has this kind.
    Rules,
}

impl Kind {
    /// Every kind that a document may have.
    pub const ALL: [Self; 6] = [
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::CiliumNetworkPolicy,
        Self::ClusterNetworkPolicy,
        Self::NetworkPolicy,
    ];

    /// The kind as documents name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Rules => "Rules",
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
