//! Counters. Twin of `bpf/abi/counter.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of map `counters_v1`, per CPU, indexed by [`crate::DropReason`]; index 0 counts what passed.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct Counter {
    /// Packets counted.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
}

impl Counter {
    /// Elements of map `counters_v1`.
    pub const ELEMENTS: u32 = 64;
    /// The element that counts events which found the ring buffer full.
    pub const LOST_EVENTS: u32 = 63;
}
