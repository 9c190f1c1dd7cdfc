use std::fmt;

use super::FilterRule;

/// What becomes of a label.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Fate {
    /// It is part of the identity.
    Identity,
    /// It is kept beside the identity, for people to see.
    Informational,
}

/// A rule that matches a label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FilterMatch<'a> {
    /// The rule.
    pub rule: &'a FilterRule,
    /// How many bytes of the label's key it matches.
    pub length: usize,
}

/// What becomes of a label, and why.
///
/// Its text is the sentence after the label: `informs only: no rule includes it`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Decision<'a> {
    ignored: Option<FilterMatch<'a>>,
    included: Option<FilterMatch<'a>>,
    fate: Fate,
}

impl<'a> Decision<'a> {
    pub(super) fn new(
        ignored: Option<FilterMatch<'a>>,
        included: Option<FilterMatch<'a>>,
        unmatched: Fate,
    ) -> Self {
        let length = |found: Option<FilterMatch<'_>>| found.map_or(0, |found| found.length);
        let fate = if length(included) > length(ignored) {
            Fate::Identity
        } else if ignored.is_some() {
            Fate::Informational
        } else {
            unmatched
        };
        Self {
            ignored,
            included,
            fate,
        }
    }

    /// What becomes of the label.
    pub const fn fate(&self) -> Fate {
        self.fate
    }

    /// The ignoring rule that matches least of the key, the first of equals.
    pub const fn ignored(&self) -> Option<FilterMatch<'a>> {
        self.ignored
    }

    /// The including rule that matches most of the key, the first of equals.
    pub const fn included(&self) -> Option<FilterMatch<'a>> {
        self.included
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.fate {
            Fate::Identity => "is part of the identity: ",
            Fate::Informational => "informs only: ",
        })?;
        match (self.fate, self.included, self.ignored) {
            (Fate::Identity, None, _) => f.write_str("no rule ignores it"),
            (Fate::Informational, _, None) => f.write_str("no rule includes it"),
            (Fate::Identity, Some(included), None) => {
                let FilterMatch { rule, length } = included;
                write!(f, "`{rule}` includes {length} characters")
            }
            (Fate::Informational, None, Some(ignored)) => {
                let FilterMatch { rule, length } = ignored;
                write!(f, "`{rule}` ignores {length} characters")
            }
            (Fate::Identity, Some(included), Some(ignored)) => write!(
                f,
                "`{}` includes {} characters, `{}` ignores {}",
                included.rule, included.length, ignored.rule, ignored.length
            ),
            (Fate::Informational, Some(included), Some(ignored)) => write!(
                f,
                "`{}` ignores {} characters, `{}` includes {}",
                ignored.rule, ignored.length, included.rule, included.length
            ),
        }
    }
}
