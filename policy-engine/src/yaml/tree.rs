//! The nodes of a document, kept side by side: a document is a few pieces of memory, whatever it
//! says.

use std::borrow::Cow;

use super::{Fault, Meaning, Scalar, Span, Style};
use crate::span::Position;

/// A document of a text.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Document<'t> {
    /// Where its first node stands.
    pub(crate) start: Position,
    pub(crate) faults: Vec<Fault>,
    /// `None` if it is empty or broken.
    root: Option<Stored<'t>>,
    entries: Vec<StoredEntry<'t>>,
    items: Vec<Stored<'t>>,
}

/// A node as a document keeps it: what is in a mapping or a list stands in the document's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stored<'t> {
    pub(super) span: Span,
    pub(super) value: StoredValue<'t>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum StoredValue<'t> {
    Mapping(Run),
    Scalar(Cow<'t, str>, Style),
    Sequence(Run),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct StoredEntry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) key_span: Span,
    pub(super) node: Stored<'t>,
}

/// Neighbours: where the first stands, and where the one behind the last would.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    first: u32,
    end: u32,
}

/// The nodes of a document that is being built.
///
/// What mappings and lists that are still open hold waits at the end of a list of its own, and
/// moves to the document when they are closed.
#[derive(Debug, Default)]
pub(super) struct Growing<'t> {
    entries: Vec<StoredEntry<'t>>,
    items: Vec<Stored<'t>>,
    open_entries: Vec<StoredEntry<'t>>,
    open_items: Vec<Stored<'t>>,
}

/// A mapping or a list that is open: what it holds begins here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open(usize);

impl<'t> Growing<'t> {
    pub(super) const fn open_mapping(&self) -> Open {
        Open(self.open_entries.len())
    }

    pub(super) const fn open_sequence(&self) -> Open {
        Open(self.open_items.len())
    }

    /// What an open mapping holds so far.
    pub(super) fn entries(&self, open: Open) -> &[StoredEntry<'t>] {
        self.open_entries.get(open.0..).unwrap_or_default()
    }

    pub(super) fn push_entry(&mut self, entry: StoredEntry<'t>) {
        self.open_entries.push(entry);
    }

    pub(super) fn push_item(&mut self, item: Stored<'t>) {
        self.open_items.push(item);
    }

    pub(super) fn close_mapping(&mut self, open: Open) -> StoredValue<'t> {
        StoredValue::Mapping(close(&mut self.entries, &mut self.open_entries, open))
    }

    pub(super) fn close_sequence(&mut self, open: Open) -> StoredValue<'t> {
        StoredValue::Sequence(close(&mut self.items, &mut self.open_items, open))
    }

    /// The document of what has been built; nothing is left for the next one.
    pub(super) fn document(
        &mut self,
        start: Position,
        root: Option<Stored<'t>>,
        faults: Vec<Fault>,
    ) -> Document<'t> {
        Document {
            start,
            faults,
            root: root.filter(|node| !node.is_null()),
            entries: std::mem::take(&mut self.entries),
            items: std::mem::take(&mut self.items),
        }
    }
}

fn close<T>(closed: &mut Vec<T>, open: &mut Vec<T>, from: Open) -> Run {
    let first = number(closed.len());
    closed.extend(open.drain(from.0.min(open.len())..));
    Run {
        first,
        end: number(closed.len()),
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Run {
    fn of<T>(self, all: &[T]) -> &[T] {
        all.get(self.first as usize..self.end as usize)
            .unwrap_or_default()
    }
}

impl Stored<'_> {
    fn is_null(&self) -> bool {
        matches!(&self.value, StoredValue::Scalar(text, style)
            if Scalar { text, style: *style }.meaning() == Meaning::Null)
    }
}

impl Document<'_> {
    /// The first node; `None` if the document is empty or broken.
    pub(crate) fn root(&self) -> Option<Node<'_>> {
        self.root.as_ref().map(|root| self.node(root))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.root.is_none() && self.faults.is_empty()
    }

    fn node<'a>(&'a self, stored: &'a Stored<'a>) -> Node<'a> {
        let value = match &stored.value {
            StoredValue::Mapping(run) => Value::Mapping(Entries {
                list: run.of(&self.entries),
                document: self,
            }),
            StoredValue::Scalar(text, style) => Value::Scalar(Scalar {
                text,
                style: *style,
            }),
            StoredValue::Sequence(run) => Value::Sequence(Items {
                list: run.of(&self.items),
                document: self,
            }),
        };
        Node {
            span: stored.span,
            value,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) span: Span,
    pub(crate) value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Mapping(Entries<'a>),
    Scalar(Scalar<'a>),
    Sequence(Items<'a>),
}

/// A key and its value. Keys of one mapping differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    pub(crate) key_span: Span,
    pub(crate) node: Node<'a>,
}

/// The entries of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a> {
    list: &'a [StoredEntry<'a>],
    document: &'a Document<'a>,
}

/// The items of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a> {
    list: &'a [Stored<'a>],
    document: &'a Document<'a>,
}

impl<'a> Entries<'a> {
    /// The entry at a place.
    pub(crate) fn at(self, place: usize) -> Option<Entry<'a>> {
        self.list.get(place).map(|entry| self.entry(entry))
    }

    /// All keys, in the order of the text.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'a str> {
        self.list.iter().map(|entry| &*entry.key)
    }

    /// Whether the value at a place is `null`, `~` or nothing at all.
    pub(crate) fn is_null(self, place: usize) -> bool {
        self.list
            .get(place)
            .is_some_and(|entry| entry.node.is_null())
    }

    /// The key at a place.
    pub(crate) fn key(self, place: usize) -> Option<&'a str> {
        self.list.get(place).map(|entry| &*entry.key)
    }

    /// The entry of a key.
    pub(crate) fn get(self, key: &str) -> Option<Entry<'a>> {
        let found = self.list.iter().find(|entry| entry.key == key);
        found.map(|entry| self.entry(entry))
    }

    /// All of them, in the order of the text.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Entry<'a>> {
        self.list.iter().map(move |entry| self.entry(entry))
    }

    fn entry(self, entry: &'a StoredEntry<'a>) -> Entry<'a> {
        Entry {
            key: &entry.key,
            key_span: entry.key_span,
            node: self.document.node(&entry.node),
        }
    }
}

impl<'a> Items<'a> {
    pub(crate) const fn len(self) -> usize {
        self.list.len()
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order of the text.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Node<'a>> {
        self.list.iter().map(move |item| self.document.node(item))
    }
}

impl Node<'_> {
    /// The node in a word, for messages about a wrong type.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) => scalar.describe(),
            Value::Sequence(_) => "a list".to_owned(),
        }
    }
}
