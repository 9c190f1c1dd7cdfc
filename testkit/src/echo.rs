//! Servers inside namespaces that send back what they receive.

use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{Error, Namespace};

/// A peer that no longer reads must not hold up the server's end.
const PATIENCE: Duration = Duration::from_secs(1);

/// An echo server; it stops, and closes its connections, with its guard.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    // Dropping the writing end is what the server's thread wakes up for.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves TCP at an address of the namespace; port 0 lets the kernel choose one.
    ///
    /// # Errors
    /// [`Error::Listen`] or [`Error::Enter`].
    pub fn tcp(namespace: &Namespace, address: SocketAddr) -> Result<Self, Error> {
        let listener = namespace.run(|| TcpListener::bind(address))?;
        let listen = |source| Error::Listen { address, source };
        let listener = listener.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Self::start(address, move |stop| serve_tcp(&listener, &stop)).map_err(listen)
    }

    /// Serves UDP at an address of the namespace; port 0 lets the kernel choose one.
    ///
    /// # Errors
    /// [`Error::Listen`] or [`Error::Enter`].
    pub fn udp(namespace: &Namespace, address: SocketAddr) -> Result<Self, Error> {
        let socket = namespace.run(|| UdpSocket::bind(address))?;
        let listen = |source| Error::Listen { address, source };
        let socket = socket.map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        Self::start(address, move |stop| serve_udp(&socket, &stop)).map_err(listen)
    }

    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn start(
        address: SocketAddr,
        serve: impl FnOnce(PipeReader) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (reader, writer) = pipe()?;
        let thread = thread::Builder::new()
            .name(format!("echo {address}"))
            // A server that fails shows at its clients, which are what the test looks at.
            .spawn(move || drop(serve(reader)))?;
        Ok(Self {
            address,
            stop: Some(writer),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve_tcp(listener: &TcpListener, stop: &PipeReader) -> io::Result<()> {
    let mut connections: Vec<TcpStream> = Vec::new();
    loop {
        let sockets = connections.iter().map(AsFd::as_fd);
        let ready = wait(stop, [listener.as_fd()].into_iter().chain(sockets))?;
        let Some((&accept, rest)) = ready.as_deref().and_then(<[bool]>::split_first) else {
            return Ok(());
        };
        let mut ready = rest.iter();
        connections.retain_mut(|connection| {
            !ready.next().copied().unwrap_or_default() || echo(connection).is_ok_and(|n| n > 0)
        });
        if accept {
            // A client that gave up between the poll and here is no failure.
            if let Ok((connection, _)) = listener.accept() {
                connection.set_write_timeout(Some(PATIENCE))?;
                connections.push(connection);
            }
        }
    }
}

/// Sends back what has arrived; 0 at the end of the stream.
fn echo(connection: &mut TcpStream) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let length = connection.read(&mut buffer)?;
    connection.write_all(buffer.get(..length).unwrap_or_default())?;
    Ok(length)
}

fn serve_udp(socket: &UdpSocket, stop: &PipeReader) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while wait(stop, [socket.as_fd()].into_iter())?.is_some() {
        // Errors here are those of earlier answers, refused by their receivers.
        if let Ok((length, client)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(buffer.get(..length).unwrap_or_default(), client));
        }
    }
    Ok(())
}

/// Waits for one of the sockets and says which can be read; nothing once the server is to stop.
fn wait<'a>(
    stop: &'a PipeReader,
    sockets: impl Iterator<Item = BorrowedFd<'a>>,
) -> io::Result<Option<Vec<bool>>> {
    let mut waited: Vec<PollFd<'_>> = [stop.as_fd()]
        .into_iter()
        .chain(sockets)
        .map(|socket| PollFd::new(socket, PollFlags::POLLIN))
        .collect();
    poll(&mut waited, PollTimeout::NONE)?;
    let mut ready = waited.iter().map(|fd| fd.any().unwrap_or_default());
    let stopped = ready.next().unwrap_or_default();
    Ok((!stopped).then(|| ready.collect()))
}
