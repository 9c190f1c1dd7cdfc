//! One client's connection and the one to its server.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use palisade_abi::{Identity, Mark};

use crate::asked::{Admission, Asked, Reply, admit};
use crate::held::hold;
use crate::message;
use crate::policy::Outcome;
use crate::shared::{Origin, Shared};
use crate::sink::Sink;
use crate::socket;
use crate::tcp::stream::{End, Stream};

/// Serves the queries of a connection one after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    origin: Origin,
    client: Stream,
    upstream: Option<Upstream>,
}

#[derive(Debug)]
struct Upstream {
    identity: Identity,
    stream: Stream,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, origin: Origin, client: Stream) -> Self {
        Self {
            shared,
            origin,
            client,
            upstream: None,
        }
    }

    /// Serves until the client closes, falls silent, or the proxy stops.
    pub(crate) fn serve(mut self) {
        while self.serve_next().is_ok() {}
    }

    fn serve_next(&mut self) -> Result<(), End> {
        let idle = self.shared.config.timing.tcp_idle;
        let message = self
            .client
            .read_message(message::MAX_QUERY, Instant::now() + idle)?;
        // A channel for each query: what comes too late for one must not answer the next.
        let (sender, replies) = sync_channel(1);
        let admission = admit(&self.shared, self.origin, &message, &Sink::Stream(sender));
        let reply = match admission {
            Admission::Forward(asked) => self.exchange(asked, &replies),
            Admission::Reply(reply) => Some(reply),
            Admission::Silence => None,
        };
        // Where there is nothing to say the client is not kept waiting for it.
        let reply = reply.ok_or(End::Closed)?;
        self.client.write_message(&reply, Instant::now() + idle)
    }

    fn exchange(&mut self, mut asked: Box<Asked>, replies: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
        let deadline = Instant::now() + self.shared.config.timing.upstream;
        match self.ask(&mut asked, deadline) {
            Ok(answer) => self.await_release(asked, answer, replies),
            Err(end) => {
                // A late answer must not meet the next query.
                self.upstream = None;
                let outcome = match end {
                    End::TimedOut => Outcome::Timeout,
                    End::Closed | End::Stopped | End::TooLong => Outcome::Unreachable,
                };
                asked.conclude(&self.shared, outcome, Reply::default());
                replies.try_recv().ok()
            }
        }
    }

    fn ask(&mut self, asked: &mut Asked, deadline: Instant) -> Result<Vec<u8>, End> {
        if let Some(mut upstream) = self.upstream.take_if(|u| u.identity == asked.identity) {
            match upstream.ask(&self.shared, asked, deadline) {
                // The server has closed a connection that was idle for too long.
                Err(End::Closed) => {}
                Err(end) => return Err(end),
                Ok(answer) => {
                    self.upstream = Some(upstream);
                    return Ok(answer);
                }
            }
        }
        let mark = self.shared.upstream_mark(asked.identity);
        let mut upstream = Upstream::open(&self.shared, asked, mark, deadline)?;
        let answer = upstream.ask(&self.shared, asked, deadline)?;
        self.upstream = Some(upstream);
        Ok(answer)
    }

    fn await_release(
        &self,
        asked: Box<Asked>,
        answer: Vec<u8>,
        replies: &Receiver<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if let Some(pending) = hold(&self.shared, asked, answer) {
            // A millisecond more, so that the deadline has passed when the wait is over.
            let limit = self.shared.config.timing.hold + Duration::from_millis(1);
            if let Ok(reply) = replies.recv_timeout(limit) {
                return Some(reply);
            }
            if let Some(pending) = pending.upgrade() {
                pending.expire();
            }
        }
        // Whoever settled it first is sending right now, if it has not sent already.
        replies.recv_timeout(self.shared.config.timing.hold).ok()
    }
}

impl Upstream {
    fn open(
        shared: &Shared,
        asked: &Asked,
        mark: Option<Mark>,
        deadline: Instant,
    ) -> Result<Self, End> {
        let stream = socket::tcp_upstream(asked.origin.server, mark).map_err(|_| End::Closed)?;
        let stream = Stream::new(stream, shared.stop.clone());
        stream.establish(deadline)?;
        Ok(Self {
            identity: asked.identity,
            stream,
        })
    }

    fn ask(
        &mut self,
        shared: &Shared,
        asked: &mut Asked,
        deadline: Instant,
    ) -> Result<Vec<u8>, End> {
        let id = shared.random_id().ok_or(End::Closed)?;
        self.stream.write_message(asked.under_id(id), deadline)?;
        loop {
            let answer = self.stream.read_message(usize::from(u16::MAX), deadline)?;
            if asked.is_answered_by(&answer) {
                return Ok(answer);
            }
            shared.counters.mismatched.add();
        }
    }
}
