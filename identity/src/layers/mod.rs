//! What is known of prefixes, in layers.

mod claim;
mod explain;
mod flatten;
mod merge;
mod origin;
mod restart;
mod step;
mod update;

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_abi::{Identity, Prefix};

pub use self::claim::{Change, Claim, EncryptionKey, EntryFlags};
pub use self::explain::{Explanation, Layer};
use self::flatten::{Claims, Flat};
pub use self::flatten::{Conflict, ConflictField};
pub use self::merge::{CidrMatch, Families, NodeOwnLabels};
pub use self::origin::{Origin, ResourceId, ResourceIdError, ResourceKind};
pub use self::step::{Step, Update};
use crate::ipcache::Ipcache;
use crate::known::NodeIdentities;
use crate::label_set::LabelSet;

/// What is known of prefixes: for each, what every resource says of it, and what that amounts to.
///
/// Policies name prefixes, nodes have addresses and tunnels, endpoints have identities, names lead
/// to addresses. Each says what it knows, under its own name, and takes back only that. From all of
/// it follow the labels of a prefix, with those of the prefixes around it, and from the labels its
/// identity. A host is a prefix like any other, of full length.
///
/// ```
/// use palisade_identity::*;
///
/// let site = "10.0.0.0/8".parse()?;
/// let policy = ResourceId::new(ResourceKind::Policy, "shop", "to-bank");
/// let claim = Claim::labels(LabelSet::of_prefix(site));
/// let change = Change::new(site, Origin::Generated, policy, claim);
/// let (mut layers, mut identities) = (Layers::default(), LocalIdentities::default());
/// let update = layers.apply([change], &mut identities)?;
/// // First the identity, then the entry that names it.
/// let steps: Vec<String> = update.steps.iter().map(ToString::to_string).collect();
/// assert_eq!(steps, [
///     "identity 16777217 is cidr:10.0.0.0/8,reserved:world-ipv4",
///     "10.0.0.0/8 has identity 16777217",
/// ]);
/// assert_eq!(layers.lookup("10.1.2.3".parse()?), Some((site, layers.entry(site).ok_or("none")?)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Layers {
    settings: LayerSettings,
    slots: Ipcache<Slot>,
    /// Prefixes of the node itself with their labels, which its one identity has together.
    host: BTreeMap<Prefix, LabelSet>,
}

/// How labels become those of a prefix.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct LayerSettings {
    /// Whether nodes can be selected by address.
    pub cidr_match: CidrMatch,
    /// What becomes of a node's own labels.
    pub node_labels: NodeOwnLabels,
    /// The address families of the node.
    pub families: Families,
}

/// What a prefix amounts to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Entry {
    /// Whose addresses they are.
    pub identity: Identity,
    /// The node that packets are tunnelled to.
    pub tunnel: Option<IpAddr>,
    /// The key that packets are encrypted with.
    pub key: Option<EncryptionKey>,
    /// How packets are sent.
    pub flags: EntryFlags,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    claims: Claims,
    flat: Flat,
    settled: Option<Settled>,
}

/// What was last told to the world.
#[derive(Clone, Debug)]
struct Settled {
    entry: Entry,
    /// The labels that the identity was held for; `None` if somebody else gave it out.
    labels: Option<LabelSet>,
}

impl LayerSettings {
    /// Whether nodes need identities of their own, for [`Known::with_nodes`](crate::Known): where
    /// policies select them by address or by their labels.
    pub fn node_identities(self) -> NodeIdentities {
        match (self.cidr_match, self.node_labels) {
            (CidrMatch::Outside, NodeOwnLabels::Dropped) => NodeIdentities::Shared,
            (CidrMatch::OutsideAndNodes, _) | (_, NodeOwnLabels::Kept) => NodeIdentities::Apart,
        }
    }
}

impl Layers {
    /// Nothing is known.
    pub fn new(settings: LayerSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// What a prefix amounts to, if anything is said of this very one.
    pub fn entry(&self, prefix: Prefix) -> Option<&Entry> {
        let settled = self.slots.get(prefix)?.settled.as_ref()?;
        Some(&settled.entry)
    }

    /// The labels that the identity of a prefix was made of; `None` if it came with its number.
    pub fn labels(&self, prefix: Prefix) -> Option<&LabelSet> {
        let settled = self.slots.get(prefix)?.settled.as_ref()?;
        settled.labels.as_ref()
    }

    /// The entry of the longest prefix that holds an address.
    pub fn lookup(&self, address: IpAddr) -> Option<(Prefix, &Entry)> {
        let (prefix, slot) = self.slots.lookup(address)?;
        Some((prefix, &slot.settled.as_ref()?.entry))
    }

    /// Every prefix with its entry, in the order of the addresses.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, &Entry)> {
        self.slots
            .iter()
            .filter_map(|(prefix, slot)| Some((prefix, &slot.settled.as_ref()?.entry)))
    }

    /// Every disagreement of two resources, in the order of the addresses.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> {
        self.slots
            .iter()
            .flat_map(|(prefix, slot)| flatten::conflicts(prefix, &slot.claims))
    }

    /// How many prefixes something is said of.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is said of any prefix.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
