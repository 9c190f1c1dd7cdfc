//! Which labels make an identity, and which only inform.

mod decision;
mod file;
mod rule;

use thiserror::Error;

pub use self::decision::{Decision, Fate, FilterMatch};
pub use self::file::{FilterEntry, FilterFile, FilterFileError};
pub use self::rule::{FilterAction, FilterRule};
use crate::label::Label;
use crate::label_set::LabelSet;
use crate::reserved;
use crate::source::SourceError;

/// Which labels make an identity, and which only inform.
///
/// Labels that differ in every pod, or change while a pod runs, would make an identity of each.
/// Of the rules that match a label's key the *shortest* that ignores and the *longest* that
/// includes count: the label is part of the identity if the including one is longer. If no rule
/// matches it, it is part of the identity, unless the user listed what to include.
///
/// ```
/// use palisade_identity::{Filter, LabelSet};
///
/// let filter = Filter::default();
/// let labels = LabelSet::parse(["k8s:app=web", "k8s:pod-template-hash=5d4c"])?;
/// let split = filter.split(&labels);
/// assert_eq!(split.identity.to_string(), "k8s:app=web");
/// assert_eq!(split.informational.to_string(), "k8s:pod-template-hash=5d4c");
///
/// let why = filter.explain(&"k8s:pod-template-hash=5d4c".parse()?).to_string();
/// assert_eq!(why, "informs only: `!pod-template-hash` ignores 17 characters");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    rules: Vec<FilterRule>,
    unmatched: Fate,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Nothing to match.
    #[error("label filter `{rule}` has no pattern")]
    EmptyPattern {
        /// The rule as it was given.
        rule: String,
    },
    /// The pattern is no regular expression.
    #[error("label filter `{rule}` has an invalid pattern")]
    InvalidPattern {
        /// The rule as it was given.
        rule: String,
        /// What is wrong with it.
        source: regex_lite::Error,
    },
    /// A `!` before the source, where it would name a source that does not exist.
    #[error(
        "label filter `{rule}`: the `!` stands before the pattern, as in `{}`",
        corrected(rule)
    )]
    MisplacedMark {
        /// The rule as it was given.
        rule: String,
    },
    /// The text before the colon is no source.
    #[error("label filter `{rule}`: what stands before the `:` is a source")]
    UnknownSource {
        /// The rule as it was given.
        rule: String,
        /// What is wrong with it.
        source: SourceError,
    },
}

/// A label set in its two parts.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Split {
    /// What the identity is made of.
    pub identity: LabelSet,
    /// The rest.
    pub informational: LabelSet,
}

/// Rules that a filter starts from, those of Cilium: what names a pod's place and purpose, not
/// what an orchestrator counts and stamps.
pub const DEFAULT_FILTER: [&str; 21] = [
    "reserved:.*",
    r"io\.kubernetes\.pod\.namespace",
    r"io\.cilium\.k8s\.namespace\.labels",
    r"app\.kubernetes\.io",
    r"io\.cilium\.k8s\.policy\.cluster",
    r"io\.cilium\.k8s\.policy\.serviceaccount",
    r"!io\.kubernetes",
    r"!kubernetes\.io",
    r"!statefulset\.kubernetes\.io/pod-name",
    r"!apps\.kubernetes\.io/pod-index",
    r"!batch\.kubernetes\.io/job-completion-index",
    r"!batch\.kubernetes\.io/controller-uid",
    r"!.*beta\.kubernetes\.io",
    r"!k8s\.io",
    "!pod-template-generation",
    "!pod-template-hash",
    "!controller-revision-hash",
    "!controller-uid",
    "!annotation.*",
    "!etcd_node",
    r"!topology\.kubernetes\.io",
];

impl Filter {
    /// A filter without rules, which takes every label: where the filter of node labels starts.
    pub const fn all() -> Self {
        Self {
            rules: Vec::new(),
            unmatched: Fate::Identity,
        }
    }

    /// This filter and more rules of the user's.
    ///
    /// One that includes makes the whole filter a list: what no rule includes informs only.
    #[must_use]
    pub fn with(mut self, rules: impl IntoIterator<Item = FilterRule>) -> Self {
        for rule in rules {
            if rule.action() == FilterAction::Include {
                self.unmatched = Fate::Informational;
            }
            self.rules.push(rule);
        }
        self
    }

    /// This filter and more rules of the user's, as text; empty texts are passed over.
    ///
    /// # Errors
    /// [`FilterError`] of the first rule that cannot be read.
    pub fn with_texts<I>(self, texts: I) -> Result<Self, FilterError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut rules = Vec::new();
        for text in texts {
            if !text.as_ref().is_empty() {
                rules.push(text.as_ref().parse::<FilterRule>()?);
            }
        }
        Ok(self.with(rules))
    }

    /// The rules, in the order they were given.
    pub fn rules(&self) -> &[FilterRule] {
        &self.rules
    }

    /// Whether a label is part of the identity.
    pub fn keeps(&self, label: &Label) -> bool {
        self.explain(label).fate() == Fate::Identity
    }

    /// The labels that make the identity, and the others.
    pub fn split(&self, labels: &LabelSet) -> Split {
        let (identity, informational): (Vec<Label>, Vec<Label>) =
            labels.iter().cloned().partition(|label| self.keeps(label));
        Split {
            identity: identity.into_iter().collect(),
            informational: informational.into_iter().collect(),
        }
    }

    /// What becomes of a label, and the rules that say so.
    pub fn explain(&self, label: &Label) -> Decision<'_> {
        let mut ignored: Option<FilterMatch<'_>> = None;
        let mut included: Option<FilterMatch<'_>> = None;
        for rule in &self.rules {
            let Some(length) = rule.matched(label) else {
                continue;
            };
            let found = FilterMatch { rule, length };
            match rule.action() {
                FilterAction::Ignore if ignored.is_none_or(|best| length < best.length) => {
                    ignored = Some(found);
                }
                FilterAction::Include if included.is_none_or(|best| length > best.length) => {
                    included = Some(found);
                }
                FilterAction::Ignore | FilterAction::Include => {}
            }
        }
        Decision::new(ignored, included, self.unmatched)
    }

    /// Whether every reserved label is kept. A filter that drops one breaks what policies say of
    /// hosts, nodes and the world.
    pub fn keeps_reserved(&self) -> bool {
        reserved::ALL
            .iter()
            .all(|(_, name)| self.keeps(&Label::reserved_static(name)))
    }
}

