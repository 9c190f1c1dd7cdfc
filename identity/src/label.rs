use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use palisade_abi::Prefix;
use thiserror::Error;

use crate::source::{self, Source, SourceError};
use crate::text::Text;
use crate::{cidr, hash};

/// One label: a source, a key and a value, which may be empty.
///
/// Labels sort by key first, as label sets do.
///
/// ```
/// use palisade_identity::{Label, Source};
///
/// let label: Label = "k8s:app=web".parse()?;
/// assert_eq!((label.source(), label.key(), label.value()), (Source::K8s, "app", "web"));
/// assert_eq!("$host".parse::<Label>()?.to_string(), "reserved:host");
/// assert_eq!("app".parse::<Label>()?.to_string(), "unspec:app");
/// # Ok::<(), palisade_identity::LabelError>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Label(Arc<Parts>);

/// Labels are many and mostly the same: they share what they are made of.
struct Parts {
    key: Text,
    value: Text,
    source: Source,
    // Read once from the key of a CIDR label, for selectors compare prefixes, not texts.
    prefix: Option<Prefix>,
    digest: u64,
}

/// What is wrong with a label.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum LabelError {
    /// Nothing stands before the `=`.
    #[error("label `{text}` has no key")]
    EmptyKey {
        /// The label as it was given.
        text: String,
    },
    /// A character that would make the canonical key of a label set ambiguous.
    #[error("label `{text}` contains {character:?}")]
    ForbiddenCharacter {
        /// The label as it was given.
        text: String,
        /// The character.
        character: char,
    },
    /// A CIDR label whose key is no prefix, or that has a value.
    #[error("label `{text}` is not an address prefix")]
    InvalidCidr {
        /// The label as it was given.
        text: String,
    },
    /// The text before the colon is no source.
    #[error(transparent)]
    UnknownSource(#[from] SourceError),
}

impl Label {
    /// A label of its three parts.
    ///
    /// # Errors
    /// [`LabelError`] if the key is empty, a part has a control character, `;`, or (the key) `=`,
    /// or the source is CIDR and the key is no prefix.
    pub fn new(source: Source, key: &str, value: &str) -> Result<Self, LabelError> {
        let text = || Unchecked { source, key, value }.to_string();
        if key.is_empty() {
            return Err(LabelError::EmptyKey { text: text() });
        }
        if !is_plain(key, value)
            && let Some(character) = forbidden(key, "=;").or_else(|| forbidden(value, ";"))
        {
            return Err(LabelError::ForbiddenCharacter {
                text: text(),
                character,
            });
        }
        if source == Source::Cidr {
            let prefix = cidr::parse(key).filter(|_| value.is_empty());
            return match prefix {
                Some(prefix) => Ok(Self::cidr(prefix)),
                None => Err(LabelError::InvalidCidr { text: text() }),
            };
        }
        Ok(Self::unchecked(source, key, value))
    }

    /// The label of an address prefix, such as `cidr:10.0.0.0/8` or `cidr:fd00--0/8`.
    pub fn cidr(prefix: Prefix) -> Self {
        Self::of_parts(
            Source::Cidr,
            cidr::key(prefix),
            Text::default(),
            Some(prefix),
        )
    }

    /// The label of addresses learnt for a name or pattern of a policy.
    ///
    /// # Errors
    /// [`LabelError`] for a text that cannot be a key; no valid name or pattern is one.
    pub fn fqdn(text: &str) -> Result<Self, LabelError> {
        Self::new(Source::Fqdn, text, "")
    }

    /// The label of one of the fixed meanings, such as `reserved:host`.
    ///
    /// # Errors
    /// [`LabelError`] for a text that cannot be a key.
    pub fn reserved(name: &str) -> Result<Self, LabelError> {
        Self::new(Source::Reserved, name, "")
    }

    pub(crate) fn reserved_static(name: &'static str) -> Self {
        let key = Text::of_static(name);
        Self::of_parts(Source::Reserved, key, Text::default(), None)
    }

    /// Where the label comes from.
    #[inline]
    pub fn source(&self) -> Source {
        self.0.source
    }

    /// The text before the `=`.
    #[inline]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The text after the `=`; empty if there is none.
    #[inline]
    pub fn value(&self) -> &str {
        &self.0.value
    }

    /// The prefix of a CIDR label.
    #[inline]
    pub fn prefix(&self) -> Option<Prefix> {
        self.0.prefix
    }

    /// The label as Cilium's kvstore writes it: `source:key=value;`, the `=` always there.
    pub(crate) fn write_canonical(&self, out: &mut String) {
        let Parts {
            key, source, value, ..
        } = &*self.0;
        for part in [source.as_str(), ":", key, "=", value, ";"] {
            out.push_str(part);
        }
    }

    /// The key as the label keeps it.
    pub(crate) fn key_text(&self) -> &Text {
        &self.0.key
    }

    fn unchecked(source: Source, key: &str, value: &str) -> Self {
        Self::of_parts(source, key.into(), value.into(), None)
    }

    fn of_parts(source: Source, key: Text, value: Text, prefix: Option<Prefix>) -> Self {
        let digest = hash::digest(&(&key, source, &value));
        Self(Arc::new(Parts {
            key,
            value,
            source,
            prefix,
            digest,
        }))
    }
}

