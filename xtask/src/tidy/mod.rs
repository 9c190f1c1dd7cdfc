//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod drops;
mod files;
mod imports;
mod lengths;
mod pages;
mod scan;
mod words;

use crate::cargo::metadata;
use crate::failure::Failure;

/// What a check found: findings fail, notes are only shown.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) findings: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.notes.extend(other.notes);
    }
}

pub(crate) fn run() -> Result<(), Failure> {
    let metadata = metadata()?;
    let sources = files::sources()?;
    let mut outcome = Outcome::default();
    outcome.add(imports::check(&metadata));
    outcome.add(lengths::check(&sources));
    outcome.add(words::check(&sources));
    outcome.add(drops::check(&sources));
    outcome.add(pages::check(&metadata)?);
    for note in &outcome.notes {
        println!("note: {note}");
    }
    for finding in &outcome.findings {
        println!("tidy: {finding}");
    }
    if outcome.findings.is_empty() {
        println!("tidy: {} files, nothing found", sources.len());
        return Ok(());
    }
    Err(Failure::Finding(format!(
        "{} findings",
        outcome.findings.len()
    )))
}
