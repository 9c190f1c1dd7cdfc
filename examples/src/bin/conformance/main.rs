//! Runs policy vectors through the decision tables.
//!
//! ```text
//! cargo run -q --release -p palisade-examples --bin conformance -- FILE.jsonl[.gz]...
//! ```
//! Prints `FILE: passed P, differs D, failed F, unmodelled U` for each. Exit status 1 if anything
//! failed, 2 if a file cannot be read.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use palisade_examples::conformance::{self, CompiledTables};

fn main() -> ExitCode {
    let files: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("usage: conformance FILE.jsonl[.gz]...");
        return ExitCode::from(2);
    }
    let mut failed = false;
    for file in files {
        match conformance::run_file::<CompiledTables>(&file) {
            Ok(report) => {
                for failure in &report.failed {
                    eprintln!("{}: {failure}", file.display());
                }
                println!("{}: {report}", file.display());
                failed |= !report.failed.is_empty();
            }
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

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
