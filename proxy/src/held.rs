//! Answers that wait until their addresses are enforced.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use palisade_fqdn::wire::Rcode;

use crate::asked::{Asked, Reply};
use crate::config::OnLate;
use crate::message;
use crate::policy::{Answer, Outcome};
use crate::shared::Shared;

/// An answer that its client gets once [`release`](Self::release) is called.
///
/// It may be moved to another thread and kept there. When the hold limit has passed the proxy
/// settles the matter by itself ([`Config::on_late`](crate::Config::on_late)); a later release has
/// no effect. It counts against the client's share until it is dropped.
pub struct Held(Arc<Pending>);

impl Held {
    /// The answer.
    pub fn answer(&self) -> Answer<'_> {
        self.0.answer()
    }

    /// Until when the proxy waits.
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// Sends the answer. Says whether that was in time.
    pub fn release(self) -> Released {
        self.0.settle(Verdict::Release)
    }

    /// Gives the answer up: the client is told SERVFAIL. Dropping it does the same.
    pub fn abandon(self) {
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.settle(Verdict::Abandon);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.answer()).finish()
    }
}

/// What came of a release.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Released {
    /// The client got the answer now.
    InTime,
    /// The matter had been settled before, or the proxy is stopped.
    TooLate,
}

/// Takes a server's answer to a query: hands it to the embedder if it has addresses, else sends it
/// on. What is returned must be [expired](Pending::expire) at its deadline.
pub(crate) fn hold(
    shared: &Arc<Shared>,
    asked: Box<Asked>,
    mut message: Vec<u8>,
) -> Option<Weak<Pending>> {
    asked.readdress(&mut message);
    let Ok(contents) = message::read_answer(&message) else {
        asked.conclude(shared, Outcome::Unreadable, Reply::default());
        return None;
    };
    if contents.addresses.is_empty() {
        let reply = Reply {
            message: &message,
            ttl: contents.ttl,
            ..Reply::default()
        };
        asked.conclude(
            shared,
            Outcome::Released {
                code: contents.code,
            },
            reply,
        );
        return None;
    }
    let since = Instant::now();
    let pending = Arc::new(Pending {
        asked,
        message,
        code: contents.code,
        addresses: contents.addresses,
        ttl: contents.ttl,
        since,
        deadline: since + shared.config.timing.hold,
        settled: AtomicBool::new(false),
        shared: Arc::downgrade(shared),
    });
    let weak = Arc::downgrade(&pending);
    shared.policy.answer(Held(pending));
    Some(weak)
}

/// An answer on its last leg.
///
/// The proxy keeps only weak references, so that memory is freed as soon as it is settled.
#[derive(Debug)]
pub(crate) struct Pending {
    asked: Box<Asked>,
    message: Vec<u8>,
    code: Rcode,
    addresses: Vec<IpAddr>,
    ttl: Duration,
    since: Instant,
    deadline: Instant,
    settled: AtomicBool,
    /// Weak, since the embedder that keeps a [`Held`] is itself kept by what is shared.
    shared: Weak<Shared>,
}

enum Verdict {
    Abandon,
    Expire,
    Release,
}

impl Pending {
    /// Does what is configured for an answer that was not released in time.
    pub(crate) fn expire(&self) {
        self.settle(Verdict::Expire);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    fn answer(&self) -> Answer<'_> {
        let reply = Reply {
            message: &self.message,
            addresses: &self.addresses,
            ttl: self.ttl,
            ..Reply::default()
        };
        self.asked.answer(reply)
    }

    fn settle(&self, verdict: Verdict) -> Released {
        if self.settled.swap(true, Ordering::AcqRel) {
            return Released::TooLate;
        }
        let Some(shared) = self.shared.upgrade() else {
            return Released::TooLate;
        };
        let outcome = match (verdict, shared.config.on_late) {
            (Verdict::Release, _) => Outcome::Released { code: self.code },
            (Verdict::Expire, OnLate::Release) => Outcome::ReleasedLate,
            (Verdict::Expire, OnLate::ServFail) => Outcome::Late,
            (Verdict::Abandon, _) => Outcome::Abandoned,
        };
        let held = self.since.elapsed();
        shared.counters.note_held(held);
        let reply = Reply {
            message: &self.message,
            addresses: &self.addresses,
            ttl: self.ttl,
            held,
        };
        self.asked.conclude(&shared, outcome, reply);
        Released::InTime
    }
}
