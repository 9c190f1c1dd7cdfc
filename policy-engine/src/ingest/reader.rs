//! Walking a tree with the path at hand, so that every error knows its field.

use std::sync::Arc;

use super::error::{Cause, Error, FieldPath, Segment};
use super::warning::{Doubt, Warning};
use super::{Document, Resource};
use crate::options::{Level, Options, Strictness};
use crate::span::{Location, Position};
use crate::yaml::{Entries, Entry, Fault, FaultKind, Items, Meaning, Node, Span, Value};

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
    all: Entries<'n>,
    /// Where those stand that have a value and are read.
    kept: [u32; MAX_FIELDS],
    count: usize,
    /// The marks of their names: most fields that are asked for are not there.
    marks: u64,
}

/// Room for the paths of nearly all documents.
const USUAL_DEPTH: usize = 12;

/// No mapping knows more fields.
const MAX_FIELDS: usize = 14;

impl<'n> Fields<'n> {
    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<Entry<'n>> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.find(name)
    }

    fn find(&self, name: &str) -> Option<Entry<'n>> {
        let mut kept = self.kept.iter().take(self.count);
        let place = kept.find(|place| self.all.key(**place as usize) == Some(name))?;
        self.all.at(*place as usize)
    }

    /// All of them, in the order of the document.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'n>> {
        let kept = self.kept.iter().take(self.count);
        kept.filter_map(|place| self.all.at(*place as usize))
    }

    #[inline]
    pub(super) fn has(&self, name: &str) -> bool {
        self.marks & mark(name) != 0 && self.find(name).is_some()
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &Arc<str>, options: &'a Options) -> Self {
        Self {
            options,
            file: Arc::clone(file),
            empty_fields: EmptyFields::Absent,
            path: Vec::with_capacity(USUAL_DEPTH),
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
        entry: Entry<'a>,
        read: impl FnOnce(&mut Self, Node<'a>) -> T,
    ) -> T {
        self.within(Step::Field(entry.key), |reader| read(reader, entry.node))
    }

    /// Reads every item of a list, with its number on the path. `None` if it is no list.
    pub(super) fn items<T>(
        &mut self,
        node: Node<'a>,
        mut read: impl FnMut(&mut Self, Node<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut values = Vec::with_capacity(self.list(node)?.len());
        self.each(node, |reader, item| values.extend(read(reader, item)));
        Some(values)
    }

    /// Visits every item of a list, with its number on the path.
    pub(super) fn each(&mut self, node: Node<'a>, mut visit: impl FnMut(&mut Self, Node<'a>)) {
        let items = self.list(node).into_iter().flat_map(Items::iter);
        for (index, item) in items.enumerate() {
            self.within(Step::Item(index), |reader| visit(reader, item));
        }
    }

    pub(super) fn list(&mut self, node: Node<'a>) -> Option<Items<'a>> {
        match &node.value {
            Value::Sequence(items) => Some(*items),
            Value::Mapping(_) | Value::Scalar(_) => self.wrong_type(node, "a list"),
        }
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn entries(&mut self, node: Node<'a>) -> Option<Entries<'a>> {
        match &node.value {
            Value::Mapping(entries) => Some(*entries),
            Value::Sequence(_) | Value::Scalar(_) => self.wrong_type(node, "a mapping"),
        }
    }

    /// The fields of a mapping; refuses those that it may not have.
    pub(super) fn fields(&mut self, node: Node<'a>, known: &[Field]) -> Option<Fields<'a>> {
        let mut fields = Fields {
            span: node.span,
            all: self.entries(node)?,
            kept: [0; MAX_FIELDS],
            count: 0,
            marks: 0,
        };
        for (place, key) in (0..).zip(fields.all.keys()) {
            let field = known.iter().find(|field| field.name() == key);
            let is_read = matches!(field, Some(Field::Known(_)));
            if is_read && !fields.all.is_null(place as usize) {
                // Keys differ, so there are no more than are known.
                if let Some(slot) = fields.kept.get_mut(fields.count) {
                    *slot = place;
                    fields.count += 1;
                    fields.marks |= mark(key);
                }
            } else if let Some(entry) = fields.all.at(place as usize) {
                match field {
                    Some(Field::Known(_)) => self.refuse_null(entry),
                    Some(Field::Dropped(_)) if self.options.level == Level::Agent => {}
                    Some(Field::Dropped(_)) | None => self.refuse_unknown(entry, known),
                }
            }
        }
        Some(fields)
    }

    pub(super) fn text(&mut self, node: Node<'a>) -> Option<&'a str> {
        match &node.value {
            Value::Scalar(scalar) if scalar.meaning() == Meaning::Text => Some(scalar.text),
            Value::Scalar(scalar) if scalar.meaning() == Meaning::Null => {
                self.wrong_type(node, "text")
            }
            Value::Scalar(_) => self.wrong_type(node, "text (in quotes)"),
            Value::Mapping(_) | Value::Sequence(_) => self.wrong_type(node, "text"),
        }
    }

    pub(super) fn boolean(&mut self, node: Node<'a>) -> Option<bool> {
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

    pub(super) fn integer(&mut self, node: Node<'a>) -> Option<i64> {
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
        node: Node<'a>,
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
    pub(super) fn is_empty_text(node: Node<'_>) -> bool {
        matches!(&node.value, Value::Scalar(scalar)
            if scalar.text.is_empty() && scalar.meaning() == Meaning::Text)
    }

    /// Whether a node is the empty text, which the agent does not tell from one that is absent.
    pub(super) fn is_absent_text(&self, node: Node<'_>) -> bool {
        self.options.level == Level::Agent && Self::is_empty_text(node)
    }

    /// Whether the schema of the resource counts.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.options.level, Level::Cluster)
    }

    pub(super) fn wrong_type<T>(&mut self, node: Node<'_>, expected: &'static str) -> Option<T> {
        let found = node.describe();
        self.refuse(node.span, Cause::WrongType { found, expected });
        None
    }

    fn refuse_null(&mut self, entry: Entry<'a>) {
        if self.empty_fields == EmptyFields::Refused {
            let (found, expected) = ("nothing".to_owned(), "a value");
            self.within(Step::Field(entry.key), |reader| {
                reader.refuse(entry.key_span, Cause::WrongType { found, expected });
            });
        }
    }

    fn refuse_unknown(&mut self, entry: Entry<'a>, known: &[Field]) {
        let (field, allowed) = (entry.key.to_owned(), names(known));
        self.within(Step::Field(entry.key), |reader| {
            reader.refuse(entry.key_span, Cause::UnknownField { field, allowed });
        });
    }

    fn within<T>(&mut self, segment: Step<'a>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment);
        let value = read(self);
        self.path.pop();
        value
    }
}

/// A bit of a name: two names may have the same.
#[inline]
fn mark(name: &str) -> u64 {
    let last = name.bytes().next_back().unwrap_or_default();
    1 << ((name.len() * 5 + usize::from(last)) % 64)
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
