//! Runs policy vectors and connectivity cases through the decision tables.
//!
//! ```text
//! cargo run -q --release -p palisade-examples --bin conformance -- FILE.jsonl[.gz]...
//! ```
//! Prints `FILE: passed P, differs D, failed F, unmodelled U` for each. Exit status 1 if anything
//! failed, 2 if a file cannot be read.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use palisade_examples::conformance::{self, CompiledTables};
use palisade_examples::connectivity;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("usage: conformance FILE.jsonl[.gz]...");
        return ExitCode::from(2);
    }
    let mut failed = false;
    for file in files {
        match run(&file) {
            Ok(passed) => failed |= !passed,
            Err(error) => {
                eprintln!("{}", chain(&error));
                return ExitCode::from(2);
            }
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs a file and says what came of it; whether nothing failed.
fn run(file: &Path) -> Result<bool, conformance::Error> {
    let name = file.display();
    if connectivity::is_cases(file)? {
        let report = connectivity::run_file(file)?;
        for failure in &report.failed {
            eprintln!("{name}: {failure}");
        }
        println!("{name}: {report}");
        for (reason, cases) in &report.unmodelled {
            println!("  unmodelled, {cases} times: {reason}");
        }
        return Ok(report.failed.is_empty());
    }
    let report = conformance::run_file::<CompiledTables>(file)?;
    for failure in &report.failed {
        eprintln!("{name}: {failure}");
    }
    println!("{name}: {report}");
    Ok(report.failed.is_empty())
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
