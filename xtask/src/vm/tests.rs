//! The programs of the tests, built here.

use std::path::PathBuf;

use serde_json::Value;

use crate::cargo::{cargo, output};
use crate::failure::Failure;

/// A test program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Test {
    /// Its crate and its own name.
    pub(super) name: String,
    pub(super) program: PathBuf,
}

/// Builds the tests named `root_*` of some crates.
pub(super) fn build(crates: &[&str]) -> Result<Vec<Test>, Failure> {
    let words =
        "test --all-features --no-run --test root_* --message-format json-render-diagnostics";
    let packages = crates.iter().flat_map(|name| ["-p", name]);
    let messages = output(&mut cargo(words.split(' ').chain(packages)))?;
    let mut tests: Vec<Test> = messages.lines().filter_map(read).collect();
    tests.sort_by(|one, other| one.name.cmp(&other.name));
    if tests.is_empty() {
        return Err(Failure::Finding(format!(
            "no test named root_* is in {}",
            crates.join(", ")
        )));
    }
    Ok(tests)
}

/// The test that a message of cargo speaks of.
fn read(message: &str) -> Option<Test> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = message.get("target")?;
    let is_test = target
        .get("kind")?
        .as_array()?
        .iter()
        .any(|kind| kind == "test");
    let program = message.get("executable")?.as_str()?;
    is_test.then_some(())?;
    let package = message.get("manifest_path")?.as_str()?;
    // The folder's name, which is short and known to who reads.
    let package = package.rsplit('/').nth(1)?;
    let name = target.get("name")?.as_str()?;
    Some(Test {
        name: format!("{package} {name}"),
        program: program.into(),
    })
}

#[cfg(test)]
mod reading {
    use super::*;

    #[test]
    fn programs_of_tests_are_taken_and_libraries_and_programs_are_not() {
        let message = |kind: &str, program: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/datapath/Cargo.toml",
                "target":{{"kind":["{kind}"],"name":"root_packets"}},"executable":{program}}}"#
            )
        };
        let found = read(&message("test", r#""/t/root_packets-1""#)).unwrap();
        assert_eq!(found.name, "datapath root_packets");
        assert_eq!(found.program, PathBuf::from("/t/root_packets-1"));
        assert_eq!(read(&message("bin", r#""/t/palisade""#)), None);
        assert_eq!(read(&message("lib", "null")), None);
        assert_eq!(read(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
