//! A query on its way: judged, allowed, waiting for its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palisade_abi::Identity;
use palisade_fqdn::DnsName;
use palisade_fqdn::wire::RecordType;

use crate::message::{self, Inspection};
use crate::policy::{Answer, Decision, Event, Outcome, Query, RuleToken};
use crate::share::Slot;
use crate::shared::{Origin, Shared};
use crate::sink::Sink;

/// What becomes of a client's message.
#[derive(Debug)]
pub(crate) enum Admission {
    /// The server is asked.
    Forward(Box<Asked>),
    /// The client is told this.
    Reply(Vec<u8>),
    /// Nothing.
    Silence,
}

/// Looks at a client's message and has it judged. The only way to an [`Asked`], and so to a
/// server, leads through [`Decision::Allow`].
pub(crate) fn admit(
    shared: &Arc<Shared>,
    origin: Origin,
    message: &[u8],
    sink: &Sink,
) -> Admission {
    let question = match message::inspect(message) {
        Inspection::Query(question) => question,
        Inspection::Reject { reason, reply } => {
            shared.reject(origin, reason);
            return reply.into();
        }
    };
    let query = origin.query(question.name(), question.kind());
    let decision = shared.policy.decide(&query);
    shared.counters.asked.add();
    shared.policy.observe(&Event::Asked { query, decision });
    let (identity, rule) = match decision {
        Decision::Allow { identity, rule } => (identity, rule),
        Decision::Refuse { rejection, .. } => {
            shared.counters.refused.add();
            return message::rejection(message, rejection).into();
        }
        Decision::ServFail => return message::failure(message, Outcome::Abandoned).into(),
    };
    let Some(slot) = shared.queries.take(origin.client.ip()) else {
        shared.counters.overload.add();
        shared.policy.observe(&Event::Answered {
            answer: Answer {
                query,
                identity,
                rule,
                message: &[],
                addresses: &[],
                ttl: Duration::ZERO,
            },
            outcome: Outcome::Overload,
            elapsed: Duration::ZERO,
            held: Duration::ZERO,
        });
        return message::failure(message, Outcome::Overload).into();
    };
    Admission::Forward(Box::new(Asked {
        origin,
        name: question.name().clone(),
        qtype: question.kind(),
        identity,
        rule,
        since: Instant::now(),
        client_id: message.first_chunk().copied().unwrap_or_default(),
        sink: sink.clone(),
        message: message.into(),
        _slot: slot,
    }))
}

impl From<Option<Vec<u8>>> for Admission {
    fn from(reply: Option<Vec<u8>>) -> Self {
        reply.map_or(Self::Silence, Self::Reply)
    }
}

/// An allowed query, with its place in the client's share.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) origin: Origin,
    pub(crate) identity: Identity,
    pub(crate) rule: RuleToken,
    pub(crate) since: Instant,
    name: DnsName,
    qtype: RecordType,
    client_id: [u8; 2],
    sink: Sink,
    message: Box<[u8]>,
    _slot: Slot,
}

impl Asked {
    pub(crate) fn query(&self) -> Query<'_> {
        self.origin.query(&self.name, self.qtype)
    }

    /// The client's message under the id that its server sees.
    pub(crate) fn under_id(&mut self, id: u16) -> &[u8] {
        self.set_id(id);
        &self.message
    }

    /// Gives the message the id that its server sees.
    pub(crate) fn set_id(&mut self, id: u16) {
        message::set_id(&mut self.message, id.to_be_bytes());
    }

    /// The message as its server sees it.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Whether a message answers this query: under the id it was last sent with, and with its
    /// question, byte for byte (a server keeps the case that the client chose).
    pub(crate) fn is_answered_by(&self, answer: &[u8]) -> bool {
        message::answers(&self.message, answer)
    }

    /// Gives the server's answer the client's id; nothing else is changed.
    pub(crate) fn readdress(&self, answer: &mut [u8]) {
        message::set_id(answer, self.client_id);
    }

    /// Ends the query: counts how, sends the reply or a substitute for it, and tells the embedder.
    pub(crate) fn conclude(&self, shared: &Shared, outcome: Outcome, reply: Reply<'_>) {
        let counters = &shared.counters;
        let counter = match outcome {
            Outcome::Abandoned | Outcome::Unreadable => &counters.failed,
            Outcome::Late | Outcome::ReleasedLate => &counters.late,
            Outcome::Overload => &counters.overload,
            Outcome::Released { .. } => &counters.released,
            Outcome::Timeout => &counters.timeout,
            Outcome::Unreachable => &counters.unreachable,
        };
        counter.add();
        match outcome {
            Outcome::Released { .. } | Outcome::ReleasedLate => {
                self.sink.send(shared, &self.origin, reply.message);
            }
            Outcome::Abandoned
            | Outcome::Late
            | Outcome::Overload
            | Outcome::Timeout
            | Outcome::Unreachable
            | Outcome::Unreadable => {
                if let Some(failure) = self.failure(outcome) {
                    self.sink.send(shared, &self.origin, &failure);
                }
            }
        }
        shared.policy.observe(&Event::Answered {
            answer: self.answer(reply),
            outcome,
            elapsed: self.since.elapsed(),
            held: reply.held,
        });
    }

    pub(crate) fn answer<'a>(&'a self, reply: Reply<'a>) -> Answer<'a> {
        Answer {
            query: self.query(),
            identity: self.identity,
            rule: self.rule,
            message: reply.message,
            addresses: reply.addresses,
            ttl: reply.ttl,
        }
    }

    fn failure(&self, outcome: Outcome) -> Option<Vec<u8>> {
        let mut message = self.message.clone();
        message::set_id(&mut message, self.client_id);
        message::failure(&message, outcome)
    }
}

/// What a server said, and how long it was held; nothing if it said nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reply<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) addresses: &'a [IpAddr],
    pub(crate) ttl: Duration,
    pub(crate) held: Duration,
}
