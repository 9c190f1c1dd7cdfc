//! Queries over TCP: one thread accepts, one serves each connection.
//!
//! Connections are few and bounded, so a thread that waits on its own two sockets costs less than
//! the state that a single loop would have to keep for them.

mod connection;
mod stream;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, Scope};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use palisade_abi::Protocol;

use self::connection::Connection;
use self::stream::Stream;
use crate::policy::Reject;
use crate::shared::{Origin, Shared};

/// Accepts until the stop is raised, then waits until all connections have ended.
pub(crate) fn run(shared: &Arc<Shared>, listeners: &[TcpListener]) -> io::Result<()> {
    thread::scope(|scope| {
        loop {
            let stop = PollFd::new(shared.stop.as_fd(), PollFlags::POLLIN);
            let listening = listeners
                .iter()
                .map(|l| PollFd::new(l.as_fd(), PollFlags::POLLIN));
            let mut fds: Vec<_> = [stop].into_iter().chain(listening).collect();
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if is_ready(fds.first()) {
                return Ok(());
            }
            for (listener, fd) in listeners.iter().zip(fds.iter().skip(1)) {
                if is_ready(Some(fd)) && !accept(shared, listener, scope) {
                    pause(shared)?;
                }
            }
        }
    })
}

/// Takes one connection; says whether the next can be tried at once.
fn accept<'scope>(
    shared: &Arc<Shared>,
    listener: &TcpListener,
    scope: &'scope Scope<'scope, '_>,
) -> bool {
    match listener.accept() {
        Ok((stream, client)) => {
            welcome(shared, stream, client, scope);
            true
        }
        // Short of descriptors or memory, which polling again at once would not cure.
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted
        ),
    }
}

/// Serves a connection, or closes it where the client's share is used up.
fn welcome<'scope>(
    shared: &Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    scope: &'scope Scope<'scope, '_>,
) {
    // An accepted connection of a transparent listener is bound to what the client asked for.
    let Ok(destination) = stream.local_addr() else {
        return;
    };
    let origin = |server| Origin {
        client,
        server,
        protocol: Protocol::TCP,
    };
    let Some(server) = shared.server(destination) else {
        return shared.reject(origin(destination), Reject::ToItself);
    };
    let slot = shared.connections.take(client.ip());
    let ready = stream
        .set_nonblocking(true)
        .and_then(|()| stream.set_nodelay(true));
    let (Some(slot), Ok(())) = (slot, ready) else {
        return shared.counters.overload.add();
    };
    let stream = Stream::new(stream, shared.stop.clone());
    let connection = Connection::new(Arc::clone(shared), origin(server), stream);
    let serve = move || {
        connection.serve();
        drop(slot);
    };
    let builder = thread::Builder::new()
        .name("dns-tcp-client".into())
        .stack_size(STACK);
    if builder.spawn_scoped(scope, serve).is_err() {
        shared.counters.overload.add();
    }
}

/// Waits a moment, or until the proxy stops.
fn pause(shared: &Shared) -> io::Result<()> {
    let mut fds = [PollFd::new(shared.stop.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, 50_u8) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_ready(fd: Option<&PollFd<'_>>) -> bool {
    fd.and_then(PollFd::any).unwrap_or(false)
}

/// A message lives on the heap; what remains is the embedder's code.
const STACK: usize = 512 << 10;
