//! The wire form of what is expected of an endpoint in Cilium's layout.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// What is expected of an endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlatPolicy {
    #[serde(default)]
    pub(super) ingress_enforced: bool,
    #[serde(default)]
    pub(super) egress_enforced: bool,
    #[serde(default)]
    pub(super) redirects: BTreeMap<String, u16>,
    #[serde(default)]
    pub(super) entries: BTreeSet<Entry>,
    #[serde(default)]
    pub(super) l7: Vec<Redirect>,
}

/// An entry of a policy map.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(rename = "dir")]
    pub(super) direction: String,
    pub(super) id: u32,
    pub(super) proto: u8,
    pub(super) port: u16,
    pub(super) port_prefix: u8,
    pub(super) lpm_prefix: u8,
    pub(super) deny: bool,
    pub(super) proxy_port: u16,
    pub(super) precedence: u32,
    pub(super) auth: u8,
}

/// What a proxy enforces for one selector.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "camelCase")]
pub(super) struct Redirect {
    #[serde(rename = "dir")]
    pub(super) direction: String,
    pub(super) tier: u8,
    pub(super) proto: String,
    pub(super) port: u16,
    #[serde(default)]
    pub(super) end_port: u16,
    #[serde(default)]
    pub(super) port_name: String,
    pub(super) wildcard: bool,
    pub(super) selects: BTreeSet<u32>,
    pub(super) parser: String,
    #[serde(default)]
    pub(super) listener: String,
    pub(super) listener_priority: u8,
    pub(super) priority: u32,
    #[serde(default)]
    pub(super) sni: BTreeSet<String>,
    /// The rules of each protocol.
    #[serde(deserialize_with = "rules")]
    pub(super) rules: BTreeMap<String, BTreeSet<String>>,
}

/// A direction, a protocol and a first port.
pub(super) type Apart = (String, String, u16);

impl Redirect {
    /// What tells redirects apart before peers do.
    pub(super) fn apart(&self) -> Apart {
        (self.direction.clone(), self.proto.clone(), self.port)
    }
}

/// Rules as texts: their order says nothing.
fn rules<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, BTreeSet<String>>, D::Error> {
    let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let texts = |value: Value| match value {
        Value::Array(items) => items.iter().map(ToString::to_string).collect(),
        other => BTreeSet::from([other.to_string()]),
    };
    Ok(all
        .into_iter()
        .map(|(key, value)| (key, texts(value)))
        .collect())
}
