//! Why a document is refused.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use palisade_identity::{Prefix, SelectorError};
use thiserror::Error;

use super::warning::Doubt;
use crate::span::{Location, Position};

/// A reason to refuse a document, with its place in the file and in the document.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{location:#}: {prefix}{cause}{note}", prefix = self.prefix(), note = self.suffix())]
pub struct Error {
    /// Where it stands.
    pub location: Location,
    /// How many characters of that line it covers; 0 if it has no extent.
    pub length: u32,
    /// The field, from the root of the document.
    pub path: FieldPath,
    /// What is wrong.
    pub cause: Cause,
}

impl Error {
    /// Whether the document is refused only because this field is not modelled yet.
    pub const fn is_unmodelled(&self) -> bool {
        matches!(self.cause, Cause::NotModelled { .. })
    }

    /// What was found and what is allowed, in one sentence; empty if the title says it all.
    pub fn note(&self) -> String {
        let (found, allowed) = (self.cause.found(), self.cause.allowed());
        match (found.is_empty(), allowed.is_empty()) {
            (true, _) => allowed,
            (_, true) => found,
            (false, false) => format!("{found}: {allowed}"),
        }
    }

    fn prefix(&self) -> String {
        if self.path.is_root() {
            String::new()
        } else {
            format!("{}: ", self.path)
        }
    }

    fn suffix(&self) -> String {
        let note = self.note();
        if note.is_empty() {
            note
        } else {
            format!(" ({note})")
        }
    }
}

/// The way from the root of a document to a field: `spec.ingress[0].toPorts[1]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldPath {
    segments: Vec<Segment>,
}

/// A step of a [`FieldPath`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Segment {
    /// Into a field of a mapping.
    Field(String),
    /// Into an item of a list.
    Item(usize),
}

impl FieldPath {
    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether this is the document itself.
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }
}

