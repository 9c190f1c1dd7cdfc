//! What this machine is and has.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Whether this process may do what root may. `/proc/self` belongs to the effective user.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where a program stands; also in the system's own folders, which a user's path may leave out.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|program| is_program(program))
}

pub(crate) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The line that runs the same task as root, with the caller's toolchain.
pub(crate) fn line_as_root(task: &str) -> String {
    let value = |name| env::var_os(name).unwrap_or_default();
    let keep = format!(
        "env {} {} cargo xtask {task}",
        assignment("HOME", &value("HOME")),
        assignment("PATH", &value("PATH"))
    );
    if find_program("sudo").is_some() {
        format!("sudo {keep}")
    } else {
        format!("su -c '{keep}'")
    }
}

fn assignment(name: &str, value: &OsStr) -> String {
    format!("{name}=\"{}\"", value.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_folders_are_not_programs() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-here").is_none());
        assert!(!is_program(Path::new("/usr")));
    }

    #[test]
    fn the_line_as_root_keeps_the_toolchain() {
        let line = line_as_root("test");
        assert!(
            line.contains("PATH=") && line.contains("cargo xtask test"),
            "{line}"
        );
    }
}
