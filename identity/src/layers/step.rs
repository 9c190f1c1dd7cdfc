use std::fmt;

use palisade_abi::{Identity, Prefix};

use super::{Conflict, Entry};
use crate::allocator::Allocation;
use crate::label_set::LabelSet;

/// What a change of the layers does, in an order in which it can be carried out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use = "the world has to be told"]
pub struct Update {
    /// Identities that came, entries that came or changed, entries that went, identities that went.
    pub steps: Vec<Step>,
    /// What resources disagree on, of the prefixes that were named.
    pub conflicts: Vec<Conflict>,
    /// How many prefixes were looked at: the work that was done.
    pub resolved: usize,
}

/// One step of an [`Update`]. Who carries steps out must know every kind.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "step", rename_all = "kebab-case"))]
pub enum Step {
    /// An identity has come, or the host's has got other labels.
    SetIdentity {
        /// The number.
        identity: Identity,
        /// Its labels.
        labels: LabelSet,
        /// Whether its number was meant for somebody else; see [`Allocation::Reclaimed`].
        allocation: Allocation,
    },
    /// A prefix has an entry, or another one.
    SetEntry {
        /// The prefix.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
        prefix: Prefix,
        /// Its entry from now on.
        entry: Entry,
    },
    /// A prefix has no entry any more.
    RemoveEntry {
        /// The prefix.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
        prefix: Prefix,
    },
    /// No prefix has the identity any more, and its number is free. Who cannot have it used again
    /// at once withholds it.
    RemoveIdentity {
        /// The number.
        identity: Identity,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetIdentity {
                identity, labels, ..
            } => write!(f, "identity {identity} is {labels}"),
            Self::SetEntry { prefix, entry } => write!(f, "{prefix} has {entry}"),
            Self::RemoveEntry { prefix } => write!(f, "{prefix} has no entry"),
            Self::RemoveIdentity { identity } => write!(f, "identity {identity} is gone"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity {}", self.identity)?;
        if let Some(node) = self.tunnel {
            write!(f, ", tunnel {node}")?;
        }
        if let Some(key) = self.key {
            write!(f, ", key {}", key.get())?;
        }
        if self.flags.bits() != 0 {
            write!(f, ", flags {}", self.flags)?;
        }
        Ok(())
    }
}
