//! YAML as a tree that knows where every node stands.
//!
//! Only what policies need: mappings with text keys, sequences and scalars. A key given twice, an
//! alias, a tag and a tree that is too deep are faults, each with its place. JSON is a subset of
//! YAML and read the same way.

mod build;
mod scalar;

pub(crate) use self::build::parse;
pub(crate) use self::scalar::{Meaning, Scalar, Style};
use crate::span::Position;

/// Nodes may be nested this deep; policies need about 12.
pub(crate) const MAX_DEPTH: usize = 64;

/// Where a node stands and how many characters of its first line it covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: Position,
    pub(crate) length: u32,
}

/// A document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where its first node stands.
    pub(crate) start: Position,
    /// `None` if it is empty or broken.
    pub(crate) root: Option<Node>,
    pub(crate) faults: Vec<Fault>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Mapping(Vec<Entry>),
    Scalar(Scalar),
    Sequence(Vec<Node>),
}

/// A key and its value. Keys of one mapping differ.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

/// What a document may not contain.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) kind: FaultKind,
}

#[derive(Debug)]
pub(crate) enum FaultKind {
    Alias,
    DuplicateKey { key: String, first: Position },
    KeyNotText,
    Syntax { detail: String },
    Tag,
    TooDeep,
}

impl Fault {
    /// Whether the tree lacks what stands at the fault.
    pub(crate) const fn hides_content(&self) -> bool {
        match self.kind {
            FaultKind::Alias | FaultKind::Syntax { .. } | FaultKind::TooDeep => true,
            FaultKind::DuplicateKey { .. } | FaultKind::KeyNotText | FaultKind::Tag => false,
        }
    }
}

impl Node {
    /// The node in a word, for messages about a wrong type.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) => scalar.describe(),
            Value::Sequence(_) => "a list".to_owned(),
        }
    }

    /// Whether the node is `null`, `~` or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }
}
