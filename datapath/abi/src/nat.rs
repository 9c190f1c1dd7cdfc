//! Endpoints that speak with the node's address. Twin of `bpf/abi/nat.h`.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Address;

/// Key of map `nat_v1`: who answers, and where to.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct NatKey {
    /// Whom the endpoint speaks to.
    pub remote: Address,
    /// The node's address that it speaks with.
    pub node: Address,
    /// The remote port; the request's type for an ICMP echo.
    pub remote_port: U16,
    /// The port of the node that stands for the endpoint's; the identifier of an ICMP echo.
    pub node_port: U16,
    /// IP protocol.
    pub protocol: u8,
    /// Always 0.
    pub pad: [u8; 3],
}

/// Value of map `nat_v1`: whom an answer is for.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct NatEntry {
    /// The endpoint's address.
    pub address: Address,
    /// The endpoint's port, or its identifier of an ICMP echo.
    pub port: U16,
    /// Always 0.
    pub pad: [u8; 2],
    /// When the port may be given to another flow, in seconds of the monotonic clock.
    pub expires: u32,
}
