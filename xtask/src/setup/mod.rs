//! `cargo xtask setup`: from a machine with nothing but Rust to everything needed.

mod apt;
mod needs;

use crate::cargo::cargo;
use crate::failure::Failure;
use crate::machine::{find_program, is_root};

use self::needs::Need;

/// Whom the machine is set up for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum For {
    /// Building, testing and running: the newest clang.
    Work,
    /// CI as well: the oldest clang too.
    Ci,
    /// Load on the DNS proxy, which needs no kernel.
    Dns,
    /// Tests in a guest as well: an emulator too.
    Vm,
}

/// Installs what is missing, or stops with the command that would.
pub(crate) fn run(purpose: For) -> Result<(), Failure> {
    let missing = needs::missing(purpose);
    if missing.is_empty() {
        println!("setup: nothing to do, everything needed is here");
        say_components();
        return Ok(());
    }
    println!("setup: missing here");
    for need in &missing {
        println!("  {:<18} {}", need.package, need.purpose);
    }
    if find_program("apt-get").is_none() {
        return Err(Failure::Stopped(format!(
            "setup: this is neither Debian nor Ubuntu; install what these packages hold there, \
             then call this again:\n  {}",
            words(&missing, needs::CLANG_ANY)
        )));
    }
    if !is_root() {
        return Err(Failure::Stopped(format!(
            "setup: installing needs root. Run\n  {}",
            apt::line_as_root(&words(&missing, needs::CLANG_ANY))
        )));
    }
    apt::update()?;
    let missing = available(missing)?;
    let clang = apt::newest_clang()?;
    apt::install(&words(&missing, &clang))?;
    // The oldest clang may be one that the archive lacks.
    let mut still = needs::missing(purpose).into_iter();
    if let Some(need) = still.find(|need| need.package != needs::CLANG_OLDEST) {
        return Err(Failure::Stopped(format!(
            "setup: {} was installed, but this machine still lacks {}",
            need.package, need.purpose
        )));
    }
    println!("setup: done");
    say_components();
    Ok(())
}

/// Leaves out the oldest clang where the archive no longer has it: newer ones serve.
fn available(missing: Vec<Need>) -> Result<Vec<Need>, Failure> {
    let mut available = Vec::new();
    for need in missing {
        if need.package == needs::CLANG_OLDEST && !apt::has(need.package)? {
            println!(
                "setup: the archive has no {}; the newest is used alone",
                need.package
            );
        } else {
            available.push(need);
        }
    }
    Ok(available)
}

/// The packages of the needs, with the name of a clang put in.
fn words(missing: &[Need], clang: &str) -> String {
    let names = missing.iter().map(|need| match need.package {
        needs::CLANG_NEWEST => clang,
        package => package,
    });
    names.collect::<Vec<_>>().join(" ")
}

/// Says how to add the parts of the toolchain that only `ci` needs; they are never installed here.
fn say_components() {
    for (component, tool) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let answer = cargo([tool, "--version"]).output();
        if !answer.is_ok_and(|answer| answer.status.success()) {
            println!("setup: `ci` also needs {component}: rustup component add {component}");
        }
    }
}
