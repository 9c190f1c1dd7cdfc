//! The layouts that Palisade's BPF programs and user space share.
//!
//! Every module is the twin of a C header in `datapath/bpf/abi`; `palisade-datapath` compares the
//! pairs when it is compiled. The crate has no kernel dependency and is `no_std`, so that the pure
//! crates can speak of identities, verdicts and map writes without knowing how they are stored.
//!
//! ```
//! use palisade_abi::{Address, Identity, PortIndex, Protocol};
//!
//! // IPv4 addresses travel as IPv4-mapped IPv6, so that one code path serves both families.
//! let address = Address::from(core::net::Ipv4Addr::new(10, 0, 0, 1));
//! assert_eq!(address.to_string(), "10.0.0.1");
//! // Every (protocol, port) has a slot in one array.
//! assert_eq!(PortIndex::new(Protocol::UDP, 53).get(), 65_536 + 53);
//! assert!(Identity::WORLD_IPV4.is_reserved());
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "serde")]
extern crate alloc;

mod address;
mod config;
mod conntrack;
mod counter;
mod drop_reason;
mod endpoint;
mod event;
mod fragment;
mod ipcache;
mod mark;
mod nat;
mod number;
mod policy;
mod state;
mod table;

pub use self::address::{Address, Prefix, PrefixError, PrefixParseError};
pub use self::config::{DatapathConfig, DenyAnswer, Mode, TableSizes};
pub use self::conntrack::{
    CtEntry, CtKey, FLOW_CLOSING_ORIGINAL, FLOW_CLOSING_REPLY, FLOW_ORIGINAL_IS_HIGH,
    FLOW_SEEN_REPLY, FLOW_SOURCE_FROM_MARK, HALF_DECIDED, HALF_FOREIGN, HALF_UNDECIDED, Half,
    ZONE_FLOW, ZONE_PROXY_LEG,
};
pub use self::counter::Counter;
pub use self::drop_reason::DropReason;
pub use self::endpoint::{EndpointRecord, PolicyPair};
pub use self::event::{
    EVENT_DROP, EVENT_FLAG_AUDITED, EVENT_FLAG_IPV6, EVENT_FLAG_REPLY, EVENT_VERDICT, RawEvent,
};
pub use self::fragment::{FRAGMENTED_DATAGRAMS, FragmentEntry, FragmentKey};
pub use self::ipcache::{IPCACHE_IPV6, IpcacheEntry, IpcachePrefix};
pub use self::mark::{Mark, MarkKind};
pub use self::nat::{NatEntry, NatKey};
pub use self::number::{
    Cookie, Direction, EndpointId, Identity, NumberError, PeerClass, PolicyId, Port, PortClass,
    PortIndex, Protocol, ProxyPort, RowId, VerdictIndex,
};
pub use self::policy::{
    Action, IDENTITY_PAGE_LEN, IDENTITY_PAGES, Line, PORT_INDEXES, PeerClasses, ROW_BLOCK,
    ROW_BLOCKS, ROW_WIDE, Slot, VERDICT_AUTH_SHIFT, VERDICT_DEFAULT, VERDICT_LOG, Verdict,
};
pub use self::state::DatapathState;
pub use self::table::{Table, Write};
