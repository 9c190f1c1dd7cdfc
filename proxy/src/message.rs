//! What the proxy wants to know of a message, and says instead of a server.

use std::net::IpAddr;
use std::time::Duration;

use palisade_fqdn::wire::{
    self, ErrorCode, ExtendedError, Message, Opcode, Question, Rcode, RecordType, Unacceptable,
};

use crate::policy::{Outcome, Reject, Rejection};

/// A client's message.
#[derive(Debug)]
pub(crate) enum Inspection<'a> {
    /// A query that can be judged.
    Query(Question<'a>),
    /// Anything else, and what its sender is told.
    Reject {
        reason: Reject,
        reply: Option<Vec<u8>>,
    },
}

pub(crate) fn inspect(bytes: &[u8]) -> Inspection<'_> {
    let (reason, code) = match Message::parse_query(bytes) {
        _ if bytes.len() > MAX_QUERY => (Reject::Malformed, Some(Rcode::FORMERR)),
        Ok(query) if query.header().opcode() != Opcode::QUERY => {
            (Reject::UnknownOperation, Some(Rcode::NOTIMP))
        }
        Ok(query) => match query.question() {
            Some(question) if is_transfer(question.kind()) => {
                (Reject::ZoneTransfer, Some(Rcode::REFUSED))
            }
            Some(question) => return Inspection::Query(question.clone()),
            None => (Reject::Malformed, Some(Rcode::FORMERR)),
        },
        Err(Unacceptable::Ignore) if bytes.len() < wire::Header::LENGTH => {
            (Reject::Malformed, None)
        }
        Err(Unacceptable::Ignore) => (Reject::NotAQuery, None),
        Err(Unacceptable::Reply(Rcode::NOTIMP)) => (Reject::UnknownOperation, Some(Rcode::NOTIMP)),
        Err(Unacceptable::Reply(code)) => (Reject::Malformed, Some(code)),
    };
    let reply = code.and_then(|code| wire::reply(bytes, code, None));
    Inspection::Reject { reason, reply }
}

/// Whether `answer` is a response to `query`, as last sent: same id, same question.
pub(crate) fn answers(query: &[u8], answer: &[u8]) -> bool {
    let (Ok(query), Ok(answer)) = (Message::parse(query), Message::parse(answer)) else {
        return false;
    };
    let id = query.header().id();
    query
        .question()
        .is_some_and(|question| answer.check_answers(id, question).is_ok())
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) code: Rcode,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ttl: Duration,
}

pub(crate) fn read_answer(answer: &[u8]) -> Result<Contents, wire::Error> {
    let message = Message::parse(answer)?;
    let code = message.header().rcode();
    // A server that could not read the query may leave out the question, and a failure resolves
    // nothing.
    if code != Rcode::NOERROR {
        return Ok(Contents {
            code,
            addresses: vec![],
            ttl: Duration::ZERO,
        });
    }
    match message.resolution() {
        Ok(resolution) => Ok(Contents {
            code,
            addresses: resolution.addresses,
            ttl: resolution.ttl,
        }),
        // Cut within a record: the client asks again over TCP.
        Err(_) if message.header().is_truncated() => Ok(Contents {
            code,
            addresses: vec![],
            ttl: Duration::ZERO,
        }),
        Err(error) => Err(error),
    }
}

/// What a client is told whose query is outside the rules.
pub(crate) fn rejection(query: &[u8], rejection: Rejection) -> Option<Vec<u8>> {
    let code = match rejection {
        Rejection::NxDomain => Rcode::NXDOMAIN,
        Rejection::Refused => Rcode::REFUSED,
    };
    wire::reply(query, code, Some(extended(ErrorCode::PROHIBITED)))
}

/// What a client is told whose allowed query got no answer that it may have.
pub(crate) fn failure(query: &[u8], outcome: Outcome) -> Option<Vec<u8>> {
    let error = match outcome {
        Outcome::Timeout => ErrorCode::NO_REACHABLE_AUTHORITY,
        Outcome::Unreachable => ErrorCode::NETWORK_ERROR,
        Outcome::Abandoned
        | Outcome::Late
        | Outcome::Overload
        | Outcome::Released { .. }
        | Outcome::ReleasedLate
        | Outcome::Unreadable => ErrorCode::OTHER,
    };
    wire::reply(query, Rcode::SERVFAIL, Some(extended(error)))
}

pub(crate) fn set_id(message: &mut [u8], id: [u8; 2]) {
    if let Some(place) = message.first_chunk_mut() {
        *place = id;
    }
}

/// The policy is the operator's business: the client learns the kind of reason, not the rule.
const fn extended(code: ErrorCode) -> ExtendedError<'static> {
    ExtendedError { code, text: "" }
}

/// A transfer brings many names over one question, none of which a rule has judged.
const fn is_transfer(kind: RecordType) -> bool {
    matches!(kind, RecordType::AXFR | RecordType::IXFR)
}

/// Longer than any real query, so that waiting queries cannot fill the memory.
pub(crate) const MAX_QUERY: usize = 4096;
