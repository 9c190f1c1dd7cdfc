//! Who: the ends, the endpoint, the rule, and what was asked.

use std::net::IpAddr;

use palisade_abi::{Cookie, EndpointId, Identity};
use palisade_identity::LabelSet;
use serde::{Deserialize, Serialize};

use crate::flow::{self, Decider};
use crate::query::DnsQuery;
use crate::resolve::{EndpointName, Origin};

#[derive(Deserialize, Serialize)]
pub(super) struct End {
    identity: Identity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    labels: LabelSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod_name: Option<String>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Layer7 {
    #[serde(rename = "type")]
    kind: String,
    dns: Dns,
}

#[derive(Deserialize, Serialize)]
struct Dns {
    query: String,
    qtypes: Vec<String>,
    observation_source: String,
}

#[derive(Deserialize, Serialize)]
pub(super) struct DecidedBy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<Cookie>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct Endpoint {
    #[serde(rename = "ID")]
    id: EndpointId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl From<flow::Peer> for End {
    fn from(peer: flow::Peer) -> Self {
        let (namespace, pod_name) = split(peer.endpoint);
        Self {
            identity: peer.identity,
            namespace,
            labels: peer.labels,
            pod_name,
        }
    }
}

impl End {
    pub(super) fn peer(self, address: IpAddr, dns_names: Vec<String>) -> flow::Peer {
        flow::Peer {
            address,
            identity: self.identity,
            labels: self.labels,
            endpoint: join(self.namespace, self.pod_name),
            dns_names,
        }
    }
}

impl From<DnsQuery> for Layer7 {
    fn from(query: DnsQuery) -> Self {
        Self {
            kind: "REQUEST".to_owned(),
            dns: Dns {
                query: query.name,
                qtypes: vec![query.record],
                observation_source: "proxy".to_owned(),
            },
        }
    }
}

impl From<Layer7> for DnsQuery {
    fn from(layer: Layer7) -> Self {
        Self {
            name: layer.dns.query,
            record: layer.dns.qtypes.join(","),
        }
    }
}

impl From<Decider> for DecidedBy {
    fn from(decider: Decider) -> Self {
        let (policy, description) = match decider.origin {
            Some(origin) => (Some(origin.location), Some(origin.description)),
            None => (None, None),
        };
        let cookie = Some(decider.cookie).filter(|cookie| *cookie != Cookie::default());
        Self {
            cookie,
            policy,
            description,
        }
    }
}

impl DecidedBy {
    pub(super) fn into_domain(self) -> Decider {
        let description = self.description.unwrap_or_default();
        Decider {
            cookie: self.cookie.unwrap_or_default(),
            origin: self.policy.map(|location| Origin {
                location,
                description,
            }),
        }
    }
}

impl From<(EndpointId, Option<EndpointName>)> for Endpoint {
    fn from((id, name): (EndpointId, Option<EndpointName>)) -> Self {
        let (namespace, name) = split(name);
        Self {
            id,
            namespace,
            name,
        }
    }
}

impl Endpoint {
    pub(super) fn into_domain(self) -> (EndpointId, Option<EndpointName>) {
        (self.id, join(self.namespace, self.name))
    }
}

fn split(name: Option<EndpointName>) -> (Option<String>, Option<String>) {
    name.map(|name| (name.namespace, name.name)).unzip()
}

fn join(namespace: Option<String>, name: Option<String>) -> Option<EndpointName> {
    Some(EndpointName {
        namespace: namespace.unwrap_or_default(),
        name: name?,
    })
}
