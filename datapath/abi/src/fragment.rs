//! What the first fragment of a datagram tells of the others. Twin of `bpf/abi/fragment.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Address;

/// Elements of map `fragments_v1`: datagrams that arrive in parts at one time.
pub const FRAGMENTED_DATAGRAMS: u32 = 8192;

/// Key of map `fragments_v1`.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct FragmentKey {
    /// Who sends the datagram.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// The datagram's number, as the header has it.
    pub id: u32,
    /// The next header, as every fragment says.
    pub protocol: u8,
    /// Always 0.
    pub pad: [u8; 3],
}

/// Value of map `fragments_v1`.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct FragmentEntry {
    /// Seconds of the monotonic clock at which the others are no longer expected.
    pub expires: u32,
    /// Network order.
    pub source_port: [u8; 2],
    /// Network order.
    pub destination_port: [u8; 2],
    /// That the ports are of.
    pub protocol: u8,
    /// The programs' own.
    pub flags: u8,
    /// The programs' own.
    pub icmp_type: u8,
    /// Always 0.
    pub pad: u8,
}
