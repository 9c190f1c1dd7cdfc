//! Reading a message without leaving it.

use super::Error;
use crate::name::{Builder, DnsName, MAX_LABEL};

/// A place in a message from which things are read one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    message: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(message: &'a [u8], offset: usize) -> Self {
        Self { message, offset }
    }

    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let end = self.offset.checked_add(length);
        let taken = end.and_then(|end| self.message.get(self.offset..end));
        let taken = taken.ok_or(Error::Truncated {
            offset: self.offset,
        })?;
        self.offset += length;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let offset = self.offset;
        let taken = self.take(N)?.first_chunk().copied();
        taken.ok_or(Error::Truncated { offset })
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// The labels of a name as far as they stand here, and the pointer that ends them, if any.
    fn step(&mut self) -> Result<Step<'a>, Error> {
        let offset = self.offset;
        let [length] = self.array()?;
        match length >> 6 {
            0 if length == 0 => Ok(Step::Root),
            0 => self.take(length.into()).map(Step::Label),
            3 => {
                let [low] = self.array()?;
                let target = u16::from_be_bytes([length & 0x3f, low]).into();
                Ok(Step::Pointer(target))
            }
            _ => Err(Error::LabelKind { offset }),
        }
    }

    /// Goes past a name, looking at no more of it than stands here.
    pub(super) fn skip_name(&mut self) -> Result<(), Error> {
        let start = self.offset;
        loop {
            match self.step()? {
                Step::Label(_) if self.offset - start > LONGEST_LABELS => {
                    return Err(Error::NameTooLong { offset: start });
                }
                Step::Label(_) => {}
                Step::Pointer(_) | Step::Root => return Ok(()),
            }
        }
    }

    /// Reads a name, following its pointers.
    pub(super) fn name(&mut self) -> Result<DnsName, Error> {
        let start = self.offset;
        let mut name = Builder::new();
        let mut part = *self;
        let mut part_start = start;
        let mut jumped = false;
        loop {
            match part.step()? {
                Step::Label(label) => name
                    .push(label)
                    .ok_or(Error::NameTooLong { offset: start })?,
                // Each part starts before the one that points to it, so this ends.
                Step::Pointer(target) if target < part_start => {
                    if !jumped {
                        *self = part;
                        jumped = true;
                    }
                    part_start = target;
                    part = Self::new(self.message, target);
                }
                Step::Pointer(_) => return Err(Error::Pointer { offset: start }),
                Step::Root => {
                    if !jumped {
                        *self = part;
                    }
                    return Ok(name.finish());
                }
            }
        }
    }

    /// Reads a name that must not contain pointers.
    pub(super) fn plain_name(&mut self) -> Result<DnsName, Error> {
        let start = self.offset;
        let mut name = Builder::new();
        loop {
            match self.step()? {
                Step::Label(label) => name
                    .push(label)
                    .ok_or(Error::NameTooLong { offset: start })?,
                Step::Pointer(_) => return Err(Error::Pointer { offset: start }),
                Step::Root => return Ok(name.finish()),
            }
        }
    }
}

enum Step<'a> {
    Label(&'a [u8]),
    Pointer(usize),
    Root,
}

/// Bytes of the longest name without the root's zero byte.
const LONGEST_LABELS: usize = crate::name::MAX_NAME - 1;

const _: () = assert!(MAX_LABEL == 0x3f);
