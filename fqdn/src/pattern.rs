//! `matchPattern` and `matchName`: the texts by which rules select names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::glob;
use crate::name::DnsName;

/// Bytes of the longest pattern.
pub(crate) const MAX_PATTERN: usize = 255;

/// Who has to accept a pattern's text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// The agent: any text of the right characters, trimmed. An empty text is the root, and one
    /// with an empty label selects nothing.
    Agent,
    /// The agent and the schema of the custom resource, which takes neither white space around a
    /// text nor an empty label.
    Cluster,
}

/// A set of names: one name, or a pattern with `*` and a leading `**.`.
///
/// Kept in canonical form, so that two texts that select the same names in the same way are equal:
/// lower-case, no final dot, runs of stars shortened. Every star stands for characters out of
/// `[-a-zA-Z0-9_]` only.
///
/// | text | selects |
/// |---|---|
/// | `example.com` | that name |
/// | `*.example.com` | names with exactly one more label |
/// | `**.example.com` | names with one or more further labels |
/// | `*example.com`, `a*b.example.com` | any number of characters inside the label |
/// | `*` | every name made of such characters, and the root |
///
/// ```
/// use palisade_fqdn::{DnsName, Level, MatchPattern};
///
/// let pattern = MatchPattern::parse("*.Example.com.", Level::Cluster)?;
/// assert_eq!(pattern.as_str(), "*.example.com");
/// assert!(pattern.matches(&DnsName::parse("www.example.com")?));
/// assert!(!pattern.matches(&DnsName::parse("a.b.example.com")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MatchPattern {
    canonical: Arc<str>,
}

/// Why a text is not a pattern. Offsets count bytes from the start of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// More than 255 bytes.
    #[error("a pattern is longer than 255 bytes ({length})")]
    TooLong {
        /// The length of the text.
        length: usize,
    },
    /// A character that neither a name nor a pattern may hold.
    #[error("character {found:?} at byte {offset} is none of a-z, A-Z, 0-9, \"-\", \"_\", \".\"{}",
        if *.star_allowed { ", \"*\"" } else { "" })]
    Character {
        /// Where the character stands.
        offset: usize,
        /// The character.
        found: char,
        /// Whether a star would have been taken: in a `matchPattern`, not in a `matchName`.
        star_allowed: bool,
    },
    /// No text at all, refused at [`Level::Cluster`].
    #[error("a pattern is empty")]
    Empty,
    /// Two dots in a row or a dot in front, refused at [`Level::Cluster`].
    #[error("a label is empty at byte {offset}")]
    EmptyLabel {
        /// Where the label should have started.
        offset: usize,
    },
}

impl PatternError {
    /// The byte of the text at which the error shows.
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Character { offset, .. } | Self::EmptyLabel { offset } => offset,
            Self::TooLong { .. } => MAX_PATTERN,
            Self::Empty => 0,
        }
    }
}

impl MatchPattern {
    /// Parses a `matchPattern`.
    ///
    /// # Errors
    /// [`PatternError`] with the place in the text.
    pub fn parse(text: &str, level: Level) -> Result<Self, PatternError> {
        check(text, level, Stars::Allowed)?;
        Ok(Self::canonical(text.trim()))
    }

    /// Parses a `matchName`: a pattern without stars.
    ///
    /// # Errors
    /// [`PatternError`] with the place in the text.
    pub fn parse_name(text: &str, level: Level) -> Result<Self, PatternError> {
        check(text, level, Stars::Refused)?;
        Ok(Self::canonical(text.trim()))
    }

    /// The canonical text: what the label `fqdn:…` carries, and what parses to the same pattern.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// Whether this is `*`, which selects every name.
    ///
    /// Among the rules of a DNS filter it lets every query pass, also for names with bytes that
    /// no star stands for; see [`crate::Filter`].
    pub fn is_match_all(&self) -> bool {
        &*self.canonical == "*"
    }

    /// Whether the pattern selects at most one name.
    pub fn is_name(&self) -> bool {
        !self.canonical.contains('*')
    }

    /// The only name that the pattern selects, if it selects at most one.
    pub(crate) fn name(&self) -> Option<DnsName> {
        let name = self.is_name().then(|| DnsName::parse(&self.canonical).ok());
        name.flatten()
    }

