use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;

use super::FilterError;
use crate::label::Label;
use crate::source::Source;

/// One rule of a [`Filter`](super::Filter): which keys it is about, and what it wants of them.
///
/// As text: `source:pattern`, or `pattern` for every source, with `!` before the pattern to ignore.
/// A pattern is a regular expression that must match from the first character of the key on.
///
/// ```
/// use palisade_identity::FilterRule;
///
/// let rule: FilterRule = r"k8s:!io\.kubernetes".parse()?;
/// assert_eq!(rule.matched(&"k8s:io.kubernetes.pod.name=web-0".parse()?), Some(13));
/// assert_eq!(rule.matched(&"k8s:app=io.kubernetes".parse()?), None);
/// assert_eq!(rule.matched(&"container:io.kubernetes.x=1".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FilterRule {
    action: FilterAction,
    source: Option<Source>,
    text: String,
    pattern: Pattern,
}

/// What a rule wants of the labels that it matches.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FilterAction {
    /// Leave them out of the identity.
    Ignore,
    /// Make them part of the identity.
    Include,
}

/// Nearly all patterns are plain texts, with no more than a tail or a head left open. Those need no
/// regular expression, and match far quicker.
#[derive(Clone)]
enum Pattern {
    /// Anything up to the last time that a text occurs: `.*text`.
    AnyThen(String),
    Expression(Regex),
    /// Plain text at the start of the key.
    Literal(String),
    /// Plain text at the start of the key, and all the rest of it: `text.*`.
    ThenAny(String),
}

impl FilterRule {
    /// A rule for all keys that start with a text, which is no pattern.
    ///
    /// # Errors
    /// [`FilterError::EmptyPattern`].
    pub fn prefix(
        action: FilterAction,
        source: Option<Source>,
        text: &str,
    ) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError::EmptyPattern { rule: text.into() });
        }
        Ok(Self {
            action,
            source,
            text: regex_lite::escape(text),
            pattern: Pattern::Literal(text.into()),
        })
    }

    /// What it wants.
    pub const fn action(&self) -> FilterAction {
        self.action
    }

    /// The only source whose labels it matches; `None` for every source.
    pub const fn source(&self) -> Option<Source> {
        self.source
    }

    /// How many bytes at the start of a label's key the rule matches; `None` if it does not.
    ///
    /// A match of nothing is none, for it says nothing of the key.
    pub fn matched(&self, label: &Label) -> Option<usize> {
        if self.source.is_some_and(|source| source != label.source()) {
            return None;
        }
        let length = match &self.pattern {
            Pattern::AnyThen(text) => label.key().rfind(text).map(|at| at + text.len()),
            Pattern::Literal(text) => label.key().starts_with(text).then_some(text.len()),
            Pattern::ThenAny(text) => label.key().starts_with(text).then_some(label.key().len()),
            Pattern::Expression(regex) => regex.find(label.key()).map(|found| found.end()),
        };
        length.filter(|length| *length > 0)
    }
}

impl FromStr for FilterRule {
    type Err = FilterError;

    fn from_str(rule: &str) -> Result<Self, Self::Err> {
        let invalid = |source| FilterError::InvalidPattern {
            rule: rule.into(),
            source,
        };
        if rule.starts_with('!') && rule.contains(':') {
            return Err(FilterError::MisplacedMark { rule: rule.into() });
        }
        let (source, rest) = match rule.split_once(':') {
            Some(("", rest)) => (None, rest),
            Some((source, rest)) => {
                let source = source
                    .parse()
                    .map_err(|source| FilterError::UnknownSource {
                        rule: rule.into(),
                        source,
                    })?;
                (Some(source), rest)
            }
            None => (None, rule),
        };
        let (action, text) = match rest.strip_prefix('!') {
            Some(text) => (FilterAction::Ignore, text),
            None => (FilterAction::Include, rest),
        };
        if text.is_empty() {
            return Err(FilterError::EmptyPattern { rule: rule.into() });
        }
        let pattern = if let Some(plain) = plain(text) {
            plain
        } else {
            // Alone first: a pattern must not close the group that anchors it.
            Regex::new(text).map_err(invalid)?;
            Pattern::Expression(Regex::new(&format!(r"\A(?:{text})")).map_err(invalid)?)
        };
        Ok(Self {
            action,
            source,
            text: text.into(),
            pattern,
        })
    }
}

/// A pattern that needs no regular expression. No key has a line break, so a dot is anything.
fn plain(pattern: &str) -> Option<Pattern> {
    let literal_then = |text: &str| literal(text).map(Pattern::ThenAny);
    literal(pattern)
        .map(Pattern::Literal)
        .or_else(|| pattern.strip_suffix(".*").and_then(literal_then))
        .or_else(|| literal(pattern.strip_prefix(".*")?).map(Pattern::AnyThen))
}

