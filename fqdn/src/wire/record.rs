//! Records, one after the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::cursor::Cursor;
use super::{Class, Error, Header, RecordType};
use crate::name::DnsName;

/// The part of a message that a record belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who would know.
    Authority,
    /// What may help.
    Additional,
}

/// A record looked at in place.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    message: &'a [u8],
    offset: usize,
    section: Section,
    kind: RecordType,
    class: u16,
    ttl: u32,
    data: &'a [u8],
    data_offset: usize,
}

impl<'a> Record<'a> {
    /// Where the record starts in its message.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The section it stands in.
    pub const fn section(&self) -> Section {
        self.section
    }

    /// The name that the record is about.
    ///
    /// # Errors
    /// [`Error`] if the name cannot be read.
    pub fn name(&self) -> Result<DnsName, Error> {
        Cursor::new(self.message, self.offset).name()
    }

    /// Whether the record is about this name, found out without building its own.
    ///
    /// # Errors
    /// [`Error`] if the name cannot be read as far as it is the same.
    pub fn is_about(&self, name: &DnsName) -> Result<bool, Error> {
        Cursor::new(self.message, self.offset).name_is(name)
    }

    /// The type of the record.
    pub const fn kind(&self) -> RecordType {
        self.kind
    }

    /// The class of the record.
    pub const fn class(&self) -> Class {
        Class(self.class)
    }

    /// How long the record may be kept; a time with its highest bit set is none (RFC 2181).
    pub const fn ttl(&self) -> Duration {
        let seconds = if self.ttl > i32::MAX.unsigned_abs() {
            0
        } else {
            self.ttl
        };
        Duration::from_secs(seconds as u64)
    }

    /// The data as it stands in the message.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The address of an A or AAAA record of the Internet, `None` for any other.
    ///
    /// # Errors
    /// [`Error::RecordData`] if the data is not an address of the type's length.
    pub fn address(&self) -> Result<Option<IpAddr>, Error> {
        if self.class() != Class::IN {
            return Ok(None);
        }
        let address = match self.kind {
            RecordType::A => <[u8; 4]>::try_from(self.data)
                .ok()
                .map(|octets| IpAddr::from(Ipv4Addr::from(octets))),
            RecordType::AAAA => <[u8; 16]>::try_from(self.data)
                .ok()
                .map(|octets| IpAddr::from(Ipv6Addr::from(octets))),
            _ => return Ok(None),
        };
        let offset = self.offset;
        address.map(Some).ok_or(Error::RecordData { offset })
    }

    /// The name that a CNAME record of the Internet leads to, `None` for any other.
    ///
    /// # Errors
    /// [`Error`] if the data is not one name.
    pub fn alias(&self) -> Result<Option<DnsName>, Error> {
        if self.kind != RecordType::CNAME || self.class() != Class::IN {
            return Ok(None);
        }
        let mut cursor = Cursor::new(self.message, self.data_offset);
        let target = cursor.name()?;
        if cursor.offset() == self.data_offset + self.data.len() {
            Ok(Some(target))
        } else {
            let offset = self.offset;
            Err(Error::RecordData { offset })
        }
    }

    fn read(message: &'a [u8], offset: usize, section: Section) -> Result<(Self, usize), Error> {
        let mut cursor = Cursor::new(message, offset);
        cursor.skip_name()?;
        let [k0, k1, c0, c1, t0, t1, t2, t3, l0, l1] = cursor.array()?;
        let kind = RecordType(u16::from_be_bytes([k0, k1]));
        let class = u16::from_be_bytes([c0, c1]);
        let ttl = u32::from_be_bytes([t0, t1, t2, t3]);
        let length = u16::from_be_bytes([l0, l1]);
        let data_offset = cursor.offset();
        let data = cursor.take(length.into())?;
        let record = Self {
            message,
            offset,
            section,
            kind,
            class,
            ttl,
            data,
            data_offset,
        };
        Ok((record, cursor.offset()))
    }
}

/// The records of a message; made by [`Message::records`](super::Message::records).
#[derive(Clone, Debug)]
pub struct Records<'a> {
    message: &'a [u8],
    offset: usize,
    left: [(Section, u16); 3],
}

impl<'a> Records<'a> {
    pub(super) const fn new(message: &'a [u8], offset: usize, header: &Header) -> Self {
        Self {
            message,
            offset,
            left: [
                (Section::Answer, header.answers()),
                (Section::Authority, header.authorities()),
                (Section::Additional, header.additionals()),
            ],
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (section, left) = self.left.iter_mut().find(|(_, left)| *left > 0)?;
        *left -= 1;
        match Record::read(self.message, self.offset, *section) {
            Ok((record, end)) => {
                self.offset = end;
                Some(Ok(record))
            }
            Err(error) => {
                self.left = self.left.map(|(section, _)| (section, 0));
                Some(Err(error))
            }
        }
    }
}

/// The extension record of a message (RFC 6891).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Opt<'a> {
    payload: u16,
    ttl: u32,
    options: &'a [u8],
}

impl<'a> Opt<'a> {
    pub(super) fn of(record: &Record<'a>) -> Result<Self, Error> {
        if !record.is_about(&DnsName::root())? {
            let offset = record.offset;
            return Err(Error::RecordData { offset });
        }
        Ok(Self {
            payload: record.class,
            ttl: record.ttl,
            options: record.data,
        })
    }

    /// The largest UDP message that the sender takes.
    pub const fn payload(&self) -> u16 {
        self.payload
    }

    /// The version, of which 0 is the only one.
    pub const fn version(&self) -> u8 {
        self.ttl.to_be_bytes()[1]
    }

    /// Whether the sender wants signatures.
    pub const fn dnssec_ok(&self) -> bool {
        self.ttl & 0x8000 != 0
    }

    /// The options as they stand in the message.
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }
}
