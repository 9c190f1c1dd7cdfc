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
mod wait;

use std::io;
use std::mem;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use palisade_abi::{Mark, MarkKind, Protocol};

use self::pool::{Pool, Token};
use self::returns::Returns;
use self::wait::{Waiter, wait};
use crate::asked::{Admission, Reply, admit};
use crate::config::{Mode, Waiting};
use crate::deadlines::Deadlines;
use crate::held::{Pending, hold};
use crate::policy::{Outcome, Reject};
use crate::shared::{Origin, Shared};
use crate::sink::Sink;
use crate::sys::{Datagram, Done, Inbox, Ring, Sharing};

/// The thread's state; nobody else touches it.
#[derive(Debug)]
pub(crate) struct Loop {
    shared: Arc<Shared>,
    listeners: Vec<Arc<UdpSocket>>,
    waiter: Waiter,
    pool: Pool,
    returns: Returns,
    holds: Deadlines<Weak<Pending>>,
    inbox: Inbox,
    swept: Instant,
}

impl Loop {
    pub(crate) fn new(shared: Arc<Shared>, listeners: Vec<Arc<UdpSocket>>) -> io::Result<Self> {
        let limits = shared.config.limits;
        let threads = shared.config.threads.max(1);
        Ok(Self {
            listeners,
            waiter: Waiter::epoll()?,
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
        if self.shared.config.waiting == Waiting::Ring
            && let Ok(ring) = Ring::new()
        {
            self.waiter = Waiter::Ring(Box::new(ring));
        }
        self.waiter.watch(&self.shared.stop, STOP, Sharing::All)?;
        for (listener, key) in self.listeners.iter().zip(0..) {
            self.waiter.watch(listener, key, Sharing::One)?;
        }
        let mut events = Vec::new();
        loop {
            self.turn(&mut events)?;
            for event in events.drain(..) {
                match event {
                    Done::Ready(STOP) => return self.waiter.close(),
                    event => self.handle(event)?,
                }
            }
            self.expire();
        }
    }

    /// Sends what is to be sent and waits for something to happen.
    fn turn(&mut self, events: &mut Vec<Done>) -> io::Result<()> {
        let timeout = self.timeout();
        match &mut self.waiter {
            Waiter::Epoll(epoll) => {
                for asked in self.pool.flush() {
                    asked.conclude(&self.shared, Outcome::Unreachable, Reply::default());
                }
                outbox::flush(&self.shared.counters);
                wait(epoll, timeout, events)
            }
            Waiter::Ring(ring) => {
                let replies = outbox::take();
                let mut leaving = self.pool.leaving();
                let queries = leaving.len();
                leaving.extend(replies.iter().map(outbox::Reply::leaving));
                ring.exchange(&leaving, timeout)?;
                ring.done(events)?;
                drop(leaving);
                outbox::put_back(replies);
                let mut unsent = Vec::new();
                events.retain(|event| match event {
                    Done::Unsent(place) if *place < queries => {
                        unsent.push(*place);
                        false
                    }
                    Done::Unsent(_) => {
                        self.shared.counters.unsent.add();
                        false
                    }
                    Done::Arrived(..) | Done::Failed(_) | Done::Ready(_) => true,
                });
                for asked in self.pool.left(&unsent) {
                    asked.conclude(&self.shared, Outcome::Unreachable, Reply::default());
                }
                Ok(())
            }
        }
    }

    fn timeout(&mut self) -> Option<Duration> {
        let sweep = (!self.pool.is_empty()).then(|| self.swept + SWEEP_INTERVAL);
        let held = self.holds.next(|pending| pending.strong_count() > 0);
        let next = [self.pool.next_expiry(), held, sweep];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn handle(&mut self, event: Done) -> io::Result<()> {
        match event {
            Done::Ready(key) => match Token::of_key(key) {
                Some(token) => self.take_answers(token),
                None => self.take_queries(key)?,
            },
            Done::Arrived(key, message) => {
                if let Some(token) = Token::of_key(key) {
                    self.take_answer(token, message);
                }
            }
            Done::Failed(key) => {
                if let Some(token) = Token::of_key(key) {
                    self.pool.set_unreachable(token);
                    self.give_up_lost(token);
                }
            }
            Done::Unsent(_) => {}
        }
        Ok(())
    }

    fn take_queries(&mut self, key: u64) -> io::Result<()> {
        let index = usize::try_from(key).unwrap_or(usize::MAX);
        let Some(listener) = self.listeners.get(index).map(Arc::clone) else {
            return Ok(());
        };
        // One batch, so that answers get their turn under a flood of queries.
        let mut inbox = mem::take(&mut self.inbox);
        let count = inbox.receive(&listener).unwrap_or_default();
        for datagram in (0..count).map_while(|index| inbox.get(index)) {
            self.take_query(&listener, datagram);
        }
        self.inbox = inbox;
        self.waiter.watch_on(&listener, key, Sharing::One)
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
                if let Err((asked, outcome)) = self.pool.send(asked, mark, due, &mut self.waiter) {
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
            self.take_answer(token, message.message.to_vec());
        }
        self.inbox = inbox;
        self.give_up_lost(token);
    }

    fn take_answer(&mut self, token: Token, message: Vec<u8>) {
        match self.pool.answered(token, &message) {
            Some(asked) => {
                if let Some(pending) = hold(&self.shared, asked, message) {
                    self.watch(pending);
                }
            }
            None => self.shared.counters.mismatched.add(),
        }
    }

    fn give_up_lost(&mut self, token: Token) {
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
            self.pool.sweep(now, &mut self.waiter);
        }
    }
}

const STOP: u64 = 1 << 16;
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
