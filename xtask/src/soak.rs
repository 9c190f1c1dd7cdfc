//! `cargo xtask soak`: the property tests with random seeds, for as long as one likes.
//!
//! Everybody else runs them with a seed that is always the same. What this finds is mended with a
//! test of its own, and until then the line that it prints finds it again.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cargo::{cargo, check};
use crate::failure::Failure;
use crate::test::{SEED, Test, is_root_test, tests};

/// How long to search unless told otherwise.
const MINUTES: u64 = 10;
/// What `palisade_testkit::cases` multiplies by.
const CASES: &str = "PALISADE_CASES";
/// Twenty times the cases of a test take seconds in most and a minute or two in the slowest, so
/// that the time given is kept.
const TIMES: &str = "20";

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let minutes = match words {
        [] => Some(MINUTES),
        [minutes] => minutes.parse().ok().filter(|minutes| *minutes > 0),
        _ => None,
    };
    let Some(minutes) = minutes else {
        return Err(Failure::Usage {
            words: format!("soak {}", words.join(" ")),
            help: "  cargo xtask soak [MINUTES]",
        });
    };
    let tests = property_tests()?;
    for test in &tests {
        check(command(test).arg("--no-run"))?;
    }
    // Building is no part of the search.
    search(
        &tests,
        Instant::now() + Duration::from_secs(minutes.saturating_mul(60)),
    )
}

fn search(tests: &[Test], end: Instant) -> Result<(), Failure> {
    let mut done = 0;
    for test in tests.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let seed = seed();
        println!("\n==> {} {}, {SEED}={seed}", test.package, test.name);
        check(command(test).env(SEED, &seed).env(CASES, TIMES))
            .map_err(|_| Failure::Finding(replay(test, &seed)))?;
        done += 1;
    }
    println!("\n{done} runs of {} tests, none failed", tests.len());
    Ok(())
}

/// The tests that need no root and have properties in the file that they begin with.
fn property_tests() -> Result<Vec<Test>, Failure> {
    let mut found = Vec::new();
    for test in tests()?
        .into_iter()
        .filter(|test| !is_root_test(&test.name))
    {
        let text = fs::read_to_string(&test.source).map_err(Failure::file(&test.source))?;
        if text.contains("proptest! {") {
            found.push(test);
        }
    }
    Ok(found)
}

fn command(test: &Test) -> Command {
    let Test { package, name, .. } = test;
    cargo(["test", "--release", "--package", package, "--test", name])
}

fn replay(test: &Test, seed: &str) -> String {
    let Test { package, name, .. } = test;
    format!(
        "this finds it again:\n  {SEED}={seed} {CASES}={TIMES} \
         cargo test --release --package {package} --test {name}"
    )
}

/// Another one each time.
fn seed() -> String {
    RandomState::new().hash_one(()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_with_properties_is_searched() {
        let found = property_tests().unwrap();
        for package in ["fqdn", "identity", "node", "observe", "policy"] {
            let name = format!("palisade-{package}");
            assert!(found.iter().any(|test| test.package == name), "{name}");
        }
        assert!(found.iter().all(|test| !test.name.starts_with("root_")));
    }

    #[test]
    fn what_fails_can_be_found_again() {
        let test = Test {
            package: "palisade-policy".to_owned(),
            name: "flat".to_owned(),
            source: "flat.rs".into(),
        };
        let line = replay(&test, "7");
        assert!(
            line.ends_with(
                "PROPTEST_RNG_SEED=7 PALISADE_CASES=20 \
                 cargo test --release --package palisade-policy --test flat"
            ),
            "{line}"
        );
        assert_ne!(seed(), seed());
    }
}
