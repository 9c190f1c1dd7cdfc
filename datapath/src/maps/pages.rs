use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use palisade_abi::{IDENTITY_PAGE_LEN, IDENTITY_PAGES, Identity, PeerClasses};
use zerocopy::IntoBytes;

use super::name::IDENTITY_PAGE;
use super::{Error, Map, State, Words};
use crate::sys;

/// Of identities of the cluster and of this node.
const FIRST_PAGES: [u32; 2] = [0, 0x100];

/// The peer classes of identities: pages of 65,536, made when the first identity of one is stored.
#[derive(Debug)]
pub struct IdentityPages {
    outer: OwnedFd,
    pages: BTreeMap<u32, Words<PeerClasses>>,
    state: State,
}

/// Which slots of the outer map need looking at; before 6.8 each look costs a grace period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slots {
    /// None: the map is new.
    Empty,
    /// Those that the state has a note of.
    Noted,
    /// Every one: the map is the caller's own.
    Any,
}

impl IdentityPages {
    const MAP: Map = Map::IdentityPages;

    pub(super) fn create_page() -> Result<OwnedFd, Error> {
        sys::map_create("id_page_v1", &IDENTITY_PAGE, None).map_err(|source| Error::Create {
            map: Self::MAP,
            source,
        })
    }

    /// Takes the outer map with the pages it holds.
    ///
    /// The first pages of the reserved and cluster-wide identities and of the local ones always are:
    /// a page costs a grace period, which the first address learnt by DNS would have to wait for.
    pub(super) fn new(outer: OwnedFd, slots: Slots, state: &State) -> Result<Self, Error> {
        let mut pages = Self {
            outer,
            pages: BTreeMap::new(),
            state: state.another()?,
        };
        let is_worth_a_look = |number: &u32| match slots {
            Slots::Empty => false,
            Slots::Noted => state.may_have_page(*number),
            Slots::Any => true,
        };
        for number in (0..IDENTITY_PAGES).filter(is_worth_a_look) {
            if let Some(page) = pages.open(number)? {
                state.note_page(number);
                pages.pages.insert(number, page);
            }
        }
        for number in FIRST_PAGES {
            if !pages.pages.contains_key(&number) {
                pages.add(number, PeerClasses::default(), 0)?;
            }
        }
        Ok(pages)
    }

    /// The classes of an identity; unknown without a page.
    pub fn get(&self, identity: Identity) -> PeerClasses {
        let (number, index) = split(identity);
        let page = self.pages.get(&number);
        page.and_then(|page| page.get(index)).unwrap_or_default()
    }

    /// Stores the classes of an identity: one mapped store, but for the first of a page.
    ///
    /// # Errors
    /// [`Error::Identity`], and for the first of a page [`Error::Create`] or [`Error::Write`].
    pub fn set(&mut self, identity: Identity, classes: PeerClasses) -> Result<(), Error> {
        let (number, index) = split(identity);
        if number >= IDENTITY_PAGES {
            return Err(Error::Identity { identity });
        }
        match self.pages.get(&number) {
            Some(page) => page.set(index, &classes),
            None if classes == PeerClasses::default() => Ok(()),
            None => self.add(number, classes, index),
        }
    }

    /// Identities with classes other than unknown.
    pub fn entries(&self) -> impl Iterator<Item = (Identity, PeerClasses)> {
        self.pages.iter().flat_map(|(number, page)| {
            page.entries()
                .map(move |(index, classes)| (Identity::new(number << 16 | index), classes))
        })
    }

    /// Waits until no program reads what earlier stores have replaced.
    ///
    /// The kernel waits for a grace period after every update of a map of maps, also after one that
    /// puts the same page where it is.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn wait_for_readers(&self) -> Result<(), Error> {
        match self.pages.get(&0) {
            Some(page) => self.publish(0, page),
            None => Ok(()),
        }
    }

    /// A page goes into the outer map with its first word in place, so no reader sees it empty.
    fn add(&mut self, number: u32, classes: PeerClasses, index: u32) -> Result<(), Error> {
        let page = Words::new(Self::MAP, Self::create_page()?, IDENTITY_PAGE_LEN)?;
        page.set(index, &classes)?;
        // First, so that no start after this one misses a page that stands.
        self.state.note_page(number);
        self.publish(number, &page)?;
        self.pages.insert(number, page);
        Ok(())
    }

    fn publish(&self, number: u32, page: &Words<PeerClasses>) -> Result<(), Error> {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&page.as_fd());
        sys::map_update(self.outer.as_fd(), number.as_bytes(), fd.as_bytes()).map_err(|source| {
            Error::Write {
                map: Self::MAP,
                source,
            }
        })
    }

    fn open(&self, number: u32) -> Result<Option<Words<PeerClasses>>, Error> {
        let read = |source| Error::Read {
            map: Self::MAP,
            source,
        };
        let mut id = 0_u32;
        let key = number.as_bytes();
        if !sys::map_lookup(self.outer.as_fd(), key, id.as_mut_bytes()).map_err(read)? {
            return Ok(None);
        }
        let page = sys::map_by_id(id).map_err(read)?;
        Words::new(Self::MAP, page, IDENTITY_PAGE_LEN).map(Some)
    }
}

fn split(identity: Identity) -> (u32, u32) {
    (identity.get() >> 16, identity.get() & 0xffff)
}

impl AsFd for IdentityPages {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outer.as_fd()
    }
}
