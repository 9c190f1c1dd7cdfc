use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use palisade_abi::{DatapathState, PORT_INDEXES, PortClass, PortIndex};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Error, Map};
use crate::sys::{self, Mapping};

/// A table of 8-byte words, mapped: a store costs no system call and is seen whole.
///
/// Minimum kernel version: 5.5.
#[derive(Debug)]
pub struct Words<T> {
    map: Map,
    fd: OwnedFd,
    mapping: Mapping,
    len: u32,
    types: PhantomData<T>,
}

impl<T: FromBytes + Immutable + IntoBytes> Words<T> {
    pub(super) fn new(map: Map, fd: OwnedFd, len: u32) -> Result<Self, Error> {
        const { assert!(size_of::<T>() == size_of::<u64>()) };
        let mapping = Mapping::new(&fd, len as usize * size_of::<u64>());
        Ok(Self {
            map,
            mapping: mapping.map_err(|source| Error::Mapping { map, source })?,
            fd,
            len,
            types: PhantomData,
        })
    }

    /// How many words the table holds.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the table holds no word at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The word at an index; past the end there is none.
    pub fn get(&self, index: u32) -> Option<T> {
        let word = self.mapping.load_u64(index as usize)?;
        T::read_from_bytes(word.as_bytes()).ok()
    }

    /// Stores a word.
    ///
    /// # Errors
    /// [`Error::PastEnd`].
    pub fn set(&self, index: u32, value: &T) -> Result<(), Error> {
        let word = u64::read_from_bytes(value.as_bytes()).unwrap_or_default();
        if index < self.len && self.mapping.store_u64(index as usize, word) {
            return Ok(());
        }
        Err(Error::PastEnd {
            map: self.map,
            index: index.into(),
        })
    }

    /// The words that are not zero, with their indexes.
    pub fn entries(&self) -> impl Iterator<Item = (u32, T)> {
        (0..self.len).filter_map(|index| {
            let word = self.mapping.load_u64(index as usize)?;
            (word != 0).then(|| T::read_from_bytes(word.as_bytes()).ok().map(|t| (index, t)))?
        })
    }
}

impl<T> AsFd for Words<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The node-wide port class array, mapped.
#[derive(Debug)]
pub struct PortClasses {
    fd: OwnedFd,
    mapping: Mapping,
}

impl PortClasses {
    pub(super) fn new(fd: OwnedFd) -> Result<Self, Error> {
        let mapping = Mapping::new(&fd, PORT_INDEXES as usize * size_of::<u16>());
        Ok(Self {
            mapping: mapping.map_err(|source| mapping_error(Map::PortClass, source))?,
            fd,
        })
    }

    /// The class of a (protocol, port).
    pub fn get(&self, index: PortIndex) -> PortClass {
        PortClass::new(self.load(index.get()))
    }

    /// Stores the class of a (protocol, port).
    ///
    /// # Errors
    /// [`Error::PastEnd`], which no [`PortIndex`] of this crate's version reaches.
    pub fn set(&self, index: PortIndex, class: PortClass) -> Result<(), Error> {
        if self.mapping.store_u16(index.get() as usize, class.get()) {
            return Ok(());
        }
        Err(Error::PastEnd {
            map: Map::PortClass,
            index: index.get().into(),
        })
    }

    fn load(&self, index: u32) -> u16 {
        self.mapping.load_u16(index as usize).unwrap_or_default()
    }
}

impl AsFd for PortClasses {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The state that loader and programs share, mapped.
#[derive(Debug)]
pub struct State {
    fd: OwnedFd,
    mapping: Mapping,
}

impl State {
    const GENERATION: usize = 0;
    const LAYOUT: usize = 1;
    const PAGES: usize = 2;

    pub(super) fn new(fd: OwnedFd) -> Result<Self, Error> {
        let mapping = Mapping::new(&fd, size_of::<DatapathState>());
        Ok(Self {
            mapping: mapping.map_err(|source| mapping_error(Map::State, source))?,
            fd,
        })
    }

    /// Opens the pin of a state, whatever layout it speaks of.
    pub(crate) fn open_pinned(path: &Path) -> Result<Self, Error> {
        let fd = sys::pinned(path).map_err(|source| Error::Pin {
            path: path.into(),
            source,
        })?;
        Self::new(fd)
    }

    /// All fields.
    pub fn get(&self) -> DatapathState {
        let mut pages = [0; DatapathState::PAGE_WORDS];
        for (index, word) in pages.iter_mut().enumerate() {
            *word = self.load(Self::PAGES + index);
        }
        DatapathState {
            generation: self.load(Self::GENERATION),
            layout: self.load(Self::LAYOUT),
            pages,
        }
    }

    /// Makes every cached verdict stale. The loader is the only writer.
    pub fn bump_generation(&self) {
        // 0 is what an entry that was never decided carries.
        let next = self.load(Self::GENERATION).wrapping_add(1).max(1);
        self.store(Self::GENERATION, next);
    }

    /// Says that all maps stand and have this crate's layout.
    pub(crate) fn complete(&self) {
        self.store(Self::LAYOUT, DatapathState::LAYOUT);
    }

    /// The same state, mapped once more.
    pub(super) fn another(&self) -> Result<Self, Error> {
        let fd = self.fd.try_clone();
        Self::new(fd.map_err(|source| mapping_error(Map::State, source))?)
    }

    /// Notes that an identity page is about to stand.
    pub(super) fn note_page(&self, number: u32) {
        let (index, bit) = page_bit(number);
        self.store(index, self.load(index) | bit);
    }

    /// Whether an identity page may stand.
    pub(super) fn may_have_page(&self, number: u32) -> bool {
        let (index, bit) = page_bit(number);
        self.load(index) & bit != 0
    }

    fn load(&self, index: usize) -> u32 {
        self.mapping.load_u32(index).unwrap_or_default()
    }

    fn store(&self, index: usize, value: u32) {
        // Every index lies inside what `new` has mapped: page numbers are below the limit.
        let _: bool = self.mapping.store_u32(index, value);
    }
}

impl AsFd for State {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The word of the state that tells of an identity page, and the bit in it.
const fn page_bit(number: u32) -> (usize, u32) {
    (State::PAGES + number as usize / 32, 1 << (number % 32))
}

fn mapping_error(map: Map, source: io::Error) -> Error {
    Error::Mapping { map, source }
}
