//! A message: its header, its question, and the way to its records.

use super::cursor::Cursor;
use super::record::{Opt, Record, Records, Section};
use super::{Class, Error, Header, Opcode, Rcode, RecordType};
use crate::name::DnsName;

/// A message looked at in place.
///
/// Header and question have been read; the records are read as they are asked for, since a message
/// cut short is still worth forwarding.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    question: Option<Question<'a>>,
    records: usize,
}

/// What a message asks for, with the bytes that say so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question<'a> {
    bytes: &'a [u8],
    name: DnsName,
    kind: RecordType,
    class: Class,
}

/// What to do about a message that is no query one would forward.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unacceptable {
    /// Nobody waits for an answer to it: a response, or less than a header.
    #[error("the message is no query")]
    Ignore,
    /// Its sender is told so with this code.
    #[error("the query is answered with {0}")]
    Reply(Rcode),
}

/// Why a response does not answer a query.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is a query itself.
    #[error("the message is no response")]
    Query,
    /// It answers something else.
    #[error("the response has another id")]
    Id,
    /// It answers another kind of request.
    #[error("the response has another opcode")]
    Opcode,
    /// It answers another question, or the same in other letters.
    #[error("the response has another question")]
    Question,
}

impl<'a> Message<'a> {
    /// Reads the header and the question.
    ///
    /// # Errors
    /// [`Error`] if they are not all there or have a form that no message has.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Header::parse(bytes)?;
        let mut cursor = Cursor::new(bytes, Header::LENGTH);
        let question = match header.questions() {
            1 => Some(Question::read(bytes, &mut cursor)?),
            count => {
                for _ in 0..count {
                    cursor.skip_name()?;
                    cursor.take(4)?;
                }
                None
            }
        };
        Ok(Self {
            bytes,
            header,
            question,
            records: cursor.offset(),
        })
    }

    /// Reads a query that a client sent, if it is one that may be passed on to a server.
    ///
    /// # Errors
    /// What to do instead: a response is ignored, an operation other than a query is not
    /// implemented, and a query of an unusual form is answered with FORMERR.
    pub fn parse_query(bytes: &'a [u8]) -> Result<Self, Unacceptable> {
        let header = Header::parse(bytes).map_err(|_| Unacceptable::Ignore)?;
        if header.is_response() {
            return Err(Unacceptable::Ignore);
        }
        if !matches!(header.opcode(), Opcode::QUERY | Opcode::NOTIFY) {
            return Err(Unacceptable::Reply(Rcode::NOTIMP));
        }
        let formerr = Unacceptable::Reply(Rcode::FORMERR);
        let usual = header.questions() == 1
            && header.answers() <= 1
            && header.authorities() <= 1
            && header.additionals() <= 2;
        if !usual {
            return Err(formerr);
        }
        let message = Self::parse(bytes).map_err(|_| formerr)?;
        message.opt().map_err(|_| formerr)?;
        Ok(message)
    }

    /// The bytes of the message.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The question, if there is exactly one.
    pub const fn question(&self) -> Option<&Question<'a>> {
        self.question.as_ref()
    }

    /// All records from the answer section on; ends after the first error.
    pub fn records(&self) -> Records<'a> {
        Records::new(self.bytes, self.records, &self.header)
    }

    /// The records of the answer section; ends after the first error.
    pub fn answers(&self) -> impl Iterator<Item = Result<Record<'a>, Error>> {
        self.records().take(self.header.answers().into())
    }

    /// The extension record, for which all records are walked.
    ///
    /// # Errors
    /// [`Error`] if a record cannot be read, or for a second extension record.
    pub fn opt(&self) -> Result<Option<Opt<'a>>, Error> {
        let mut found = None;
        for record in self.records() {
            let record = record?;
            if record.kind() != RecordType::OPT || record.section() != Section::Additional {
                continue;
            }
            if found.is_some() {
                let offset = record.offset();
                return Err(Error::SecondOpt { offset });
            }
            found = Some(Opt::of(&record)?);
        }
        Ok(found)
    }

    /// Checks that this is the response to a query that was sent with this id and question.
    ///
    /// The question must be repeated byte for byte: a server keeps the case of the letters, which
    /// makes an answer harder to forge. A server that could not read the query, or does not do
    /// what it asks for, may leave the question out.
    ///
    /// # Errors
    /// What differs.
    pub fn check_answers(&self, id: u16, question: &Question<'_>) -> Result<(), Mismatch> {
        if !self.header.is_response() {
            return Err(Mismatch::Query);
        }
        if self.header.id() != id {
            return Err(Mismatch::Id);
        }
        if self.header.opcode() != Opcode::QUERY {
            return Err(Mismatch::Opcode);
        }
        let unread = matches!(self.header.rcode(), Rcode::FORMERR | Rcode::NOTIMP);
        let bare = self.bytes.len() == Header::LENGTH;
        match &self.question {
            Some(mine) if mine.bytes == question.bytes => Ok(()),
            None if unread && bare => Ok(()),
            _ => Err(Mismatch::Question),
        }
    }
}

impl<'a> Question<'a> {
    fn read(bytes: &'a [u8], cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let start = cursor.offset();
        let name = cursor.plain_name()?;
        let kind = RecordType(cursor.u16()?);
        let class = Class(cursor.u16()?);
        let bytes = bytes
            .get(start..cursor.offset())
            .ok_or(Error::Truncated { offset: start })?;
        Ok(Self {
            bytes,
            name,
            kind,
            class,
        })
    }

    /// The question as it stands in the message, in the letters that the client chose.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The name that is asked for.
    pub const fn name(&self) -> &DnsName {
        &self.name
    }

    /// The type that is asked for.
    pub const fn kind(&self) -> RecordType {
        self.kind
    }

    /// The class that is asked for.
    pub const fn class(&self) -> Class {
        self.class
    }
}
