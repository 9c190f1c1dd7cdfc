use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use palisade_abi::Prefix;

use crate::hash;
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
#[derive(Clone)]
pub struct Selector {
    requirements: Arc<[Requirement]>,
    digest: u64,
}

impl Selector {
    /// The selector of these requirements.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut sorted: Vec<Requirement> = requirements.into_iter().collect();
        if !sorted.is_sorted_by(|a, b| a < b) {
            sorted.sort_unstable();
            sorted.dedup();
        }
        Self::of_sorted(sorted.into())
    }

    fn of_sorted(requirements: Arc<[Requirement]>) -> Self {
        Self {
            digest: hash::digest(&requirements),
            requirements,
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
        Self::of_sorted(Arc::new([Requirement::exists(label.into())]))
    }

    /// The selector of addresses in a prefix but not in its exceptions.
    ///
    /// It looks at the `cidr` label. A prefix of length 0 belongs to the world's label instead;
    /// who asks for it selects that.
    pub fn cidr(prefix: Prefix, except: impl IntoIterator<Item = Prefix>) -> Self {
        let inside = Requirement::exists(LabelKey::cidr(prefix));
        let mut except = except.into_iter().peekable();
        if except.peek().is_none() {
            return Self::of_sorted(Arc::new([inside]));
        }
        let outside = except.map(|inner| Requirement::does_not_exist(LabelKey::cidr(inner)));
        Self::new([inside].into_iter().chain(outside))
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
    #[inline]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether every label set meets the selector.
    #[inline]
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

impl Default for Selector {
    fn default() -> Self {
        Self::of_sorted(Arc::default())
    }
}

impl PartialEq for Selector {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let is_same = || Arc::ptr_eq(&self.requirements, &other.requirements);
        self.digest == other.digest && (is_same() || self.requirements == other.requirements)
    }
}

impl Eq for Selector {}

impl PartialOrd for Selector {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Selector {
    fn cmp(&self, other: &Self) -> Ordering {
        self.requirements.cmp(&other.requirements)
    }
}

impl Hash for Selector {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> LabelSet {
        LabelSet::parse(texts).unwrap()
    }

    fn one(key: &str, operator: &str, values: &[&str]) -> Selector {
        Selector::new([Requirement::parse(key, operator, values).unwrap()])
    }

    #[test]
    fn each_operator_asks_its_own() {
        type Case = (
            &'static str,
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
            bool,
        );
        const WEB: &[&str] = &["k8s:app=web"];
        let cases: [Case; 14] = [
            ("app", "In", &["web"], WEB, true),
            ("app", "In", &["api", "web"], WEB, true),
            ("app", "In", &["api"], WEB, false),
            ("app", "In", &[""], &["k8s:app"], true),
            ("app", "In", &["web"], &["k8s:tier=web"], false),
            ("app", "NotIn", &["api"], WEB, true),
            ("app", "NotIn", &["web"], WEB, false),
            ("app", "NotIn", &["web"], &[], true),
            ("app", "Exists", &[], WEB, true),
            ("app", "Exists", &[], &["k8s:tier=web"], false),
            ("app", "DoesNotExist", &[], WEB, false),
            ("app", "DoesNotExist", &[], &[], true),
            ("k8s:app", "In", &["web"], &["container:app=web"], false),
            ("k8s:app", "DoesNotExist", &[], &["container:app=web"], true),
        ];
        for (key, operator, values, labels, expected) in cases {
            let selector = one(key, operator, values);
            let labels = set(labels);
            assert_eq!(
                selector.matches(&labels),
                expected,
                "{selector} on {labels}"
            );
            assert_eq!(
                selector.unmet(&labels).is_none(),
                expected,
                "{selector} on {labels}"
            );
        }
    }

    #[test]
    fn a_prefix_selects_what_lies_inside_but_not_in_its_exceptions() {
        let prefix = |text: &str| -> Prefix { text.parse().unwrap() };
        let selector = Selector::cidr(prefix("10.0.0.0/8"), [prefix("10.1.0.0/16")]);
        let matches = |text: &str| selector.matches(&LabelSet::of_prefix(prefix(text)));
        assert!(matches("10.0.0.0/8"));
        assert!(matches("10.2.0.1/32"));
        assert!(!matches("10.1.0.0/16"));
        assert!(!matches("10.1.2.3/32"));
        assert!(!matches("11.0.0.1/32"));
        assert!(!matches("fd00::1"));
        // An identity of a wider prefix is not inside the exception.
        let wider = Selector::cidr(prefix("0.0.0.0/0"), [prefix("10.1.0.0/16")]);
        assert!(wider.matches(&LabelSet::of_prefix(prefix("10.0.0.0/8"))));
        assert!(!selector.matches(&set(&["k8s:app=web"])));
    }

    #[test]
    fn a_label_without_value_is_selected_by_having_it() {
        let pattern = Label::fqdn("*.domain.com").unwrap();
        let selector = Selector::having(&pattern);
        assert_eq!(selector.to_string(), "fqdn:*.domain.com");
        assert!(selector.matches(&LabelSet::new().with(pattern)));
        // The engine knows no patterns: the label's text is compared.
        assert!(!selector.matches(&set(&["fqdn:www.domain.com"])));
        assert!(!selector.matches(&LabelSet::new()));
    }

    #[test]
    fn selectors_that_ask_the_same_are_equal() {
        let a = Selector::from_labels([("k8s:app", "web"), ("tier", "db")]).unwrap();
        let b = one("any:tier", "In", &["db", "db"])
            .with(Requirement::parse("k8s:app", "In", &["web"]).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.to_string(), "k8s:app=web,tier=db");
        assert_ne!(
            a,
            Selector::from_labels([("app", "web"), ("tier", "db")]).unwrap()
        );
        let values = one("app", "In", &["b", "a", "b"]);
        assert_eq!(values.to_string(), "app in (a,b)");
        assert_eq!(one("app", "NotIn", &["a"]).to_string(), "app notin (a)");
        assert_eq!(one("app", "DoesNotExist", &[]).to_string(), "!app");
        assert_eq!(
            a.without(|one| one.key().key() == "tier").to_string(),
            "k8s:app=web"
        );
    }

    #[test]
    fn everything_matches_even_no_labels() {
        assert!(Selector::everything().matches(&LabelSet::new()));
        assert!(Selector::everything().is_everything());
        assert_eq!(Selector::everything().to_string(), "{}");
    }

    #[test]
    fn what_is_unmet_is_said_in_words() {
        let labels = set(&["k8s:app=cart", "k8s:tier"]);
        let says = |selector: &Selector| selector.unmet(&labels).unwrap().to_string();
        let cases = [
            (
                one("app", "In", &["web"]),
                r#"label app is "cart", not "web""#,
            ),
            (
                one("app", "In", &["web", "api"]),
                r#"label app is "cart", not "api" or "web""#,
            ),
            (
                one("k8s:role", "In", &["db"]),
                r#"label k8s:role is missing, should be "db""#,
            ),
            (
                one("app", "NotIn", &["cart"]),
                r#"label app is "cart", which is excluded"#,
            ),
            (one("role", "Exists", &[]), "label role is missing"),
            (
                one("app", "DoesNotExist", &[]),
                r#"label app is "cart", but must be absent"#,
            ),
            (
                one("cidr:10.0.0.0/8", "Exists", &[]),
                "address is not in 10.0.0.0/8",
            ),
        ];
        for (selector, words) in cases {
            assert_eq!(says(&selector), words);
        }
        let excepted = one("cidr:10.0.0.0/8", "DoesNotExist", &[]);
        let inside = LabelSet::of_prefix("10.1.0.0/16".parse().unwrap());
        assert_eq!(
            excepted.unmet(&inside).unwrap().to_string(),
            "address is in 10.0.0.0/8 (cidr:10.1.0.0/16)"
        );
        let two = Selector::from_labels([("app", "web"), ("role", "db")]).unwrap();
        assert_eq!(two.all_unmet(&labels).count(), 2);
    }

    #[test]
    fn bad_requirements_are_refused() {
        let error = |operator: &str, values: &[&str]| {
            Requirement::parse("k8s:app", operator, values).unwrap_err()
        };
        assert_eq!(
            error("In", &[]).to_string(),
            "operator In of label `k8s:app` needs values"
        );
        assert!(matches!(
            error("NotIn", &[]),
            SelectorError::NoValues { .. }
        ));
        assert!(matches!(
            error("Exists", &["x"]),
            SelectorError::UnexpectedValues { .. }
        ));
        assert!(matches!(
            error("DoesNotExist", &["x"]),
            SelectorError::UnexpectedValues { .. }
        ));
        assert!(
            matches!(error("Gt", &["1"]), SelectorError::UnknownOperator { text } if text == "Gt")
        );
        let long = "v".repeat(64);
        for value in ["a b", "-a", "a/b", long.as_str()] {
            assert!(
                matches!(error("In", &["ok", value]), SelectorError::InvalidValue { value: v, .. } if v == value)
            );
        }
        assert!(matches!(
            Selector::from_labels([("", "x")]),
            Err(SelectorError::Key(_))
        ));
    }
}
