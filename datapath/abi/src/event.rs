//! Records of the event ring. Twin of `bpf/abi/event.h`.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Address, Verdict};

/// A packet was dropped; `reason` is a [`crate::DropReason`].
pub const EVENT_DROP: u8 = 1;
/// A flow was allowed or redirected by policy for the first time, or again after a change.
pub const EVENT_VERDICT: u8 = 2;
/// The packet is IPv6.
pub const EVENT_FLAG_IPV6: u8 = 1;
/// The packet goes against the flow's original direction.
pub const EVENT_FLAG_REPLY: u8 = 2;
/// Policy denied the packet, audit mode let it pass.
pub const EVENT_FLAG_AUDITED: u8 = 4;

/// A record of map `events_v1`, 80 bytes.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct RawEvent {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// [`EVENT_DROP`] or [`EVENT_VERDICT`].
    pub kind: u8,
    /// A [`crate::DropReason`] for drops, else 0.
    pub reason: u8,
    /// The [`crate::Direction`] of the policy that decided, or of the program that dropped.
    pub direction: u8,
    /// IP protocol of the packet.
    pub protocol: u8,
    /// `EVENT_FLAG_*`.
    pub flags: u8,
    /// TCP flags of the packet.
    pub tcp_flags: u8,
    /// The endpoint whose side decided; 0 if none.
    pub endpoint: u16,
    /// Identity of the packet's source.
    pub source_identity: u32,
    /// Identity of the packet's destination.
    pub destination_identity: u32,
    /// The verdict that decided; zero where no policy was asked.
    pub verdict: Verdict,
    /// Source address of the packet.
    pub source: Address,
    /// Destination address of the packet.
    pub destination: Address,
    /// Source port; ICMP echo identifier.
    pub source_port: U16,
    /// Destination port; for ICMP the type, as policy sees it.
    pub destination_port: U16,
    /// The interface that the program runs on.
    pub ifindex: u32,
    /// Length of the packet with its link header.
    pub length: u32,
    /// Always 0.
    pub pad: u32,
}
