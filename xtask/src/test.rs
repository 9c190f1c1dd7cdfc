//! `cargo xtask test`: every test, or every one that needs no root.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cargo::{cargo, check, metadata};
use crate::clang;
use crate::failure::Failure;
use crate::machine::{is_root, line_as_root};
use crate::setup;
use crate::steps::Steps;

/// Crates that cannot be built without clang and libelf.
const KERNEL_CRATES: [&str; 1] = ["palisade-datapath"];

/// Everything; stops at once without root.
pub(crate) fn run() -> Result<(), Failure> {
    if !is_root() {
        return Err(Failure::Stopped(format!(
            "the packet and namespace tests need root. Run\n  {}\n\
             or, for all that needs no root,\n  cargo xtask test --pure",
            line_as_root("test")
        )));
    }
    setup::run(setup::For::Work)?;
    let mut steps = Steps::new();
    all(&mut steps);
    steps.finish()
}

/// The steps of `test`, for `ci` as well.
pub(crate) fn all(steps: &mut Steps) {
    steps.run("tests that need no root", || {
        check(&mut pure(&["--all-features"], &[])?)
    });
    steps.run("documentation examples", || {
        check(&mut cargo([
            "test",
            "--workspace",
            "--all-features",
            "--doc",
        ]))
    });
    steps.run("packets and namespaces (root)", || {
        check(&mut rooted("--workspace"))
    });
}

/// What needs no root, with the rest named.
pub(crate) fn run_pure() -> Result<(), Failure> {
    let with_kernel = !clang::installed().is_empty() && Path::new("/usr/include/gelf.h").exists();
    let (features, left_out): (&[&str], &[&str]) = if with_kernel {
        (&["--all-features"], &[])
    } else {
        (&["--no-default-features"], &KERNEL_CRATES)
    };
    let mut steps = Steps::new();
    steps.run("tests that need no root", || {
        check(&mut pure(features, left_out)?)
    });
    steps.run("documentation examples", || {
        let mut command = cargo(["test", "--workspace", "--doc"]);
        check(exclude(command.args(features), left_out))
    });
    let result = steps.finish();
    println!("\nleft out, because it needs root (cargo xtask test):");
    for (package, test) in root_tests()? {
        println!("  {package} --test {test}");
    }
    if !with_kernel {
        println!("left out, because clang or libelf is missing here (cargo xtask setup):");
        println!("  {}, feature `kernel`", KERNEL_CRATES.join(", "));
    }
    result
}

/// Unit, property and conformance tests: all targets but the tests named `root_*`.
fn pure(features: &[&str], left_out: &[&str]) -> Result<Command, Failure> {
    let mut command = cargo(["test", "--workspace", "--lib", "--bins", "--examples"]);
    exclude(command.args(features), left_out);
    for (package, test) in tests()? {
        if !is_root_test(&test) && !left_out.contains(&package.as_str()) {
            command.args(["--test", &test]);
        }
    }
    Ok(command)
}

fn exclude<'a>(command: &'a mut Command, packages: &[&str]) -> &'a mut Command {
    for package in packages {
        command.args(["--exclude", package]);
    }
    command
}

/// The tests named `root_*`, one after the other: they share the machine.
pub(crate) fn rooted(scope: &str) -> Command {
    let words = scope.split_whitespace();
    let words = [
        "test",
        "--all-features",
        "--no-fail-fast",
        "--test",
        "root_*",
    ]
    .into_iter()
    .chain(words);
    cargo(words.chain(["--", "--test-threads=1"]))
}

fn root_tests() -> Result<Vec<(String, String)>, Failure> {
    let tests = tests()?.into_iter();
    Ok(tests.filter(|(_, test)| is_root_test(test)).collect())
}

fn is_root_test(name: &str) -> bool {
    name.starts_with("root_")
}

/// Every integration test of the workspace: its crate and its name.
fn tests() -> Result<Vec<(String, String)>, Failure> {
    let metadata = metadata()?;
    let mut tests = Vec::new();
    for package in list(&metadata, "packages") {
        let name = package
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for target in list(package, "targets") {
            let is_test = list(target, "kind").any(|kind| kind.as_str() == Some("test"));
            let test = target.get("name").and_then(Value::as_str);
            if let (true, Some(test)) = (is_test, test) {
                tests.push((name.to_owned(), test.to_owned()));
            }
        }
    }
    tests.sort();
    Ok(tests)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_tests_are_never_among_the_pure_ones() {
        let command = pure(&[], &[]).unwrap();
        assert!(
            !command
                .get_args()
                .any(|word| word.to_string_lossy().starts_with("root_"))
        );
        let left_out = root_tests().unwrap();
        assert!(left_out.contains(&("palisade-testkit".to_owned(), "root_namespace".to_owned())));
    }
}
