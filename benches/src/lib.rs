//! Benchmarks beside the recorded figures.
//!
//! `cargo bench -p palisade-benches`. The policy benches read the documents of the folder that
//! `PALISADE_BENCH_DATA` names (by default `../shared/bench/policy`), one scenario a file; without
//! them they make up nodes of like size.
#![forbid(unsafe_code)]

mod document;
mod hostile;
mod scenario;
mod synthetic;
mod timed;

pub use self::hostile::{HOSTILE, Hostile};
pub use self::scenario::{ReadError, Scenario};
pub use self::synthetic::cluster;
pub use self::timed::{Times, load, measure, median};
