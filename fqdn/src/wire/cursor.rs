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
        let rest = self.message.get(self.offset..);
        let taken = rest.and_then(<[u8]>::first_chunk).copied();
        let taken = taken.ok_or(Error::Truncated {
            offset: self.offset,
        })?;
        self.offset += N;
        Ok(taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
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
        let mut parts = Parts::new(*self);
        let mut name = Builder::new();
        while let Some(label) = parts.next()? {
            let offset = self.offset;
            name.push(label).ok_or(Error::NameTooLong { offset })?;
        }
        *self = parts.end;
        Ok(name.finish())
    }

    /// Whether the name that stands here is this one; looks no further than the first difference.
    pub(super) fn name_is(self, name: &DnsName) -> Result<bool, Error> {
        let mut parts = Parts::new(self);
        for expected in name.labels() {
            match parts.next()? {
                Some(label) if label.eq_ignore_ascii_case(expected) => {}
                _ => return Ok(false),
            }
        }
        Ok(parts.next()?.is_none())
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

/// The labels of a name over all its pointers.
struct Parts<'a> {
    start: usize,
    part: Cursor<'a>,
    part_start: usize,
    /// Behind the name, where it stands.
    end: Cursor<'a>,
    jumped: bool,
}

impl<'a> Parts<'a> {
    const fn new(cursor: Cursor<'a>) -> Self {
        Self {
            start: cursor.offset,
            part: cursor,
            part_start: cursor.offset,
            end: cursor,
            jumped: false,
        }
    }

    fn next(&mut self) -> Result<Option<&'a [u8]>, Error> {
        loop {
            let step = self.part.step()?;
            if !self.jumped {
                self.end = self.part;
            }
            match step {
                Step::Label(label) => return Ok(Some(label)),
                Step::Root => return Ok(None),
                // Each part starts before the one that points to it, so this ends.
                Step::Pointer(target) if target < self.part_start => {
                    self.jumped = true;
                    self.part_start = target;
                    self.part.offset = target;
                }
                Step::Pointer(_) => return Err(Error::Pointer { offset: self.start }),
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
