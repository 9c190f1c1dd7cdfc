//! Walking a tree with the path at hand, so that every error knows its field.

use std::sync::Arc;

use super::error::{Cause, Error, FieldPath, Segment};
use super::warning::{Doubt, Warning};
use super::{Document, Resource};
use crate::options::{Level, Options, Strictness};
use crate::span::{Location, Position};
use crate::yaml::{Entry, Fault, FaultKind, Meaning, Node, Span, Value};

/// Reads one document; collects what is wrong with it.
pub(super) struct Reader<'a> {
    pub(super) options: &'a Options,
    file: Arc<str>,
    empty_fields: EmptyFields,
    path: Vec<Step<'a>>,
    errors: Vec<Error>,
    warnings: Vec<Warning>,
}

/// A step of the path, owned only once somebody wants to read it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// What becomes of a field without a value.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum EmptyFields {
    /// It counts as absent.
    Absent,
    /// It is refused: a list of peers that lost its items would let everybody in.
    Refused,
}

/// A field that a mapping may have.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// Read.
    Known(&'static str),
    /// Dropped unseen by the agent's decoder; not a field of the resource.
    Dropped(&'static str),
}

/// The fields of a mapping, all of them known.
pub(super) struct Fields<'n> {
    pub(super) span: Span,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == name).copied()
    }

    /// All of them, in the order of the document.
    pub(super) fn entries(&self) -> &[&'n Entry] {
        &self.entries
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &Arc<str>, options: &'a Options) -> Self {
        Self {
            options,
            file: Arc::clone(file),
            empty_fields: EmptyFields::Absent,
            path: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A reader of an item of a list of documents.
    pub(super) fn of_item(file: &Arc<str>, options: &'a Options, index: usize) -> Self {
        let mut reader = Self::new(file, options);
        reader.path = vec![Step::Field("items"), Step::Item(index)];
        reader
    }

    /// What became of the document at `location`.
    pub(super) fn finish(mut self, location: Location, resource: Option<Resource>) -> Document {
        self.warnings
            .sort_by_key(|warning| warning.location.position);
        match resource {
            Some(resource) if self.errors.is_empty() => Document {
                location,
                outcome: Ok(resource),
                warnings: self.warnings,
            },
            Some(_) | None => Document {
                location,
                outcome: Err(self.into_errors()),
                warnings: Vec::new(),
            },
        }
    }

    /// Everything that is wrong, in the order of the file.
    pub(super) fn into_errors(mut self) -> Vec<Error> {
        // Of two complaints about one place the first is the one that was found first.
        self.errors.sort_by_key(|error| error.location.position);
        self.errors
    }

    /// Says what becomes of fields without a value from here on.
    pub(super) const fn set_empty_fields(&mut self, empty_fields: EmptyFields) {
        self.empty_fields = empty_fields;
    }

    pub(super) const fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) const fn error_count(&self) -> usize {
        self.errors.len()
    }

    pub(super) fn location(&self, position: Position) -> Location {
        Location {
            file: Arc::clone(&self.file),
            position,
        }
    }

    pub(super) fn refuse(&mut self, span: Span, cause: Cause) {
        self.errors.push(Error {
            location: self.location(span.start),
            length: span.length,
            path: self.field_path(),
            cause,
        });
    }

    /// Notes what is legal and probably not meant.
    pub(super) fn doubt(&mut self, span: Span, doubt: Doubt) {
        if self.options.strictness == Strictness::Strict {
            self.refuse(span, Cause::Doubt(doubt));
            return;
        }
        self.warnings.push(Warning {
            location: self.location(span.start),
            length: span.length,
            path: self.field_path(),
            doubt,
        });
    }

    fn field_path(&self) -> FieldPath {
        let segment = |step: &Step<'_>| match *step {
            Step::Field(name) => Segment::Field(name.to_owned()),
            Step::Item(index) => Segment::Item(index),
        };
        self.path.iter().map(segment).collect()
    }

    pub(super) fn refuse_fault(&mut self, fault: Fault) {
        let cause = match fault.kind {
            FaultKind::Alias => Cause::NotModelled {
                what: "a YAML alias".to_owned(),
            },
            FaultKind::DuplicateKey { key, first } => Cause::DuplicateKey { key, first },
            FaultKind::KeyNotText => Cause::KeyNotText,
            FaultKind::Syntax { detail } => Cause::Syntax { detail },
            FaultKind::Tag => Cause::NotModelled {
                what: "a YAML tag".to_owned(),
            },
            FaultKind::TooDeep => Cause::TooDeep,
        };
        self.refuse(fault.span, cause);
    }

    /// Reads the value of a field, with the field on the path.
    pub(super) fn field<T>(
        &mut self,
        entry: &'a Entry,
        read: impl FnOnce(&mut Self, &'a Node) -> T,
    ) -> T {
        self.within(Step::Field(&entry.key), |reader| read(reader, &entry.node))
    }

    /// Reads every item of a list, with its number on the path. `None` if it is no list.
    pub(super) fn items<T>(
        &mut self,
        node: &'a Node,
        mut read: impl FnMut(&mut Self, &'a Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(node)?;
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            values.extend(self.within(Step::Item(index), |reader| read(reader, item)));
        }
        Some(values)
    }

    pub(super) fn list(&mut self, node: &'a Node) -> Option<&'a [Node]> {
        match &node.value {
            Value::Sequence(items) => Some(items),
            Value::Mapping(_) | Value::Scalar(_) => self.wrong_type(node, "a list"),
        }
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn entries(&mut self, node: &'a Node) -> Option<&'a [Entry]> {
        match &node.value {
            Value::Mapping(entries) => Some(entries),
            Value::Sequence(_) | Value::Scalar(_) => self.wrong_type(node, "a mapping"),
        }
    }

    /// The fields of a mapping; refuses those that it may not have.
    pub(super) fn fields(&mut self, node: &'a Node, known: &[Field]) -> Option<Fields<'a>> {
        let mut kept = Vec::new();
        for entry in self.entries(node)? {
            let field = known.iter().find(|field| field.name() == entry.key);
            self.within(Step::Field(&entry.key), |reader| match field {
                Some(Field::Known(_)) if entry.node.is_null() => reader.refuse_null(entry),
                Some(Field::Known(_)) => kept.push(entry),
                Some(Field::Dropped(_)) if reader.options.level == Level::Agent => {}
                Some(Field::Dropped(_)) | None => reader.refuse(
                    entry.key_span,
                    Cause::UnknownField {
                        field: entry.key.clone(),
                        allowed: names(known),
                    },
                ),
            });
        }
        Some(Fields {
            span: node.span,
            entries: kept,
        })
    }

    pub(super) fn text(&mut self, node: &'a Node) -> Option<&'a str> {
        match &node.value {
            Value::Scalar(scalar) if scalar.meaning() == Meaning::Text => Some(&scalar.text),
            Value::Scalar(scalar) if scalar.meaning() == Meaning::Null => {
                self.wrong_type(node, "text")
            }
            Value::Scalar(_) => self.wrong_type(node, "text (in quotes)"),
            Value::Mapping(_) | Value::Sequence(_) => self.wrong_type(node, "text"),
        }
    }

    pub(super) fn boolean(&mut self, node: &'a Node) -> Option<bool> {
        match &node.value {
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Boolean(value) => Some(value),
                Meaning::Integer(_)
                | Meaning::Null
                | Meaning::Number
                | Meaning::Text
                | Meaning::Word => self.wrong_type(node, "true or false"),
            },
            Value::Mapping(_) | Value::Sequence(_) => self.wrong_type(node, "true or false"),
        }
    }

    pub(super) fn integer(&mut self, node: &'a Node) -> Option<i64> {
        match &node.value {
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Integer(value) => Some(value),
                Meaning::Boolean(_)
                | Meaning::Null
                | Meaning::Number
                | Meaning::Text
                | Meaning::Word => self.wrong_type(node, "a whole number"),
            },
            Value::Mapping(_) | Value::Sequence(_) => self.wrong_type(node, "a whole number"),
        }
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        node: &'a Node,
        what: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(node)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let allowed = words.iter().map(|(word, _)| *word).collect();
            let found = text.to_owned();
            self.refuse(
                node.span,
                Cause::NotOneOf {
                    what,
                    found,
                    allowed,
                },
            );
        }
        found.map(|(_, value)| *value)
    }

    /// Whether a node is the empty text.
    pub(super) fn is_empty_text(node: &Node) -> bool {
        matches!(&node.value, Value::Scalar(scalar)
            if scalar.text.is_empty() && scalar.meaning() == Meaning::Text)
    }

    /// Whether a node is the empty text, which the agent does not tell from one that is absent.
    pub(super) fn is_absent_text(&self, node: &Node) -> bool {
        self.options.level == Level::Agent && Self::is_empty_text(node)
    }

    /// Whether the schema of the resource counts.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.options.level, Level::Cluster)
    }

    pub(super) fn wrong_type<T>(&mut self, node: &Node, expected: &'static str) -> Option<T> {
        let found = node.describe();
        self.refuse(node.span, Cause::WrongType { found, expected });
        None
    }

    fn refuse_null(&mut self, entry: &Entry) {
        if self.empty_fields == EmptyFields::Refused {
            self.refuse(
                entry.key_span,
                Cause::WrongType {
                    found: "nothing".to_owned(),
                    expected: "a value",
                },
            );
        }
    }

    fn within<T>(&mut self, segment: Step<'a>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment);
        let value = read(self);
        self.path.pop();
        value
    }
}

impl Field {
    const fn name(&self) -> &'static str {
        match self {
            Self::Known(name) | Self::Dropped(name) => name,
        }
    }
}

fn names(known: &[Field]) -> Vec<&'static str> {
    known
        .iter()
        .filter(|field| !matches!(field, Field::Dropped(_)))
        .map(Field::name)
        .collect()
}
