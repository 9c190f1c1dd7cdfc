//! The demo's own process and mount namespaces: whatever ends it, the kernel cleans up.
//!
//! The demo runs as the first process of a process namespace. When that one dies (by itself, by
//! Ctrl-C at its parent, by SIGKILL), the kernel kills all others, and with the last of them go
//! the mounts, and with these the network namespaces and everything pinned.

use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::error::Error;

const INSIDE: &str = "PALISADE_DEMO_INSIDE";

/// Whether this is the process that plays.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Starts the process that plays and waits for it.
pub(crate) fn start() -> Result<ExitCode, Error> {
    // Before the mounts part: from a chroot the old ones have other names afterwards.
    let program = env::current_exe().map_err(Error::io("the demo's own program"))?;
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    unshare(flags).map_err(Error::io("namespaces of its own, which take root"))?;
    let status = Command::new(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .map_err(Error::io("the demo's own process"))?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(3),
    ))
}

/// Cuts this process off from the machine: it dies with its parent and mounts for itself only.
pub(crate) fn enter() -> Result<(), Error> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Error::io("to end with the parent"))?;
    let none: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    match mount(none, "/", none, private, none) {
        // In a chroot the root may be no mount of its own; what it stands on cannot be reached.
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(error) => return Err(Error::io("mounts of its own")(error)),
    }
    for (kind, place) in [("proc", "/proc"), ("tmpfs", "/run")] {
        mount(Some(kind), place, Some(kind), MsFlags::empty(), none)
            .map_err(io::Error::from)
            .map_err(Error::io(format!("{place} of its own")))?;
    }
    Ok(())
}
