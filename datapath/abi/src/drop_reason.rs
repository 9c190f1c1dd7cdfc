//! Why a packet was dropped. Twin of `bpf/abi/drop_reason.h`.

use core::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $c:literal, $text:literal;)*) => {
        /// Why a program dropped a packet. The numbers are stable.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$doc])* $name = $number,)*
        }

        impl DropReason {
            /// Every reason, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason with this number, if there is one.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name that the C header gives the reason.
            pub const fn c_name(self) -> &'static str {
                match self { $(Self::$name => $c,)* }
            }
        }

        impl fmt::Display for DropReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

reasons! {
    /// The frame carries neither IPv4, IPv6 nor ARP.
    UnsupportedL2 = 1, "DROP_UNSUPPORTED_L2", "Unsupported L2 protocol";
    /// A header is truncated, has an impossible length, or too many extension headers.
    Malformed = 2, "DROP_MALFORMED", "Malformed packet";
    /// The source address is not one of the sending endpoint.
    InvalidSource = 3, "DROP_INVALID_SOURCE", "Invalid source ip";
    /// The device has a program but no endpoint record for the address.
    NoEndpoint = 4, "DROP_NO_ENDPOINT", "No endpoint";
    /// No rule allows the flow.
    Policy = 5, "DROP_POLICY", "Policy denied";
    /// A deny rule forbids the flow.
    PolicyDeny = 6, "DROP_POLICY_DENY", "Policy denied by denylist";
    /// A fragment whose first was not seen, or that nobody honest would send.
    Fragment = 7, "DROP_FRAGMENT", "Fragmented packet";
    /// No conntrack entry could be made.
    CtFull = 8, "DROP_CT_FULL", "CT: no room";
    /// The TTL or hop limit ran out.
    TtlExceeded = 9, "DROP_TTL_EXCEEDED", "TTL exceeded";
    /// The verdict is a redirect but no proxy listens on its port.
    NoProxy = 10, "DROP_NO_PROXY", "No proxy";
    /// An answer to a proxied flow that did not come from the proxy.
    ProxyLeg = 11, "DROP_PROXY_LEG", "Answer past the proxy";
    /// The source address belongs to a local endpoint that did not send the packet.
    ForgedSource = 12, "DROP_FORGED_SOURCE", "Forged source ip";
    /// The rule that allows the flow asks for an authentication that was not given.
    AuthRequired = 13, "DROP_AUTH_REQUIRED", "Authentication required";
    /// No port of the node's was free for a flow to the world, or the node has no address there.
    NatNoPort = 14, "DROP_NAT_NO_PORT", "No mapping for NAT masquerade";
    /// A protocol that cannot be given the node's address.
    NatProtocol = 15, "DROP_NAT_PROTOCOL", "Unsupported protocol for NAT masquerade";
    /// It came out of a tunnel from a machine that is no node of the cluster.
    UnknownNode = 16, "DROP_UNKNOWN_NODE", "Tunnel from an unknown node";
    /// It came out of a tunnel with an identity that does not travel.
    InvalidIdentity = 17, "DROP_INVALID_IDENTITY", "Invalid identity";
    /// It was to go through a tunnel to an address that is behind no node.
    NoTunnel = 18, "DROP_NO_TUNNEL", "No tunnel endpoint";
}
