//! A complaint as people read it: the line, a mark under the place, what is allowed.

use std::fmt::Write;

use super::error::{Error, FieldPath};
use super::warning::Warning;
use crate::span::Location;

impl Error {
    /// The error with the line it stands on; `text` is the file's.
    ///
    /// ```text
    /// error[P001]: port is out of range
    ///   --> policies/db.yaml:17:18
    ///    |
    /// 17 |       - {port: "70000", protocol: TCP}
    ///    |                ^^^^^^^ found "70000": a port is 1 to 65535, or a name …
    ///    = spec.ingress[0].toPorts[0].ports[0].port
    /// ```
    pub fn render(&self, text: &str) -> String {
        let complaint = Complaint {
            location: &self.location,
            length: self.length,
            path: &self.path,
            title: format!("error[{}]: {}", self.cause.code(), self.cause),
            note: self.note(),
        };
        complaint.render(text)
    }
}

impl Warning {
    /// The warning with the line it stands on, in the form of [`Error::render`].
    pub fn render(&self, text: &str) -> String {
        let complaint = Complaint {
            location: &self.location,
            length: self.length,
            path: &self.path,
            title: format!("warning[{}]: {}", self.doubt.code(), self.doubt),
            note: self.doubt.note(),
        };
        complaint.render(text)
    }
}

struct Complaint<'a> {
    location: &'a Location,
    length: u32,
    path: &'a FieldPath,
    title: String,
    note: String,
}

impl Complaint<'_> {
    fn render(&self, text: &str) -> String {
        let line = self.location.line();
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let mut out = format!("{}\n", self.title);
        let _ = writeln!(out, "{gutter}--> {:#}", self.location);
        let _ = writeln!(out, "{gutter} |");
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let source = text.lines().nth(index).unwrap_or_default();
        let (shown, offset) = window(source, self.location.column());
        let _ = writeln!(out, "{number} | {shown}");
        let mark = "^".repeat(self.marked(shown.chars().count(), offset));
        let _ = writeln!(
            out,
            "{gutter} | {}{mark}{}{}",
            " ".repeat(offset),
            separator(&self.note),
            self.note
        );
        if !self.path.is_root() {
            let _ = writeln!(out, "{gutter} = {}", self.path);
        }
        out
    }

    fn marked(&self, shown: usize, offset: usize) -> usize {
        let length = usize::try_from(self.length).unwrap_or(1);
        length.clamp(1, shown.saturating_sub(offset).max(1))
    }
}

fn separator(note: &str) -> &'static str {
    if note.is_empty() { "" } else { " " }
}

/// The part of a long line around a column, and where in it the column is.
///
/// A JSON document on one line would otherwise fill the screen.
fn window(line: &str, column: u32) -> (String, usize) {
    let at = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    if line.chars().count() <= MAX_SHOWN {
        return (line.chars().map(visible).collect(), at);
    }
    let start = at.saturating_sub(MAX_SHOWN / 2);
    let shown = line.chars().skip(start).take(MAX_SHOWN);
    (shown.map(visible).collect(), at - start)
}

const MAX_SHOWN: usize = 160;
