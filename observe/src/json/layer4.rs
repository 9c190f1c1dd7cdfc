//! What stands above IP.

use palisade_abi::Protocol;
use serde::{Deserialize, Serialize};

use super::JsonError;
use crate::transport::{IpFamily, TcpFlags, Transport};

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Layer4 {
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

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
