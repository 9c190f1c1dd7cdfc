//! `cargo xtask fuzz --smoke`: every fuzz target for a short while.
//!
//! The targets are built by the stable compiler, with the coverage that libFuzzer steers by
//! switched on through LLVM's own flags, so that no other toolchain has to be installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{cargo, check, output, root, target};
use crate::failure::Failure;
use crate::setup;
use crate::steps::Steps;

/// How long each target runs unless told otherwise.
pub(crate) const SECONDS: u32 = 10;

const FLAGS: &str = "--cfg fuzzing -Dwarnings -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let seconds = match words {
        ["--smoke"] => Some(SECONDS),
        ["--smoke", "--seconds", seconds] => seconds.parse().ok().filter(|seconds| *seconds > 0),
        _ => None,
    };
    let Some(seconds) = seconds else {
        return Err(Failure::Usage {
            words: format!("fuzz {}", words.join(" ")),
            help: "  cargo xtask fuzz --smoke                 every target for 10 s\n  \
                   cargo xtask fuzz --smoke --seconds 60    for longer",
        });
    };
    setup::run(setup::For::Work)?;
    smoke(seconds)
}

/// Builds all targets and runs each for some seconds; a crash, or a run that saw no coverage, fails.
pub(crate) fn smoke(seconds: u32) -> Result<(), Failure> {
    let folder = target()?.join("fuzz");
    let triple = triple()?;
    let mut build = cargo([
        "build",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--bins",
    ]);
    build
        .args(["--target", &triple, "--target-dir"])
        .arg(&folder);
    check(build.env("RUSTFLAGS", FLAGS))?;
    let programs = folder.join(triple).join("release");
    let mut steps = Steps::new();
    for name in names()? {
        steps.run(&format!("fuzz {name}"), || {
            run_target(&programs, &folder, &name, seconds)
        });
    }
    steps.finish_quietly()
}

fn run_target(programs: &Path, folder: &Path, name: &str, seconds: u32) -> Result<(), Failure> {
    let corpus = folder.join("corpus").join(name);
    let crashes = folder.join("crashes").join(name);
    for made in [&corpus, &crashes] {
        fs::create_dir_all(made).map_err(Failure::file(made))?;
    }
    let seeds = root().join("fuzz/seeds").join(name);
    let mut command = Command::new(programs.join(name));
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"])
        .arg(&corpus)
        .args(seeds.is_dir().then_some(seeds))
        .stdout(Stdio::null());
    let ended = command.output().map_err(|source| Failure::Start {
        program: name.to_owned(),
        source,
    })?;
    let log = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        println!("{}", tail(&log));
        return Err(Failure::Finding(format!(
            "{name} found a crash; the input is in {}",
            crashes.display()
        )));
    }
    match (counters(&log), runs(&log)) {
        (Some(counters), Some(runs)) if counters > 0 && runs > 0 => {
            println!("{name}: {runs} runs over {counters} counters, no crash");
            Ok(())
        }
        _ => Err(Failure::Finding(format!(
            "{name} ran without coverage:\n{}",
            tail(&log)
        ))),
    }
}

/// The targets: one file each.
fn names() -> Result<Vec<String>, Failure> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(Failure::file(&folder))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path: PathBuf| path.file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

fn triple() -> Result<String, Failure> {
    let text = output(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let triple = text.lines().find_map(|line| line.strip_prefix("host: "));
    triple
        .map(str::to_owned)
        .ok_or_else(|| Failure::Finding("rustc names no host".to_owned()))
}

/// How many coverage counters libFuzzer found: `Loaded 1 modules   (1234 inline 8-bit counters)`.
fn counters(log: &str) -> Option<u64> {
    let line = log
        .lines()
        .find(|line| line.contains("inline 8-bit counters)"))?;
    line.split_once('(')?.1.split(' ').next()?.parse().ok()
}

/// How often the target ran: `stat::number_of_executed_units: 5678`.
fn runs(log: &str) -> Option<u64> {
    let stat = "stat::number_of_executed_units:";
    log.lines()
        .find_map(|line| line.strip_prefix(stat)?.trim().parse().ok())
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(30))
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_runs_are_read_from_the_log() {
        let log = "INFO: Loaded 1 modules   (3402 inline 8-bit counters): 3402 [0x5, 0x6),\n\
                   stat::number_of_executed_units: 91\nstat::average_exec_per_sec:     9";
        assert_eq!(counters(log), Some(3402));
        assert_eq!(runs(log), Some(91));
        assert_eq!(counters("INFO: Running with entropic power schedule"), None);
    }

    #[test]
    fn every_target_is_also_a_program_of_the_manifest() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for name in names().unwrap() {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
