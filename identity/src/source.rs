use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where a label comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Source {
    /// In selectors: every source.
    Any,
    /// An address prefix; the key is the prefix.
    Cidr,
    /// A CIDR group.
    CidrGroup,
    /// A CNI configuration.
    Cni,
    /// A container runtime.
    Container,
    /// A directory of static configuration.
    Directory,
    /// A name or pattern that an address was learnt for; the key is the text of the rule.
    Fqdn,
    /// Kubernetes.
    K8s,
    /// A node's own labels.
    Node,
    /// One of the fixed meanings, such as `host` or `world`.
    Reserved,
    /// Not stated.
    Unspec,
}

/// A source that is none of [`Source::ALL`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not a label source")]
pub struct SourceError {
    /// The text that was given.
    pub text: String,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 11] = [
        Self::Any,
        Self::Cidr,
        Self::CidrGroup,
        Self::Cni,
        Self::Container,
        Self::Directory,
        Self::Fqdn,
        Self::K8s,
        Self::Node,
        Self::Reserved,
        Self::Unspec,
    ];

    /// The text before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Cidr => "cidr",
            Self::CidrGroup => "cidrgroup",
            Self::Cni => "cni",
            Self::Container => "container",
            Self::Directory => "directory",
            Self::Fqdn => "fqdn",
            Self::K8s => "k8s",
            Self::Node => "node",
            Self::Reserved => "reserved",
            Self::Unspec => "unspec",
        }
    }

    /// Whether a selector's source accepts a label's: the same one, or [`Source::Any`].
    pub fn accepts(self, label: Self) -> bool {
        self == Self::Any || self == label
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| SourceError { text: text.into() })
    }
}

/// Splits `source:rest`, `$name` and `reserved.name`; `None` where no source is stated.
///
/// A colon after the first `=` belongs to the value.
pub(crate) fn split(text: &str) -> Result<(Option<Source>, &str), SourceError> {
    if let Some(name) = text.strip_prefix('$') {
        return Ok((Some(Source::Reserved), name));
    }
    let key_end = text.find('=').unwrap_or(text.len());
    match text.split_once(':') {
        Some((source, rest)) if source.len() < key_end => match source {
            "" => Ok((None, rest)),
            source => Ok((Some(source.parse()?), rest)),
        },
        Some(_) | None => match text.strip_prefix("reserved.") {
            Some(name) => Ok((Some(Source::Reserved), name)),
            None => Ok((None, text)),
        },
    }
}
