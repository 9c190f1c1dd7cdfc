//! The package archive of Debian and Ubuntu.

use std::process::Command;

use crate::cargo::{check, output};
use crate::clang;
use crate::failure::Failure;
use crate::machine::find_program;

/// Refreshes what is known of the archive.
pub(super) fn update() -> Result<(), Failure> {
    println!("setup: apt-get update");
    check(Command::new("apt-get").args(["update", "-qq"]))
}

/// Installs packages and nothing that they merely recommend. None of ours starts a service.
pub(super) fn install(packages: &str) -> Result<(), Failure> {
    println!("setup: apt-get install --no-install-recommends {packages}");
    check(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages.split_whitespace())
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// The newest supported clang that the archive has.
pub(super) fn newest_clang() -> Result<String, Failure> {
    for version in clang::VERSIONS {
        let package = format!("clang-{version}");
        if has(&package)? {
            return Ok(package);
        }
    }
    Err(Failure::Stopped(
        "setup: the package archive has none of clang 14 to 19".to_owned(),
    ))
}

/// Whether the archive has a package.
pub(super) fn has(package: &str) -> Result<bool, Failure> {
    let policy = output(Command::new("apt-cache").args(["policy", package]))?;
    Ok(has_candidate(&policy))
}

/// The whole command for somebody who may run it.
pub(super) fn line_as_root(packages: &str) -> String {
    let line = format!("apt-get update && apt-get install -y --no-install-recommends {packages}");
    if find_program("sudo").is_some() {
        format!("sudo sh -c '{line}'")
    } else {
        format!("su -c '{line}'")
    }
}

/// Whether `apt-cache policy` tells of a version that can be installed.
fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate: "))
        .any(|candidate| candidate != "(none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_is_a_candidate() {
        assert!(has_candidate(
            "clang-19:\n  Installed: (none)\n  Candidate: 1:19.1.7-3\n"
        ));
        assert!(!has_candidate(
            "clang-18:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }
}
