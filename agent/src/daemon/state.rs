//! What the agent keeps on disk for its next start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use palisade_node::Checkpoint;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::journal::{self, Journal};
use super::policy_files::Accepted;

/// Why state cannot be kept or read back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum StateError {
    /// Another agent works with this state.
    #[error("{}: another agent runs this node", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The file system says no.
    #[error("{}: cannot {doing} the agent's state", path.display())]
    File {
        /// What was about to be done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that is not ours, or of another version.
    #[error("{}: not understood; `palisade agent --config FILE --clear` starts afresh", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The state folder of one node, held by one agent at a time.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    /// The boot that times and pinned maps belong to.
    boot: String,
    _lock: Flock<File>,
}

/// Something stored, and the boot that it belongs to.
#[derive(Deserialize, Serialize)]
struct Stamped<T> {
    boot: String,
    content: T,
}

impl State {
    /// Takes the folder, made if it is missing.
    pub(crate) fn open(folder: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(folder).map_err(failed("make a folder for", folder))?;
        let path = folder.join("lock");
        let file = File::create(&path).map_err(failed("lock", &path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| StateError::Locked { path })?;
        let boot = Path::new("/proc/sys/kernel/random/boot_id");
        let boot = fs::read_to_string(boot).map_err(failed("tell the boot of", boot))?;
        Ok(Self {
            folder: folder.to_owned(),
            boot: boot.trim().to_owned(),
            _lock: lock,
        })
    }

    /// What the node's core must know again; nothing after a reboot, which took the maps.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, StateError> {
        self.read("node.json")
    }

    /// Stores what the node's core must know again.
    pub(crate) fn set_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StateError> {
        self.write("node.json", checkpoint)
    }

    /// The journal of names; empty after a reboot.
    pub(crate) fn names(&self) -> Result<Vec<u8>, StateError> {
        let path = self.folder.join(NAMES);
        Journal::read(&path, &self.head()).map_err(failed("read", &path))
    }

    /// Begins the journal of names anew.
    pub(crate) fn begin_names(&self, start: &[u8]) -> Result<Journal, StateError> {
        let path = self.folder.join(NAMES);
        Journal::begin(&path, &self.head(), start).map_err(failed("write", &path))
    }

    /// What ties the journal to its boot.
    fn head(&self) -> Vec<u8> {
        format!("{}\n", self.boot).into_bytes()
    }

    /// The policies that were in force.
    pub(crate) fn policies(&self) -> Result<Option<Accepted>, StateError> {
        self.read("policies.json")
    }

    /// Stores the policies that are about to be in force.
    pub(crate) fn set_policies(&self, accepted: &Accepted) -> Result<(), StateError> {
        self.write("policies.json", accepted)
    }

    /// The port that the DNS proxy had.
    pub(crate) fn proxy_port(&self) -> Result<Option<u16>, StateError> {
        self.read("proxy.json")
    }

    /// Stores the port of the DNS proxy.
    pub(crate) fn set_proxy_port(&self, port: u16) -> Result<(), StateError> {
        self.write("proxy.json", &port)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) -> Result<(), StateError> {
        let names = self.folder.join(NAMES);
        let files = ["node.json", "policies.json", "proxy.json"].map(|name| self.folder.join(name));
        for path in files.into_iter().chain([journal::aside(&names), names]) {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("remove", &path)(error)),
            }
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.folder.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let stamped: Stamped<T> =
            serde_json::from_str(&text).map_err(|source| StateError::Content { path, source })?;
        Ok((stamped.boot == self.boot).then_some(stamped.content))
    }

    /// Replaces a file in one step: a process that is killed leaves the old one or the new one.
    fn write<T: Serialize>(&self, name: &str, content: &T) -> Result<(), StateError> {
        let path = self.folder.join(name);
        let new = self.folder.join(format!("{name}.new"));
        let stamped = Stamped {
            boot: self.boot.clone(),
            content,
        };
        let text = serde_json::to_vec(&stamped).map_err(|source| StateError::Content {
            path: path.clone(),
            source,
        })?;
        let mut file = File::create(&new).map_err(failed("write", &new))?;
        file.write_all(&text).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("write", &path))
    }
}

/// The journal of names.
const NAMES: &str = "names.journal";

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::File {
        doing,
        path,
        source,
    }
}
