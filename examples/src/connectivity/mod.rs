//! Connectivity cases: manifests of a cluster, and who reaches whom in it.
//!
//! A file holds one case a line as JSON. The cluster is built as its nodes would build it (labels,
//! identities, named ports, addresses), its policies are compiled to decision tables for each node
//! that a query touches, and both sides of every query are asked: egress of the source on its
//! node, ingress of the destination on that one's.
//!
//! Where a prefix of a rule meets the address of a pod, engines differ. Both readings are run
//! ([`CidrMatch`]), each against its own answers; cases that come with a configuration of Cilium
//! know one only.

mod judge;
mod l7;
mod manifest;
mod vector;
mod view;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use palisade_policy::CidrMatch;
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::judge::judge;
use self::vector::Case;
use self::world::Unbuilt;
use crate::conformance::{Error, read_lines};

/// What became of the cases of a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// The cases of which every query came out as expected.
    pub passed: usize,
    /// The cases that did not, each with what differs.
    pub failed: Vec<String>,
    /// The cases that are not modelled yet, counted by reason.
    pub unmodelled: BTreeMap<String, usize>,
    /// The queries asked, once for each reading.
    pub queries: usize,
    /// Those that came out wrong.
    pub wrong: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed) = (self.passed, self.failed.len());
        let unmodelled: usize = self.unmodelled.values().sum();
        let (queries, wrong) = (self.queries, self.wrong);
        write!(
            f,
            "passed {passed}, differs 0, failed {failed}, unmodelled {unmodelled} \
             ({queries} queries, {wrong} wrong)"
        )
    }
}

/// Whether a file holds cases, and not policy vectors.
///
/// # Errors
/// [`enum@Error`] if the file cannot be read.
pub fn is_cases(path: &Path) -> Result<bool, Error> {
    /// Enough of a line to tell what it is.
    #[derive(Deserialize)]
    struct Line {
        manifests: Option<IgnoredAny>,
    }
    let first: Option<Line> = read_lines(path)?.next().transpose()?;
    Ok(first.is_some_and(|line| line.manifests.is_some()))
}

/// Runs every case of a file, compressed or not.
///
/// # Errors
/// [`enum@Error`] if the file cannot be read as cases.
pub fn run_file(path: &Path) -> Result<Report, Error> {
    let mut report = Report::default();
    for case in read_lines::<Case>(path)? {
        report.add(&case?);
    }
    Ok(report)
}

impl Report {
    /// Judges a case under each reading that it has answers for.
    fn add(&mut self, case: &Case) {
        let mut asked = 0;
        let mut wrong = Vec::new();
        for reading in [CidrMatch::Outside, CidrMatch::Everybody] {
            match judge(case, reading) {
                Ok(None) => {}
                Ok(Some(more)) => {
                    asked += case.queries.len();
                    let say = |what: String| match reading {
                        CidrMatch::Outside => what,
                        CidrMatch::Everybody => format!("{what} (prefixes select pods)"),
                    };
                    wrong.extend(more.into_iter().map(say));
                }
                Err(Unbuilt::Refused(what)) => wrong.push(what),
                Err(Unbuilt::Unmodelled(what)) => {
                    *self.unmodelled.entry(what).or_default() += 1;
                    return;
                }
            }
        }
        self.queries += asked;
        self.wrong += wrong.len();
        match wrong.first() {
            None => self.passed += 1,
            Some(first) => self.failed.push(format!(
                "{}: {} of {asked} wrong, first {first}",
                case.name,
                wrong.len(),
            )),
        }
    }
}
