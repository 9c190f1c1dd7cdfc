use std::fmt;

use palisade_abi::Prefix;

use super::flatten::{self, Conflict, Decided};
use super::{Claim, Entry, Layers, Origin, ResourceId};
use crate::label_set::LabelSet;

/// Why a prefix has the entry that it has.
///
/// Its text is for people: the entry, then one line for each layer.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Explanation {
    /// The prefix.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
    pub prefix: Prefix,
    /// What it amounts to.
    pub entry: Entry,
    /// The labels that its identity was made of; `None` if it came with its number.
    pub labels: Option<LabelSet>,
    /// What is said of it, what is believed first.
    pub layers: Vec<Layer>,
    /// The labels of the prefixes around it, the longest first. They count only where the identity
    /// is made of all labels, not where it came with a number or with exact labels.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serial::prefixes::serialize")
    )]
    pub around: Vec<(Prefix, LabelSet)>,
    /// What the layers disagree on.
    pub conflicts: Vec<Conflict>,
}

/// What one resource says of a prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Layer {
    /// Who says it.
    pub origin: Origin,
    /// The resource it is said for.
    pub resource: ResourceId,
    /// What is said.
    pub claim: Claim,
}

impl Layers {
    /// Why a prefix has the entry that it has; `None` if nothing is said of this very one.
    pub fn explain(&self, prefix: Prefix) -> Option<Explanation> {
        let slot = self.slots.get(prefix)?;
        let settled = slot.settled.as_ref()?;
        let layers = slot.claims.iter().map(|((origin, resource), claim)| Layer {
            origin: *origin,
            resource: resource.clone(),
            claim: claim.clone(),
        });
        let around = match slot.flat.who {
            Decided::Merged => self
                .slots
                .covering(prefix)
                .filter(|(outer, slot)| *outer != prefix && !slot.flat.labels.is_empty())
                .map(|(outer, slot)| (outer, slot.flat.labels.clone()))
                .collect(),
            Decided::Exactly | Decided::Identity(_) => Vec::new(),
        };
        Some(Explanation {
            prefix,
            entry: settled.entry,
            labels: settled.labels.clone(),
            layers: layers.collect(),
            around,
            conflicts: flatten::conflicts(prefix, &slot.claims),
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has {}", self.prefix, self.entry)?;
        if let Some(labels) = &self.labels {
            write!(f, " ({labels})")?;
        }
        for Layer {
            origin,
            resource,
            claim,
        } in &self.layers
        {
            write!(f, "\n  {resource} ({origin}): {claim}")?;
        }
        for (prefix, labels) in &self.around {
            write!(f, "\n  inside {prefix}: labels {labels}")?;
        }
        for conflict in &self.conflicts {
            write!(f, "\n  conflict: {conflict}")?;
        }
        Ok(())
    }
}
