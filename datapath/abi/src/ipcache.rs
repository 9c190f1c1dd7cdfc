//! Addresses and prefixes with their identities. Twin of `bpf/abi/ipcache.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Address, Identity, Prefix};

/// Key of map `ipcache_cidr_v2` (longest prefix match). Exact addresses are keys of `ipcache_v2`.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct IpcachePrefix {
    /// Length in the 128-bit mapped space; 96 plus the length for IPv4.
    pub prefix_len: u32,
    /// First address of the prefix.
    pub address: Address,
}

impl From<Prefix> for IpcachePrefix {
    fn from(prefix: Prefix) -> Self {
        Self {
            prefix_len: u32::from(prefix.mapped_length()),
            address: prefix.address(),
        }
    }
}

/// Set on prefixes of IPv6: where their bits cover the IPv4-mapped range, they say nothing about
/// IPv4 addresses. Whoever applies writes to the maps sets it, not whoever plans them.
pub const IPCACHE_IPV6: u32 = 1;

/// Value of both ipcache maps.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct IpcacheEntry {
    /// The identity of the addresses.
    pub identity: u32,
    /// [`IPCACHE_IPV6`] in the maps; 0 in a plan.
    pub flags: u32,
    /// The node that the addresses are behind, by a tunnel; unspecified if they are reached without.
    pub tunnel: Address,
}

impl IpcacheEntry {
    /// An entry without flags.
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity: identity.get(),
            flags: 0,
            tunnel: Address::UNSPECIFIED,
        }
    }

    /// This entry for addresses that are behind a node, by a tunnel to its address.
    ///
    /// A node's own address is behind itself if endpoints are to reach it by the tunnel.
    pub const fn behind(self, node: Address) -> Self {
        Self {
            tunnel: node,
            ..self
        }
    }
}
