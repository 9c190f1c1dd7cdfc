//! Numbers with a meaning that cross into the kernel.

use core::fmt;
use core::num::NonZeroU16;
use core::str::FromStr;

use thiserror::Error;

/// What is wrong with a number or name given as text or as a wider integer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum NumberError {
    /// A port outside 1 to 65535.
    #[error("a port is 1 to 65535")]
    Port,
    /// A protocol name that is none of TCP, UDP, SCTP, ICMP, ICMPv6 and not a number up to 255.
    #[error("a protocol is TCP, UDP, SCTP, ICMP, ICMPv6 or a number up to 255")]
    Protocol,
    /// A direction that is neither `ingress` nor `egress`.
    #[error("a direction is ingress or egress")]
    Direction,
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name($inner);

        impl $name {
            /// Wraps the raw number.
            pub const fn new(raw: $inner) -> Self {
                Self(raw)
            }

            /// The raw number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// A numeric security identity: scope in the top 8 bits, then the cluster, then the number.
    ///
    /// Reserved identities are 1 to 255; see Cilium's `numericidentity.go` for the scheme.
    Identity(u32)
}

number! {
    /// An endpoint of this node, 1 to 65535. 0 stands for no endpoint.
    EndpointId(u16)
}

number! {
    /// Leads from a verdict to the rule that decided it. 0 stands for no rule.
    Cookie(u32)
}

number! {
    /// A policy of one direction in the decision tables. 0 denies everything.
    PolicyId(u32)
}

number! {
    /// Identities that every policy of one direction treats alike. 0 is the unknown class.
    PeerClass(u32)
}

number! {
    /// (Protocol, port) pairs that every rule on the node treats alike.
    PortClass(u16)
}

number! {
    /// A row of the decision tables: one verdict per port class. Row 0 denies everything.
    RowId(u32)
}

number! {
    /// A record of the verdict table. Index 0 is default deny without a rule.
    VerdictIndex(u16)
}

impl EndpointId {
    /// The node itself, where it has policies of its own.
    pub const HOST: Self = Self(u16::MAX);
}

impl Identity {
    /// No identity; also the wildcard in Cilium's map keys.
    pub const UNKNOWN: Self = Self(0);
    /// The node itself.
    pub const HOST: Self = Self(1);
    /// Everything outside the cluster, on single-stack nodes.
    pub const WORLD: Self = Self(2);
    /// An endpoint that another network plugin manages.
    pub const UNMANAGED: Self = Self(3);
    /// The health endpoint.
    pub const HEALTH: Self = Self(4);
    /// An endpoint whose labels are not known yet.
    pub const INIT: Self = Self(5);
    /// Another node of the cluster.
    pub const REMOTE_NODE: Self = Self(6);
    /// A node that runs the Kubernetes API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// The ingress proxy.
    pub const INGRESS: Self = Self(8);
    /// Everything outside the cluster over IPv4, on dual-stack nodes.
    pub const WORLD_IPV4: Self = Self(9);
    /// Everything outside the cluster over IPv6, on dual-stack nodes.
    pub const WORLD_IPV6: Self = Self(10);
    /// The first identity of the local scope (CIDR and FQDN identities): 16,777,217.
    pub const FIRST_LOCAL: Self = Self(0x0100_0001);

    /// Whether the number is one of the reserved ones, 1 to 255.
    pub const fn is_reserved(self) -> bool {
        self.0 != 0 && self.0 < 256
    }

    /// Whether the number belongs to this node only (scope byte 1).
    pub const fn is_local(self) -> bool {
        self.0 >> 24 == 1
    }
}

/// A transport port, 1 to 65535.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Port(NonZeroU16);

impl Port {
    /// Wraps a port number.
    ///
    /// # Errors
    /// [`NumberError::Port`] for 0.
    pub const fn new(raw: u16) -> Result<Self, NumberError> {
        match NonZeroU16::new(raw) {
            Some(port) => Ok(Self(port)),
            None => Err(NumberError::Port),
        }
    }

    /// The port in host order.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Port {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| NumberError::Port)
    }
}

/// The local port that a proxy listens on, 1 to 65535.
pub type ProxyPort = Port;

/// An IP protocol number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Protocol(u8);

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// Wraps an IANA protocol number.
    pub const fn new(raw: u8) -> Self {
        Self(raw)
    }

    /// The IANA protocol number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether packets of the protocol carry a source and a destination port.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.pad("ICMP"),
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::ICMPV6 => f.pad("ICMPv6"),
            Self::SCTP => f.pad("SCTP"),
            Self(other) => fmt::Display::fmt(&other, f),
        }
    }
}

impl FromStr for Protocol {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = [
            ("ICMP", Self::ICMP),
            ("TCP", Self::TCP),
            ("UDP", Self::UDP),
            ("ICMPv6", Self::ICMPV6),
            ("SCTP", Self::SCTP),
        ];
        named
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, protocol)| protocol)
            .or_else(|| text.parse().ok().map(Self))
            .ok_or(NumberError::Protocol)
    }
}

/// The direction of traffic as the endpoint sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[repr(u8)]
pub enum Direction {
    /// Towards the endpoint.
    Ingress = 0,
    /// From the endpoint.
    Egress = 1,
}

impl Direction {
    /// Both directions, in the order of their numbers.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl FromStr for Direction {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::BOTH
            .into_iter()
            .find(|direction| match direction {
                Self::Ingress => text == "ingress",
                Self::Egress => text == "egress",
            })
            .ok_or(NumberError::Direction)
    }
}

/// A place in the node-wide port class array: every (protocol, port) has one.
///
/// TCP, UDP and SCTP take 65,536 each, then 256 ICMPv4 types, 256 ICMPv6 types, and one place for
/// every other protocol number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PortIndex(u32);

impl PortIndex {
    const UDP: u32 = 0x1_0000;
    const SCTP: u32 = 0x2_0000;
    const ICMP: u32 = 0x3_0000;
    const ICMPV6: u32 = 0x3_0100;
    const OTHER: u32 = 0x3_0200;

    /// The place of a destination port (TCP, UDP, SCTP), of an ICMP type, or of a protocol.
    ///
    /// Only the low 8 bits of `port` count for ICMP, none for protocols without ports.
    pub const fn new(protocol: Protocol, port: u16) -> Self {
        let port = port as u32;
        Self(match protocol {
            Protocol::TCP => port,
            Protocol::UDP => Self::UDP + port,
            Protocol::SCTP => Self::SCTP + port,
            Protocol::ICMP => Self::ICMP + (port & 0xff),
            Protocol::ICMPV6 => Self::ICMPV6 + (port & 0xff),
            Protocol(other) => Self::OTHER + other as u32,
        })
    }

    /// The place as an index below [`crate::PORT_INDEXES`].
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The place with this index; `None` from [`crate::PORT_INDEXES`] on.
    pub const fn from_index(index: u32) -> Option<Self> {
        if index < crate::PORT_INDEXES {
            Some(Self(index))
        } else {
            None
        }
    }
}
