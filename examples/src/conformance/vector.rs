//! The wire form of a scenario.

use serde::Deserialize;
use serde_json::Value;

/// A scenario and what an independent engine made of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vector {
    /// Its name.
    pub id: String,
    pub(super) config: Config,
    pub(super) identities: Vec<Identity>,
    pub(super) endpoints: Vec<Endpoint>,
    #[serde(default)]
    pub(super) prefixes: Vec<Prefix>,
    pub(super) policies: Vec<Value>,
    pub(super) queries: Vec<Query>,
    pub(super) expected: Expected,
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
pub(super) struct Endpoint {
    pub(super) id: u16,
    pub(super) identity: u32,
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
    pub(super) ref_differs: Option<String>,
}
