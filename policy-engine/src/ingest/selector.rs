//! Label selectors as documents write them.

use palisade_identity::{LabelKey, Requirement, Selector, SelectorError, Source};

use super::error::Cause;
use super::reader::{Field, Reader};
use super::scope;
use crate::yaml::{Entries, Entry, Node, Span};

/// How the keys of a selector are written.
#[derive(Clone, Copy)]
pub(super) enum Keys {
    /// As Cilium reads them: `source:key`, any source if there is none.
    Cilium,
    /// Kubernetes' own: a node's labels.
    Node,
    /// Kubernetes' own: the labels of a CIDR group.
    CidrGroup,
    /// Kubernetes' own: a pod's labels, or a service's.
    Pod,
    /// Kubernetes' own: the labels of a pod's namespace.
    Namespace,
}

/// The requirements of a selector, those of `matchLabels` apart.
pub(super) struct Parts {
    pub(super) labels: Vec<Requirement>,
    pub(super) expressions: Vec<Requirement>,
}

impl Parts {
    pub(super) fn selector(self) -> Selector {
        Selector::new(self.requirements())
    }

    pub(super) fn requirements(mut self) -> Vec<Requirement> {
        self.labels.append(&mut self.expressions);
        self.labels
    }
}

/// Reads a label selector, as wide as it stands.
pub(super) fn read<'a>(reader: &mut Reader<'a>, node: Node<'a>, keys: Keys) -> Option<Parts> {
    let fields = reader.fields(node, &SELECTOR)?;
    let mut parts = Parts {
        labels: Vec::new(),
        expressions: Vec::new(),
    };
    if let Some(entry) = fields.get("matchLabels") {
        reader.field(entry, |reader, node| {
            for entry in reader.entries(node).into_iter().flat_map(Entries::iter) {
                parts.labels.extend(match_label(reader, entry, keys));
            }
        });
    }
    if let Some(entry) = fields.get("matchExpressions") {
        let read = reader.field(entry, |reader, node| {
            reader.items(node, |reader, node| expression(reader, node, keys))
        });
        parts.expressions = read.unwrap_or_default();
    }
    Some(parts)
}

fn match_label<'a>(reader: &mut Reader<'a>, entry: Entry<'a>, keys: Keys) -> Option<Requirement> {
    let key = reader.field(entry, |reader, _| {
        key(reader, entry.key_span, entry.key, keys)
    });
    let value = reader.field(entry, Reader::text);
    let made = Requirement::equals(key?, value?);
    reader.field(entry, |reader, node| accept(reader, node.span, made))
}

fn expression<'a>(reader: &mut Reader<'a>, node: Node<'a>, keys: Keys) -> Option<Requirement> {
    let fields = reader.fields(node, &EXPRESSION)?;
    let text = |reader: &mut Reader<'a>, field: &'static str| {
        let Some(entry) = fields.get(field) else {
            reader.refuse(fields.span, Cause::Missing { field });
            return None;
        };
        let text = reader.field(entry, Reader::text)?;
        Some((entry, text))
    };
    let (key_text, operator) = (text(reader, "key"), text(reader, "operator"));
    let values = match fields.get("values") {
        Some(entry) => reader.field(entry, |reader, node| reader.items(node, Reader::text))?,
        None => Vec::new(),
    };
    let (entry, text) = key_text?;
    let key = reader.field(entry, |reader, node| key(reader, node.span, text, keys));
    let (key, (entry, operator)) = (key?, operator?);
    let made = Requirement::of_texts(key, operator, &values);
    let span = match &made {
        Err(SelectorError::UnknownOperator { .. }) => entry.node.span,
        Err(_) | Ok(_) => fields
            .get("values")
            .map_or(fields.span, |entry| entry.node.span),
    };
    accept(reader, span, made)
}

/// A key in the source that the kind of selector gives it.
fn key(reader: &mut Reader<'_>, span: Span, text: &str, keys: Keys) -> Option<LabelKey> {
    let key = match keys {
        Keys::Cilium => text.parse(),
        Keys::Node => LabelKey::new(Source::Node, text),
        Keys::CidrGroup => LabelKey::new(Source::CidrGroup, text),
        Keys::Pod => LabelKey::new(Source::K8s, text),
        // The key must be valid before its prefix makes it look so.
        Keys::Namespace => LabelKey::new(Source::K8s, text).and_then(|key| {
            let text = format!("{}{}", scope::NAMESPACE_LABELS, key.key());
            LabelKey::new(Source::K8s, &text)
        }),
    };
    accept(reader, span, key.map_err(SelectorError::from))
}

fn accept<T>(reader: &mut Reader<'_>, span: Span, made: Result<T, SelectorError>) -> Option<T> {
    made.map_err(|error| reader.refuse(span, Cause::Selector(error)))
        .ok()
}

const SELECTOR: [Field; 2] = [
    Field::Known("matchLabels"),
    Field::Known("matchExpressions"),
];

const EXPRESSION: [Field; 3] = [
    Field::Known("key"),
    Field::Known("operator"),
    Field::Known("values"),
];
