//! What is held, with everything that has to agree about it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashTable;
use palisade_abi::{Address, EndpointId};

use super::changes::Usage;
use super::endpoint::Endpoint;
use super::entry::{Entry, EntryId, Held, Lists, News, Turn};
use super::moment::Moment;
use super::names::{NameId, Names};
use super::pairs::Pairs;
use super::slab::Slab;
use super::wheel::Wheel;
use crate::name::DnsName;

/// Names, pairs, entries and the lists that they are in. It decides nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) names: Names,
    pub(super) pairs: Pairs,
    pub(super) entries: Slab<Entry>,
    pub(super) lists: Lists,
    /// The entries by endpoint and name.
    table: HashTable<EntryId>,
    pub(super) endpoints: BTreeMap<EndpointId, Endpoint>,
    pub(super) wheel: Wheel,
    /// Over all endpoints.
    pub(super) usage: Usage,
    pub(super) turn: Turn,
}

/// Pairs that somebody has to hear of.
type Told = Vec<(IpAddr, DnsName)>;

impl Store {
    /// Holds addresses under a name, which counts as used now.
    ///
    /// `None` if there is no address.
    pub(super) fn put(
        &mut self,
        endpoint: EndpointId,
        name: &DnsName,
        addresses: impl Iterator<Item = (Address, Moment)>,
        added: &mut Told,
    ) -> Option<EntryId> {
        let mut addresses = addresses.peekable();
        addresses.peek()?;
        self.turn = self.turn.wrapping_add(1);
        let name_id = self.names.intern(name);
        let known = self.find(endpoint, name_id);
        let id = known.unwrap_or_else(|| self.open(endpoint, name_id, name));
        let of = self.endpoints.get_mut(&endpoint)?;
        let entry = self.entries.get_mut(id)?;
        let mut soonest = Moment::NEVER;
        for (address, expires) in addresses {
            soonest = soonest.min(expires);
            if entry.hold(&mut self.lists, address, expires, self.turn) == News::Known {
                continue;
            }
            of.usage.add_address();
            self.usage.add_address();
            if self.pairs.hold(address, name_id) {
                added.push((address.ip(), name.clone()));
            }
        }
        if known.is_some() {
            self.wheel.hasten(&mut self.entries, id, soonest);
        } else {
            self.wheel.place(&mut self.entries, id, soonest);
        }
        of.touch(&mut self.entries, id, self.turn);
        Some(id)
    }

    pub(super) fn find(&self, endpoint: EndpointId, name: NameId) -> Option<EntryId> {
        let is_same = |id: &EntryId| {
            let entry = self.entries.get(*id);
            entry.is_some_and(|entry| entry.name == name && entry.endpoint == endpoint)
        };
        self.table.find(hash(endpoint, name), is_same).copied()
    }

    /// Keeps those of an entry's addresses that `keep` is true of; an entry without one goes.
    /// Says whether it is left.
    pub(super) fn retain(
        &mut self,
        id: EntryId,
        removed: &mut Told,
        mut keep: impl FnMut(&mut Held) -> bool,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        let (endpoint, name) = (entry.endpoint, entry.name);
        let Some(of) = self.endpoints.get_mut(&endpoint) else {
            return false;
        };
        let mut left = false;
        entry.retain(&mut self.lists, |held| {
            if keep(held) {
                left = true;
                return true;
            }
            of.usage.remove_address();
            self.usage.remove_address();
            if self.pairs.release(held.address, name) {
                let name = self.names.name(name).cloned();
                removed.extend(name.map(|name| (held.address.ip(), name)));
            }
            false
        });
        if !left {
            self.close(id);
        }
        left
    }

    /// Notes that addresses are no longer in the list of an entry, which holds others.
    pub(super) fn release(
        &mut self,
        id: EntryId,
        addresses: impl Iterator<Item = Address>,
        removed: &mut Told,
    ) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let (endpoint, name) = (entry.endpoint, entry.name);
        for address in addresses {
            if let Some(of) = self.endpoints.get_mut(&endpoint) {
                of.usage.remove_address();
                self.usage.remove_address();
            }
            if self.pairs.release(address, name) {
                let name = self.names.name(name).cloned();
                removed.extend(name.map(|name| (address.ip(), name)));
            }
        }
    }

    /// The name of an entry, and whose it is.
    pub(super) fn title(&self, id: EntryId) -> Option<(EndpointId, &DnsName)> {
        let entry = self.entries.get(id)?;
        Some((entry.endpoint, self.names.name(entry.name)?))
    }

    /// Every entry by endpoint, of each the longest unused first.
    pub(super) fn by_use(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        let endpoints = self.endpoints.values();
        endpoints.flat_map(|endpoint| endpoint.by_use(&self.entries))
    }

    /// Whether most of the memory holds nothing.
    pub(super) fn is_sparse(&self) -> bool {
        self.entries.is_sparse()
            || self.names.is_sparse()
            || self.pairs.is_sparse()
            || self.lists.is_sparse()
    }

    /// The same in no more memory than it takes.
    pub(super) fn packed(&self) -> Self {
        let mut packed = Self::default();
        let mut unheard = Told::new();
        for (_, entry) in self.by_use() {
            let Some(name) = self.names.name(entry.name) else {
                continue;
            };
            let mut end = entry.by_use(&self.lists).into_iter().peekable();
            while let Some(first) = end.next() {
                // Addresses of one use keep it in common.
                let mut alike = vec![(first.address, first.expires)];
                while let Some(next) = end.next_if(|next| next.used == first.used) {
                    alike.push((next.address, next.expires));
                }
                packed.put(entry.endpoint, name, alike.into_iter(), &mut unheard);
            }
        }
        packed
    }

    fn open(&mut self, endpoint: EndpointId, name_id: NameId, name: &DnsName) -> EntryId {
        let Self {
            names,
            entries,
            table,
            endpoints,
            usage,
            turn,
            ..
        } = self;
        names.take(name_id);
        let id = entries.insert(Entry::new(endpoint, name_id));
        table.insert_unique(hash(endpoint, name_id), id, |id| {
            let entry = entries.get(*id);
            entry.map_or(0, |entry| hash(entry.endpoint, entry.name))
        });
        let of = endpoints.entry(endpoint).or_default();
        of.usage.add_name(name.as_wire().len());
        usage.add_name(name.as_wire().len());
        of.push(entries, id, *turn);
        id
    }

    /// Takes away an entry that holds nothing any more.
    fn close(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let (endpoint, name) = (entry.endpoint, entry.name);
        let length = self.names.name(name).map_or(0, |name| name.as_wire().len());
        self.wheel.remove(&mut self.entries, id);
        if let Some(of) = self.endpoints.get_mut(&endpoint) {
            of.unlink(&mut self.entries, id);
            of.usage.remove_name(length);
            self.usage.remove_name(length);
            if of.usage.names == 0 {
                self.endpoints.remove(&endpoint);
            }
        }
        let place = self
            .table
            .find_entry(hash(endpoint, name), |other| *other == id);
        if let Ok(place) = place {
            place.remove();
        }
        self.names.release(name);
        self.entries.remove(id);
    }
}

/// Without a secret: the numbers are our own.
fn hash(endpoint: EndpointId, name: NameId) -> u64 {
    let key = u64::from(name.get()) << 16 | u64::from(endpoint.get());
    let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ spread >> 32
}
