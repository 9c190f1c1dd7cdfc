//! Policy vectors: scenarios with the verdicts that an independent engine gave.
//!
//! A file holds one scenario a line as JSON. Each is built as a node would build it (identities,
//! prefixes, policies), judged by an [`Engine`], and compared.

mod compare;
mod differences;
mod engine;
mod entries;
mod flat;
mod flat_expected;
mod proxies;
mod scenario;
mod vector;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use self::compare::{Outcome, run_one};
pub use self::differences::{DIFFERENCES, Difference};
pub use self::engine::{CompiledTables, Engine, Found};
pub use self::scenario::{Scenario, Unbuilt};
pub use self::vector::Vector;

/// What became of the scenarios of a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The scenarios that came out as expected.
    pub passed: usize,
    /// The scenarios that differ for a reason on the list.
    pub differs: usize,
    /// The scenarios that differ for none, each with what differs.
    pub failed: Vec<String>,
    /// The scenarios with a document that is not modelled yet.
    pub unmodelled: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, differs, unmodelled) = (self.passed, self.differs, self.unmodelled);
        let failed = self.failed.len();
        write!(
            f,
            "passed {passed}, differs {differs}, failed {failed}, unmodelled {unmodelled}"
        )
    }
}

/// Why a file cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no scenario.
    #[error("{path}:{line}: not a scenario", path = path.display())]
    Vector {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Runs every scenario of a file, compressed or not.
///
/// # Errors
/// [`enum@Error`] if the file cannot be read as scenarios.
pub fn run_file<E: Engine>(path: &Path) -> Result<Report, Error> {
    let mut report = Report::default();
    for vector in read_file(path)? {
        let outcome = run_one::<E>(&vector);
        let listed = DIFFERENCES
            .iter()
            .find(|difference| difference.id == vector.id);
        match (outcome, listed) {
            (Outcome::Passed, None) => report.passed += 1,
            (Outcome::Passed, Some(_)) => report.failed.push(format!(
                "{}: passes, but is listed as a difference",
                vector.id
            )),
            (Outcome::Failed(_), Some(_)) => report.differs += 1,
            (Outcome::Failed(what), None) => report.failed.push(format!("{}: {what}", vector.id)),
            (Outcome::Unmodelled(_), _) => report.unmodelled += 1,
        }
    }
    Ok(report)
}

/// Reads the scenarios of a file, compressed or not.
///
/// # Errors
/// [`enum@Error`] if the file cannot be read as scenarios.
pub fn read_file(path: &Path) -> Result<Vec<Vector>, Error> {
    read_lines(path)?.collect()
}

/// What each line of a file says, compressed or not, while it is read.
pub(crate) fn read_lines<T: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T, Error>>, Error> {
    let read_error = move |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
    let plain: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let lines = (1..).zip(BufReader::new(plain).lines());
    Ok(lines.map(move |(line, text)| {
        let text = text.map_err(read_error)?;
        serde_json::from_str(&text).map_err(|source| Error::Vector {
            path: path.to_owned(),
            line,
            source,
        })
    }))
}
