//! DNS messages as they are on the wire: looked at in place, answered without a server.
//!
//! A [`Message`] borrows the bytes and reads a part of them when asked for it, so that a proxy can
//! judge a query and learn from an answer while it forwards both byte for byte. Any bytes may be
//! handed in: every length, pointer and label is checked against the message, and compression
//! pointers must lead backwards.

mod code;
mod cursor;
mod header;
mod message;
mod record;
mod reply;
mod resolution;

pub use self::code::{Class, ErrorCode, Opcode, Rcode, RecordType};
pub use self::header::Header;
pub use self::message::{Message, Mismatch, Question, Unacceptable};
pub use self::record::{Opt, Record, Records, Section};
pub use self::reply::{ExtendedError, reply};
pub use self::resolution::Resolution;

use self::cursor::Cursor;
use crate::name::DnsName;

/// Why bytes are not a DNS message. Offsets count from the start of the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The message ends within what is read.
    #[error("the message ends before what starts at byte {offset}")]
    Truncated {
        /// Where the part starts that is not all there.
        offset: usize,
    },
    /// A label that is neither text nor a pointer.
    #[error("byte {offset} starts neither a label nor a pointer")]
    LabelKind {
        /// Where it stands.
        offset: usize,
    },
    /// A name of more than 255 bytes.
    #[error("the name at byte {offset} is longer than 255 bytes")]
    NameTooLong {
        /// Where the name starts.
        offset: usize,
    },
    /// A pointer that does not lead backwards, or stands where none may.
    #[error("the name at byte {offset} has a pointer that leads nowhere")]
    Pointer {
        /// Where the name starts.
        offset: usize,
    },
    /// A record whose data does not have the form of its type.
    #[error("the record at byte {offset} does not hold what its type says")]
    RecordData {
        /// Where the record starts.
        offset: usize,
    },
    /// More than one extension record.
    #[error("a second extension record at byte {offset}")]
    SecondOpt {
        /// Where the record starts.
        offset: usize,
    },
    /// Bytes after the end of what should fill them.
    #[error("something follows the end at byte {offset}")]
    Trailing {
        /// Where the end is.
        offset: usize,
    },
    /// Not exactly one question.
    #[error("{count} questions instead of one")]
    Questions {
        /// How many there are.
        count: u16,
    },
}

pub(crate) fn read_plain_name(bytes: &[u8]) -> Result<DnsName, Error> {
    let mut cursor = Cursor::new(bytes, 0);
    let name = cursor.plain_name()?;
    if cursor.offset() == bytes.len() {
        Ok(name)
    } else {
        Err(Error::Trailing {
            offset: cursor.offset(),
        })
    }
}