    /// Whether the pattern selects this name.
    pub fn matches(&self, name: &DnsName) -> bool {
        if !name.labels().all(glob::is_plain) {
            return false;
        }
        if self.is_match_all() {
            return true;
        }
        let length = name.labels().count();
        let (fixed, deep) = self.labels();
        let wanted = fixed.clone().count();
        let skipped = match deep {
            Depth::OneOrMore => length.checked_sub(wanted).filter(|&more| more > 0),
            Depth::Exact => (length == wanted).then_some(0),
        };
        skipped.is_some_and(|skipped| {
            let mut pairs = fixed.zip(name.labels().skip(skipped));
            pairs.all(|(pattern, label)| glob::matches(pattern.as_bytes(), label))
        })
    }

    /// The patterns of the labels from left to right, without a leading `**`, and whether that is
    /// there. Not for [`MatchPattern::is_match_all`].
    pub(crate) fn labels(&self) -> (impl DoubleEndedIterator<Item = &str> + Clone, Depth) {
        let (fixed, depth) = match self.canonical.strip_prefix("**.") {
            _ if self.is_root() => (None, Depth::Exact),
            Some(fixed) => (Some(fixed), Depth::OneOrMore),
            None => (Some(&*self.canonical), Depth::Exact),
        };
        (fixed.into_iter().flat_map(|text| text.split('.')), depth)
    }

    fn is_root(&self) -> bool {
        &*self.canonical == "."
    }

    /// The canonical form of a text that has passed the checks.
    fn canonical(text: &str) -> Self {
        let text = match text.strip_suffix('.') {
            _ if text.is_empty() => ".",
            // What is left of `..` or `*..`, which select nothing, must not become the root or `*`.
            Some(rest) if !rest.is_empty() && !rest.ends_with('.') => rest,
            _ => text,
        };
        if !text.contains('*') {
            let mut canonical: Arc<str> = text.into();
            if let Some(text) = Arc::get_mut(&mut canonical) {
                text.make_ascii_lowercase();
            }
            return Self { canonical };
        }
        let mut canonical = String::with_capacity(text.len());
        let rest = text.trim_start_matches('*');
        let stars = text.len() - rest.len();
        if stars >= 2 && rest.starts_with('.') {
            canonical.push('*');
        }
        for character in text.chars() {
            // The second star of a leading `**.` was pushed above.
            let doubled = character == '*' && canonical.ends_with('*');
            if !doubled || (canonical == "*" && stars >= 2 && rest.starts_with('.')) {
                canonical.push(character.to_ascii_lowercase());
            }
        }
        Self {
            canonical: canonical.into(),
        }
    }
}

/// Whether a pattern starts with `**.`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Depth {
    Exact,
    OneOrMore,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stars {
    Allowed,
    Refused,
}

fn check(text: &str, level: Level, stars: Stars) -> Result<(), PatternError> {
    let (start, judged) = match level {
        Level::Agent => (text.len() - text.trim_start().len(), text.trim()),
        Level::Cluster => (0, text),
    };
    let length = judged.len();
    if length > MAX_PATTERN {
        return Err(PatternError::TooLong { length });
    }
    let star_allowed = stars == Stars::Allowed;
    let allowed = |character: char| match character {
        '-' | '_' | '.' => true,
        '*' => star_allowed,
        _ => character.is_ascii_alphanumeric(),
    };
    // Rules come by the million: most need no look at characters.
    let fine = |byte: u8| glob::is_plain(&[byte]) || byte == b'.' || byte == b'*' && star_allowed;
    let wrong = if judged.bytes().all(fine) {
        None
    } else {
        judged.char_indices().find(|(_, found)| !allowed(*found))
    };
    if let Some((offset, found)) = wrong {
        return Err(PatternError::Character {
            offset: start + offset,
            found,
            star_allowed,
        });
    }
    match level {
        Level::Agent => Ok(()),
        Level::Cluster => check_labels(judged),
    }
}

fn check_labels(text: &str) -> Result<(), PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    if text.starts_with('.') {
        return Err(PatternError::EmptyLabel { offset: 0 });
    }
    match text.find("..") {
        Some(dot) => Err(PatternError::EmptyLabel { offset: dot + 1 }),
        None => Ok(()),
    }
}

impl fmt::Display for MatchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.canonical)
    }
}

/// Parses at [`Level::Agent`], which takes every canonical text.
impl FromStr for MatchPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, Level::Agent)
    }
}
