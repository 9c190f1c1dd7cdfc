//! `cargo xtask test`: every test, or every one that needs no root.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cargo::{cargo, check, metadata};
use crate::clang;
use crate::failure::Failure;
use crate::machine::{is_root, line_as_root};
use crate::setup;
use crate::steps::Steps;

/// The variable of the property tests that their random values follow from.
pub(crate) const SEED: &str = "PROPTEST_RNG_SEED";
/// A seed that is always the same: whether a change may land is not left to chance. Looking further
/// is the work of `soak`.
const FIXED_SEED: &str = "1";
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
    for Test { package, name, .. } in root_tests()? {
        println!("  {package} --test {name}");
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
    for Test { package, name, .. } in tests()? {
        if !is_root_test(&name) && !left_out.contains(&package.as_str()) {
            command.args(["--test", &name]);
        }
    }
    Ok(with_seed(command))
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
    with_seed(cargo(words.chain(["--", "--test-threads=1"])))
}

/// The same with the fixed seed, unless whoever calls has set one.
fn with_seed(mut command: Command) -> Command {
    if env::var_os(SEED).is_none() {
        command.env(SEED, FIXED_SEED);
    }
    command
}

fn root_tests() -> Result<Vec<Test>, Failure> {
    let tests = tests()?.into_iter();
    Ok(tests.filter(|test| is_root_test(&test.name)).collect())
}

pub(crate) fn is_root_test(name: &str) -> bool {
    name.starts_with("root_")
}

/// An integration test.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    pub(crate) package: String,
    pub(crate) name: String,
    /// The file that it begins with.
    pub(crate) source: PathBuf,
}

/// Every integration test of the workspace.
pub(crate) fn tests() -> Result<Vec<Test>, Failure> {
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
            let source = target.get("src_path").and_then(Value::as_str);
            if let (true, Some(test), Some(source)) = (is_test, test, source) {
                tests.push(Test {
                    package: name.to_owned(),
                    name: test.to_owned(),
                    source: source.into(),
                });
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
        let namespace = |test: &Test| {
            (test.package.as_str(), test.name.as_str()) == ("palisade-testkit", "root_namespace")
        };
        assert!(left_out.iter().any(namespace));
    }

    #[test]
    fn a_seed_is_set_for_whatever_runs_properties() {
        for command in [pure(&[], &[]).unwrap(), rooted("--workspace")] {
            let mut set = command.get_envs().filter(|(_, value)| value.is_some());
            assert!(env::var_os(SEED).is_some() || set.any(|(name, _)| name == SEED));
        }
    }
}
