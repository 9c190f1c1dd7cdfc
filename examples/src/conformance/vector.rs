//! The wire form of a scenario.

use std::collections::BTreeMap;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::flat_expected::FlatPolicy;

/// A scenario and what an independent engine made of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vector {
    /// Its name.
    pub id: String,
    pub(super) config: Config,
    pub(super) identities: Vec<Identity>,
    pub(super) endpoints: Vec<Endpoint>,
    /// The names of ports in the whole cluster.
    #[serde(default)]
    pub(super) egress_named_ports: Vec<NamedPort>,
    #[serde(default)]
    pub(super) prefixes: Vec<Prefix>,
    #[serde(default)]
    pub(super) cidr_groups: Vec<CidrGroup>,
    pub(super) policies: Vec<Value>,
    pub(super) queries: Vec<Query>,
    pub(super) expected: Expected,
    /// What came out differently from run to run.
    pub(super) nondeterministic: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches of the other engine, as it names them"
)]
pub(super) struct Config {
    pub(super) enforcement: Option<String>,
    pub(super) allow_localhost: Option<String>,
    #[serde(default)]
    pub(super) host_firewall: bool,
    #[serde(default)]
    pub(super) ipv4_only: bool,
    #[serde(default)]
    pub(super) node_selector_labels: bool,
    #[serde(default)]
    pub(super) cidr_match_nodes: bool,
    #[serde(default, rename = "extendedIPProtocols")]
    pub(super) extended_ip_protocols: bool,
    #[serde(default)]
    pub(super) disable_non_default_deny: bool,
    #[serde(default, rename = "disableL7Proxy")]
    pub(super) disable_l7_proxy: bool,
    pub(super) cluster_name: Option<String>,
    #[serde(default)]
    pub(super) policy_cluster: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Identity {
    pub(super) id: u32,
    pub(super) labels: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) id: u16,
    pub(super) identity: u32,
    #[serde(default)]
    pub(super) named_ports: Vec<NamedPort>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NamedPort {
    pub(super) name: String,
    pub(super) proto: String,
    pub(super) port: u16,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CidrGroup {
    pub(super) name: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) cidrs: Vec<String>,
}

/// A document of rules as the other engine keeps them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entries {
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) tier: u8,
    pub(super) priority: f64,
    pub(super) verdict: String,
    pub(super) ingress: bool,
    pub(super) default_deny: bool,
    pub(super) subject: Value,
    pub(super) l3: Option<BTreeMap<String, Vec<Value>>>,
    #[serde(default)]
    pub(super) ports: Vec<Value>,
    pub(super) auth: Option<Value>,
    pub(super) log: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Prefix {
    pub(super) prefix: String,
    pub(super) labels: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Query {
    #[serde(rename = "ep")]
    pub(super) endpoint: u16,
    #[serde(rename = "dir")]
    pub(super) direction: String,
    pub(super) peer: Option<u32>,
    #[serde(rename = "peerIP")]
    pub(super) peer_ip: Option<String>,
    pub(super) proto: String,
    pub(super) port: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Expected {
    #[serde(default)]
    pub(super) policy_errors: Vec<PolicyError>,
    pub(super) verdicts: Vec<Verdict>,
    #[serde(default)]
    pub(super) endpoints: Vec<ExpectedEndpoint>,
    #[serde(default)]
    pub(super) allocated: Vec<Allocated>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpectedEndpoint {
    pub(super) ep: u16,
    pub(super) error: Option<String>,
    /// Redirects of different parsers that meet on a port, of which the other engine takes any.
    #[serde(default)]
    pub(super) redirect_conflicts: BTreeSet<String>,
    /// The policy in the other engine's layout.
    #[serde(flatten)]
    pub(super) flat: FlatPolicy,
}

/// The identity of a prefix.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Allocated {
    pub(super) prefix: String,
    pub(super) id: u32,
    pub(super) labels: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PolicyError {
    pub(super) index: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    #[serde(rename = "verdict")]
    pub(super) action: String,
    pub(super) peer: u32,
    #[serde(default)]
    pub(super) proxy_port: u16,
    #[serde(default)]
    pub(super) auth: u8,
    pub(super) ref_differs: Option<String>,
}
