use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::Error;

/// A BPF file system of a test's own; unmounted, and all pins in it released, with its guard.
#[derive(Debug)]
pub struct BpfFs {
    path: PathBuf,
}

impl BpfFs {
    /// Mounts one at a directory with a generated name.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Mount`]; mounting takes root.
    pub fn mount() -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/run/palisade-bpffs-{}-{number}", process::id()));
        fs::create_dir(&path).map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
        let none: Option<&str> = None;
        let mounted = mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), none);
        mounted.map_err(|source| {
            // Already failing; the empty directory is all that could be left.
            drop(fs::remove_dir(&path));
            Error::Mount {
                path: path.clone(),
                source,
            }
        })?;
        Ok(Self { path })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        // A guard cannot report; a mount that stays behind is found by its name.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        drop(fs::remove_dir(&self.path));
    }
}
