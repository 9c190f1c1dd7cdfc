//! Where something stands in a file.

use std::fmt;
use std::sync::Arc;

/// A place in a text: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A place in a file.
///
/// Prints as `policies/pay.yaml:9`; the alternate form (`{:#}`) adds the column.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Location {
    /// The file, as its reader named it.
    pub file: Arc<str>,
    /// The place in the file.
    pub position: Position,
}

impl Location {
    /// A place in `file`.
    pub fn new(file: impl Into<Arc<str>>, position: Position) -> Self {
        Self {
            file: file.into(),
            position,
        }
    }

    /// The line, counted from 1.
    pub const fn line(&self) -> u32 {
        self.position.line
    }

    /// The column, counted from 1.
    pub const fn column(&self) -> u32 {
        self.position.column
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write!(f, "{}:{}", self.file, self.position)
        } else {
            write!(f, "{}:{}", self.file, self.position.line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_prints_its_line_and_on_request_its_column() {
        let location = Location::new("policies/pay.yaml", Position { line: 9, column: 5 });
        assert_eq!(location.to_string(), "policies/pay.yaml:9");
        assert_eq!(format!("{location:#}"), "policies/pay.yaml:9:5");
    }
}
