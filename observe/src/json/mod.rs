//! The JSON form: Hubble's field names where it has the fact, our own beside them.

mod layer4;
mod party;

use std::net::IpAddr;

use palisade_abi::{Direction, DropReason};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::layer4::Layer4;
use self::party::{DecidedBy, End, Endpoint, Layer7};
use crate::clean::CleanJson;
use crate::flow::{self, FlowVerdict, Heading, Outcome};
use crate::query::DnsQuery;
use crate::timestamp::Timestamp;

impl flow::Flow {
    /// The flow as one line of JSON without its line end. Safe to print on a terminal.
    #[expect(clippy::missing_panics_doc, reason = "it cannot")]
    pub fn json(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "fails only for maps with keys that are no text"
        )]
        let text = serde_json::to_string(self).expect("a flow has no map");
        CleanJson(&text).to_string()
    }
}

/// A JSON object that has the fields of a flow but makes none.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum JsonError {
    /// The verdict is DROPPED and no reason stands beside it.
    #[error("a dropped flow has no `reason`")]
    NoReason,
    /// `l4` names no protocol.
    #[error("`l4` names no protocol")]
    NoProtocol,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Flow {
    time: Timestamp,
    verdict: FlowVerdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drop_reason_desc: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<DropReason>,
    #[serde(rename = "IP")]
    ip: Ip,
    l4: Layer4,
    source: End,
    destination: End,
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    source_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    destination_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l7: Option<Layer7>,
    is_reply: bool,
    traffic_direction: TrafficDirection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interface: Option<Interface>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decided_by: Option<DecidedBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoint>,
    #[serde(rename = "Summary")]
    summary: String,
}

#[derive(Deserialize, Serialize)]
struct Ip {
    source: IpAddr,
    destination: IpAddr,
    #[serde(rename = "ipVersion")]
    version: String,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum TrafficDirection {
    Ingress,
    Egress,
}

#[derive(Deserialize, Serialize)]
struct Interface {
    index: u32,
}

impl From<flow::Flow> for Flow {
    fn from(flow: flow::Flow) -> Self {
        let summary = match &flow.dns {
            Some(dns) => format!("DNS Query {}. {}", dns.name, dns.record),
            None => flow.transport.to_string(),
        };
        let version = if flow.source.address.is_ipv4() {
            "IPv4"
        } else {
            "IPv6"
        };
        Self {
            time: flow.time,
            verdict: flow.verdict(),
            drop_reason_desc: flow
                .drop_reason()
                .map(|reason| hubble_name(reason).to_owned()),
            reason: flow.drop_reason(),
            ip: Ip {
                source: flow.source.address,
                destination: flow.destination.address,
                version: version.to_owned(),
            },
            l4: flow.transport.into(),
            kind: if flow.dns.is_some() { "L7" } else { "L3_L4" }.to_owned(),
            l7: flow.dns.map(Layer7::from),
            is_reply: flow.heading == Heading::Reply,
            traffic_direction: match flow.direction {
                Direction::Ingress => TrafficDirection::Ingress,
                Direction::Egress => TrafficDirection::Egress,
            },
            proxy_port: match flow.outcome {
                Outcome::Redirected { proxy_port } => Some(proxy_port),
                Outcome::Audited | Outcome::Dropped(_) | Outcome::Forwarded => None,
            },
            interface: some_number(flow.interface).map(|index| Interface { index }),
            length: some_number(flow.length),
            decided_by: flow.decided_by.map(DecidedBy::from),
            endpoint: flow.endpoint.map(Endpoint::from),
            summary,
            source_names: flow.source.dns_names.clone(),
            destination_names: flow.destination.dns_names.clone(),
            source: flow.source.into(),
            destination: flow.destination.into(),
        }
    }
}

impl TryFrom<Flow> for flow::Flow {
    type Error = JsonError;

    fn try_from(wire: Flow) -> Result<Self, Self::Error> {
        let outcome = match wire.verdict {
            FlowVerdict::Audited => Outcome::Audited,
            FlowVerdict::Dropped => Outcome::Dropped(wire.reason.ok_or(JsonError::NoReason)?),
            FlowVerdict::Forwarded => Outcome::Forwarded,
            FlowVerdict::Redirected => Outcome::Redirected {
                proxy_port: wire.proxy_port.unwrap_or_default(),
            },
        };
        Ok(Self {
            time: wire.time,
            outcome,
            direction: match wire.traffic_direction {
                TrafficDirection::Ingress => Direction::Ingress,
                TrafficDirection::Egress => Direction::Egress,
            },
            heading: if wire.is_reply {
                Heading::Reply
            } else {
                Heading::Original
            },
            source: wire.source.peer(wire.ip.source, wire.source_names),
            destination: wire
                .destination
                .peer(wire.ip.destination, wire.destination_names),
            transport: wire.l4.try_into()?,
            decided_by: wire.decided_by.map(DecidedBy::into_domain),
            endpoint: wire.endpoint.map(Endpoint::into_domain),
            dns: wire.l7.map(DnsQuery::from),
            interface: wire.interface.map_or(0, |interface| interface.index),
            length: wire.length.unwrap_or_default(),
        })
    }
}

fn some_number(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

/// The name in Hubble's `DropReason` that comes nearest.
fn hubble_name(reason: DropReason) -> &'static str {
    match reason {
        DropReason::UnsupportedL2 => "UNSUPPORTED_L2_PROTOCOL",
        DropReason::Malformed => "INVALID_PACKET_DROPPED",
        DropReason::InvalidSource | DropReason::ForgedSource => "INVALID_SOURCE_IP",
        DropReason::NoEndpoint => "NO_MATCHING_LOCAL_CONTAINER_FOUND",
        DropReason::Policy => "POLICY_DENIED",
        DropReason::PolicyDeny => "POLICY_DENY",
        DropReason::Fragment => "IP_FRAGMENTATION_NOT_SUPPORTED",
        DropReason::CtFull => "CT_MAP_INSERTION_FAILED",
        DropReason::TtlExceeded => "TTL_EXCEEDED",
        DropReason::NoProxy => "SOCKET_LOOKUP_FAILED",
        DropReason::AuthRequired => "AUTH_REQUIRED",
        // Hubble knows no such reason, nor those that a newer datapath adds.
        _ => "DROP_REASON_UNKNOWN",
    }
}