/// The text that a pattern without any operator matches.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                return None;
            }
            plain => text.push(plain),
        }
    }
    Some(text)
}

/// Rules are equal if their texts are.
impl PartialEq for FilterRule {
    fn eq(&self, other: &Self) -> bool {
        (self.action, self.source, &self.text) == (other.action, other.source, &other.text)
    }
}

impl Eq for FilterRule {}

impl fmt::Display for FilterRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.action {
            FilterAction::Ignore => "!",
            FilterAction::Include => "",
        };
        match self.source {
            Some(source) => write!(f, "{source}:{mark}{}", self.text),
            // What stands before a colon would be read as a source.
            None if self.text.contains(':') => write!(f, ":{mark}{}", self.text),
            None => write!(f, "{mark}{}", self.text),
        }
    }
}

impl fmt::Debug for FilterRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(rule: &str, label: &str) -> Option<usize> {
        let rule: FilterRule = rule.parse().unwrap();
        rule.matched(&label.parse().unwrap())
    }

    #[test]
    fn a_pattern_matches_from_the_first_character_on() {
        assert_eq!(matched("app", "k8s:app=x"), Some(3));
        assert_eq!(matched("app", "k8s:application=x"), Some(3));
        assert_eq!(matched("app", "k8s:my-app=x"), None);
        assert_eq!(matched(".*beta", "k8s:beta.x-beta.y=1"), Some(11));
        assert_eq!(matched("b|my-b", "k8s:my-b"), Some(4));
        assert_eq!(matched("k8s:app", "container:app=x"), None);
        assert_eq!(matched(r"a\.b", "k8s:a.b"), Some(3));
        assert_eq!(matched(r"a\.b", "k8s:axb"), None);
        assert_eq!(matched("a.b", "k8s:axb"), Some(3));
        assert_eq!(matched(r"\d+", "k8s:42x"), Some(2));
    }

    #[test]
    fn plain_patterns_match_as_their_expressions_do() {
        let keys = [
            "beta",
            "x-beta",
            "betabeta.x",
            "alpha",
            "b",
            "a.beta.b",
            "beta.*",
        ];
        for text in [
            ".*",
            ".*beta",
            "beta.*",
            "beta",
            r".*\.beta",
            r"a\..*",
            r"beta\.\*",
        ] {
            let rule: FilterRule = text.parse().unwrap();
            assert!(!matches!(rule.pattern, Pattern::Expression(_)), "{text}");
            let regex = Regex::new(&format!(r"\A(?:{text})")).unwrap();
            for key in keys {
                let label = Label::new(Source::K8s, key, "").unwrap();
                let expected = regex.find(key).map(|found| found.end());
                assert_eq!(rule.matched(&label), expected, "{text} {key}");
            }
        }
        let rule: FilterRule = r"a\.*".parse().unwrap();
        assert!(matches!(rule.pattern, Pattern::Expression(_)));
    }

    #[test]
    fn a_match_of_nothing_is_none() {
        assert_eq!(matched("x*", "k8s:app=x"), None);
        assert_eq!(matched("x*", "k8s:xx"), Some(2));
    }

    #[test]
    fn rules_are_read_and_printed() {
        for text in [
            "app",
            "!app",
            "k8s:app",
            "k8s:!app",
            "reserved:.*",
            ":a(?:b)?",
        ] {
            let rule: FilterRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
        }
        let prefix = FilterRule::prefix(FilterAction::Ignore, Some(Source::K8s), "a.b").unwrap();
        assert_eq!(prefix.to_string(), r"k8s:!a\.b");
        assert_eq!(prefix.to_string().parse::<FilterRule>().unwrap(), prefix);
    }

    #[test]
    fn bad_rules_are_refused() {
        let error = |text: &str| text.parse::<FilterRule>().unwrap_err();
        for text in ["", "!", "k8s:", "k8s:!", ":"] {
            assert!(
                matches!(error(text), FilterError::EmptyPattern { .. }),
                "{text}"
            );
        }
        for text in ["(", "a)(", "a)|(b", "[", "(?x)a)#", r"a\"] {
            let error = error(text);
            assert!(
                matches!(&error, FilterError::InvalidPattern { rule, .. } if rule == text),
                "{text}: {error}"
            );
        }
        assert!(matches!(
            error("docker:app"),
            FilterError::UnknownSource { .. }
        ));
        let misplaced = error("!k8s:app").to_string();
        assert_eq!(
            misplaced,
            "label filter `!k8s:app`: the `!` stands before the pattern, as in `k8s:!app`"
        );
    }
}