impl Parts {
    /// What decides the order; the prefix follows from the key.
    fn ranks(&self) -> (&Text, Source, &Text) {
        (&self.key, self.source, &self.value)
    }
}

impl PartialEq for Parts {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.ranks() == other.ranks()
    }
}

impl Eq for Parts {}

impl PartialOrd for Parts {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Parts {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ranks().cmp(&other.ranks())
    }
}

impl Hash for Parts {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

/// Whether a key and a value are of characters that are never forbidden, as nearly all are. Their
/// bytes tell, many at once.
fn is_plain(key: &str, value: &str) -> bool {
    let all = |text: &str, mark: u8| {
        let is_good = |b: u8| b.is_ascii_graphic() && b != b';' && b != mark;
        text.bytes().fold(true, |all, b| all & is_good(b))
    };
    all(key, b'=') && all(value, b';')
}

/// The first character that would make the canonical key of a label set ambiguous.
fn forbidden(text: &str, marks: &str) -> Option<char> {
    text.chars().find(|c| c.is_control() || marks.contains(*c))
}

impl FromStr for Label {
    type Err = LabelError;

    /// Reads `source:key=value`, `key=value`, `source:key`, `$name` and `reserved.name`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, rest) = source::split(text)?;
        let source = source.unwrap_or(Source::Unspec);
        let (key, value) = match rest.split_once('=') {
            // Kept from older label files: `reserved:=host`.
            Some(("", name)) if source == Source::Reserved => (name, ""),
            Some(parts) => parts,
            None => (rest, ""),
        };
        if key.is_empty() {
            return Err(LabelError::EmptyKey { text: text.into() });
        }
        Self::new(source, key, value)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unchecked {
            source: self.source(),
            key: self.key(),
            value: self.value(),
        }
        .fmt(f)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The three parts of what may become a label, for its text.
struct Unchecked<'a> {
    source: Source,
    key: &'a str,
    value: &'a str,
}

impl fmt::Display for Unchecked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)?;
        if self.value.is_empty() {
            Ok(())
        } else {
            write!(f, "={}", self.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_printed() {
        let cases = [
            ("k8s:app=web", "k8s:app=web"),
            ("k8s:app", "k8s:app"),
            ("k8s:app=", "k8s:app"),
            ("app=web", "unspec:app=web"),
            (":app=web", "unspec:app=web"),
            ("any:app", "any:app"),
            ("$host", "reserved:host"),
            ("reserved.host", "reserved:host"),
            ("reserved:host", "reserved:host"),
            ("reserved:=host", "reserved:host"),
            ("container:bar==v", "container:bar==v"),
            ("container:image=quay:5000/x", "container:image=quay:5000/x"),
            ("image=quay:5000/x", "unspec:image=quay:5000/x"),
            (
                "k8s:io.kubernetes.pod.namespace=shop",
                "k8s:io.kubernetes.pod.namespace=shop",
            ),
            ("cidr:10.1.2.3/8", "cidr:10.0.0.0/8"),
            ("cidr:0--1/128", "cidr:0--1/128"),
            ("cidr:fd00::/8", "cidr:fd00--0/8"),
            ("fqdn:*.domain.com", "fqdn:*.domain.com"),
            (
                "cidrgroup:io.cilium.policy.cidrgroupname/x",
                "cidrgroup:io.cilium.policy.cidrgroupname/x",
            ),
        ];
        for (text, printed) in cases {
            let label: Label = text.parse().unwrap();
            assert_eq!(label.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Label>().unwrap(), label, "{text}");
        }
    }

    #[test]
    fn a_value_keeps_every_equals_sign_but_the_first() {
        let label: Label = "container:bar==v".parse().unwrap();
        assert_eq!((label.key(), label.value()), ("bar", "=v"));
    }

    #[test]
    fn bad_labels_are_refused_with_their_text() {
        let error = |text: &str| text.parse::<Label>().unwrap_err();
        for text in ["", "=web", "k8s:", "k8s:=web", "$"] {
            assert!(
                matches!(error(text), LabelError::EmptyKey { text: t } if t == text),
                "{text}"
            );
        }
        assert_eq!(
            error("foo:app=web").to_string(),
            "`foo` is not a label source"
        );
        assert!(matches!(
            error("k8s:app=a;b"),
            LabelError::ForbiddenCharacter { character: ';', .. }
        ));
        assert!(matches!(
            error("k8s:app=a\u{1b}[0m"),
            LabelError::ForbiddenCharacter {
                character: '\u{1b}',
                ..
            }
        ));
        for text in [
            "cidr:10.0.0.0",
            "cidr:10.0.0.0/33",
            "cidr:10.0.0.0/8=x",
            "cidr:web",
        ] {
            assert!(
                matches!(error(text), LabelError::InvalidCidr { .. }),
                "{text}"
            );
        }
        let with_equals = Label::new(Source::K8s, "a=b", "c").unwrap_err();
        assert!(matches!(
            with_equals,
            LabelError::ForbiddenCharacter { character: '=', .. }
        ));
    }
}
