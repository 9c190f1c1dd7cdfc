//! Names in wire form, lower-case, settled once at the border.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::wire;

/// Bytes of the longest name in wire form, the root's zero byte included.
pub(crate) const MAX_NAME: usize = 255;
/// Bytes of the longest label.
pub(crate) const MAX_LABEL: usize = 63;

/// A DNS name: complete, lower-case, in wire form. Cloning it is cheap.
///
/// Text and wire agree: any sequence of labels that fits into 255 bytes can be parsed from what
/// [`Display`](fmt::Display) prints, whatever bytes it holds.
///
/// ```
/// use palisade_fqdn::DnsName;
///
/// let name: DnsName = "WWW.Example.com.".parse()?;
/// assert_eq!(name.to_string(), "www.example.com");
/// assert_eq!(name.as_wire(), b"\x03www\x07example\x03com\0");
/// # Ok::<(), palisade_fqdn::NameError>(())
/// ```
#[derive(Clone, Eq)]
pub struct DnsName {
    wire: Arc<[u8]>,
}

/// Why a text is not a DNS name. Offsets count bytes from the start of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// No text at all; the root is written `.`.
    #[error("a name is empty (the root is written \".\")")]
    Empty,
    /// Two dots in a row, or a dot in front.
    #[error("a label is empty at byte {offset}")]
    EmptyLabel {
        /// Where the label should have started.
        offset: usize,
    },
    /// A label of more than 63 bytes.
    #[error("a label is longer than 63 bytes at byte {offset}")]
    LabelTooLong {
        /// Where the label starts.
        offset: usize,
    },
    /// More than 255 bytes in wire form.
    #[error("a name is longer than 255 bytes in wire form")]
    NameTooLong,
    /// A backslash that is followed neither by one character nor by three digits up to 255.
    #[error("a backslash escapes one character or three digits up to 255 (byte {offset})")]
    Escape {
        /// Where the backslash stands.
        offset: usize,
    },
    /// White space, a control character, or anything beyond ASCII, not escaped.
    #[error("character {found:?} at byte {offset} must be escaped or written in its ASCII form")]
    Character {
        /// Where the character stands.
        offset: usize,
        /// The character.
        found: char,
    },
}

impl DnsName {
    /// The root, `.`.
    pub fn root() -> Self {
        Self {
            wire: Arc::new([0]),
        }
    }

    /// Parses presentation form: labels between dots, a final dot or none, `\.` and `\DDD` escapes.
    ///
    /// # Errors
    /// [`NameError`] with the place in the text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text {
            "" => Err(NameError::Empty),
            "." => Ok(Self::root()),
            _ => parse_labels(text),
        }
    }

    /// Reads an uncompressed name that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`wire::Error`] if the bytes are not one complete name without compression pointers.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, wire::Error> {
        wire::read_plain_name(bytes)
    }

    /// The name in wire form: lower-case, uncompressed, ending in the root's zero byte.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// The labels from left to right, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.wire }
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }
}

/// The labels of a name from left to right; made by [`DnsName::labels`].
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let (&length, rest) = self.rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(length.into())?;
        self.rest = rest;
        Some(label)
    }
}

/// Collects labels into wire form, lower-case, within the bounds of a name.
#[derive(Debug)]
pub(crate) struct Builder {
    bytes: [u8; MAX_NAME],
    length: usize,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; MAX_NAME],
            length: 0,
        }
    }

    /// Adds a label; `None` if it is empty, too long, or leaves no room for the root.
    pub(crate) fn push(&mut self, label: &[u8]) -> Option<()> {
        let end = self.length + 1 + label.len();
        if label.is_empty() || label.len() > MAX_LABEL || end >= MAX_NAME {
            return None;
        }
        let (length, place) = self.bytes.get_mut(self.length..end)?.split_first_mut()?;
        *length = u8::try_from(label.len()).ok()?;
        for (to, from) in place.iter_mut().zip(label) {
            *to = from.to_ascii_lowercase();
        }
        self.length = end;
        Some(())
    }

    pub(crate) fn finish(&self) -> DnsName {
        let wire = self.bytes.get(..=self.length).unwrap_or(&[0]);
        DnsName { wire: wire.into() }
    }
}

fn parse_labels(text: &str) -> Result<DnsName, NameError> {
    let bytes = text.as_bytes();
    let mut name = Builder::new();
    let mut label = Vec::with_capacity(MAX_LABEL);
    let (mut start, mut offset) = (0, 0);
    while let Some(&byte) = bytes.get(offset) {
        match byte {
            b'.' => {
                push_label(&mut name, &label, start)?;
                label.clear();
                start = offset + 1;
                offset = start;
            }
            b'\\' => {
                let (value, length) = unescape(bytes, offset)?;
                label.push(value);
                offset += length;
            }
            b'!'..=b'~' => {
                label.push(byte);
                offset += 1;
            }
            _ => return Err(unexpected(text, offset)),
        }
    }
    if start < text.len() {
        push_label(&mut name, &label, start)?;
    }
    Ok(name.finish())
}

