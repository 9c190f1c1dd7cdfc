//! How a thread that serves UDP learns that there is something to do.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::sys::{Done, Ring, Sharing};

/// What a thread waits with.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// Tells who has something; sending and receiving are calls of their own.
    Epoll(Epoll),
    /// Sends, receives from servers and waits in one call.
    Ring(Box<Ring>),
}

impl Waiter {
    pub(crate) fn epoll() -> io::Result<Self> {
        Ok(Self::Epoll(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Tells when something can be read.
    pub(crate) fn watch(&mut self, what: &impl AsFd, key: u64, sharing: Sharing) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => {
                let flags = match sharing {
                    Sharing::All => EpollFlags::EPOLLIN,
                    Sharing::One => EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
                };
                Ok(epoll.add(what, EpollEvent::new(flags, key))?)
            }
            Self::Ring(ring) => ring.watch(what, key, sharing),
        }
    }

    /// Must be called once what could be read has been read, to be told again.
    pub(crate) fn watch_on(
        &mut self,
        what: &impl AsFd,
        key: u64,
        sharing: Sharing,
    ) -> io::Result<()> {
        match self {
            Self::Epoll(_) => Ok(()),
            Self::Ring(ring) => ring.watch(what, key, sharing),
        }
    }

    /// Attends to the answers at a socket.
    pub(crate) fn attend(&mut self, socket: &UdpSocket, key: u64) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => Ok(epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, key))?),
            Self::Ring(ring) => ring.receive(socket, key),
        }
    }

    /// Must be called as the socket is closed.
    pub(crate) fn forget(&mut self, key: u64) -> io::Result<()> {
        match self {
            // The kernel forgets the descriptor's events by itself.
            Self::Epoll(_) => Ok(()),
            Self::Ring(ring) => ring.forget(key),
        }
    }

    /// Lets go of every socket.
    pub(crate) fn close(self) -> io::Result<()> {
        match self {
            Self::Epoll(_) => Ok(()),
            Self::Ring(ring) => ring.close(),
        }
    }
}

/// Waits for who has something.
pub(crate) fn wait(
    epoll: &Epoll,
    timeout: Option<Duration>,
    events: &mut Vec<Done>,
) -> io::Result<()> {
    // The kernel counts whole milliseconds: rounded down, the last one would be spent spinning.
    let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
        EpollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(EpollTimeout::MAX)
    });
    let mut ready = [EpollEvent::empty(); 64];
    let count = match epoll.wait(&mut ready, timeout) {
        Ok(count) => count,
        Err(Errno::EINTR) => 0,
        Err(error) => return Err(error.into()),
    };
    events.extend(
        ready
            .iter()
            .take(count)
            .map(|event| Done::Ready(event.data())),
    );
    Ok(())
}
