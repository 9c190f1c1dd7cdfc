use std::fmt;
use std::str::FromStr;

use palisade_abi::Prefix;
use thiserror::Error;

use crate::cidr;
use crate::label::Label;
use crate::source::{self, Source, SourceError};
use crate::text::Text;

/// The key of a requirement: a source, which may be [`Source::Any`], and a key.
///
/// ```
/// use palisade_identity::{LabelKey, Source};
///
/// // No source means every source.
/// assert_eq!("app".parse::<LabelKey>()?.source(), Source::Any);
/// assert_eq!("k8s:app".parse::<LabelKey>()?.source(), Source::K8s);
/// assert!("k8s:-app".parse::<LabelKey>().is_err());
/// # Ok::<(), palisade_identity::KeyError>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LabelKey {
    key: Text,
    source: Source,
    prefix: Option<Prefix>,
}

/// What is wrong with the key of a requirement.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key is empty.
    #[error("label key `{text}` has no name")]
    Empty {
        /// The key as it was given.
        text: String,
    },
    /// A CIDR key that is no prefix.
    #[error("label key `{text}` is not an address prefix")]
    InvalidCidr {
        /// The key as it was given.
        text: String,
    },
    /// The part after the `/`, or the whole key.
    #[error(
        "label key `{text}`: a name is up to 63 letters, digits, `-`, `_` and `.`, with a letter \
         or digit at both ends"
    )]
    InvalidName {
        /// The key as it was given.
        text: String,
    },
    /// The part before the `/`.
    #[error("label key `{text}`: what stands before the `/` is a DNS name in lower case")]
    InvalidPrefix {
        /// The key as it was given.
        text: String,
    },
    /// The text before the colon is no source.
    #[error(transparent)]
    UnknownSource(#[from] SourceError),
}

impl LabelKey {
    /// A key of its two parts.
    ///
    /// # Errors
    /// [`KeyError`] for what Kubernetes does not take as a label key; a CIDR key must be a prefix,
    /// an FQDN key may be any printable text.
    pub fn new(source: Source, key: &str) -> Result<Self, KeyError> {
        let text = || format!("{source}:{key}");
        if key.is_empty() {
            return Err(KeyError::Empty { text: text() });
        }
        match source {
            Source::Cidr => cidr::parse(key)
                .map(Self::cidr)
                .ok_or_else(|| KeyError::InvalidCidr { text: text() }),
            Source::Fqdn if key.contains(|c: char| c.is_control() || ";=".contains(c)) => {
                Err(KeyError::InvalidName { text: text() })
            }
            Source::Fqdn => Ok(Self::unchecked(source, key.into())),
            Source::Any
            | Source::CidrGroup
            | Source::Cni
            | Source::Container
            | Source::Directory
            | Source::K8s
            | Source::Node
            | Source::Reserved
            | Source::Unspec => {
                check_qualified_name(key, text)?;
                Ok(Self::unchecked(source, key.into()))
            }
        }
    }

    /// The key that a prefix's label has; it is met by every prefix inside.
    pub fn cidr(prefix: Prefix) -> Self {
        Self {
            prefix: Some(prefix),
            ..Self::unchecked(Source::Cidr, cidr::key(prefix))
        }
    }

    /// A key that Kubernetes takes, from whoever knows that it does.
    ///
    /// ```
    /// use palisade_identity::{LabelKey, Source};
    ///
    /// const NAMESPACE: LabelKey = LabelKey::of_static(Source::K8s, "io.kubernetes.pod.namespace");
    /// assert_eq!(Ok(NAMESPACE), LabelKey::new(Source::K8s, "io.kubernetes.pod.namespace"));
    /// ```
    pub const fn of_static(source: Source, key: &'static str) -> Self {
        Self::unchecked(source, Text::of_static(key))
    }

    /// The sources that match.
    #[inline]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// The key without its source.
    #[inline]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The prefix of a CIDR key.
    #[inline]
    pub const fn prefix(&self) -> Option<Prefix> {
        self.prefix
    }

    /// Whether a label has this key: an accepted source and the same text, or for CIDR keys a
    /// prefix inside.
    pub fn accepts(&self, label: &Label) -> bool {
        match (self.prefix, label.prefix()) {
            (Some(outer), Some(inner)) => outer.covers(inner),
            (Some(_), None) => false,
            (None, _) => self.source.accepts(label.source()) && *self.key == *label.key(),
        }
    }

