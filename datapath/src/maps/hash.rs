use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Error, Map};
use crate::sys;

/// A hash, LRU hash or prefix map with typed keys and values.
#[derive(Debug)]
pub struct Hash<K, V> {
    map: Map,
    fd: OwnedFd,
    max_entries: u32,
    types: PhantomData<(K, V)>,
}

impl<K, V> Hash<K, V>
where
    K: Copy + FromBytes + Immutable + IntoBytes,
    V: FromBytes + Immutable + IntoBytes,
{
    /// Wraps a map whose key and value sizes have been checked.
    pub(super) fn new(map: Map, fd: OwnedFd, max_entries: u32) -> Self {
        Self {
            map,
            fd,
            max_entries,
            types: PhantomData,
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        let mut value = V::new_zeroed();
        let copy = value.as_mut_bytes();
        let found = sys::map_lookup(self.fd.as_fd(), key.as_bytes(), copy);
        let found = found.map_err(|source| self.read(source))?;
        Ok(found.then_some(value))
    }

    /// Stores a value under a key, in one call.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Write`].
    pub fn insert(&self, key: &K, value: &V) -> Result<(), Error> {
        let stored = sys::map_update(self.fd.as_fd(), key.as_bytes(), value.as_bytes());
        stored.map_err(|source| match source.raw_os_error() {
            // Prefix maps say ENOSPC where hashes say E2BIG.
            Some(nix::libc::E2BIG | nix::libc::ENOSPC) => Error::Full {
                map: self.map,
                entries: self.max_entries,
            },
            _ => self.write(source),
        })
    }

    /// Removes a key; whether it was there.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn remove(&self, key: &K) -> Result<bool, Error> {
        sys::map_delete(self.fd.as_fd(), key.as_bytes()).map_err(|source| self.write(source))
    }

    /// All entries. What changes during the call may be met twice, or not at all.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn entries(&self) -> Result<Vec<(K, V)>, Error> {
        let mut entries = Vec::new();
        let mut last: Option<K> = None;
        // A key that vanishes restarts the walk; the bound keeps it finite.
        for _ in 0..self.max_entries.saturating_mul(2).max(2) {
            let mut next = K::new_zeroed();
            let more = sys::map_next_key(
                self.fd.as_fd(),
                last.as_ref().map(IntoBytes::as_bytes),
                next.as_mut_bytes(),
            );
            if !more.map_err(|source| self.read(source))? {
                break;
            }
            if let Some(value) = self.get(&next)? {
                entries.push((next, value));
            }
            last = Some(next);
        }
        Ok(entries)
    }

    fn read(&self, source: io::Error) -> Error {
        Error::Read {
            map: self.map,
            source,
        }
    }

    fn write(&self, source: io::Error) -> Error {
        Error::Write {
            map: self.map,
            source,
        }
    }
}

impl<K, V> AsFd for Hash<K, V> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
