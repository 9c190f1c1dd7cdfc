use std::fmt;
use std::sync::Arc;

use palisade_abi::Prefix;

use crate::key::LabelKey;
use crate::label::Label;
use crate::label_set::LabelSet;
use crate::requirement::{Requirement, SelectorError};
use crate::unmet::Unmet;

/// Requirements that a label set must all meet. Cheap to clone.
///
/// Selectors that ask the same are equal: requirements are sorted and each kept once, and a
/// `matchLabels` entry is an `In` with one value. The text is that canonical form.
///
/// ```
/// use palisade_identity::{LabelSet, Requirement, Selector};
///
/// let selector = Selector::new([
///     Requirement::parse("tier", "NotIn", &["db", "cache"])?,
///     Requirement::parse("k8s:app", "In", &["web"])?,
/// ]);
/// assert_eq!(selector.to_string(), "k8s:app=web,tier notin (cache,db)");
/// // NotIn and DoesNotExist are met where the label is missing.
/// assert!(selector.matches(&LabelSet::parse(["k8s:app=web"])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Selector {
    requirements: Arc<[Requirement]>,
}

impl Selector {
    /// The selector of these requirements.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut sorted: Vec<Requirement> = requirements.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self {
            requirements: sorted.into(),
        }
    }

    /// The selector that every label set meets.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector of a manifest's `matchLabels`: keys with or without source, and values.
    ///
    /// # Errors
    /// [`SelectorError`] for the first key or value that is invalid.
    pub fn from_labels<I, K, V>(match_labels: I) -> Result<Self, SelectorError>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let requirements: Result<Vec<_>, _> = match_labels
            .into_iter()
            .map(|(key, value)| Requirement::equals(key.as_ref().parse()?, value.as_ref()))
            .collect();
        requirements.map(Self::new)
    }

    /// The selector of everything that has this label's source and key, whatever the value.
    ///
    /// So are the labels without values selected: `reserved:host`, `fqdn:*.domain.com`.
    pub fn having(label: &Label) -> Self {
        Self::new([Requirement::exists(label.into())])
    }

    /// The selector of addresses in a prefix but not in its exceptions.
    ///
    /// It looks at the `cidr` label. A prefix of length 0 belongs to the world's label instead;
    /// who asks for it selects that.
    pub fn cidr(prefix: Prefix, except: impl IntoIterator<Item = Prefix>) -> Self {
        let except = except
            .into_iter()
            .map(|inner| Requirement::does_not_exist(LabelKey::cidr(inner)));
        Self::new(
            [Requirement::exists(LabelKey::cidr(prefix))]
                .into_iter()
                .chain(except),
        )
    }

    /// This selector and one more requirement.
    pub fn with(&self, requirement: Requirement) -> Self {
        Self::new(self.requirements.iter().cloned().chain([requirement]))
    }

    /// This selector without the requirements that a test drops.
    pub fn without(&self, drop: impl Fn(&Requirement) -> bool) -> Self {
        let kept = self.requirements.iter().filter(|one| !drop(one));
        Self::new(kept.cloned())
    }

    /// The requirements in canonical order.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether every label set meets the selector.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether a label set meets every requirement. Allocates nothing.
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.requirements.iter().all(|one| one.matches(labels))
    }

    /// The first requirement that a label set does not meet, for people.
    pub fn unmet(&self, labels: &LabelSet) -> Option<Unmet> {
        self.all_unmet(labels).next()
    }

    /// Every requirement that a label set does not meet; the fewer, the nearer the miss.
    pub fn all_unmet<'a>(&'a self, labels: &'a LabelSet) -> impl Iterator<Item = Unmet> + 'a {
        self.requirements
            .iter()
            .filter(|one| !one.matches(labels))
            .map(|one| Unmet::new(one.clone(), one.label_in(labels).cloned()))
    }
}

impl fmt::Display for Selector {
    /// Canonical: requirements joined by commas; `{}` for everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("{}");
        }
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
