//! The clangs that the BPF objects are built with.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::find_program;

/// Versions that build the objects, newest first.
pub(crate) const VERSIONS: [u32; 6] = [19, 18, 17, 16, 15, 14];
/// The oldest of them, which CI builds with beside the newest.
pub(crate) const OLDEST: u32 = 14;

/// A clang of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Clang {
    pub(crate) version: u32,
    pub(crate) program: PathBuf,
}

/// The supported clangs of this machine, newest first.
pub(crate) fn installed() -> Vec<Clang> {
    let mut found: Vec<Clang> = VERSIONS
        .iter()
        .map(|version| format!("clang-{version}"))
        .chain(["clang".to_owned()])
        .filter_map(|name| find_program(&name))
        .filter_map(|program| {
            let version = version_of(&program)?;
            VERSIONS
                .contains(&version)
                .then_some(Clang { version, program })
        })
        .collect();
    found.sort_by_key(|clang| std::cmp::Reverse(clang.version));
    found.dedup_by_key(|clang| clang.version);
    found
}

fn version_of(program: &PathBuf) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in what `clang --version` prints.
fn parse_version(text: &str) -> Option<u32> {
    let after = text.split_once("clang version ")?.1;
    after
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_with_and_without_a_distribution_before_it() {
        let debian = "Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu\n";
        assert_eq!(parse_version(debian), Some(14));
        assert_eq!(parse_version("clang version 19.1.7 (3~deb12u1)"), Some(19));
        assert_eq!(parse_version("gcc (Debian 12.2.0) 12.2.0"), None);
    }
}
