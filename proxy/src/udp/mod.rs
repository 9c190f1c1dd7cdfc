//! Queries over UDP: threads which never wait for anything but events.
//!
//! ```text
//!   listeners ─▶ admit ─▶ decide ─▶ pool ─▶ server
//!                  │ refused            │ answer, verified
//!   client  ◀──────┴──── sink ◀── Held ◀┘      (the embedder's thread releases)
//! ```

pub(crate) mod outbox;
mod pool;
mod returns;

use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use palisade_abi::{Mark, MarkKind, Protocol};

use self::pool::{Pool, Token};
use self::returns::Returns;
use crate::asked::{Admission, Reply, admit};
use crate::config::Mode;
use crate::deadlines::Deadlines;
use crate::held::{Pending, hold};
use crate::policy::{Outcome, Reject};
use crate::shared::{Origin, Shared};
use crate::sink::Sink;
use crate::sys::{Datagram, Inbox};

/// The thread's state; nobody else touches it.
#[derive(Debug)]
pub(crate) struct Loop {
    shared: Arc<Shared>,
    listeners: Vec<Arc<UdpSocket>>,
    epoll: Epoll,
    pool: Pool,
    returns: Returns,
    holds: Deadlines<Weak<Pending>>,
    inbox: Inbox,
    swept: Instant,
}

impl Loop {
    pub(crate) fn new(shared: Arc<Shared>, listeners: Vec<Arc<UdpSocket>>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&shared.stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        for (listener, event) in listeners.iter().zip(0..) {
            // Of the threads that wait for the same listener one is enough.
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
            epoll.add(listener, EpollEvent::new(flags, event))?;
        }
        let limits = shared.config.limits;
        let threads = shared.config.threads.max(1);
        Ok(Self {
            listeners,
            epoll,
            pool: Pool::new(limits.upstream_sockets / threads, limits.in_flight)?,
            returns: Returns::new(
                limits.return_sockets / threads,
                Mark::new(MarkKind::ProxyReturn),
            ),
            holds: Deadlines::new(limits.in_flight),
            inbox: Inbox::new(),
            swept: Instant::now(),
            shared,
        })
    }

    /// Serves until the stop is raised.
    pub(crate) fn run(mut self) -> io::Result<()> {
        outbox::open();
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
            outbox::flush(&self.shared.counters);
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
        // One batch, so that answers get their turn under a flood of queries.
        let mut inbox = mem::take(&mut self.inbox);
        let count = inbox.receive(&listener).unwrap_or_default();
        for datagram in (0..count).map_while(|index| inbox.get(index)) {
            self.take_query(&listener, datagram);
        }
        self.inbox = inbox;
        for asked in self.pool.flush() {
            asked.conclude(&self.shared, Outcome::Unreachable, Reply::default());
        }
    }

    fn take_query(&mut self, listener: &Arc<UdpSocket>, datagram: Datagram<'_>) {
        let Some((client, destination)) = datagram.source.zip(datagram.destination) else {
            return self.shared.counters.rejected.add();
        };
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
        match admit(&self.shared, origin, datagram.message, &sink) {
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
        let mut inbox = mem::take(&mut self.inbox);
        let received = self.pool.receive(token, &mut inbox);
        for message in (0..received).map_while(|index| inbox.get(index)) {
            match self.pool.answered(token, message.message) {
                Some(asked) => {
                    if let Some(pending) = hold(&self.shared, asked, message.message.to_vec()) {
                        self.watch(pending);
                    }
                }
                None => self.shared.counters.mismatched.add(),
            }
        }
        self.inbox = inbox;
        for asked in self.pool.lost(token) {
            asked.conclude(&self.shared, Outcome::Unreachable, Reply::default());
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

const STOP: u64 = 1 << 16;
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
