//! YAML as a tree that knows where every node stands.
//!
//! Only what policies need: mappings with text keys, sequences and scalars. A key given twice, an
//! alias, a tag and a tree that is too deep are faults, each with its place. JSON is a subset of
//! YAML and read the same way; what is plain enough takes a shorter path to the same tree.

mod build;
mod json;
mod scalar;
mod tree;

pub(crate) use self::build::parse;
pub(crate) use self::scalar::{Meaning, Scalar, Style};
pub(crate) use self::tree::{Document, Entries, Entry, Items, Node, Value};
use crate::span::Position;

/// Nodes may be nested this deep; policies need about 12.
pub(crate) const MAX_DEPTH: usize = 64;

/// Where a node stands and how many characters of its first line it covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: Position,
    pub(crate) length: u32,
}

/// What a document may not contain.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) kind: FaultKind,
}

#[derive(Debug, Eq, PartialEq)]
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
