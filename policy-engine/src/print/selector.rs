//! Label selectors.

use palisade_identity::{LabelKey, Operator, Requirement, Selector, Source};

use super::tree::Tree;
use crate::rule::ResourceName;

/// A selector whose keys say their source.
pub(super) fn cilium(selector: &Selector) -> Tree {
    tree(selector.requirements(), |_| true, ToString::to_string)
}

/// A selector whose keys have the source that its kind gives them.
pub(super) fn without_source<'a>(requirements: impl IntoIterator<Item = &'a Requirement>) -> Tree {
    tree(requirements, |_| true, |key| key.key().to_owned())
}

/// A selector whose keys lose a prefix that reading adds.
pub(super) fn stripped<'a>(
    requirements: impl IntoIterator<Item = &'a Requirement>,
    prefix: &str,
) -> Tree {
    let text = |key: &LabelKey| {
        key.key()
            .strip_prefix(prefix)
            .unwrap_or(key.key())
            .to_owned()
    };
    tree(requirements, |_| true, text)
}

/// The subject of a policy, less the namespace that it has in any case.
pub(super) fn subject(selector: &Selector, resource: &ResourceName) -> Tree {
    let is_namespace =
        |key: &LabelKey| key.source() == Source::K8s && key.key() == "io.kubernetes.pod.namespace";
    let is_own = |requirement: &Requirement| {
        is_namespace(requirement.key())
            && match (requirement.operator(), &resource.namespace) {
                (Operator::In(values), Some(own)) => {
                    matches!(values.as_slice(), [value] if value.as_str() == &**own)
                }
                _ => false,
            }
    };
    let kept = selector
        .requirements()
        .iter()
        .filter(|requirement| !is_own(requirement));
    // In `matchLabels` the namespace would be replaced.
    tree(kept, |key| !is_namespace(key), ToString::to_string)
}

fn tree<'a>(
    requirements: impl IntoIterator<Item = &'a Requirement>,
    as_label: impl Fn(&LabelKey) -> bool,
    text: impl Fn(&LabelKey) -> String,
) -> Tree {
    let mut labels: Vec<(String, Tree)> = Vec::new();
    let mut expressions = Vec::new();
    for requirement in requirements {
        let key = text(requirement.key());
        let is_new = labels.iter().all(|(other, _)| *other != key);
        if let (Operator::In(_), [value], true) = (
            requirement.operator(),
            requirement.operator().values(),
            is_new,
        ) && as_label(requirement.key())
        {
            labels.push((key, Tree::text(&**value)));
            continue;
        }
        expressions.push(expression(key, requirement.operator()));
    }
    let mut entries = Vec::new();
    if !labels.is_empty() {
        entries.push(("matchLabels", Tree::Map(labels)));
    }
    if !expressions.is_empty() {
        entries.push(("matchExpressions", Tree::List(expressions)));
    }
    Tree::map(entries)
}

fn expression(key: String, operator: &Operator) -> Tree {
    let mut entries = vec![
        ("key", Tree::Text(key)),
        ("operator", Tree::text(operator.name())),
    ];
    if !operator.values().is_empty() {
        let values = operator.values().iter().map(|value| Tree::text(&**value));
        entries.push(("values", Tree::List(values.collect())));
    }
    Tree::map(entries)
}
