use std::mem::size_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use palisade_abi::{Counter, DropReason};
use zerocopy::{FromBytes, IntoBytes};

use super::{Error, Map};
use crate::sys;

/// What became of the packets, summed over the processors.
#[derive(Debug)]
pub struct Counters {
    fd: OwnedFd,
    processors: usize,
}

impl Counters {
    pub(super) fn new(fd: OwnedFd) -> Result<Self, Error> {
        let processors = libbpf_rs::num_possible_cpus().map_err(|_| Error::Read {
            map: Map::Counters,
            source: std::io::ErrorKind::Unsupported.into(),
        })?;
        Ok(Self { fd, processors })
    }

    /// Packets that passed.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn passed(&self) -> Result<Counter, Error> {
        self.element(0)
    }

    /// Packets dropped for a reason.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn dropped(&self, reason: DropReason) -> Result<Counter, Error> {
        self.element(reason as u32)
    }

    /// Events that found the ring full.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn lost_events(&self) -> Result<u64, Error> {
        Ok(self.element(Counter::LOST_EVENTS)?.packets)
    }

    fn element(&self, index: u32) -> Result<Counter, Error> {
        let mut values = vec![0; self.processors * size_of::<Counter>()];
        let found = sys::map_lookup(self.fd.as_fd(), index.as_bytes(), &mut values);
        found.map_err(|source| Error::Read {
            map: Map::Counters,
            source,
        })?;
        let mut sum = Counter::default();
        for value in values.chunks_exact(size_of::<Counter>()) {
            let counter = Counter::read_from_bytes(value).unwrap_or_default();
            sum.packets = sum.packets.wrapping_add(counter.packets);
            sum.bytes = sum.bytes.wrapping_add(counter.bytes);
        }
        Ok(sum)
    }
}

impl AsFd for Counters {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
