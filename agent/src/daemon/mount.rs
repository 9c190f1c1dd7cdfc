//! The BPF file system that everything is pinned in.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount, umount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::error::DaemonError;

/// Mounts a BPF file system at `path`, unless it lies in one already.
pub(super) fn ensure(path: &Path) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::Mount {
        doing: "mount",
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(failed)?;
    if is_bpf(path) {
        return Ok(());
    }
    let none: Option<&str> = None;
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), none)
        .map_err(|errno| failed(errno.into()))
}

/// Unmounts what [`ensure`] mounted, once it is empty. What others mounted stays.
pub(super) fn release(path: &Path) -> Result<(), DaemonError> {
    let is_root = path.parent().is_some_and(|parent| !is_bpf(parent));
    // The kernel puts two listings of its own into every BPF file system.
    let own = |entry: &io::Result<fs::DirEntry>| {
        entry.as_ref().is_ok_and(|entry| {
            let name = entry.file_name();
            name == "maps.debug" || name == "progs.debug"
        })
    };
    let is_empty = fs::read_dir(path).is_ok_and(|mut entries| entries.all(|entry| own(&entry)));
    if !is_bpf(path) || !is_root || !is_empty {
        return Ok(());
    }
    let failed = |source: io::Error| DaemonError::Mount {
        doing: "unmount",
        path: path.to_owned(),
        source,
    };
    umount(path).map_err(|errno| failed(errno.into()))?;
    fs::remove_dir(path).map_err(failed)
}

fn is_bpf(path: &Path) -> bool {
    statfs(path).is_ok_and(|system| system.filesystem_type() == BPF_FS_MAGIC)
}
