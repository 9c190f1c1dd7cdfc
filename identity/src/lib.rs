//! Labels, selectors, security identities and the ipcache.
//!
//! A workload is known by its *labels*, not by its address. Equal label sets share one numeric
//! [`Identity`], the number that packets and policy tables carry; the *ipcache* says which address
//! has which identity. This crate holds that vocabulary, with the semantics of Cilium. It is pure:
//! no I/O, no clock, no threads.
//!
//! ```text
//! labels ──▶ LabelSet ──Allocator──▶ Identity ──▶ policy tables
//!               ▲                        ▲
//!           Selector                 Ipcache ◀── address
//! ```
//!
//! ```
//! use palisade_identity::{Allocator, Ipcache, LabelSet, Prefix, Range, Selector};
//!
//! let cart = LabelSet::parse(["k8s:app=cart", "k8s:io.kubernetes.pod.namespace=shop"])?;
//!
//! // A key without a source matches every source.
//! let web = Selector::from_labels([("app", "web")])?;
//! assert!(!web.matches(&cart));
//! let why = web.unmet(&cart).map(|unmet| unmet.to_string());
//! assert_eq!(why.as_deref(), Some(r#"label app is "cart", not "web""#));
//!
//! // Equal labels, equal number.
//! let mut allocator = Allocator::new(Range::CLUSTER);
//! let (identity, _) = allocator.allocate(&cart)?;
//! assert_eq!(allocator.get(&cart), Some(identity));
//!
//! // The longest prefix says whose address it is.
//! let mut ipcache = Ipcache::new();
//! ipcache.insert("10.0.0.0/8".parse::<Prefix>()?, palisade_identity::Identity::WORLD_IPV4);
//! ipcache.insert("10.1.2.3".parse::<Prefix>()?, identity);
//! let (prefix, found) = ipcache.lookup("10.1.2.3".parse()?).ok_or("no entry")?;
//! assert_eq!((prefix.to_string().as_str(), *found), ("10.1.2.3/32", identity));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Label`], [`LabelSet`]: parsed, printed, with the key that Cilium's kvstore uses.
//! - [`Selector`]: what Kubernetes calls a label selector, over labels with a [`Source`].
//! - [`reserved`]: the identities that have a fixed number.
//! - [`Allocator`]: numbers for label sets, counted by references, in one of two [`Range`]s.
//! - [`Ipcache`]: longest-prefix match over IPv4 and IPv6.
//!
//! Two differences from Cilium are deliberate: a source outside [`Source`] is an error instead of
//! a new source, and a `:` after the first `=` belongs to the value.
//!
//! Feature `serde`: labels, label sets and selectors' text as strings.
#![forbid(unsafe_code)]

mod allocator;
mod cidr;
mod cluster;
mod cluster_allocator;
mod filter;
mod ipcache;
mod key;
mod known;
mod label;
mod label_set;
mod layers;
mod local;
mod remote;
mod requirement;
pub mod reserved;
mod scope;
mod selector;
mod selector_text;
#[cfg(feature = "serde")]
mod serial;
mod source;
mod unmet;
mod well_known;

pub use palisade_abi::{Address, Identity, Prefix};

pub use self::allocator::{
    AllocateError, Allocated, Allocation, Allocator, Checkpoint, CheckpointError, Contents, Range,
    Release, Restored,
};
pub use self::cluster::{ClusterId, ClusterIdError, MaxClusters};
pub use self::cluster_allocator::{
    ClusterAllocateError, ClusterAllocator, Effect, FoundMaster, Judgement, Lifetime, Lock,
    NodeNameError, Request, RequestId, Response, Round, StoreEvent, StoreKeys, StoreRevision,
    Ticket, UnusedMarks,
};
pub use self::filter::{
    DEFAULT_FILTER, Decision, Fate, Filter, FilterAction, FilterEntry, FilterError, FilterFile,
    FilterFileError, FilterMatch, FilterRule, Split,
};
pub use self::ipcache::Ipcache;
pub use self::key::{KeyError, LabelKey};
pub use self::known::{FIXED_LABEL, FixedError, Known, NodeIdentities};
pub use self::label::{Label, LabelError};
pub use self::label_set::{LabelSet, LabelSetError};
pub use self::layers::{
    Change, CidrMatch, Claim, Conflict, ConflictField, EncryptionKey, Entry, EntryFlags,
    Explanation, Families, Layer, LayerSettings, Layers, NodeOwnLabels, Origin, ResourceId,
    ResourceIdError, ResourceKind, Step, Update,
};
pub use self::local::LocalIdentities;
pub use self::remote::{CLUSTER_LABEL, RemoteError, RemoteIdentities};
pub use self::requirement::{Operator, Requirement, SelectorError};
pub use self::scope::Scope;
pub use self::selector::Selector;
pub use self::selector_text::SelectorTextError;
pub use self::source::{Source, SourceError};
pub use self::unmet::Unmet;
