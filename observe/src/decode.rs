use palisade_abi::{EVENT_DROP, EVENT_VERDICT, RawEvent};
use thiserror::Error;
use zerocopy::FromBytes;

/// Why an event of the ring buffer makes no sense here; most likely the programs are newer.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The record has another length than events have.
    #[error("an event has {expected} bytes, this one {found}")]
    Length {
        /// Bytes of the record.
        found: usize,
        /// Bytes of an event.
        expected: usize,
    },
    /// A direction that is neither ingress nor egress.
    #[error("event of unknown direction {direction}")]
    UnknownDirection {
        /// The number.
        direction: u8,
    },
    /// A kind that is neither a drop nor a verdict.
    #[error("event of unknown kind {kind}")]
    UnknownKind {
        /// The number.
        kind: u8,
    },
    /// A drop for a reason that is not known.
    #[error("drop for unknown reason {reason}")]
    UnknownReason {
        /// The number.
        reason: u8,
    },
}

/// Reads a record of the ring buffer.
///
/// # Errors
/// [`DecodeError`] if its length or its kind is not that of an event.
pub fn decode(bytes: &[u8]) -> Result<RawEvent, DecodeError> {
    let event = RawEvent::read_from_bytes(bytes).map_err(|_| DecodeError::Length {
        found: bytes.len(),
        expected: size_of::<RawEvent>(),
    })?;
    match event.kind {
        EVENT_DROP | EVENT_VERDICT => Ok(event),
        kind => Err(DecodeError::UnknownKind { kind }),
    }
}
