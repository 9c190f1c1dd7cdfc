//! The grid that fills in as the probes are fired.

use std::io::{self, Write};

use crate::error::Error;
use crate::probe::{SOURCES, TARGETS};

/// Where a cell's probes agree with what was predicted for them.
const MARK_AGREES: char = '✓';
const MARK_DIFFERS: char = '✗';

/// What a cell shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cell {
    /// Whether its probes passed; nothing if there are none or they differ by family.
    pub(crate) passed: Option<bool>,
    pub(crate) agrees: bool,
}

/// Prints the names of the columns.
pub(crate) fn head() -> Result<(), Error> {
    let names =
        TARGETS.map(|target| format!("{:<6}", target.to.label().trim_start_matches("kube-")));
    let kinds = TARGETS.map(|target| format!("{:<6}", target.kind.label()));
    show(&format!(
        "{:13}{}\n{:13}{}\n",
        "",
        names.concat(),
        "",
        kinds.concat()
    ))
}

/// Prints the name of a row.
pub(crate) fn row(index: usize) -> Result<(), Error> {
    let name = SOURCES.get(index).map_or("", |source| source.label());
    show(&format!("   {name:<10}"))
}

/// Prints a cell as soon as it is known.
pub(crate) fn cell(cell: Option<Cell>) -> Result<(), Error> {
    let Some(cell) = cell else {
        return show(" –    ");
    };
    let verdict = match cell.passed {
        Some(true) => '●',
        Some(false) => '○',
        None => '?',
    };
    let mark = if cell.agrees {
        MARK_AGREES
    } else {
        MARK_DIFFERS
    };
    show(&format!("{verdict}{mark}    "))
}

/// Ends a row.
pub(crate) fn end_row() -> Result<(), Error> {
    show("\n")
}

/// Prints at once, also before the end of a line.
pub(crate) fn show(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::io("standard output"))
}
