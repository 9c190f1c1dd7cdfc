//! Connections with their cached verdicts (D3). Twin of `bpf/abi/conntrack.h`.

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Address, Verdict};

/// Key of map `conntrack_v1`: the tuple with its two ends sorted by (address, port).
#[derive(Clone, Copy, Debug, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct CtKey {
    /// The end that sorts first.
    pub low: Address,
    /// The end that sorts second.
    pub high: Address,
    /// Port of `low`. An ICMP echo has its identifier at the asking end and the request's type at the
    /// other; any other ICMP message 0 at the sending end and its type at the other.
    pub low_port: U16,
    /// Port of `high`, as `low_port`.
    pub high_port: U16,
    /// IP protocol.
    pub protocol: u8,
    /// [`ZONE_FLOW`] or [`ZONE_PROXY_LEG`]: keeps apart equal tuples of different meaning.
    pub zone: u8,
    /// Always 0.
    pub pad: [u8; 2],
}

/// A flow between two ends.
pub const ZONE_FLOW: u8 = 0;
/// The proxy's own leg of a flow, where the proxy speaks with its client's address.
pub const ZONE_PROXY_LEG: u8 = 1;

/// A half of a flow's decision: whether it was taken here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Half {
    /// Not yet decided.
    Undecided = 0,
    /// Decided; the verdict stands beside it.
    Decided = 1,
    /// The endpoint of that half is not on this node, or the proxy stands in for it.
    Foreign = 2,
}

/// Not yet decided, as [`Half::Undecided`].
pub const HALF_UNDECIDED: u8 = Half::Undecided as u8;
/// Decided, as [`Half::Decided`].
pub const HALF_DECIDED: u8 = Half::Decided as u8;
/// Not this node's, as [`Half::Foreign`].
pub const HALF_FOREIGN: u8 = Half::Foreign as u8;

/// The flow's first packet came from the key's `high` end.
pub const FLOW_ORIGINAL_IS_HIGH: u16 = 1;
/// A packet went against the original direction.
pub const FLOW_SEEN_REPLY: u16 = 2;
/// The source identity came with the packet (proxy mark) and is kept, not looked up again.
pub const FLOW_SOURCE_FROM_MARK: u16 = 4;
/// The original direction has sent a FIN or a RST.
pub const FLOW_CLOSING_ORIGINAL: u16 = 8;
/// The reply direction has sent a FIN or a RST.
pub const FLOW_CLOSING_REPLY: u16 = 16;

/// Value of map `conntrack_v1`, 64 bytes.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct CtEntry {
    /// The generation under which both halves were decided.
    pub generation: u32,
    /// When the entry dies, in seconds of the monotonic clock.
    pub expires: u32,
    /// Identity of the flow's original source.
    pub source_identity: u32,
    /// Identity of the flow's original destination.
    pub destination_identity: u32,
    /// The decision at the original source.
    pub egress: Verdict,
    /// The decision at the original destination.
    pub ingress: Verdict,
    /// [`Half`] of `egress`.
    pub egress_half: u8,
    /// [`Half`] of `ingress`.
    pub ingress_half: u8,
    /// `FLOW_*`.
    pub flags: u16,
    /// TCP flags seen in the original direction.
    pub tcp_original: u8,
    /// TCP flags seen in the reply direction.
    pub tcp_reply: u8,
    /// The node's port that stands for the original source's towards the world; 0 for none yet.
    pub nat_port: U16,
    /// Packets in the original direction.
    pub packets_original: u32,
    /// Packets in the reply direction.
    pub packets_reply: u32,
    /// Bytes in the original direction.
    pub bytes_original: u64,
    /// Bytes in the reply direction.
    pub bytes_reply: u64,
}