fn push_label(name: &mut Builder, label: &[u8], offset: usize) -> Result<(), NameError> {
    if label.is_empty() {
        return Err(NameError::EmptyLabel { offset });
    }
    if label.len() > MAX_LABEL {
        return Err(NameError::LabelTooLong { offset });
    }
    name.push(label).ok_or(NameError::NameTooLong)
}

/// The byte that the escape at `offset` stands for, and the length of the escape.
fn unescape(bytes: &[u8], offset: usize) -> Result<(u8, usize), NameError> {
    let digit = |at: usize| {
        let byte = bytes.get(offset + at).filter(|byte| byte.is_ascii_digit());
        byte.map(|byte| u16::from(byte - b'0'))
    };
    let error = NameError::Escape { offset };
    match (digit(1), digit(2), digit(3)) {
        (Some(hundreds), Some(tens), Some(ones)) => {
            let value = hundreds * 100 + tens * 10 + ones;
            u8::try_from(value).map(|byte| (byte, 4)).map_err(|_| error)
        }
        (None, ..) => match bytes.get(offset + 1) {
            Some(&byte @ b'!'..=b'~') => Ok((byte, 2)),
            _ => Err(error),
        },
        _ => Err(error),
    }
}

fn unexpected(text: &str, offset: usize) -> NameError {
    let found = text.get(offset..).and_then(|rest| rest.chars().next());
    NameError::Character {
        offset,
        found: found.unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// Without the final dot, except for the root; unusual bytes are escaped.
impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.pad(".");
        }
        let mut text = String::with_capacity(self.wire.len());
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                text.push('.');
            }
            for &byte in label {
                escape(byte, &mut text);
            }
        }
        f.pad(&text)
    }
}

fn escape(byte: u8, text: &mut String) {
    match byte {
        b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
            text.push('\\');
            text.push(char::from(byte));
        }
        b'!'..=b'~' => text.push(char::from(byte)),
        _ => {
            text.push('\\');
            for digit in [byte / 100, byte / 10 % 10, byte % 10] {
                text.push(char::from(b'0' + digit));
            }
        }
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for DnsName {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}

impl Hash for DnsName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire.hash(state);
    }
}

/// By labels from left to right, as a reader would sort a list.
impl Ord for DnsName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.labels().cmp(other.labels())
    }
}

impl PartialOrd for DnsName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_the_final_dot_do_not_count() {
        let name = DnsName::parse("Foo.Example.COM").unwrap();
        assert_eq!(name, DnsName::parse("foo.example.com.").unwrap());
        assert_eq!(name.to_string(), "foo.example.com");
    }

    #[test]
    fn the_root_is_a_dot() {
        assert_eq!(DnsName::parse("."), Ok(DnsName::root()));
        assert_eq!(DnsName::root().to_string(), ".");
        assert_eq!(DnsName::root().labels().count(), 0);
    }

    #[test]
    fn escapes_stand_for_bytes_inside_a_label() {
        let name = DnsName::parse(r"a\.b.\000\255\\.c").unwrap();
        assert_eq!(name.as_wire(), b"\x03a.b\x03\x00\xff\\\x01c\0");
        assert_eq!(name.to_string(), r"a\.b.\000\255\\.c");
    }

    #[test]
    fn an_escaped_final_dot_belongs_to_the_label() {
        assert_eq!(DnsName::parse(r"a\.").unwrap().as_wire(), b"\x02a.\0");
    }

    #[test]
    fn errors_name_the_byte() {
        let error = |text: &str| DnsName::parse(text).unwrap_err();
        assert_eq!(error(""), NameError::Empty);
        assert_eq!(error("a..b"), NameError::EmptyLabel { offset: 2 });
        assert_eq!(error(".a"), NameError::EmptyLabel { offset: 0 });
        assert_eq!(error(r"ab\256"), NameError::Escape { offset: 2 });
        assert_eq!(error(r"ab\2"), NameError::Escape { offset: 2 });
        assert_eq!(error(r"ab\"), NameError::Escape { offset: 2 });
        let (offset, found) = (1, 'ü');
        assert_eq!(error("aü.de"), NameError::Character { offset, found });
        let long = "a".repeat(64);
        assert_eq!(
            error(&format!("b.{long}.c")),
            NameError::LabelTooLong { offset: 2 }
        );
    }

    #[test]
    fn the_longest_name_takes_255_bytes() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(DnsName::parse(&longest).unwrap().as_wire().len(), 255);
        assert_eq!(
            DnsName::parse(&format!("{longest}b")),
            Err(NameError::NameTooLong)
        );
    }
}
