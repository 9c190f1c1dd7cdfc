//! What changes the meaning of policies on a node.

use std::sync::Arc;

use crate::rule::Tier;

/// The settings under which documents are read and policies decide.
///
/// The defaults are those of a Kubernetes node: dual stack, the host always reaches its pods, peers
/// are those of the local cluster, and files must pass the cluster's schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// When a direction of an endpoint is enforced.
    pub enforcement: Enforcement,
    /// Whether the node itself reaches its endpoints without a rule.
    pub allow_localhost: AllowLocalhost,
    /// The name of this cluster, for the entity `cluster`.
    pub cluster_name: Arc<str>,
    /// The cluster that peers are confined to unless a selector names one; `None` confines nothing.
    pub policy_cluster: Option<Arc<str>>,
    /// How much of a document is checked.
    pub level: Level,
    /// Whether what is legal and probably not meant is refused.
    pub strictness: Strictness,
    /// The address families of the node, which decide the labels of the world.
    pub stack: Stack,
    /// Whether `enableDefaultDeny` is honoured; else every rule switches default deny on.
    pub default_deny_choice: DefaultDenyChoice,
    /// Whether rules may redirect to a proxy.
    pub l7_proxy: L7Proxy,
    /// Whether the labels of nodes are known, so that rules may select nodes.
    pub node_labels: NodeLabels,
    /// Whether a port may be left out, for protocols that have none.
    pub extended_protocols: ExtendedProtocols,
    /// Whom an `ipBlock` of a Kubernetes `NetworkPolicy` lets in.
    pub ip_blocks: IpBlocks,
    /// Whom a prefix of a rule selects.
    pub cidr_match: CidrMatch,
    /// The tier of rules whose kind names none.
    pub tier: Tier,
    /// Whether rules that select nodes are in force for the node itself.
    pub host_firewall: HostFirewall,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            enforcement: Enforcement::Default,
            allow_localhost: AllowLocalhost::Always,
            cluster_name: "default".into(),
            policy_cluster: Some("default".into()),
            level: Level::Cluster,
            strictness: Strictness::Lenient,
            stack: Stack::Dual,
            default_deny_choice: DefaultDenyChoice::Honoured,
            l7_proxy: L7Proxy::Enabled,
            node_labels: NodeLabels::Unknown,
            extended_protocols: ExtendedProtocols::Disabled,
            ip_blocks: IpBlocks::Addresses,
            cidr_match: CidrMatch::Outside,
            tier: Tier::Normal,
            host_firewall: HostFirewall::Disabled,
        }
    }
}

/// Whether rules that select nodes are in force for the node itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostFirewall {
    /// Everything is allowed to and from the node itself.
    Disabled,
    /// They are.
    Enabled,
}

/// When a direction of an endpoint is enforced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enforcement {
    /// Always, even without a rule.
    Always,
    /// Where a rule of that direction selects the endpoint.
    Default,
    /// Never; deny rules are ignored too.
    Never,
}

/// Whether the node itself reaches its endpoints without a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AllowLocalhost {
    /// It does; a deny rule still wins.
    Always,
    /// It needs a rule like any other peer.
    ByPolicy,
}

/// How much of a document is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// What Cilium's agent takes.
    Agent,
    /// What a cluster takes: the agent's checks and the schema of the resource.
    Cluster,
}

/// Whether what is legal and probably not meant is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strictness {
    /// It is a warning.
    Lenient,
    /// It is an error.
    Strict,
}

/// The address families of the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stack {
    /// IPv4 and IPv6: the world is `reserved:world-ipv4` and `reserved:world-ipv6`.
    Dual,
    /// One family: the world is `reserved:world`.
    Single,
}

/// Whether `enableDefaultDeny` is honoured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DefaultDenyChoice {
    /// Every rule switches default deny on for its direction.
    Forced,
    /// A document may say that it does not.
    Honoured,
}

/// Whether rules may redirect to a proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum L7Proxy {
    /// Rules that need a proxy are refused.
    Disabled,
    /// They are taken.
    Enabled,
}

/// Whether the labels of nodes are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeLabels {
    /// They are; rules may select nodes.
    Known,
    /// They are not, and a rule that selects nodes is refused.
    Unknown,
}

/// Whether a port may be left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExtendedProtocols {
    /// Every item of `ports` names a port.
    Disabled,
    /// An item without a port is every packet of its protocol.
    Enabled,
}

/// Whom an `ipBlock` under `from` of a Kubernetes `NetworkPolicy` lets in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IpBlocks {
    /// The addresses that it names.
    Addresses,
    /// Also every pod of the policy's namespace where peers are confined to a cluster, as Cilium
    /// 1.20 does by mistake. Only for comparing with it.
    AddressesAndNamespace,
}

/// Whom a prefix of a rule selects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CidrMatch {
    /// Addresses outside the cluster, as in Cilium: pods have no `cidr` labels, and a prefix of
    /// length 0 is the world. Nor do `nodes` of administrators' policies select the node that a pod
    /// runs on.
    Outside,
    /// Every address inside, whoever has it, as other engines read Kubernetes' kinds. For this,
    /// whoever makes the identities gives that of each pod and node the `cidr` labels of its own
    /// addresses, and those of the world `0.0.0.0/0` or `::/0` where they have none.
    Everybody,
}
