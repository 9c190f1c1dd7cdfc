//! The JSON form: Hubble's field names where it has the fact, our own beside them.

use std::net::IpAddr;

use palisade_abi::{Cookie, Direction, DropReason, EndpointId, Identity, Protocol};
use palisade_identity::LabelSet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clean::CleanJson;
use crate::flow::{self, Decider, FlowVerdict, Heading, Outcome};
use crate::query::DnsQuery;
use crate::resolve::{EndpointName, Origin};
use crate::timestamp::Timestamp;
use crate::transport::{IpFamily, TcpFlags, Transport};

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

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Layer4 {
    #[serde(rename = "TCP", skip_serializing_if = "Option::is_none")]
    tcp: Option<Ports>,
    #[serde(rename = "UDP", skip_serializing_if = "Option::is_none")]
    udp: Option<Ports>,
    #[serde(rename = "SCTP", skip_serializing_if = "Option::is_none")]
    sctp: Option<Ports>,
    #[serde(rename = "ICMPv4", skip_serializing_if = "Option::is_none")]
    icmpv4: Option<Icmp>,
    #[serde(rename = "ICMPv6", skip_serializing_if = "Option::is_none")]
    icmpv6: Option<Icmp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
}

#[derive(Deserialize, Serialize)]
struct Ports {
    source_port: u16,
    destination_port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flags: Option<Flags>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "Hubble's form")]
struct Flags {
    #[serde(rename = "FIN", skip_serializing_if = "is_false")]
    fin: bool,
    #[serde(rename = "SYN", skip_serializing_if = "is_false")]
    syn: bool,
    #[serde(rename = "RST", skip_serializing_if = "is_false")]
    rst: bool,
    #[serde(rename = "PSH", skip_serializing_if = "is_false")]
    psh: bool,
    #[serde(rename = "ACK", skip_serializing_if = "is_false")]
    ack: bool,
    #[serde(rename = "URG", skip_serializing_if = "is_false")]
    urg: bool,
    #[serde(rename = "ECE", skip_serializing_if = "is_false")]
    ece: bool,
    #[serde(rename = "CWR", skip_serializing_if = "is_false")]
    cwr: bool,
}

#[derive(Deserialize, Serialize)]
struct Icmp {
    #[serde(rename = "type")]
    kind: u8,
    identifier: u16,
}

#[derive(Deserialize, Serialize)]
struct End {
    identity: Identity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    labels: LabelSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod_name: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Layer7 {
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

#[derive(Deserialize, Serialize)]
struct DecidedBy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<Cookie>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Endpoint {
    #[serde(rename = "ID")]
    id: EndpointId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
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
            dns: wire.l7.map(|l7| DnsQuery {
                name: l7.dns.query,
                record: l7.dns.qtypes.join(","),
            }),
            interface: wire.interface.map_or(0, |interface| interface.index),
            length: wire.length.unwrap_or_default(),
        })
    }
}

impl From<Transport> for Layer4 {
    fn from(transport: Transport) -> Self {
        let ports = |source_port, destination_port, flags| {
            Some(Ports {
                source_port,
                destination_port,
                flags,
            })
        };
        let mut layer = Self::default();
        match transport {
            Transport::Icmp {
                family,
                kind,
                identifier,
            } => {
                let icmp = Some(Icmp { kind, identifier });
                match family {
                    IpFamily::V4 => layer.icmpv4 = icmp,
                    IpFamily::V6 => layer.icmpv6 = icmp,
                }
            }
            Transport::Other(protocol) => layer.protocol = Some(protocol),
            Transport::Sctp {
                source,
                destination,
            } => layer.sctp = ports(source, destination, None),
            Transport::Tcp {
                source,
                destination,
                flags,
            } => {
                layer.tcp = ports(source, destination, Some(flags.into()));
            }
            Transport::Udp {
                source,
                destination,
            } => layer.udp = ports(source, destination, None),
        }
        layer
    }
}

impl TryFrom<Layer4> for Transport {
    type Error = JsonError;

    fn try_from(layer: Layer4) -> Result<Self, Self::Error> {
        let icmp = |family, icmp: Icmp| Self::Icmp {
            family,
            kind: icmp.kind,
            identifier: icmp.identifier,
        };
        if let Some(Ports {
            source_port,
            destination_port,
            flags,
        }) = layer.tcp
        {
            Ok(Self::Tcp {
                source: source_port,
                destination: destination_port,
                flags: flags.unwrap_or_default().into(),
            })
        } else if let Some(Ports {
            source_port,
            destination_port,
            ..
        }) = layer.udp
        {
            Ok(Self::Udp {
                source: source_port,
                destination: destination_port,
            })
        } else if let Some(Ports {
            source_port,
            destination_port,
            ..
        }) = layer.sctp
        {
            Ok(Self::Sctp {
                source: source_port,
                destination: destination_port,
            })
        } else if let Some(v4) = layer.icmpv4 {
            Ok(icmp(IpFamily::V4, v4))
        } else if let Some(v6) = layer.icmpv6 {
            Ok(icmp(IpFamily::V6, v6))
        } else {
            layer.protocol.map(Self::Other).ok_or(JsonError::NoProtocol)
        }
    }
}

impl From<TcpFlags> for Flags {
    fn from(flags: TcpFlags) -> Self {
        let has = |name| flags.names().any(|known| known == name);
        Self {
            fin: has("FIN"),
            syn: has("SYN"),
            rst: has("RST"),
            psh: has("PSH"),
            ack: has("ACK"),
            urg: has("URG"),
            ece: has("ECE"),
            cwr: has("CWR"),
        }
    }
}

impl From<Flags> for TcpFlags {
    fn from(flags: Flags) -> Self {
        let set = [
            ("FIN", flags.fin),
            ("SYN", flags.syn),
            ("RST", flags.rst),
            ("PSH", flags.psh),
            ("ACK", flags.ack),
            ("URG", flags.urg),
            ("ECE", flags.ece),
            ("CWR", flags.cwr),
        ];
        let bits = Self::NAMED
            .into_iter()
            .filter(|(name, _)| set.contains(&(name, true)))
            .fold(0, |bits, (_, bit)| bits | bit);
        Self::new(bits)
    }
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
    fn peer(self, address: IpAddr, dns_names: Vec<String>) -> flow::Peer {
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
    fn into_domain(self) -> Decider {
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
    fn into_domain(self) -> (EndpointId, Option<EndpointName>) {
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

fn some_number(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
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
        // Hubble knows no such reason, nor those that a newer datapath adds.
        _ => "DROP_REASON_UNKNOWN",
    }
}
