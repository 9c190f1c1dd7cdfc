//! What programs in the kernel cost: building blocks, packets one by one, live traffic.
//!
//! `cargo xtask bench bpf`. All times are taken by the kernel; the least of some rounds counts. Fails
//! if a ratio of one run or a program's size is beyond its limit, never for a time.

mod blocks;
mod live;
mod lookups;
mod packets;
mod skel;
mod verdict;

use std::error::Error;
use std::process::ExitCode;

use palisade_abi::{DatapathConfig, Mode, TableSizes};
use palisade_datapath::{Maps, Programs};

use self::verdict::Verdicts;

/// The verifier takes a million instructions of a program.
const MOST_INSTRUCTIONS: f64 = 250_000.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut verdicts = Verdicts::default();
    sizes(&mut verdicts)?;
    lookups::run(&mut verdicts)?;
    packets::run(&mut verdicts)?;
    live::run(&mut verdicts)?;
    Ok(verdicts.tell())
}

/// What the verifier went through for each program.
fn sizes(verdicts: &mut Verdicts) -> Result<(), Box<dyn Error>> {
    let sizes = TableSizes::default();
    let maps = Maps::create(sizes)?;
    let programs = Programs::load(&maps, &DatapathConfig::new(sizes, Mode::Enforce))?;
    println!("instructions that the verifier went through");
    for program in programs.all() {
        let count = f64::from(program.statistics()?.verified_instructions);
        println!("  {:<16} {count:>8}", program.name());
        verdicts.at_most(program.name(), count, MOST_INSTRUCTIONS);
    }
    Ok(())
}
