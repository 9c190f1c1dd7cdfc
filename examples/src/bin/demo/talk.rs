//! Connections that live on: they count what comes in, so that a gap or a standstill shows.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use palisade_testkit::{Namespace, wait_for};

use crate::error::Error;
use crate::server::TICK;

/// Between two questions of a client.
const PACE: Duration = Duration::from_millis(10);
/// How long a client waits before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// How a connection talks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// The client sends, the server echoes.
    Echo,
    /// Only the server sends, once it was told to.
    Listen,
}

/// A connection that talks until its guard goes.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) label: String,
    pub(crate) protocol: &'static str,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    /// What came in.
    received: AtomicU64,
    /// What came in out of line: a number that was not the next.
    gaps: AtomicU64,
    /// The connection ended by itself.
    broken: AtomicBool,
}

enum Wire {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Talk {
    /// Opens a connection inside a namespace and waits until it talks.
    pub(crate) fn open(
        label: String,
        from: &Namespace,
        protocol: &'static str,
        remote: SocketAddr,
        manner: Manner,
    ) -> Result<Self, Error> {
        let opened = from.run(|| Wire::open(protocol, remote))?;
        let (mut wire, local) = opened.map_err(Error::io(label.clone()))?;
        let state = Arc::new(State::default());
        let shared = state.clone();
        let thread = thread::spawn(move || {
            let ended = match manner {
                Manner::Echo => wire.echo(&shared),
                Manner::Listen => wire.listen(&shared),
            };
            shared.broken.store(ended.is_err(), Ordering::Relaxed);
        });
        let talk = Self {
            label,
            protocol,
            local,
            remote,
            state,
            thread: Some(thread),
        };
        let what = format!("{} to talk", talk.label);
        wait_for(&what, Duration::from_secs(5), || talk.received() >= 3)?;
        Ok(talk)
    }

    /// How much came in so far.
    pub(crate) fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// How often something was missing or out of order.
    pub(crate) fn gaps(&self) -> u64 {
        self.state.gaps.load(Ordering::Relaxed)
    }

    /// Whether it ended by itself.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl State {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Counts a number that came in; the next one is to follow it.
    fn take(&self, number: u64, next: &mut Option<u64>) {
        if next.is_some_and(|next| next != number) {
            self.gaps.fetch_add(1, Ordering::Relaxed);
        }
        *next = Some(number + 1);
        self.received.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wire {
    fn open(protocol: &str, remote: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        if protocol == "TCP" {
            let stream = TcpStream::connect_timeout(&remote, Duration::from_secs(5))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK))?;
            let local = stream.local_addr()?;
            return Ok((Self::Tcp(stream), local));
        }
        let any = if remote.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(remote)?;
        socket.set_read_timeout(Some(LOOK))?;
        let local = socket.local_addr()?;
        Ok((Self::Udp(socket), local))
    }

    fn echo(&mut self, state: &State) -> io::Result<()> {
        let (mut number, mut next) = (0_u64, None);
        while state.goes_on() {
            self.send(&number.to_be_bytes())?;
            // A question that is lost on the way is asked again, over UDP as a new one.
            while state.goes_on() {
                match self.receive()? {
                    Some(answer) => {
                        state.take(answer, &mut next);
                        break;
                    }
                    None if matches!(self, Self::Udp(_)) => break,
                    None => {}
                }
            }
            number += 1;
            thread::sleep(PACE);
        }
        Ok(())
    }

    fn listen(&mut self, state: &State) -> io::Result<()> {
        self.send(&[TICK])?;
        let mut next = None;
        while state.goes_on() {
            if let Some(number) = self.receive()? {
                state.take(number, &mut next);
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Udp(socket) => socket.send(bytes).map(drop),
        }
    }

    /// The next number; nothing if none comes for a while.
    fn receive(&mut self) -> io::Result<Option<u64>> {
        let mut bytes = [0; 8];
        let received = match self {
            Self::Tcp(stream) => stream.read_exact(&mut bytes),
            Self::Udp(socket) => socket.recv(&mut bytes).map(drop),
        };
        match received {
            Ok(()) => Ok(Some(u64::from_be_bytes(bytes))),
            Err(error) if is_silence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
