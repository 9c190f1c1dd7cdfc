//! Labels, selectors, security identities and the ipcache.
//!
//! A workload is known by its *labels*, not by its address. Equal label sets share one numeric
//! [`Identity`], the number that packets and policy tables carry; the *ipcache* says which address
//! has which identity. This crate holds that vocabulary, with the semantics of Cilium. It is pure:
//! no I/O, no clock, no threads.
//!
//! ```text
//! labels ──Filter──▶ LabelSet ──allocator──▶ Identity ──▶ policy tables
//!                       ▲                       ▲
//!                   Selector                 Layers ◀── prefixes and who speaks of them
//! ```
//!
//! ```
//! use palisade_identity::{
//!     Allocator, Change, Claim, Filter, LabelSet, Layers, LocalIdentities, Origin, Range, Selector,
//! };
//!
//! // What differs in every pod is no part of its identity.
//! let found = LabelSet::parse(["k8s:app=cart", "k8s:pod-template-hash=5d4c"])?;
//! let cart = Filter::default().split(&found).identity;
//! let why = "app=web".parse::<Selector>()?.unmet(&cart).ok_or("it is met")?;
//! assert_eq!(why.to_string(), r#"label app is "cart", not "web""#);
//!
//! // Equal labels, equal number.
//! let (identity, _) = Allocator::new(Range::CLUSTER).allocate(&cart)?;
//!
//! // An endpoint has an address, a policy names a prefix around it: the longest prefix counts.
//! let (site, pod) = ("10.0.0.0/8".parse()?, "10.1.2.3".parse()?);
//! let named = Claim::labels(LabelSet::of_prefix(site));
//! let (mut layers, mut local) = (Layers::default(), LocalIdentities::default());
//! let update = layers.apply([
//!     Change::new(site, Origin::Generated, "cnp/shop/to-site".parse()?, named),
//!     Change::new(pod, Origin::KvStore, "ep/shop/cart-0".parse()?, Claim::identity(identity)),
//! ], &mut local)?;
//! assert_eq!(update.steps.len(), 3); // one new identity, then two entries
//! let (prefix, entry) = layers.lookup("10.1.2.3".parse()?).ok_or("no entry")?;
//! assert_eq!((prefix, entry.identity), (pod, identity));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Label`], [`LabelSet`]: parsed, printed, with the key that Cilium's kvstore uses.
//! - [`Selector`]: what Kubernetes calls a label selector, over labels with a [`Source`].
//! - [`Filter`]: which labels make an identity, and why.
//! - [`reserved`], [`Known`]: the identities that have their number without allocation.
//! - [`Allocator`], [`LocalIdentities`]: numbers that one node gives out, counted by references;
//!   [`Checkpoint`] and [`Restored`] bring them over a restart.
//! - [`ClusterAllocator`]: numbers that all nodes share, over any store; [`UnusedMarks`] finds those
//!   that nobody uses any more. [`MaxClusters`] and [`RemoteIdentities`]: those of other clusters.
//! - [`Layers`]: what is said of prefixes and what it amounts to; [`Ipcache`]: the bare map.
//!
//! Some differences from Cilium are deliberate. A source outside [`Source`] is an error instead of
//! a new source, and a `:` after the first `=` belongs to the value. Of labels with one key the last
//! stays, as in Cilium, but where a list is read, labels that contradict are an error
//! ([`LabelSetError::Conflict`]). A filter rule that matches nothing of a key does not match, and
//! `!k8s:app`, which there is a rule that never applies, is refused. Layers that contradict are
//! reported, and an endpoint hides what policies say of its address by the order of [`Origin`]
//! alone, not by who came first.
//!
//! Feature `serde`: labels, label sets and selectors as text; checkpoints and filter files; what
//! [`Layers`] and [`Filter`] answer.
#![forbid(unsafe_code)]

mod allocator;
mod cidr;
mod cluster;
mod cluster_allocator;
mod filter;
pub mod hash;
mod ipcache;
mod key;
mod known;
mod label;
mod label_set;
mod layers;
mod local;
mod pool;
mod remote;
mod requirement;
pub mod reserved;
mod scope;
mod selector;
mod selector_text;
#[cfg(feature = "serde")]
mod serial;
mod source;
mod text;
mod unmet;
mod values;
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
pub use self::pool::LabelPool;
pub use self::remote::{CLUSTER_LABEL, RemoteError, RemoteIdentities};
pub use self::requirement::{Operator, Requirement, SelectorError};
pub use self::scope::Scope;
pub use self::selector::Selector;
pub use self::selector_text::SelectorTextError;
pub use self::source::{Source, SourceError};
pub use self::text::Text;
pub use self::unmet::Unmet;
pub use self::values::Values;
