//! One answer out of what several resources say of one prefix.

use std::collections::BTreeMap;
use std::fmt;

use palisade_abi::{Identity, Prefix};

use super::claim::Who;
use super::{Claim, Origin, ResourceId};
use crate::label::Label;
use crate::label_set::LabelSet;

/// Who says it, for what: in this order claims are believed.
pub(super) type Voice = (Origin, ResourceId);
pub(super) type Claims = BTreeMap<Voice, Claim>;

/// What the claims of one prefix amount to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Flat {
    /// The labels, which the prefixes inside inherit.
    pub(super) labels: LabelSet,
    pub(super) who: Decided,
    /// Of everything else that is said, the first.
    pub(super) rest: Claim,
}

/// How the identity of a prefix is found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Decided {
    /// By its labels alone.
    Exactly,
    /// It is this one.
    Identity(Identity),
    /// By its labels and those of the prefixes around it.
    #[default]
    Merged,
}

/// Two resources that say different things of one prefix. The first was believed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Conflict {
    /// The prefix.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::text"))]
    pub prefix: Prefix,
    /// What they disagree on.
    pub field: ConflictField,
    /// Who was believed.
    pub kept: (Origin, ResourceId),
    /// Who was not.
    pub dropped: (Origin, ResourceId),
}

/// What two claims disagree on.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ConflictField {
    /// How packets are sent.
    Flags,
    /// Whose addresses they are: a number against labels, or another number.
    Identity,
    /// The encryption key.
    Key,
    /// The label with this key.
    Label(String),
    /// Which labels exactly.
    Labels,
    /// The tunnel's end.
    Tunnel,
}

impl fmt::Display for ConflictField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags => f.write_str("flags"),
            Self::Identity => f.write_str("identity"),
            Self::Key => f.write_str("key"),
            Self::Label(key) => write!(f, "label {key}"),
            Self::Labels => f.write_str("labels"),
            Self::Tunnel => f.write_str("tunnel"),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((kept, kept_by), (dropped, dropped_by)) = (&self.kept, &self.dropped);
        let Self { prefix, field, .. } = self;
        write!(
            f,
            "{prefix}: {field} of {kept_by} ({kept}) stands against {dropped_by} ({dropped})"
        )
    }
}

/// The first of everything that is said.
///
/// A number wins if nobody says anything of labels before it; exact labels win over others
/// wherever they stand; else the labels are put together, and of one key the first stays.
pub(super) fn flatten(claims: &Claims) -> Flat {
    let mut flat = Flat::default();
    let first = claims.values().find(|claim| claim.who != Who::Unsaid);
    if let Some(Who::Identity(identity)) = first.map(|claim| &claim.who) {
        flat.who = Decided::Identity(*identity);
    }
    let exact = claims.values().find_map(|claim| match &claim.who {
        Who::Exactly(labels) => Some(labels),
        Who::Identity(_) | Who::Labels(_) | Who::Unsaid => None,
    });
    match exact {
        Some(labels) => {
            flat.labels = labels.clone();
            if flat.who == Decided::Merged {
                flat.who = Decided::Exactly;
            }
        }
        None => flat.labels = merged(claims),
    }
    for claim in claims.values() {
        let rest = &mut flat.rest;
        rest.tunnel = rest.tunnel.or(claim.tunnel);
        rest.key = rest.key.or(claim.key);
        rest.flags = rest.flags.or(claim.flags);
        rest.before = rest.before.or(claim.before);
    }
    flat
}

fn merged(claims: &Claims) -> LabelSet {
    let mut labels: BTreeMap<&str, &Label> = BTreeMap::new();
    for claim in claims.values() {
        if let Who::Labels(more) = &claim.who {
            for label in more {
                labels.entry(label.key()).or_insert(label);
            }
        }
    }
    labels.into_values().cloned().collect()
}

/// Everything that two claims of a prefix disagree on, each against the one that was believed.
pub(super) fn conflicts(prefix: Prefix, claims: &Claims) -> Vec<Conflict> {
    let mut seen: BTreeMap<ConflictField, (&Voice, String)> = BTreeMap::new();
    let mut found = Vec::new();
    for (voice, claim) in claims {
        for (field, value) in said(claim) {
            match seen.get(&field) {
                None => {
                    seen.insert(field, (voice, value));
                }
                Some((_, known)) if *known == value => {}
                Some((kept, _)) => found.push(Conflict {
                    prefix,
                    field,
                    kept: (*kept).clone(),
                    dropped: voice.clone(),
                }),
            }
        }
    }
    found.extend(labels_before_a_number(prefix, claims));
    found
}

/// A number that is not believed because somebody more trusted speaks of labels. The other way
/// round is how endpoints hide the prefixes that policies name, and no conflict.
fn labels_before_a_number(prefix: Prefix, claims: &Claims) -> Option<Conflict> {
    let labels = |claim: &Claim| matches!(claim.who, Who::Exactly(_) | Who::Labels(_));
    let number = |claim: &Claim| matches!(claim.who, Who::Identity(_));
    let first = claims.iter().position(|(_, claim)| labels(claim))?;
    let (kept, _) = claims.iter().nth(first)?;
    let numbered = claims.iter().position(|(_, claim)| number(claim))?;
    let (dropped, _) = claims.iter().nth(numbered)?;
    (first < numbered).then(|| Conflict {
        prefix,
        field: ConflictField::Identity,
        kept: kept.clone(),
        dropped: dropped.clone(),
    })
}

/// What a claim says, field by field, as text to compare.
fn said(claim: &Claim) -> Vec<(ConflictField, String)> {
    let mut said = Vec::new();
    match &claim.who {
        Who::Exactly(labels) => said.push((ConflictField::Labels, labels.canonical_key())),
        Who::Identity(identity) => said.push((ConflictField::Identity, identity.to_string())),
        Who::Labels(labels) => said.extend(labels.iter().map(|label| {
            let field = ConflictField::Label(label.key().into());
            (field, label.to_string())
        })),
        Who::Unsaid => {}
    }
    let tunnel = claim.tunnel.map(|node| node.to_string());
    said.extend(tunnel.map(|node| (ConflictField::Tunnel, node)));
    let key = claim.key.map(|key| key.get().to_string());
    said.extend(key.map(|key| (ConflictField::Key, key)));
    let flags = claim.flags.map(|flags| flags.to_string());
    said.extend(flags.map(|flags| (ConflictField::Flags, flags)));
    said
}
