//! The addresses of one name of one endpoint.

use palisade_abi::{Address, EndpointId};

use super::moment::Moment;
use super::names::NameId;
use super::slab::{Id, Slab};
use super::wheel::NOWHERE;

/// What an endpoint holds under a name, with its places in two lists.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: NameId,
    pub(super) endpoint: EndpointId,
    /// Where in the [wheel](super::wheel::Wheel) it waits, and between which others.
    pub(super) slot: u16,
    pub(super) before: Option<EntryId>,
    pub(super) after: Option<EntryId>,
    /// Its neighbours by use among the endpoint's names.
    pub(super) older: Option<EntryId>,
    pub(super) newer: Option<EntryId>,
    pub(super) used: Turn,
    pub(super) held: Holding,
}

pub(super) type EntryId = Id<Entry>;

/// Counts uses, so that of any two one is the earlier. It may wrap: then an order is off, no more.
pub(super) type Turn = u32;

/// Addresses with the ends of their times. A single one takes no memory of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holding {
    None,
    One(Address, Moment),
    /// Sorted by address.
    Many(Id<Vec<Held>>),
}

/// The addresses of all entries that have more than one.
pub(super) type Lists = Slab<Vec<Held>>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) address: Address,
    pub(super) expires: Moment,
    pub(super) used: Turn,
}

/// What became known of an address by holding it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    /// It was not held.
    New,
    /// It was held.
    Known,
}

impl Entry {
    pub(super) const fn new(endpoint: EndpointId, name: NameId) -> Self {
        Self {
            name,
            endpoint,
            slot: NOWHERE,
            before: None,
            after: None,
            older: None,
            newer: None,
            used: 0,
            held: Holding::None,
        }
    }

    /// Holds an address at least as long as this.
    pub(super) fn hold(
        &mut self,
        lists: &mut Lists,
        address: Address,
        expires: Moment,
        turn: Turn,
    ) -> News {
        match &mut self.held {
            Holding::None => {
                self.held = Holding::One(address, expires);
                self.used = turn;
                News::New
            }
            Holding::One(only, until) if *only == address => {
                *until = (*until).max(expires);
                self.used = turn;
                News::Known
            }
            Holding::One(only, until) => {
                let first = Held {
                    address: *only,
                    expires: *until,
                    used: self.used,
                };
                let mut list = Vec::with_capacity(2);
                list.push(first);
                insert(&mut list, address, expires, turn);
                self.held = Holding::Many(lists.insert(list));
                News::New
            }
            Holding::Many(id) => match lists.get_mut(*id) {
                Some(list) => insert(list, address, expires, turn),
                None => News::Known,
            },
        }
    }

    /// The addresses, sorted, each with the turn of its last use.
    pub(super) fn addresses<'a>(&self, lists: &'a Lists) -> impl Iterator<Item = Held> + use<'a> {
        let (one, many) = match self.held {
            Holding::None => (None, None),
            Holding::One(address, expires) => {
                let used = self.used;
                let only = Held {
                    address,
                    expires,
                    used,
                };
                (Some(only), None)
            }
            Holding::Many(id) => (None, lists.get(id)),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }

    /// The addresses, the longest unused first.
    pub(super) fn by_use(&self, lists: &Lists) -> Vec<Held> {
        let mut held: Vec<Held> = self.addresses(lists).collect();
        held.sort_unstable_by_key(|held| (self.age(held.used), held.address));
        held
    }

    /// When the first of the addresses is over.
    pub(super) fn earliest(&self, lists: &Lists) -> Moment {
        let times = self.addresses(lists).map(|held| held.expires);
        times.min().unwrap_or(Moment::NEVER)
    }

    /// Keeps the addresses that `keep` is true of.
    pub(super) fn retain(&mut self, lists: &mut Lists, mut keep: impl FnMut(&mut Held) -> bool) {
        match self.held {
            Holding::None => {}
            Holding::One(address, expires) => {
                let used = self.used;
                let mut only = Held {
                    address,
                    expires,
                    used,
                };
                if !keep(&mut only) {
                    self.held = Holding::None;
                }
            }
            Holding::Many(id) => {
                let Some(list) = lists.get_mut(id) else {
                    return;
                };
                list.retain_mut(keep);
                if list.is_empty() {
                    lists.remove(id);
                    self.held = Holding::None;
                } else if list.len() < list.capacity() / 4 {
                    list.shrink_to_fit();
                }
            }
        }
    }

    /// The addresses to give up so that `limit` are left: the longest unused that `live` is not
    /// true of. Of live addresses only a few are passed over; these count as used now. Addresses
    /// used at the entry's last turn stay, and are no more than the limit.
    pub(super) fn excess(
        &mut self,
        lists: &mut Lists,
        limit: usize,
        live: impl Fn(Address) -> bool,
    ) -> Vec<Victim> {
        let Holding::Many(id) = self.held else {
            return Vec::new();
        };
        let turn = self.used;
        let Some(list) = lists.get_mut(id).filter(|list| list.len() > limit) else {
            return Vec::new();
        };
        let excess = list.len() - limit;
        let mut older: Vec<_> = list.iter().filter(|held| held.used != turn).collect();
        let by_use = |held: &&Held| (turn.wrapping_sub(held.used) ^ Turn::MAX, held.address);
        if older.len() > excess + CHANCES {
            older.select_nth_unstable_by_key(excess + CHANCES, by_use);
            older.truncate(excess + CHANCES);
        }
        older.sort_unstable_by_key(by_use);
        let (mut spared, mut gone) = (Vec::new(), Vec::with_capacity(excess));
        for address in older.into_iter().map(|held| held.address) {
            if gone.len() == excess {
                break;
            }
            if spared.len() < CHANCES && live(address) {
                spared.push(address);
            } else {
                let live = false;
                gone.push(Victim { address, live });
            }
        }
        let missing = (excess - gone.len()).min(spared.len());
        let unlucky = spared.drain(..missing);
        gone.extend(unlucky.map(|address| Victim {
            address,
            live: true,
        }));
        gone.sort_unstable_by_key(|victim| victim.address);
        spared.sort_unstable();
        list.retain_mut(|held| {
            if spared.binary_search(&held.address).is_ok() {
                held.used = turn;
            }
            let place = gone.binary_search_by_key(&held.address, |victim| victim.address);
            place.is_err()
        });
        gone
    }

    /// Sorts what was used long ago before what was used just now, however the turns wrapped.
    const fn age(&self, used: Turn) -> Turn {
        self.used.wrapping_sub(used) ^ Turn::MAX
    }
}

/// An address that had to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    pub(super) address: Address,
    /// Whether a connection led to it.
    pub(super) live: bool,
}

fn insert(list: &mut Vec<Held>, address: Address, expires: Moment, used: Turn) -> News {
    match list.binary_search_by_key(&address, |held| held.address) {
        Ok(place) => {
            if let Some(held) = list.get_mut(place) {
                held.expires = held.expires.max(expires);
                held.used = used;
            }
            News::Known
        }
        Err(place) => {
            if list.len() == list.capacity() {
                list.reserve_exact(list.len() / 4 + 1);
            }
            let held = Held {
                address,
                expires,
                used,
            };
            list.insert(place, held);
            News::New
        }
    }
}

/// How many live names or addresses one eviction passes over: enough to keep connections, and few
/// enough that a pod with many of them cannot slow down its node.
pub(super) const CHANCES: usize = 8;

const _: () = assert!(size_of::<Entry>() == 56 && size_of::<Held>() == 28);
