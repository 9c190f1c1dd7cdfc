use std::fmt;

use palisade_abi::Protocol;

/// The address family of a packet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The flags of a TCP packet.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TcpFlags(u8);

/// What the packet says above IP.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// ICMP of either family.
    Icmp {
        /// Which of the two.
        family: IpFamily,
        /// The type of the message.
        kind: u8,
        /// The identifier of an echo.
        identifier: u16,
    },
    /// A protocol that policy tells apart by its number only.
    Other(Protocol),
    /// SCTP.
    Sctp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
    },
    /// TCP.
    Tcp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
        /// The flags of the packet.
        flags: TcpFlags,
    },
    /// UDP.
    Udp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
    },
}

impl TcpFlags {
    /// The flags in the order in which they print, each with its bit.
    pub const NAMED: [(&'static str, u8); 8] = [
        ("SYN", 0x02),
        ("ACK", 0x10),
        ("RST", 0x04),
        ("FIN", 0x01),
        ("PSH", 0x08),
        ("URG", 0x20),
        ("ECE", 0x40),
        ("CWR", 0x80),
    ];

    /// Wraps the header's byte.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The header's byte.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED
            .into_iter()
            .filter(move |(_, bit)| self.0 & bit != 0)
            .map(|(name, _)| name)
    }
}

impl Transport {
    /// The transport that an event names; for ICMP `destination` is the type.
    pub(crate) fn new(protocol: Protocol, source: u16, destination: u16, flags: TcpFlags) -> Self {
        let icmp = |family| Self::Icmp {
            family,
            kind: destination.to_be_bytes()[1],
            identifier: source,
        };
        match protocol {
            Protocol::ICMP => icmp(IpFamily::V4),
            Protocol::ICMPV6 => icmp(IpFamily::V6),
            Protocol::SCTP => Self::Sctp {
                source,
                destination,
            },
            Protocol::TCP => Self::Tcp {
                source,
                destination,
                flags,
            },
            Protocol::UDP => Self::Udp {
                source,
                destination,
            },
            other => Self::Other(other),
        }
    }

    /// The protocol's number.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Icmp {
                family: IpFamily::V4,
                ..
            } => Protocol::ICMP,
            Self::Icmp {
                family: IpFamily::V6,
                ..
            } => Protocol::ICMPV6,
            Self::Other(protocol) => protocol,
            Self::Sctp { .. } => Protocol::SCTP,
            Self::Tcp { .. } => Protocol::TCP,
            Self::Udp { .. } => Protocol::UDP,
        }
    }

    /// The ports of sender and receiver, where the protocol has them.
    pub const fn ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Sctp {
                source,
                destination,
            }
            | Self::Tcp {
                source,
                destination,
                ..
            }
            | Self::Udp {
                source,
                destination,
            } => Some((source, destination)),
            Self::Icmp { .. } | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Transport {
    /// What stands in parentheses at the end of a line: `TCP Flags: SYN, ACK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Icmp {
                family: IpFamily::V4,
                kind,
                ..
            } => match icmp_name(kind) {
                Some(name) => write!(f, "ICMPv4 {name}"),
                None => write!(f, "ICMPv4 type {kind}"),
            },
            Self::Icmp {
                family: IpFamily::V6,
                kind,
                ..
            } => match icmpv6_name(kind) {
                Some(name) => write!(f, "ICMPv6 {name}"),
                None => write!(f, "ICMPv6 type {kind}"),
            },
            Self::Other(protocol) => write!(f, "protocol {protocol}"),
            Self::Sctp { .. } => f.write_str("SCTP"),
            Self::Tcp { flags, .. } => {
                f.write_str("TCP Flags:")?;
                for (index, name) in flags.names().enumerate() {
                    write!(f, "{} {name}", if index > 0 { "," } else { "" })?;
                }
                Ok(())
            }
            Self::Udp { .. } => f.write_str("UDP"),
        }
    }
}

const fn icmp_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "EchoReply",
        3 => "DestinationUnreachable",
        5 => "Redirect",
        8 => "EchoRequest",
        9 => "RouterAdvertisement",
        10 => "RouterSolicitation",
        11 => "TimeExceeded",
        12 => "ParameterProblem",
        13 => "TimestampRequest",
        14 => "TimestampReply",
        _ => return None,
    })
}

const fn icmpv6_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "DestinationUnreachable",
        2 => "PacketTooBig",
        3 => "TimeExceeded",
        4 => "ParameterProblem",
        128 => "EchoRequest",
        129 => "EchoReply",
        133 => "RouterSolicitation",
        134 => "RouterAdvertisement",
        135 => "NeighborSolicitation",
        136 => "NeighborAdvertisement",
        137 => "Redirect",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_says_what_hubble_says() {
        let tcp = |bits| Transport::new(Protocol::TCP, 1, 2, TcpFlags::new(bits)).to_string();
        assert_eq!(tcp(0x02), "TCP Flags: SYN");
        assert_eq!(tcp(0x12), "TCP Flags: SYN, ACK");
        assert_eq!(
            tcp(0xff),
            "TCP Flags: SYN, ACK, RST, FIN, PSH, URG, ECE, CWR"
        );
        assert_eq!(tcp(0), "TCP Flags:");
        let other =
            |protocol, kind| Transport::new(protocol, 7, kind, TcpFlags::default()).to_string();
        assert_eq!(other(Protocol::UDP, 53), "UDP");
        assert_eq!(other(Protocol::SCTP, 53), "SCTP");
        assert_eq!(other(Protocol::ICMP, 8), "ICMPv4 EchoRequest");
        assert_eq!(other(Protocol::ICMP, 42), "ICMPv4 type 42");
        assert_eq!(other(Protocol::ICMPV6, 128), "ICMPv6 EchoRequest");
        assert_eq!(other(Protocol::new(47), 0), "protocol 47");
    }
}