impl FromIterator<Segment> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self {
            segments: segments.into_iter().collect(),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Field(name) if nth == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What is wrong with a field.
///
/// The text of a cause is a title without the document's own words; [`Cause::found`] and
/// [`Cause::allowed`] are the two halves of the explanation.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// Not YAML.
    #[error("this is not YAML")]
    Syntax {
        /// What the parser says.
        detail: String,
    },
    /// A key that stands twice in a mapping.
    #[error("the key stands here a second time")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it stands first.
        first: Position,
    },
    /// A key that is a mapping or a list.
    #[error("a key is not text")]
    KeyNotText,
    /// More levels than any policy has.
    #[error("the document is nested too deep")]
    TooDeep,
    /// A field that the resource does not have.
    #[error("unknown field")]
    UnknownField {
        /// The field.
        field: String,
        /// The fields that the mapping may have.
        allowed: Vec<&'static str>,
    },
    /// A field that must be there.
    #[error("a field is missing")]
    Missing {
        /// The field, or the choice of fields.
        field: &'static str,
    },
    /// Text where a list is asked for, and the like.
    #[error("wrong type")]
    WrongType {
        /// What it is.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A value that is not one of a few.
    #[error("{what} is not known")]
    NotOneOf {
        /// What the value stands for.
        what: &'static str,
        /// The value.
        found: String,
        /// The values that are.
        allowed: Vec<&'static str>,
    },
    /// A port above 65535.
    #[error("port is out of range")]
    PortRange {
        /// The port.
        found: String,
    },
    /// Neither a number nor a name.
    #[error("this is not a port")]
    Port {
        /// The port.
        found: String,
    },
    /// A port with a leading zero, which is octal to some readers and decimal to others.
    #[error("a port has a leading zero")]
    OctalPort {
        /// The port.
        found: String,
    },
    /// Neither an address nor a prefix.
    #[error("this is not {expected}")]
    Cidr {
        /// The text.
        found: String,
        /// Which of the two is asked for.
        expected: &'static str,
    },
    /// An exception outside its prefix.
    #[error("an exception lies outside its prefix")]
    ExceptOutside {
        /// The exception.
        except: String,
        /// The prefix.
        cidr: String,
    },
    /// A label, its key, its value or an operator.
    #[error("the selector is not valid")]
    Selector(#[source] SelectorError),
    /// A DNS name or pattern.
    #[error("this is not a DNS {what}")]
    Dns {
        /// A name or a pattern.
        what: &'static str,
        /// The text.
        found: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A regular expression.
    #[error("this is not a regular expression")]
    Expression {
        /// The text.
        found: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A value of a form of its own.
    #[error("{what} is not valid")]
    Invalid {
        /// What the value stands for.
        what: &'static str,
        /// The value.
        found: String,
        /// The values that are.
        allowed: &'static str,
    },
    /// More items than the list may have.
    #[error("too many items")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// Two fields that exclude each other, or a field in a place where it may not stand.
    #[error("{rule}")]
    Conflict {
        /// The rule that is broken.
        rule: &'static str,
        /// Why, or what to do instead.
        instead: &'static str,
    },
    /// Legal, but probably not meant, and refused for it on request.
    #[error("{0}")]
    Doubt(Doubt),
    /// A resource of a kind that says nothing about policy.
    #[error("kind {kind} is no policy")]
    OtherKind {
        /// The kind.
        kind: String,
    },
    /// Valid, but this version does not know how to honour it, and so does not accept it.
    #[error("{what} is not modelled yet")]
    NotModelled {
        /// The field or kind.
        what: String,
    },
}

impl Cause {
    /// The stable number of the kind of error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PortRange { .. } => "P001",
            Self::Port { .. } => "P002",
            Self::OctalPort { .. } => "P003",
            Self::Cidr { .. } => "P004",
            Self::ExceptOutside { .. } => "P005",
            Self::Selector(_) => "P006",
            Self::Dns { .. } => "P007",
            Self::NotOneOf { .. } => "P008",
            Self::TooMany { .. } => "P009",
            Self::Conflict { .. } => "P010",
            Self::Expression { .. } => "P011",
            Self::Invalid { .. } => "P012",
            Self::Missing { .. } => "P020",
            Self::UnknownField { .. } => "P021",
            Self::WrongType { .. } => "P022",
            Self::Syntax { .. } => "P030",
            Self::DuplicateKey { .. } => "P031",
            Self::KeyNotText => "P032",
            Self::TooDeep => "P033",
            Self::Doubt(doubt) => doubt.code(),
            Self::OtherKind { .. } => "P034",
            Self::NotModelled { .. } => "P090",
        }
    }

    /// What was found, in the document's words; empty where the place says it all.
    pub fn found(&self) -> String {
        match self {
            Self::Syntax { detail } => detail.clone(),
            Self::DuplicateKey { key, first } => format!("`{key}` stands at {first} already"),
            Self::UnknownField { field, .. } => format!("`{}`", shown(field)),
            Self::WrongType { found, .. } => format!("found {found}"),
            Self::NotOneOf { found, .. }
            | Self::PortRange { found }
            | Self::Port { found }
            | Self::OctalPort { found }
            | Self::Cidr { found, .. }
            | Self::Invalid { found, .. } => format!("found {:?}", shown(found)),
            Self::Expression { found, detail } => format!("{:?}: {detail}", shown(found)),
            Self::ExceptOutside { except, cidr } => format!("{except} is not inside {cidr}"),
            Self::Selector(error) => error.to_string(),
            Self::Dns { found, detail, .. } => format!("{:?}: {detail}", shown(found)),
            Self::TooMany { found, .. } => format!("found {found}"),
            Self::Doubt(doubt) => doubt.found(),
            Self::KeyNotText
            | Self::TooDeep
            | Self::Missing { .. }
            | Self::Conflict { .. }
            | Self::OtherKind { .. }
            | Self::NotModelled { .. } => String::new(),
        }
    }

    /// What is allowed in its place, or what to do.
    pub fn allowed(&self) -> String {
        match self {
            Self::PortRange { .. } | Self::Port { .. } => {
                "a port is 1 to 65535, or a name of up to 15 characters".to_owned()
            }
            Self::OctalPort { .. } => {
                "write it without the zero: readers disagree whether it makes the number octal"
                    .to_owned()
            }
            Self::Cidr { found, expected } => match found.parse::<IpAddr>() {
                Ok(address) => format!("write {}", Prefix::exact(address)),
                Err(_) if *expected == "an address" => {
                    format!("{expected}, such as 10.0.0.1 or fd00::1")
                }
                Err(_) => format!("{expected}, such as 10.0.0.0/8 or fd00::/8"),
            },
            Self::ExceptOutside { .. } => {
                "an exception takes addresses out of its prefix".to_owned()
            }
            Self::UnknownField { field, allowed } => match nearest(field, allowed) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", allowed.join(", ")),
            },
            Self::Missing { field } => format!("add {field}"),
            Self::WrongType { expected, .. } => format!("{expected} is needed here"),
            Self::NotOneOf { found, allowed, .. } => match nearest(found, allowed) {
                Some(near) if allowed.len() > MAX_LISTED => format!("did you mean {near}?"),
                Some(_) | None => format!("one of {}", allowed.join(", ")),
            },
            Self::Expression { .. } => "write it in the syntax of RE2".to_owned(),
            Self::Invalid { allowed, .. } => (*allowed).to_owned(),
            Self::TooMany { max: 0, .. } => "the field has no effect: remove it".to_owned(),
            Self::TooMany { max, .. } => format!("at most {max}"),
            Self::Conflict { instead, .. } => (*instead).to_owned(),
            Self::OtherKind { .. } => {
                "only policies and CIDR groups are read here: keep other resources elsewhere"
                    .to_owned()
            }
            Self::NotModelled { .. } => {
                "remove it, or wait for the version that enforces it".to_owned()
            }
            Self::Doubt(doubt) => doubt.advice().to_owned(),
            Self::TooDeep => format!("at most {} levels", crate::yaml::MAX_DEPTH),
            Self::KeyNotText => "quote it".to_owned(),
            Self::DuplicateKey { .. } => "keep one".to_owned(),
            Self::Syntax { .. } | Self::Selector(_) | Self::Dns { .. } => String::new(),
        }
    }
}