    const fn unchecked(source: Source, key: Text) -> Self {
        Self {
            key,
            source,
            prefix: None,
        }
    }
}

impl FromStr for LabelKey {
    type Err = KeyError;

    /// Reads `source:key`, `key`, `$name` and `reserved.name`; no source, or `unspec`, is any.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, key) = source::split(text)?;
        match source {
            None | Some(Source::Unspec) => Self::new(Source::Any, key),
            Some(source) => Self::new(source, key),
        }
    }
}

impl From<&Label> for LabelKey {
    fn from(label: &Label) -> Self {
        Self {
            key: label.key_text().clone(),
            source: label.source(),
            prefix: label.prefix(),
        }
    }
}

impl fmt::Display for LabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Source::Any => f.write_str(&self.key),
            source => write!(f, "{source}:{}", self.key),
        }
    }
}

impl fmt::Debug for LabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a text is a label value as Kubernetes takes it.
pub(crate) fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn check_qualified_name(key: &str, text: impl Fn() -> String) -> Result<(), KeyError> {
    let name = match key.split_once('/') {
        Some((prefix, _)) if !is_dns_subdomain(prefix) => {
            return Err(KeyError::InvalidPrefix { text: text() });
        }
        Some((_, name)) => name,
        None => key,
    };
    if is_name(name) {
        Ok(())
    } else {
        Err(KeyError::InvalidName { text: text() })
    }
}

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    // Without a way out in the middle many bytes are looked at at once.
    let is_inner = || text.bytes().fold(true, |all, b| all & inner(b));
    (1..=MAX_NAME).contains(&text.len()) && is_inner() && has_alphanumeric_ends(text)
}

fn is_dns_subdomain(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= MAX_PREFIX
        && text
            .split('.')
            .all(|part| has_alphanumeric_ends(part) && part.bytes().all(inner))
}

fn has_alphanumeric_ends(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.into_iter()
        .all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
}

const MAX_NAME: usize = 63;
const MAX_PREFIX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LabelKey, KeyError> {
        text.parse()
    }

    #[test]
    fn keys_are_read_and_printed() {
        let cases = [
            ("app", "app"),
            ("any:app", "app"),
            ("unspec:app", "app"),
            ("k8s:app.kubernetes.io/name", "k8s:app.kubernetes.io/name"),
            ("$host", "reserved:host"),
            ("reserved.host", "reserved:host"),
            ("cidr:10.1.2.3/8", "cidr:10.0.0.0/8"),
            ("fqdn:*.domain.com", "fqdn:*.domain.com"),
        ];
        for (text, printed) in cases {
            let key = parse(text).unwrap();
            assert_eq!(key.to_string(), printed, "{text}");
            assert_eq!(parse(printed).unwrap(), key, "{text}");
        }
    }

    #[test]
    fn keys_are_what_kubernetes_takes() {
        let long = "a".repeat(63);
        for good in [&*long, "a", "A_b-c.d9", "example.com/x", "9"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in [
            &*too_long,
            "-a",
            "a-",
            "a b",
            "a/b/c",
            "example.com/",
            "é",
            "a\n",
        ] {
            assert!(
                matches!(parse(bad), Err(KeyError::InvalidName { .. })),
                "{bad}"
            );
        }
        let long_prefix = format!("{}/x", "a".repeat(254));
        for bad in [
            &*long_prefix,
            "Example.com/x",
            "/x",
            "a..b/x",
            "-a/x",
            "a_b/x",
        ] {
            assert!(
                matches!(parse(bad), Err(KeyError::InvalidPrefix { .. })),
                "{bad}"
            );
        }
        assert!(matches!(parse(""), Err(KeyError::Empty { .. })));
        assert!(matches!(parse("k8s:"), Err(KeyError::Empty { .. })));
        assert!(matches!(parse("foo:x"), Err(KeyError::UnknownSource(_))));
        assert!(matches!(
            parse("cidr:10.0.0.0"),
            Err(KeyError::InvalidCidr { .. })
        ));
        assert!(matches!(
            parse("fqdn:a=b"),
            Err(KeyError::InvalidName { .. })
        ));
    }
}
