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
        Ok(match text {
            "any" => Self::Any,
            "cidr" => Self::Cidr,
            "cidrgroup" => Self::CidrGroup,
            "cni" => Self::Cni,
            "container" => Self::Container,
            "directory" => Self::Directory,
            "fqdn" => Self::Fqdn,
            "k8s" => Self::K8s,
            "node" => Self::Node,
            "reserved" => Self::Reserved,
            "unspec" => Self::Unspec,
            _ => return Err(SourceError { text: text.into() }),
        })
    }
}

/// Splits `source:rest`, `$name` and `reserved.name`; `None` where no source is stated.
///
/// A colon after the first `=` belongs to the value.
pub(crate) fn split(text: &str) -> Result<(Option<Source>, &str), SourceError> {
    if let Some(name) = text.strip_prefix('$') {
        return Ok((Some(Source::Reserved), name));
    }
    match text.bytes().position(|b| b == b':' || b == b'=') {
        Some(0) if text.starts_with(':') => Ok((None, text.get(1..).unwrap_or_default())),
        Some(at) if text.as_bytes().get(at) == Some(&b':') => {
            let (source, rest) = text.split_at(at);
            let rest = rest.get(1..).unwrap_or_default();
            Ok((Some(source.parse()?), rest))
        }
        Some(_) | None => match text.strip_prefix("reserved.") {
            Some(name) => Ok((Some(Source::Reserved), name)),
            None => Ok((None, text)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_read_as_it_is_printed() {
        for source in Source::ALL {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        assert!("k8".parse::<Source>().is_err());
    }
}
