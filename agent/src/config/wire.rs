//! The file as it is written.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use palisade_abi::{DenyAnswer, Mode, TableSizes};
use palisade_fqdn::Limits;
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
    pub(super) on_exit: OnExit,
    #[serde(default)]
    pub(super) host_addresses: HostAddresses,
    #[serde(default)]
    pub(super) allow_localhost: AllowLocalhost,
    #[serde(default)]
    pub(super) tables: TableSizes,
    #[serde(default)]
    pub(super) dns: Dns,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Dns {
    min_ttl_seconds: u64,
    grace_seconds: u64,
}

impl Default for Dns {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            min_ttl_seconds: limits.min_ttl.as_secs(),
            grace_seconds: limits.grace.as_secs(),
        }
    }
}

impl Dns {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            min_ttl: Duration::from_secs(self.min_ttl_seconds),
            grace: Duration::from_secs(self.grace_seconds),
            ..Limits::default()
        }
    }
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
