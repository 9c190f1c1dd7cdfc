use thiserror::Error;

use super::{Filter, FilterAction, FilterRule};
use crate::source::{Source, SourceError};

/// A filter as a file has it: `{"version": 1, "valid-prefixes": [...]}`.
///
/// It stands in for the default rules. Its prefixes are plain texts, not patterns.
///
/// ```
/// # #[cfg(feature = "serde")] {
/// use palisade_identity::{Filter, FilterFile};
///
/// let text = r#"{"version": 1, "valid-prefixes": [
///     {"source": "reserved", "prefix": "h"},
///     {"source": "k8s", "prefix": "app", "invert": true}
/// ]}"#;
/// let filter = Filter::try_from(serde_json::from_str::<FilterFile>(text)?)?;
/// assert!(filter.keeps(&"reserved:host".parse()?));
/// assert!(!filter.keeps(&"k8s:app=web".parse()?));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FilterFile {
    /// The version of the form; the only one is 1.
    pub version: i64,
    /// The rules.
    #[cfg_attr(feature = "serde", serde(rename = "valid-prefixes", default))]
    pub valid_prefixes: Vec<FilterEntry>,
}

/// A rule of a [`FilterFile`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FilterEntry {
    /// The source of the labels.
    #[cfg_attr(feature = "serde", serde(default))]
    pub source: String,
    /// How their keys start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub prefix: String,
    /// Whether they are to be ignored.
    #[cfg_attr(feature = "serde", serde(default))]
    pub invert: bool,
}

/// What is wrong with a [`FilterFile`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum FilterFileError {
    /// An entry without a prefix.
    #[error("valid-prefixes[{index}] has no prefix")]
    EmptyPrefix {
        /// The place in the list, from 0.
        index: usize,
    },
    /// An entry without a source.
    #[error("valid-prefixes[{index}] has no source")]
    EmptySource {
        /// The place in the list, from 0.
        index: usize,
    },
    /// A source that does not exist.
    #[error("valid-prefixes[{index}] has an unknown source")]
    UnknownSource {
        /// The place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        source: SourceError,
    },
    /// A version other than 1.
    #[error("version {version} of a label filter file is not known, only 1 is")]
    UnknownVersion {
        /// The version as it was given.
        version: i64,
    },
}

impl TryFrom<FilterFile> for Filter {
    type Error = FilterFileError;

    fn try_from(file: FilterFile) -> Result<Self, Self::Error> {
        if file.version != 1 {
            return Err(FilterFileError::UnknownVersion {
                version: file.version,
            });
        }
        let mut rules = Vec::new();
        for (index, entry) in file.valid_prefixes.iter().enumerate() {
            rules.push(rule(index, entry)?);
        }
        Ok(Self::all().with(rules))
    }
}

fn rule(index: usize, entry: &FilterEntry) -> Result<FilterRule, FilterFileError> {
    if entry.source.is_empty() {
        return Err(FilterFileError::EmptySource { index });
    }
    let source: Source = (entry.source.parse())
        .map_err(|source| FilterFileError::UnknownSource { index, source })?;
    let action = if entry.invert {
        FilterAction::Ignore
    } else {
        FilterAction::Include
    };
    FilterRule::prefix(action, Some(source), &entry.prefix)
        .map_err(|_| FilterFileError::EmptyPrefix { index })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(source: &str, prefix: &str, invert: bool) -> FilterEntry {
        FilterEntry {
            source: source.into(),
            prefix: prefix.into(),
            invert,
        }
    }

    fn filter(version: i64, valid_prefixes: Vec<FilterEntry>) -> Result<Filter, FilterFileError> {
        Filter::try_from(FilterFile {
            version,
            valid_prefixes,
        })
    }

    #[test]
    fn a_prefix_of_a_file_is_no_pattern() {
        let filter = filter(1, vec![entry("k8s", "a.b", false)]).unwrap();
        assert!(filter.keeps(&"k8s:a.b.c".parse().unwrap()));
        assert!(!filter.keeps(&"k8s:axb".parse().unwrap()));
        assert!(!filter.keeps_reserved());
        // Here Cilium's own advice for a flag does not help: no key starts with `.*`.
        let star = Filter::try_from(FilterFile {
            version: 1,
            valid_prefixes: vec![entry("reserved", ".*", false)],
        });
        assert!(!star.unwrap().keeps_reserved());
    }

    #[test]
    fn a_bad_entry_is_named() {
        let good = || entry("k8s", "app", false);
        let error = |second| filter(1, vec![good(), second]).unwrap_err().to_string();
        assert_eq!(
            error(entry("k8s", "", false)),
            "valid-prefixes[1] has no prefix"
        );
        assert_eq!(
            error(entry("", "app", true)),
            "valid-prefixes[1] has no source"
        );
        assert_eq!(
            error(entry("docker", "app", true)),
            "valid-prefixes[1] has an unknown source"
        );
        assert_eq!(
            filter(2, Vec::new()).unwrap_err(),
            FilterFileError::UnknownVersion { version: 2 }
        );
    }
}
