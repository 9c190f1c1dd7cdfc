//! Notices that the folder of policies changed.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Message;

/// What follows within so many milliseconds is one change.
const DEBOUNCE: u8 = 3;
/// Some file systems tell nothing, and a folder that is gone cannot be watched.
const RESCAN: Duration = Duration::from_secs(2);

/// Sends [`Message::Folder`] after each change, and now and then without one.
///
/// The thread ends when nobody receives any more.
pub(super) fn start(folder: PathBuf, send: Sender<Message>) -> io::Result<()> {
    let watch = move || {
        let mut inotify = None;
        loop {
            if inotify.is_none() {
                inotify = watched(&folder).ok();
            }
            let seen = inotify.as_ref().map(wait);
            if seen.is_none() {
                thread::sleep(RESCAN);
            }
            if seen != Some(Folder::Watched) {
                inotify = None;
            }
            if send.send(Message::Folder).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("watch".into()).spawn(watch)?;
    Ok(())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Folder {
    Unknown,
    Watched,
}

fn watched(folder: &Path) -> nix::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    // Not IN_CREATE: a file that was just made has nothing in it yet.
    let flags = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR;
    inotify.add_watch(folder, flags)?;
    Ok(inotify)
}

/// Waits for a change and for the quiet after it; the folder itself may have gone with it.
fn wait(inotify: &Inotify) -> Folder {
    let gone = AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_IGNORED
        | AddWatchFlags::IN_UNMOUNT;
    let mut state = Folder::Watched;
    let mut timeout = PollTimeout::try_from(RESCAN).unwrap_or(PollTimeout::NONE);
    loop {
        let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) => return state,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return Folder::Unknown,
        }
        let events = inotify.read_events().unwrap_or_default();
        if events.iter().any(|event| event.mask.intersects(gone)) {
            state = Folder::Unknown;
        }
        timeout = PollTimeout::from(DEBOUNCE);
    }
}
