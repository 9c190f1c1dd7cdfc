use std::fmt;
use std::sync::Arc;

use palisade_abi::Prefix;
use thiserror::Error;

use crate::label::{Label, LabelError};
use crate::source::Source;
use crate::{Scope, reserved};

/// The labels of one workload or address: sorted by key, one label per key. Cheap to clone.
///
/// As in Cilium a key occurs once, whatever its source.
///
/// ```
/// use palisade_identity::LabelSet;
///
/// let labels = LabelSet::parse(["k8s:tier=db", "container:app=pay", "reserved:init"])?;
/// assert_eq!(labels.to_string(), "container:app=pay,reserved:init,k8s:tier=db");
/// assert_eq!(labels.canonical_key(), "container:app=pay;reserved:init=;k8s:tier=db;");
/// assert_eq!(LabelSet::from_canonical_key(&labels.canonical_key())?, labels);
/// # Ok::<(), palisade_identity::LabelSetError>(())
/// ```
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LabelSet {
    labels: Arc<[Label]>,
}

/// What is wrong with a list of labels.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LabelSetError {
    /// Two labels of one key differ in source or value.
    #[error("labels `{first}` and `{second}` have the same key")]
    Conflict {
        /// The label that came first.
        first: Label,
        /// The label that came later.
        second: Label,
    },
    /// A label cannot be read.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A canonical key that does not end in `;`.
    #[error("canonical key `{text}` is cut short")]
    Truncated {
        /// The key as it was given.
        text: String,
    },
}

impl LabelSet {
    /// The set of no labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a list of labels.
    ///
    /// # Errors
    /// [`LabelSetError`] for the first label that cannot be read, or two that contradict.
    pub fn parse<I>(texts: I) -> Result<Self, LabelSetError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut labels = Vec::new();
        for text in texts {
            labels.push(text.as_ref().parse::<Label>()?);
        }
        Self::try_from(labels)
    }

    /// The text under which Cilium's kvstore files the set: `source:key=value;` for every label,
    /// sorted by key.
    pub fn canonical_key(&self) -> String {
        let mut text = String::new();
        for label in self {
            label.write_canonical(&mut text);
        }
        text
    }

    /// Reads a canonical key back.
    ///
    /// # Errors
    /// [`LabelSetError`] as [`LabelSet::parse`], and for a key that does not end in `;`.
    pub fn from_canonical_key(text: &str) -> Result<Self, LabelSetError> {
        if text.is_empty() {
            return Ok(Self::new());
        }
        match text.strip_suffix(';') {
            Some(list) => Self::parse(list.split(';')),
            None => Err(LabelSetError::Truncated { text: text.into() }),
        }
    }

    /// The labels of addresses outside the cluster in one prefix of a dual-stack node: the
    /// prefix's own label, unless its length is 0, and the world of its family.
    ///
    /// ```
    /// use palisade_identity::LabelSet;
    ///
    /// let labels = LabelSet::of_prefix("fd00::/8".parse()?);
    /// assert_eq!(labels.to_string(), "cidr:fd00--0/8,reserved:world-ipv6");
    /// # Ok::<(), palisade_abi::PrefixParseError>(())
    /// ```
    pub fn of_prefix(prefix: Prefix) -> Self {
        let world = if prefix.address().is_ipv4() {
            reserved::WORLD_IPV4
        } else {
            reserved::WORLD_IPV6
        };
        let own = (prefix.length() > 0).then(|| Label::cidr(prefix));
        own.into_iter()
            .chain([Label::reserved_static(world)])
            .collect()
    }

    /// The label with this key.
    pub fn get(&self, key: &str) -> Option<&Label> {
        let at = self.labels.binary_search_by(|label| label.key().cmp(key));
        self.labels.get(at.ok()?)
    }

    /// Whether the set has this very label.
    pub fn contains(&self, label: &Label) -> bool {
        self.get(label.key()) == Some(label)
    }

    /// Whether any label is of this source.
    pub fn has_source(&self, source: Source) -> bool {
        self.iter().any(|label| label.source() == source)
    }

    /// The prefix of the set's CIDR label.
    pub fn prefix(&self) -> Option<Prefix> {
        self.iter().find_map(Label::prefix)
    }

    /// The scope that an identity of these labels is allocated in.
    pub fn scope(&self) -> Scope {
        Scope::of_labels(self)
    }

    /// This set and one more label, which replaces a label of its key.
    pub fn with(&self, label: Label) -> Self {
        self.iter().cloned().chain([label]).collect()
    }

    /// This set and another's labels, which replace labels of their keys.
    pub fn merged(&self, other: &Self) -> Self {
        self.iter().chain(other).cloned().collect()
    }

    /// The labels that a test keeps.
    pub fn filtered(&self, keep: impl Fn(&Label) -> bool) -> Self {
        self.iter().filter(|label| keep(label)).cloned().collect()
    }

    /// The labels in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.labels.iter()
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

impl FromIterator<Label> for LabelSet {
    /// Of labels with the same key the last one stays.
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut sorted: Vec<Label> = labels.into_iter().collect();
        // Stable sort and a walk from the back, so that "last" is in the order given.
        sorted.sort_by(|a, b| a.key().cmp(b.key()));
        sorted.reverse();
        sorted.dedup_by(|a, b| a.key() == b.key());
        sorted.reverse();
        Self {
            labels: sorted.into(),
        }
    }
}

impl TryFrom<Vec<Label>> for LabelSet {
    type Error = LabelSetError;

    fn try_from(labels: Vec<Label>) -> Result<Self, Self::Error> {
        let set: Self = labels.iter().cloned().collect();
        match labels.into_iter().find(|label| !set.contains(label)) {
            None => Ok(set),
            Some(first) => {
                let second = set.get(first.key()).cloned();
                Err(LabelSetError::Conflict {
                    second: second.unwrap_or_else(|| first.clone()),
                    first,
                })
            }
        }
    }
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = &'a Label;
    type IntoIter = std::slice::Iter<'a, Label>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{label}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}
