//! A case as its line says it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// Manifests and what connects in the cluster that they make.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) manifests: String,
    pub(super) queries: Vec<Query>,
    #[serde(default)]
    pub(super) config: Option<Config>,
    /// Names with their addresses, by family.
    #[serde(default)]
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    pub(super) cluster: String,
    pub(super) policy_default_local_cluster: bool,
    #[serde(default)]
    pub(super) host_firewall: bool,
    #[serde(default)]
    pub(super) cidr_match_nodes: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Query {
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) dst_addr: Option<IpAddr>,
    pub(super) family: Option<String>,
    pub(super) proto: String,
    pub(super) port: Option<u16>,
    pub(super) icmp_type: Option<u16>,
    /// Where a service leads to.
    pub(super) backend: Option<String>,
    pub(super) backend_addr: Option<IpAddr>,
    pub(super) backend_port: Option<u16>,
    /// Where an ingress proxy leads to.
    pub(super) ingress_backend: Option<String>,
    pub(super) http: Option<Http>,
    pub(super) tls: Option<Tls>,
    pub(super) dns: Option<Dns>,
    pub(super) expect: String,
    pub(super) expect_cidr_never_selects_pods: Option<String>,
    pub(super) l7: Option<String>,
    pub(super) egress: Option<String>,
    pub(super) ingress: Option<String>,
    pub(super) drop_reason: Option<String>,
    #[serde(default)]
    pub(super) oracle: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Http {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tls {
    pub(super) sni: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dns {
    pub(super) qname: String,
}
