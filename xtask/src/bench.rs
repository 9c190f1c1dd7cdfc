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
    if !is_root() {
        return Err(Failure::Stopped(format!(
            "the benchmarks of programs in the kernel need root. Run\n  {}\n\
             or, for all others,\n  cargo bench -p palisade-benches",
            line_as_root("bench")
        )));
    }
    setup::run(setup::For::Work)?;
    let bench = [
        "bench",
        "-p",
        "palisade-benches",
        "--features",
        "kernel",
        "--",
    ];
    check(&mut cargo(bench.into_iter().chain(words.iter().copied())))
}
