//! The first twelve bytes.

use super::cursor::Cursor;
use super::{Error, Opcode, Rcode};

/// The header of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    id: u16,
    flags: u16,
    counts: [u16; 4],
}

impl Header {
    /// Bytes of a header.
    pub const LENGTH: usize = 12;

    pub(super) const RESPONSE: u16 = 0x8000;
    pub(super) const OPCODE: u16 = 0x7800;
    pub(super) const AUTHORITATIVE: u16 = 0x0400;
    pub(super) const TRUNCATED: u16 = 0x0200;
    pub(super) const RECURSION_DESIRED: u16 = 0x0100;
    pub(super) const CHECKING_DISABLED: u16 = 0x0010;

    /// Reads the header of a message.
    ///
    /// # Errors
    /// [`Error::Truncated`] for fewer than twelve bytes.
    pub fn parse(message: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(message, 0);
        Ok(Self {
            id: cursor.u16()?,
            flags: cursor.u16()?,
            counts: [cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?],
        })
    }

    /// The number by which a response is told from others.
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// Whether this is a response.
    pub const fn is_response(&self) -> bool {
        self.flags & Self::RESPONSE != 0
    }

    /// What is asked for.
    pub const fn opcode(&self) -> Opcode {
        Opcode(((self.flags & Self::OPCODE) >> 11).to_be_bytes()[1])
    }

    /// Whether the response comes from a server of the zone itself.
    pub const fn is_authoritative(&self) -> bool {
        self.flags & Self::AUTHORITATIVE != 0
    }

    /// Whether the response was cut short and should be asked for over TCP.
    pub const fn is_truncated(&self) -> bool {
        self.flags & Self::TRUNCATED != 0
    }

    /// Whether the server should ask others.
    pub const fn recursion_desired(&self) -> bool {
        self.flags & Self::RECURSION_DESIRED != 0
    }

    /// Whether the client checks signatures itself.
    pub const fn checking_disabled(&self) -> bool {
        self.flags & Self::CHECKING_DISABLED != 0
    }

    /// The response code, without the upper bits that an extension record may add.
    pub const fn rcode(&self) -> Rcode {
        Rcode(self.flags.to_be_bytes()[1] & 0x0f)
    }

    /// How many questions follow.
    pub const fn questions(&self) -> u16 {
        self.counts[0]
    }

    /// How many records the answer section has.
    pub const fn answers(&self) -> u16 {
        self.counts[1]
    }

    /// How many records the authority section has.
    pub const fn authorities(&self) -> u16 {
        self.counts[2]
    }

    /// How many records the additional section has.
    pub const fn additionals(&self) -> u16 {
        self.counts[3]
    }

    pub(super) const fn flags(&self) -> u16 {
        self.flags
    }
}
