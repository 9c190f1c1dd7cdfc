//! The demo: a small shop of pods, policed by the agent, checked against the offline verdict.
//!
//! It drives the `palisade` program as an operator would and knows nothing of its insides. All
//! that it makes lives in namespaces of its own, which go with it, however it ends.
#![forbid(unsafe_code)]

mod acts;
mod agent;
mod cast;
mod dns;
mod error;
mod flows;
mod grid;
mod policies;
mod predict;
mod probe;
mod report;
mod seclusion;
mod server;
mod shot;
mod stage;
mod talk;

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use self::error::{Error, chain};
use self::report::Report;

const HELP: &str = "\
  demo                 runs the demo; needs root
  demo --json PATH     writes the report there as well
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let path = match words.as_slice() {
        [] => None,
        ["--json", path] => Some(*path),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if !seclusion::is_inside() {
        return seclusion::start().unwrap_or_else(|error| broken(&error));
    }
    match run(path) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => broken(&error),
    }
}

fn run(path: Option<&str>) -> Result<bool, Error> {
    // Opened before the demo has a file system of its own.
    let file = path
        .map(File::create)
        .transpose()
        .map_err(Error::io("the report"))?;
    seclusion::enter()?;
    let mut report = Report::new(file);
    acts::play(&mut report)?;
    report.close()?;
    print!("{}", report.closing());
    if report.agrees() && io::stdout().is_terminal() {
        println!("Next: README.md \"Compile policies in CI\" · \"Embed a crate\" · \"Run a node\"");
    }
    Ok(report.agrees())
}

fn broken(error: &Error) -> ExitCode {
    eprintln!("demo: {}", chain(error));
    ExitCode::from(3)
}
