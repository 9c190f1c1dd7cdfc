use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::{Error, Process};

/// Where `ip netns` looks, so that a test that hangs can be looked into by name.
const DIRECTORY: &str = "/run/netns";

/// A network namespace of a test's own, removed with its guard.
///
/// It stands as a file, so that other processes can enter it (`nsenter --net=PATH`). Its loopback
/// device is up. It dies once the guard is gone and its last process has ended.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    path: PathBuf,
    file: File,
}

impl Namespace {
    /// Makes a namespace; `label` becomes part of its generated name.
    ///
    /// # Errors
    /// [`Error::Create`] without root, [`Error::File`] or [`Error::Mount`] where it cannot stand.
    pub fn new(label: &str) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pal-{label}-{}-{number}", process::id());
        let path = Path::new(DIRECTORY).join(&name);
        let used = |source| Error::File {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(DIRECTORY).map_err(used)?;
        drop(File::create_new(&path).map_err(used)?);
        if let Err(error) = create_at(&path) {
            // Already failing; the empty file is all that could be left.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        let file = File::open(&path).map_err(used)?;
        let namespace = Self { name, path, file };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The generated name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a closure inside the namespace, on a thread of its own; panics pass through.
    ///
    /// Sockets and processes that the closure makes stay in the namespace.
    ///
    /// # Errors
    /// [`Error::Enter`] if the thread cannot enter it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let inside = || {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|source| Error::Enter {
                namespace: self.name.clone(),
                source,
            })?;
            Ok(work())
        };
        thread::scope(|scope| {
            scope
                .spawn(inside)
                .join()
                .unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Starts a program inside the namespace; it is killed with its guard.
    ///
    /// # Errors
    /// [`Error::Spawn`] or [`Error::Enter`].
    pub fn spawn(&self, command: &mut Command) -> Result<Process, Error> {
        self.run(|| Process::spawn(command))?
    }

    /// Runs a program inside the namespace to its end, whatever its status.
    ///
    /// # Errors
    /// [`Error::Spawn`] or [`Error::Enter`].
    pub fn output(&self, command: &mut Command) -> Result<Output, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        self.run(|| command.stdin(Stdio::null()).output())?
            .map_err(|source| Error::Spawn { program, source })
    }

    /// Runs `ip` with these words inside the namespace and returns what it prints.
    ///
    /// # Errors
    /// [`Error::Failed`] with the words and what `ip` said; [`Error::Spawn`], [`Error::Enter`].
    pub fn ip(&self, words: &str) -> Result<String, Error> {
        let output = self.output(Command::new("ip").args(words.split_whitespace()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Failed {
            command: format!("ip {words}"),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Sets a sysctl of the namespace: `net.ipv4.ip_forward`.
    ///
    /// # Errors
    /// [`Error::File`] if there is no such sysctl.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), Error> {
        let path: PathBuf = [OsStr::new("/proc/sys")]
            .into_iter()
            .chain(key.split('.').map(OsStr::new))
            .collect();
        self.run(|| fs::write(&path, value))?
            .map_err(|source| Error::File { path, source })
    }

    /// Forwards packets of both families between the links of the namespace, as a node does.
    ///
    /// # Errors
    /// As [`Namespace::sysctl`].
    pub fn forward(&self) -> Result<(), Error> {
        self.sysctl("net.ipv4.ip_forward", "1")?;
        self.sysctl("net.ipv6.conf.all.forwarding", "1")
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A guard cannot report; a namespace that stays behind is found by its name.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        drop(fs::remove_file(&self.path));
    }
}

/// Creates a namespace and binds it to `path`; only a thread that may leave its own can do so.
fn create_at(path: &Path) -> Result<(), Error> {
    let create = || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|source| Error::Create { source })?;
        let none: Option<&str> = None;
        mount(
            Some("/proc/thread-self/ns/net"),
            path,
            none,
            MsFlags::MS_BIND,
            none,
        )
        .map_err(|source: Errno| Error::Mount {
            path: path.to_owned(),
            source,
        })
    };
    thread::scope(|scope| {
        scope
            .spawn(create)
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}
