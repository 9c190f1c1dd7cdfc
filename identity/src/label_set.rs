use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use palisade_abi::Prefix;
use thiserror::Error;

use crate::label::{Label, LabelError};
use crate::source::Source;
use crate::{Scope, hash, reserved};

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
#[derive(Clone)]
pub struct LabelSet {
    labels: Arc<[Label]>,
    digest: u64,
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
        // Their keys begin with a `w`, those of prefixes with a digit or a letter before it.
        static WORLDS: LazyLock<[Label; 2]> = LazyLock::new(|| {
            [reserved::WORLD_IPV4, reserved::WORLD_IPV6].map(Label::reserved_static)
        });
        let [ipv4, ipv6] = &*WORLDS;
        let world = if prefix.address().is_ipv4() {
            ipv4
        } else {
            ipv6
        };
        let world = world.clone();
        if prefix.length() == 0 {
            return Self::of_sorted(Arc::new([world]));
        }
        Self::of_sorted(Arc::new([Label::cidr(prefix), world]))
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
    #[inline]
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.labels.iter()
    }

    /// The set of labels that stand in the order of their keys, each key once.
    pub(crate) fn of_sorted(labels: Arc<[Label]>) -> Self {
        Self {
            digest: hash::digest(&labels),
            labels,
        }
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
        Self::of_sorted(sorted.into())
    }
}

impl Default for LabelSet {
    fn default() -> Self {
        Self::of_sorted(Arc::default())
    }
}

impl PartialEq for LabelSet {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let is_same = || Arc::ptr_eq(&self.labels, &other.labels);
        self.digest == other.digest && (is_same() || self.labels == other.labels)
    }
}

impl Eq for LabelSet {}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LabelSet {
    fn cmp(&self, other: &Self) -> Ordering {
        self.labels.cmp(&other.labels)
    }
}

impl Hash for LabelSet {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

impl TryFrom<Vec<Label>> for LabelSet {
    type Error = LabelSetError;

    fn try_from(mut labels: Vec<Label>) -> Result<Self, Self::Error> {
        labels.sort_by(|a, b| a.key().cmp(b.key()));
        if labels.is_sorted_by(|a, b| a.key() < b.key()) {
            return Ok(Self::of_sorted(labels.into()));
        }
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

    #[inline]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> LabelSet {
        LabelSet::parse(texts).unwrap()
    }

    #[test]
    fn the_canonical_key_is_sorted_by_key_and_not_by_source() {
        let labels = set(&["k8s:zone=a", "reserved:host", "container:b=1", "any:a"]);
        assert_eq!(
            labels.canonical_key(),
            "any:a=;container:b=1;reserved:host=;k8s:zone=a;"
        );
    }

    #[test]
    fn a_canonical_key_that_is_cut_short_is_refused() {
        let whole = set(&["k8s:app=web"]).canonical_key();
        assert!(LabelSet::from_canonical_key(&whole).is_ok());
        assert!(matches!(
            LabelSet::from_canonical_key(whole.trim_end_matches(';')),
            Err(LabelSetError::Truncated { .. })
        ));
        assert_eq!(LabelSet::from_canonical_key("").unwrap(), LabelSet::new());
    }

    #[test]
    fn of_labels_with_one_key_the_last_stays() {
        let labels: LabelSet = ["k8s:a=1", "container:a=2", "k8s:b=3"]
            .into_iter()
            .map(|text| text.parse::<Label>().unwrap())
            .collect();
        assert_eq!(labels.to_string(), "container:a=2,k8s:b=3");
        assert_eq!(
            set(&["k8s:a=1"]).with("k8s:a=2".parse().unwrap()),
            set(&["k8s:a=2"])
        );
        assert_eq!(
            set(&["k8s:a=1", "k8s:c"]).merged(&labels),
            set(&["container:a=2", "k8s:b=3", "k8s:c"])
        );
    }

    #[test]
    fn labels_that_contradict_are_refused_where_they_are_read() {
        let error = LabelSet::parse(["k8s:a=1", "k8s:b", "k8s:a=2"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "labels `k8s:a=1` and `k8s:a=2` have the same key"
        );
        assert_eq!(set(&["k8s:a=1", "k8s:a=1"]).len(), 1);
    }

    #[test]
    fn a_prefix_has_its_own_label_and_its_world() {
        let of = |text: &str| LabelSet::of_prefix(text.parse().unwrap()).to_string();
        assert_eq!(of("10.0.0.0/8"), "cidr:10.0.0.0/8,reserved:world-ipv4");
        assert_eq!(of("0.0.0.0/0"), "reserved:world-ipv4");
        assert_eq!(of("::/0"), "reserved:world-ipv6");
        assert_eq!(of("::1/128"), "cidr:0--1/128,reserved:world-ipv6");
    }
}
