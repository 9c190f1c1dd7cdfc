//! Addresses and prefixes with their identities. Twin of `bpf/abi/ipcache.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Address, Identity, Prefix};

/// Key of map `ipcache_cidr_v1` (longest prefix match). Exact addresses are keys of `ipcache_v1`.
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
}

impl IpcacheEntry {
    /// An entry without flags.
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity: identity.get(),
            flags: 0,
        }
    }
}