/// The start of a text; the place says where the rest is.
fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

/// The name that a mistyped one probably stands for: at most two edits away.
fn nearest(field: &str, allowed: &[&'static str]) -> Option<&'static str> {
    let distance = |name: &str| edits(&field.to_ascii_lowercase(), &name.to_ascii_lowercase());
    allowed
        .iter()
        .map(|name| (distance(name), *name))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name)
}

/// The Levenshtein distance of two short texts; long ones are simply far apart.
fn edits(left: &str, right: &str) -> usize {
    if left.len() > MAX_COMPARED || right.len() > MAX_COMPARED {
        return MAX_COMPARED;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut previous = i;
        let mut current = i + 1;
        let mut next = vec![current];
        for (b, above) in right.bytes().zip(row.iter().skip(1)) {
            let changed = previous + usize::from(a != b);
            previous = *above;
            current = changed.min(above + 1).min(current + 1);
            next.push(current);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

const MAX_COMPARED: usize = 40;

/// Characters of a text that a message repeats.
const MAX_SHOWN: usize = 100;

/// So many words are listed whole.
const MAX_LISTED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_leads_to_the_nearest() {
        let allowed = ["egress", "egressDeny", "ingress", "ingressDeny"];
        assert_eq!(nearest("ingres", &allowed), Some("ingress"));
        assert_eq!(nearest("IngressDeny", &allowed), Some("ingressDeny"));
        assert_eq!(nearest("labels", &allowed), None);
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("port", "port"), 0);
        assert_eq!(edits("port", "ports"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
