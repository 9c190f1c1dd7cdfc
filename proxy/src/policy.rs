//! What an embedder decides, is handed and is told.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use palisade_abi::{Identity, Protocol};
use palisade_fqdn::DnsName;
use palisade_fqdn::wire::{Rcode, RecordType};

use crate::held::Held;

/// The embedder's side of a proxy.
///
/// All three are called on the proxy's own threads and must return at once: whoever has to wait
/// for the kernel hands [`Held`] to another thread.
pub trait Policy: Send + Sync {
    /// Judges one query. Nothing is sent to a server unless it answers [`Decision::Allow`].
    fn decide(&self, query: &Query<'_>) -> Decision;

    /// Takes an answer with addresses that its client must not have before they are enforced.
    ///
    /// [`Held::release`] sends it, from any thread. Answers without addresses do not come by.
    fn answer(&self, held: Held);

    /// Is told what happened.
    fn observe(&self, event: &Event<'_>) {
        let _ = event;
    }
}

/// One question of one client to one server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Query<'a> {
    /// Who asks.
    pub client: SocketAddr,
    /// Who is asked: the destination that the client chose, or the fixed upstream.
    pub server: SocketAddr,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The name in question.
    pub name: &'a DnsName,
    /// The type in question.
    pub qtype: RecordType,
}

/// What becomes of a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// The query goes to the server.
    Allow {
        /// The client's identity, in whose name the server is asked.
        identity: Identity,
        /// The rule that allows it.
        rule: RuleToken,
    },
    /// The query is outside the rules.
    Refuse {
        /// What the client is told.
        rejection: Rejection,
        /// The rule that the refusal is owed to.
        rule: RuleToken,
    },
    /// The query cannot be judged now; the client is told SERVFAIL.
    ServFail,
}

/// What a client is told whose query is outside the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejection {
    /// NXDOMAIN: musl's resolver gives up a search list on REFUSED, but goes on after this.
    NxDomain,
    /// REFUSED, with the extended error "Prohibited".
    Refused,
}

/// A number by which an embedder finds its rule again; the proxy only carries it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleToken(u64);

impl RuleToken {
    /// Wraps the embedder's number.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The embedder's number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A server's answer to an allowed query.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The query that it answers.
    pub query: Query<'a>,
    /// The client's identity, as [`Decision::Allow`] gave it.
    pub identity: Identity,
    /// The rule that allowed the query.
    pub rule: RuleToken,
    /// The message as the server sent it, with the client's id.
    pub message: &'a [u8],
    /// The addresses in its answer section.
    pub addresses: &'a [IpAddr],
    /// How long they hold: the least TTL of the answer.
    pub ttl: Duration,
}

/// Something that an embedder may want to log or count.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An allowed query got its answer, or a substitute for one.
    Answered {
        /// The query, and of a server's answer its addresses.
        answer: Answer<'a>,
        /// What the client got.
        outcome: Outcome,
        /// From the query's arrival to the end of the matter.
        elapsed: Duration,
        /// How much of it the answer was held.
        held: Duration,
    },
    /// A query was judged.
    Asked {
        /// The query.
        query: Query<'a>,
        /// What becomes of it.
        decision: Decision,
    },
    /// A message was not even judged.
    Rejected {
        /// Who sent it.
        client: SocketAddr,
        /// Whom it was for.
        server: SocketAddr,
        /// UDP or TCP.
        protocol: Protocol,
        /// What is wrong with it.
        reason: Reject,
    },
}

/// How an allowed query ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The embedder gave the answer up: SERVFAIL.
    Abandoned,
    /// The client had used up its share, or the proxy all it may hold: SERVFAIL, never asked.
    Overload,
    /// The client got the server's answer.
    Released {
        /// The server's response code.
        code: Rcode,
    },
    /// The client got the server's answer although its addresses are not enforced yet.
    ReleasedLate,
    /// The addresses were not enforced in time: SERVFAIL.
    Late,
    /// The server did not answer in time: SERVFAIL.
    Timeout,
    /// The server could not be asked: SERVFAIL.
    Unreachable,
    /// The server's answer could not be read: SERVFAIL.
    Unreadable,
}

/// Why a message was not judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reject {
    /// It is no well-formed query: FORMERR, or silence where no header could be read.
    Malformed,
    /// It is an answer, which nobody asked a client for: silence.
    NotAQuery,
    /// It was sent to the proxy itself, where a transparent proxy has no server to ask: silence.
    ToItself,
    /// It asks for something other than a query (NOTIFY, UPDATE): NOTIMP.
    UnknownOperation,
    /// It asks for a zone transfer, whose many names no rule has judged: REFUSED.
    ZoneTransfer,
}
