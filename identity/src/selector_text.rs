//! Selectors as one line of text.

use std::str::FromStr;

use thiserror::Error;

use crate::key::{KeyError, LabelKey};
use crate::requirement::{Operator, Requirement, SelectorError};
use crate::selector::Selector;
use crate::text::Text;
use crate::values::Values;

/// What is wrong with the text of a selector.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SelectorTextError {
    /// A requirement is missing: the text is empty, or a comma stands at an end or beside another.
    #[error("no requirement at byte {offset}; `{{}}` selects everything")]
    Empty {
        /// Where it was expected.
        offset: usize,
    },
    /// A requirement that is none.
    #[error("requirement `{text}` at byte {offset}")]
    Requirement {
        /// Where it starts.
        offset: usize,
        /// The requirement as it was given.
        text: String,
        /// What is wrong with it.
        source: SelectorError,
    },
    /// What follows the key is no operator, or what follows the operator is not what it takes.
    #[error(
        "requirement `{text}` at byte {offset} is none of key, !key, key=value, key!=value, \
         key in (a,b), key notin (a,b)"
    )]
    Shape {
        /// Where it starts.
        offset: usize,
        /// The requirement as it was given.
        text: String,
    },
}

impl FromStr for Selector {
    type Err = SelectorTextError;

    /// Reads what [`Selector`] prints, and what `kubectl` takes: requirements joined by commas,
    /// each `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)` or
    /// `key notin (a,b)`; `{}` is everything.
    ///
    /// ```
    /// use palisade_identity::Selector;
    ///
    /// let selector: Selector = "tier notin (db, cache), k8s:app = web".parse()?;
    /// assert_eq!(selector.to_string(), "k8s:app=web,tier notin (cache,db)");
    /// # Ok::<(), palisade_identity::SelectorTextError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "{}" {
            return Ok(Self::everything());
        }
        let mut requirements = Vec::new();
        for (start, piece) in pieces(text) {
            let blank = piece.len() - piece.trim_start().len();
            let offset = start + blank;
            let piece = piece.trim();
            if piece.is_empty() {
                return Err(SelectorTextError::Empty { offset });
            }
            requirements.push(requirement(piece, offset)?);
        }
        Ok(Self::new(requirements))
    }
}

/// The text between commas outside parentheses, with where it starts.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                pieces.extend(text.get(start..at).map(|piece| (start, piece)));
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.extend(text.get(start..).map(|piece| (start, piece)));
    pieces
}

fn requirement(text: &str, offset: usize) -> Result<Requirement, SelectorTextError> {
    let wrong = |source: SelectorError| SelectorTextError::Requirement {
        offset,
        text: text.into(),
        source,
    };
    let shape = || SelectorTextError::Shape {
        offset,
        text: text.into(),
    };
    let absent = text.strip_prefix('!');
    let whole = absent.map_or(text, str::trim_start);
    let end = whole.find(|c: char| c.is_whitespace() || "=!(),".contains(c));
    let (key, rest) = whole.split_at(end.unwrap_or(whole.len()));
    let key: LabelKey = key.parse().map_err(|error: KeyError| wrong(error.into()))?;
    let rest = rest.trim_start();
    let operator = match (absent, rest) {
        (Some(_), "") => Operator::DoesNotExist,
        (None, "") => Operator::Exists,
        (Some(_), _) => return Err(shape()),
        (None, rest) => operator(rest).ok_or_else(shape)?,
    };
    Requirement::new(key, operator).map_err(wrong)
}

/// An operator with its values.
fn operator(text: &str) -> Option<Operator> {
    let one = |value: &str| Values::one(value.trim().into());
    if let Some(value) = text.strip_prefix("==").or_else(|| text.strip_prefix('=')) {
        return Some(Operator::In(one(value)));
    }
    if let Some(value) = text.strip_prefix("!=") {
        return Some(Operator::NotIn(one(value)));
    }
    let list = |rest: &str| {
        let inner = rest.trim_start().strip_prefix('(')?.strip_suffix(')')?;
        Some(
            inner
                .split(',')
                .map(|value| Text::from(value.trim()))
                .collect(),
        )
    };
    match text.strip_prefix("notin") {
        Some(rest) => list(rest).map(Operator::NotIn),
        None => list(text.strip_prefix("in")?).map(Operator::In),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_and_printed() {
        let cases = [
            ("{}", "{}"),
            ("app", "app"),
            ("!app", "!app"),
            ("! app", "!app"),
            ("app=web", "app=web"),
            ("app == web", "app=web"),
            ("app=", "app="),
            ("app!=web", "app notin (web)"),
            ("app in (b, a,b)", "app in (a,b)"),
            ("app in(a)", "app=a"),
            ("app notin ()", "app notin ()"),
            ("app in (,a)", "app in (,a)"),
            ("in in (in)", "in=in"),
            ("notin", "notin"),
            (" b , k8s:a=1 ", "k8s:a=1,b"),
            ("$host", "reserved:host"),
            (
                "cidr:10.0.0.0/8,!cidr:10.1.0.0/16",
                "cidr:10.0.0.0/8,!cidr:10.1.0.0/16",
            ),
            ("fqdn:*.domain.com", "fqdn:*.domain.com"),
        ];
        for (text, printed) in cases {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Selector>().unwrap(), selector, "{text}");
        }
    }

    #[test]
    fn bad_texts_are_refused_with_their_place() {
        let error = |text: &str| text.parse::<Selector>().unwrap_err();
        for (text, place) in [("", 0), ("a,", 2), (",a", 0), ("a,,b", 2), ("a, ", 3)] {
            let expected = SelectorTextError::Empty { offset: place };
            assert_eq!(error(text), expected, "{text}");
        }
        for text in [
            "a b",
            "a in",
            "a in x",
            "a in (x",
            "a inside (x)",
            "!a=b",
            "a(x)",
            "a !",
            "a)",
            "a notin (x) y",
        ] {
            assert!(
                matches!(error(text), SelectorTextError::Shape { .. }),
                "{text}"
            );
        }
        for text in [
            "-a",
            "a=b=c",
            "a=-",
            "a in (b c)",
            "=a",
            "a=(b)",
            "foo:a",
            "a in ((b))",
        ] {
            let error = error(text);
            assert!(
                matches!(error, SelectorTextError::Requirement { .. }),
                "{text}: {error}"
            );
        }
        assert_eq!(
            error("app=web, tier=-x").to_string(),
            "requirement `tier=-x` at byte 9"
        );
    }
}
