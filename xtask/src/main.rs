//! The one door to every task of the repository: `cargo xtask TASK`.
#![forbid(unsafe_code)]

mod bench;
mod cargo;
mod ci;
mod clang;
mod demo;
mod failure;
mod fuzz;
mod leftovers;
mod machine;
mod report;
mod setup;
mod soak;
mod steps;
mod test;
mod tidy;
mod vm;

use std::env;
use std::process::ExitCode;

use self::failure::Failure;

const HELP: &str = "\
  cargo xtask demo              the product on real packets, in under two minutes
  cargo xtask test              every test; needs root
  cargo xtask test --pure       every test that needs no root

TASKS
  setup [--ci | --vm]           installs what this machine lacks (--ci: both ends of the clangs;
                                --vm: what `vm` needs as well)
  demo [--json PATH] [...]      builds and runs the demo
  test [--pure]                 unit, property, conformance, packet and namespace tests, examples
  soak [MINUTES]                the property tests with random seeds and many more cases, for ten
                                minutes or as many as are given, or until one fails
  vm [-p CRATE] [FILTER]        the root tests on an old kernel (Debian's 6.1), under an emulator
     [--kernel PACKAGE]         or on the kernel of a package
  ci                            all that is asked of a change before it lands
  bench [FILTER]                benchmarks beside the recorded figures
  bench bpf                     what programs in the kernel cost; needs root
  bench dns                     the DNS proxy under dnsperf, beside the responder alone; no root
  fuzz --smoke [--seconds N]    every fuzz target for a short while
  tidy                          the rules of the house that no compiler checks

EXIT STATUS
  0 yes, 1 no, 2 wrong use or something is missing here, 3 xtask itself is broken
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    match words {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["setup"] => setup::run(setup::For::Work),
        ["setup", "--ci"] => setup::run(setup::For::Ci),
        ["setup", "--vm"] => setup::run(setup::For::Vm),
        ["demo", rest @ ..] => demo::run(rest),
        ["test"] => test::run(),
        ["test", "--pure"] => test::run_pure(),
        ["soak", rest @ ..] => soak::run(rest),
        ["ci"] => ci::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["tidy"] => tidy::run(),
        ["vm", rest @ ..] => vm::run(rest),
        _ => Err(Failure::Usage {
            words: words.join(" "),
            help: HELP,
        }),
    }
}
