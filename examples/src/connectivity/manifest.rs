//! The objects of a cluster, as far as they decide who is who.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// An object of any kind; what a kind does not have is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: Option<Spec>,
    pub(super) status: Option<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) node_name: Option<String>,
    pub(super) service_account_name: Option<String>,
    pub(super) host_network: bool,
    pub(super) containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerPort {
    pub(super) name: Option<String>,
    #[serde(rename = "containerPort")]
    pub(super) number: u16,
    pub(super) protocol: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(rename = "hostIP")]
    pub(super) host_ip: Option<IpAddr>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Vec<PodIp>,
    pub(super) addresses: Vec<NodeAddress>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PodIp {
    pub(super) ip: IpAddr,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NodeAddress {
    pub(super) address: String,
}

/// The namespaces, pods and nodes of a text; other kinds are left out.
///
/// # Errors
/// What of the text is not understood.
pub(super) fn read(text: &str) -> Result<Vec<Object>, String> {
    /// Enough of an object to know whether it matters.
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        kind: String,
    }
    let mut objects = Vec::new();
    for document in text.split("\n---") {
        let document = document.strip_prefix("---").unwrap_or(document);
        if document.trim().is_empty() {
            continue;
        }
        let wrong = |error: &dyn std::fmt::Display| format!("manifest: {error}: {document}");
        let kind: Document = serde_saphyr::from_str(document).map_err(|error| wrong(&error))?;
        if ["Namespace", "Node", "Pod"].contains(&kind.kind.as_str()) {
            objects.push(serde_saphyr::from_str(document).map_err(|error| wrong(&error))?);
        }
    }
    Ok(objects)
}
