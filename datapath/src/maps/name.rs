use std::fmt;
use std::mem::size_of;

use palisade_abi::{
    Address, Counter, CtEntry, CtKey, DatapathState, EndpointRecord, FRAGMENTED_DATAGRAMS,
    FragmentEntry, FragmentKey, IDENTITY_PAGE_LEN, IDENTITY_PAGES, IpcacheEntry, IpcachePrefix,
    NatEntry, NatKey, PORT_INDEXES, TableSizes,
};

use crate::sys::Shape;

macro_rules! maps {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The maps that the programs use. The number in a name is the version of its layout.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Map {
            $($(#[$doc])* $name,)*
        }

        impl Map {
            /// Every map.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the kernel, and of the pin.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

maps! {
    /// Addresses of this node's endpoints.
    Endpoints = "endpoints_v1";
    /// The two policies of each endpoint.
    PolicyOf = "policy_of_v1";
    /// Identities of exact addresses.
    Ipcache = "ipcache_v2";
    /// Identities of prefixes.
    IpcacheCidr = "ipcache_cidr_v2";
    /// Peer classes of identities.
    IdentityPages = "id_pages_v1";
    /// Port classes of (protocol, port).
    PortClass = "port_class_v1";
    /// Lines of policies.
    PolicyLine = "policy_line_v1";
    /// Slots of policies' lines.
    RowSlot = "row_slot_v1";
    /// Lines of rows.
    RowLine = "row_line_v1";
    /// Slots of rows' lines.
    CellSlot = "cell_slot_v1";
    /// Verdicts.
    Verdict = "verdict_v1";
    /// Connections.
    Conntrack = "conntrack_v1";
    /// Datagrams that arrive in parts.
    Fragments = "fragments_v1";
    /// Endpoints that speak with the node's address.
    Nat = "nat_v1";
    /// The ring of events.
    Events = "events_v1";
    /// Packets by what became of them.
    Counters = "counters_v1";
    /// The generation and the layout version.
    State = "state_v1";
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Bytes of a layout; all of ours are far below 4 GiB.
const fn bytes<T>() -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "layouts are at most 136 bytes"
    )]
    {
        size_of::<T>() as u32
    }
}

const INDEX: u32 = bytes::<u32>();
const WORD: u32 = bytes::<u64>();

impl Map {
    /// What the map is made of, for tables of these sizes.
    pub(crate) const fn shape(self, sizes: &TableSizes) -> Shape {
        match self {
            Self::Endpoints => hash::<Address, EndpointRecord>(sizes.endpoints),
            Self::Ipcache => hash::<Address, IpcacheEntry>(sizes.ipcache),
            Self::IpcacheCidr => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_LPM_TRIE,
                ..hash::<IpcachePrefix, IpcacheEntry>(sizes.ipcache)
            },
            Self::PolicyOf => words(1 << 16),
            Self::PolicyLine => words(sizes.policies),
            Self::RowSlot => words(sizes.row_slots),
            Self::RowLine => words(sizes.rows),
            Self::CellSlot => words(sizes.cell_slots),
            Self::Verdict => words(sizes.verdicts),
            Self::PortClass => mapped(PORT_INDEXES * bytes::<u16>()),
            Self::State => mapped(bytes::<DatapathState>()),
            Self::IdentityPages => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_ARRAY_OF_MAPS,
                key_size: INDEX,
                value_size: INDEX,
                max_entries: IDENTITY_PAGES,
                flags: 0,
            },
            Self::Conntrack => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_LRU_HASH,
                flags: 0,
                ..hash::<CtKey, CtEntry>(sizes.conntrack)
            },
            Self::Fragments => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_LRU_HASH,
                flags: 0,
                ..hash::<FragmentKey, FragmentEntry>(FRAGMENTED_DATAGRAMS)
            },
            Self::Nat => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_LRU_HASH,
                flags: 0,
                ..hash::<NatKey, NatEntry>(sizes.nat())
            },
            Self::Events => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_RINGBUF,
                key_size: 0,
                value_size: 0,
                max_entries: sizes.events,
                flags: 0,
            },
            Self::Counters => Shape {
                kind: libbpf_sys::BPF_MAP_TYPE_PERCPU_ARRAY,
                key_size: INDEX,
                value_size: bytes::<Counter>(),
                max_entries: Counter::ELEMENTS,
                flags: 0,
            },
        }
    }
}

/// A page of [`Map::IdentityPages`].
pub(super) const IDENTITY_PAGE: Shape = words(IDENTITY_PAGE_LEN);

const fn hash<K, V>(max_entries: u32) -> Shape {
    Shape {
        kind: libbpf_sys::BPF_MAP_TYPE_HASH,
        key_size: bytes::<K>(),
        value_size: bytes::<V>(),
        max_entries,
        flags: libbpf_sys::BPF_F_NO_PREALLOC,
    }
}

const fn words(count: u32) -> Shape {
    mapped(count.saturating_mul(WORD))
}

const fn mapped(value_size: u32) -> Shape {
    Shape {
        kind: libbpf_sys::BPF_MAP_TYPE_ARRAY,
        key_size: INDEX,
        value_size,
        max_entries: 1,
        flags: libbpf_sys::BPF_F_MMAPABLE,
    }
}
