//! Queries over UDP: one thread, which never waits for anything but events.
//!
//! ```text
//!   listeners ─▶ admit ─▶ decide ─▶ pool ─▶ server
//!                  │ refused            │ answer, verified
//!   client  ◀──────┴──── sink ◀── Held ◀┘      (the embedder's thread releases)
//! ```

mod pool;
mod returns;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use palisade_abi::{Mark, MarkKind, Protocol};

use self::pool::{Pool, Received, Token};
use self::returns::Returns;
use crate::asked::{Admission, Reply, admit};
use crate::config::Mode;
use crate::deadlines::Deadlines;
use crate::held::{Pending, hold};
use crate::policy::{Outcome, Reject};
use crate::shared::{Origin, Shared};
use crate::sink::Sink;
use crate::socket;

/// The thread's state; nobody else touches it.
#[derive(Debug)]
pub(crate) struct Loop {
    shared: Arc<Shared>,
    listeners: Vec<Arc<UdpSocket>>,
    epoll: Epoll,
    pool: Pool,
    returns: Returns,
    holds: Deadlines<Weak<Pending>>,
    buffer: Vec<u8>,
    control: Vec<u8>,
    swept: Instant,
}

impl Loop {
    pub(crate) fn new(shared: Arc<Shared>, listeners: Vec<UdpSocket>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&shared.stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        for (listener, event) in listeners.iter().zip(0..) {
            epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, event))?;
        }
        let limits = shared.config.limits;
        Ok(Self {
            listeners: listeners.into_iter().map(Arc::new).collect(),
            epoll,
            pool: Pool::new(limits.upstream_sockets, limits.in_flight)?,
            returns: Returns::new(limits.return_sockets, Mark::new(MarkKind::ProxyReturn)),
            holds: Deadlines::new(limits.in_flight),
            buffer: vec![0; usize::from(u16::MAX)],
            control: socket::control_buffer(),
            swept: Instant::now(),
            shared,
        })
    }

    /// Serves until the stop is raised.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in events.iter().take(count) {
                let data = event.data();
                if data == STOP {
                    return Ok(());
                }
                match Token::of_event(data) {
                    Some(token) => self.take_answers(token),
                    None => self.take_queries(usize::try_from(data).unwrap_or(usize::MAX)),
                }
            }
            self.expire();
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let sweep = (!self.pool.is_empty()).then(|| self.swept + SWEEP_INTERVAL);
        let next = [self.pool.next_expiry(), self.holds.next(), sweep]
            .into_iter()
            .flatten()
            .min();
        let Some(next) = next else {
            return EpollTimeout::NONE;
        };
        // The kernel counts whole milliseconds: rounded down, the last one would be spent spinning.
        let wait = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
    }

    fn take_queries(&mut self, index: usize) {
        let Some(listener) = self.listeners.get(index).map(Arc::clone) else {
            return;
        };
        // Bounded, so that answers get their turn under a flood of queries.
        for _ in 0..BATCH {
            match socket::receive(&listener, &mut self.buffer, &mut self.control) {
                Ok(Some(arrival)) => self.take_query(&listener, arrival),
                Ok(None) => self.shared.counters.rejected.add(),
                Err(_) => return,
            }
        }
    }

    fn take_query(&mut self, listener: &Arc<UdpSocket>, arrival: socket::Arrival) {
        let socket::Arrival {
            client,
            destination,
            len,
        } = arrival;
        let origin = |server| Origin {
            client,
            server,
            protocol: Protocol::UDP,
        };
        let Some(server) = self.shared.server(destination) else {
            return self.shared.reject(origin(destination), Reject::ToItself);
        };
        let origin = origin(server);
        let Ok(sink) = self.sink(listener, destination) else {
            return self.shared.counters.unsent.add();
        };
        let message = self.buffer.get(..len).unwrap_or_default();
        match admit(&self.shared, origin, message, &sink) {
            Admission::Silence => {}
            Admission::Reply(reply) => sink.send(&self.shared, &origin, &reply),
            Admission::Forward(asked) => {
                let mark = self.shared.upstream_mark(asked.identity);
                let due = Instant::now() + self.shared.config.timing.upstream;
                if let Err((asked, outcome)) = self.pool.send(asked, mark, due, &self.epoll) {
                    asked.conclude(&self.shared, outcome, Reply::default());
                }
            }
        }
    }

    fn sink(&mut self, listener: &Arc<UdpSocket>, destination: SocketAddr) -> io::Result<Sink> {
        match self.shared.config.mode {
            Mode::Forward { .. } => Ok(Sink::Listener {
                socket: Arc::clone(listener),
                local: destination,
            }),
            Mode::Transparent => self.returns.get(destination).map(Sink::Return),
        }
    }

    fn take_answers(&mut self, token: Token) {
        for _ in 0..BATCH {
            match self.pool.receive(token, &mut self.buffer) {
                Received::Answer(asked, answer) => {
                    if let Some(pending) = hold(&self.shared, asked, answer) {
                        self.watch(pending);
                    }
                }
                Received::Mismatch => self.shared.counters.mismatched.add(),
                Received::Nothing => return,
                Received::Unreachable(lost) => {
                    for asked in lost {
                        asked.conclude(&self.shared, Outcome::Unreachable, Reply::default());
                    }
                }
            }
        }
    }

    fn watch(&mut self, pending: Weak<Pending>) {
        let Some(due) = pending.upgrade().map(|pending| pending.deadline()) else {
            return;
        };
        self.holds
            .push(due, pending, |pending| pending.strong_count() > 0);
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(asked) = self.pool.expire(now) {
            asked.conclude(&self.shared, Outcome::Timeout, Reply::default());
        }
        while let Some(pending) = self.holds.pop(now) {
            if let Some(pending) = pending.upgrade() {
                pending.expire();
            }
        }
        if now.duration_since(self.swept) >= SWEEP_INTERVAL {
            self.swept = now;
            self.pool.sweep(now);
        }
    }
}

const BATCH: usize = 64;
const STOP: u64 = 1 << 16;
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
