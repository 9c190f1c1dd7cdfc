//! What a journal tells.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::EndpointId;

use crate::name::DnsName;

/// One thing that happened to a cache.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// Everything of an endpoint went.
    EndpointGone {
        /// Whose.
        endpoint: EndpointId,
    },
    /// Addresses of a name went, evicted or over; others are left.
    Gone {
        /// Whose.
        endpoint: EndpointId,
        /// Of which name.
        name: DnsName,
        /// Which.
        addresses: Vec<IpAddr>,
    },
    /// Addresses were learnt, or learnt again.
    Learnt {
        /// By whom.
        endpoint: EndpointId,
        /// For which name.
        name: DnsName,
        /// Until when they hold at least.
        expires: Duration,
        /// Which.
        addresses: Vec<IpAddr>,
    },
    /// A name went with all its addresses.
    NameGone {
        /// Whose.
        endpoint: EndpointId,
        /// Which.
        name: DnsName,
    },
}

/// What every journal begins with; its last character is the version.
pub(super) const HEADER: &[u8; 16] = b"palisade names 1";
pub(super) const ENDPOINT_GONE: u8 = 1;
pub(super) const GONE: u8 = 2;
pub(super) const LEARNT: u8 = 3;
pub(super) const NAME_GONE: u8 = 4;
/// Addresses of one entry; more are told by several.
pub(super) const ADDRESSES: usize = 1024;
/// Bytes before an entry's own: its length and its checksum.
pub(super) const FRAME: usize = 8;
/// More bytes than any entry has.
pub(super) const LONGEST: usize = 32 << 10;

const _: () = assert!(16 * ADDRESSES + 512 < LONGEST);
