//! Bytes into entries.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::{Address, EndpointId};
use thiserror::Error;

use super::checksum;
use super::entry::{ENDPOINT_GONE, Entry, FRAME, GONE, HEADER, LEARNT, LONGEST, NAME_GONE};
use crate::name::DnsName;

/// The entries of a journal up to the first that is not good, which ends them.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    journal: &'a [u8],
    offset: usize,
    ended: bool,
}

/// Where a journal stops making sense.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the journal is cut at byte {offset}: {reason}")]
pub struct Cut {
    /// How many bytes before it are good.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a part of a journal.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes are not those that were written.
    #[error("the checksum differs")]
    Checksum,
    /// The bytes are no journal, or one of another version.
    #[error("a journal does not begin like this")]
    Header,
    /// The bytes end within an entry.
    #[error("the entry is not all there")]
    Torn,
    /// The checksum is right, but the entry is none of this version's.
    #[error("the entry says nothing known")]
    Unknown,
}

impl<'a> Entries<'a> {
    /// The entries of a whole journal. No bytes at all are a journal without entries.
    pub const fn new(journal: &'a [u8]) -> Self {
        Self {
            journal,
            offset: 0,
            ended: journal.is_empty(),
        }
    }

    /// How many bytes were good so far.
    pub const fn length(&self) -> usize {
        self.offset
    }

    fn read(&mut self) -> Result<Option<Entry>, Reason> {
        if self.offset == 0 {
            let header = self.journal.first_chunk().ok_or(Reason::Header)?;
            if header != HEADER {
                return Err(Reason::Header);
            }
            self.offset = HEADER.len();
        }
        let rest = self.journal.get(self.offset..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let (length, after) = rest.split_first_chunk().ok_or(Reason::Torn)?;
        let (sum, after) = after.split_first_chunk().ok_or(Reason::Torn)?;
        let wanted = u32::from_le_bytes(*length) as usize;
        if wanted > LONGEST {
            return Err(Reason::Checksum);
        }
        let entry = after.get(..wanted).ok_or(Reason::Torn)?;
        if checksum::of(&[length, entry]) != u32::from_le_bytes(*sum) {
            return Err(Reason::Checksum);
        }
        let entry = decode(entry).ok_or(Reason::Unknown)?;
        self.offset += FRAME + wanted;
        Ok(Some(entry))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Cut>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.read();
        self.ended = !matches!(entry, Ok(Some(_)));
        let offset = self.offset;
        entry.map_err(|reason| Cut { offset, reason }).transpose()
    }
}

fn decode(entry: &[u8]) -> Option<Entry> {
    let (kind, rest) = entry.split_first()?;
    let (endpoint, rest) = rest.split_first_chunk()?;
    let endpoint = EndpointId::new(u16::from_le_bytes(*endpoint));
    if *kind == ENDPOINT_GONE {
        return rest.is_empty().then_some(Entry::EndpointGone { endpoint });
    }
    let (name, rest) = rest.split_at_checked(name_length(rest)?)?;
    let name = DnsName::from_wire(name).ok()?;
    match *kind {
        GONE => Some(Entry::Gone {
            endpoint,
            name,
            addresses: addresses(rest)?,
        }),
        LEARNT => {
            let (expires, rest) = rest.split_first_chunk()?;
            Some(Entry::Learnt {
                endpoint,
                name,
                expires: Duration::from_nanos(u64::from_le_bytes(*expires)),
                addresses: addresses(rest)?,
            })
        }
        NAME_GONE => rest
            .is_empty()
            .then_some(Entry::NameGone { endpoint, name }),
        _ => None,
    }
}

/// How long the name is that these bytes begin with.
fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    while let label @ 1.. = *bytes.get(end)? {
        end += 1 + usize::from(label);
    }
    Some(end + 1)
}

fn addresses(bytes: &[u8]) -> Option<Vec<IpAddr>> {
    let (addresses, rest) = bytes.as_chunks();
    let addresses = addresses
        .iter()
        .map(|bytes| Address::from_bytes(*bytes).ip());
    rest.is_empty().then(|| addresses.collect())
}