impl Default for Filter {
    /// The rules of [`DEFAULT_FILTER`], after which a label that no rule matches is kept.
    fn default() -> Self {
        let rules = DEFAULT_FILTER.iter().filter_map(|text| text.parse().ok());
        Self {
            rules: rules.collect(),
            unmatched: Fate::Identity,
        }
    }
}

/// `k8s:!app` for `!k8s:app`.
fn corrected(rule: &str) -> String {
    rule.trim_start_matches('!').replacen(':', ":!", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(filter: &Filter, texts: &[&str]) -> Vec<bool> {
        let keeps = |text: &&str| filter.keeps(&text.parse().unwrap());
        texts.iter().map(keeps).collect()
    }

    #[test]
    fn every_default_rule_is_read() {
        assert_eq!(Filter::default().rules().len(), DEFAULT_FILTER.len());
        assert!(Filter::default().keeps_reserved());
    }

    #[test]
    fn the_default_list_keeps_what_names_a_pod() {
        let filter = Filter::default();
        let keep = [
            "k8s:app=web",
            "k8s:app.kubernetes.io/name=web",
            "k8s:io.kubernetes.pod.namespace=shop",
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
            "k8s:io.cilium.k8s.policy.serviceaccount=web",
            "container:foo",
            "reserved:host",
            "any:x",
        ];
        assert_eq!(kept(&filter, &keep), [true; 8]);
        let drop = [
            "k8s:io.kubernetes.pod.name=web-0",
            "k8s:kubernetes.io/arch=amd64",
            "k8s:statefulset.kubernetes.io/pod-name=db-0",
            "k8s:apps.kubernetes.io/pod-index=0",
            "k8s:batch.kubernetes.io/job-completion-index=1",
            "k8s:batch.kubernetes.io/controller-uid=u",
            "k8s:failure-domain.beta.kubernetes.io/zone=a",
            "k8s:k8s.io/x=1",
            "k8s:pod-template-generation=3",
            "k8s:pod-template-hash=5d4c",
            "k8s:controller-revision-hash=1",
            "k8s:controller-uid=u",
            "container:annotation.kubernetes.io/config.seen=x",
            "k8s:etcd_node=n",
            "k8s:topology.kubernetes.io/zone=a",
        ];
        assert_eq!(kept(&filter, &drop), [false; 15]);
    }

    #[test]
    fn an_including_rule_of_the_user_makes_it_a_list() {
        let filter = Filter::default().with_texts(["k8s:app", ""]).unwrap();
        let texts = [
            "k8s:app=web",
            "container:app=web",
            "k8s:tier=db",
            "reserved:host",
        ];
        assert_eq!(kept(&filter, &texts), [true, false, false, true]);
        let ignoring = Filter::default().with_texts(["!tier"]).unwrap();
        assert_eq!(
            kept(&ignoring, &["k8s:tier=db", "k8s:zone=a"]),
            [false, true]
        );
    }

    #[test]
    fn the_shortest_that_ignores_meets_the_longest_that_includes() {
        let texts = ["!foo", "foo.bar", "!foo.bar.baz"];
        let filter = Filter::all().with_texts(texts).unwrap();
        // Three characters are ignored, seven included; that eleven are ignored, too, is nothing.
        assert_eq!(
            kept(&filter, &["k8s:foo.bar.baz", "k8s:foo.x"]),
            [true, false]
        );
        let label = "k8s:foo.bar.baz".parse().unwrap();
        let decision = filter.explain(&label);
        assert_eq!(decision.ignored().map(|one| one.length), Some(3));
        assert_eq!(decision.included().map(|one| one.length), Some(7));
        assert_eq!(
            decision.to_string(),
            "is part of the identity: `foo.bar` includes 7 characters, `!foo` ignores 3"
        );
        // A tie is ignored.
        let tie = Filter::all().with_texts(["!foo", "foo"]).unwrap();
        assert_eq!(kept(&tie, &["k8s:foo"]), [false]);
        let listed = Filter::all().with_texts(["foo"]).unwrap();
        assert_eq!(
            listed.explain(&"k8s:bar".parse().unwrap()).to_string(),
            "informs only: no rule includes it"
        );
        assert_eq!(
            Filter::all()
                .explain(&"k8s:bar".parse().unwrap())
                .to_string(),
            "is part of the identity: no rule ignores it"
        );
        assert!(!listed.keeps_reserved());
    }
}
