//! `cargo xtask demo`: builds the agent and the demo that drives it, and runs the demo.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo::{cargo, check, root, target};
use crate::failure::Failure;
use crate::machine::{is_root, line_as_root};
use crate::setup;

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    if !is_root() {
        return Err(Failure::Stopped(format!(
            "the demo makes network namespaces and loads BPF programs, which needs root. Run\n  {}",
            line_as_root("demo")
        )));
    }
    setup::run(setup::For::Work)?;
    let release = build()?;
    check(
        Command::new(release.join("demo"))
            .args(words)
            .current_dir(root()),
    )
}

/// Builds all that is run in release form, in one go, so that features and builds are shared.
/// Returns the folder of the programs.
pub(crate) fn build() -> Result<PathBuf, Failure> {
    let words = "build --release -p palisade -p palisade-examples --all-features --bins";
    check(&mut cargo(words.split(' ')))?;
    Ok(target()?.join("release"))
}
