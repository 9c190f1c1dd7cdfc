//! The file as it is written.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use palisade_abi::{DenyAnswer, Mode, TableSizes};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Config {
    pub(super) node: String,
    pub(super) bpffs: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) policies: PathBuf,
    pub(super) state: Option<PathBuf>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) deny_answer: DenyAnswer,
    #[serde(default)]
    pub(super) devices: Vec<String>,
    #[serde(default)]
    pub(super) masquerade: bool,
    #[serde(default)]
    pub(super) host_firewall: bool,
    #[serde(default)]
    pub(super) node_labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) on_exit: OnExit,
    #[serde(default)]
    pub(super) host_addresses: HostAddresses,
    #[serde(default)]
    pub(super) allow_localhost: AllowLocalhost,
    #[serde(default)]
    pub(super) tables: TableSizes,
    #[serde(default)]
    pub(super) dns: super::dns::Wire,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) netns: Option<PathBuf>,
    pub(super) labels: Labels,
    #[serde(default)]
    pub(super) addresses: Vec<IpAddr>,
    /// As a pod's containers have them.
    #[serde(default)]
    pub(super) ports: Vec<NamedPort>,
    pub(super) interface: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct NamedPort {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Labels {
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnExit {
    #[default]
    Detach,
    Keep,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AllowLocalhost {
    #[default]
    Always,
    Policy,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum HostAddresses {
    Auto(Auto),
    List(Vec<IpAddr>),
}

impl Default for HostAddresses {
    fn default() -> Self {
        Self::Auto(Auto::Auto)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Auto {
    Auto,
}
