//! `cargo xtask bench`: benchmarks beside the recorded figures.

mod dns;

use crate::cargo::{cargo, check};
use crate::failure::Failure;
use crate::machine::{is_root, line_as_root};
use crate::setup;

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    if words == ["dns"] {
        return dns::run();
    }
    setup::run(setup::For::Work)?;
    if words == ["bpf"] {
        return bpf();
    }
    let bench = ["bench", "-p", "palisade-benches", "--"];
    check(&mut cargo(bench.into_iter().chain(words.iter().copied())))
}

/// What programs in the kernel cost. The kernel takes the times, so that it needs no optimisation here.
fn bpf() -> Result<(), Failure> {
    if !is_root() {
        return Err(Failure::Stopped(format!(
            "programs are loaded by root. Run\n  {}",
            line_as_root("bench bpf")
        )));
    }
    let run = "run -q -p palisade-benches --features kernel --bin bpf";
    check(&mut cargo(run.split(' ')))
}
