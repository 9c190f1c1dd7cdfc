//! A file of rules: one `matchName` or `matchPattern` per line.

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use palisade_fqdn::{Filter, Level, MatchPattern, PatternError};
use thiserror::Error;

/// The rules of a file, each with its line.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) filter: Filter<(), u32>,
    pub(super) count: usize,
}

/// Why rules cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum RulesError {
    /// The file cannot be read.
    #[error("{}: cannot read the rules", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Lines that are no rules, all of them.
    #[error("{}", Listed(path, wrong))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, by line.
        wrong: Vec<Wrong>,
    },
}

/// A line that is no rule.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Wrong {
    line: u32,
    column: usize,
    reason: PatternError,
}

pub(super) fn read(path: &Path) -> Result<Rules, RulesError> {
    let text = fs::read_to_string(path).map_err(|source| RulesError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|wrong| RulesError::Wrong {
        path: path.to_owned(),
        wrong,
    })
}

/// Takes a text whole or not at all.
fn parse(text: &str) -> Result<Rules, Vec<Wrong>> {
    let mut rules = Vec::new();
    let mut wrong = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        // No name holds this character, so that a comment may follow a rule.
        let rule = line.split('#').next().unwrap_or_default();
        let start = rule.len() - rule.trim_start().len();
        match pattern(rule.trim()) {
            None => {}
            Some(Ok(pattern)) => rules.push((pattern, number)),
            Some(Err(reason)) => wrong.push(Wrong {
                line: number,
                column: start + reason.offset() + 1,
                reason,
            }),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let count = rules.len();
    let mut filter = Filter::new();
    filter.set((), rules);
    Ok(Rules { filter, count })
}

fn pattern(text: &str) -> Option<Result<MatchPattern, PatternError>> {
    if text.is_empty() {
        return None;
    }
    // A name is a pattern without stars.
    Some(MatchPattern::parse(text, Level::Cluster))
}

struct Listed<'a>(&'a Path, &'a [Wrong]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wrong) in self.1.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            let Wrong {
                line,
                column,
                reason,
            } = wrong;
            write!(f, "{}:{line}:{column}: {reason}", self.0.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use palisade_fqdn::{Decision, DnsName};

    use super::*;

    fn line_that_allows(rules: &Rules, name: &str) -> Option<u32> {
        match rules.filter.decide([&()], &DnsName::parse(name).unwrap()) {
            Decision::Allow { rule } => Some(*rule),
            Decision::Refuse => None,
        }
    }

    #[test]
    fn names_and_patterns_stand_one_a_line_among_comments() {
        let text =
            "# what the shop needs\n\nexample.com\n  *.Example.com.  # its parts\r\n**.cdn.test\n";
        let rules = parse(text).unwrap();
        assert_eq!(rules.count, 3);
        assert_eq!(line_that_allows(&rules, "example.com"), Some(3));
        assert_eq!(line_that_allows(&rules, "www.example.com"), Some(4));
        assert_eq!(line_that_allows(&rules, "a.b.cdn.test"), Some(5));
        assert_eq!(line_that_allows(&rules, "a.b.example.com"), None);
    }

    #[test]
    fn a_file_without_rules_allows_nothing() {
        let rules = parse("# nothing yet\n").unwrap();
        assert_eq!(rules.count, 0);
        assert_eq!(line_that_allows(&rules, "example.com"), None);
    }

    #[test]
    fn every_wrong_line_is_told_at_its_column() {
        let wrong = parse("good.test\n  bad name\nworse..test\n").unwrap_err();
        let path = Path::new("rules");
        let text = Listed(path, &wrong).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("rules:2:6: character ' '"), "{text}");
        assert!(
            lines[1].starts_with("rules:3:7: a label is empty"),
            "{text}"
        );
    }
}
