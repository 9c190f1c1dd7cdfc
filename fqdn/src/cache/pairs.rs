//! The node-wide view: under which names any endpoint holds an address.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use palisade_abi::Address;

use super::names::NameId;
use super::slab::{Id, Slab};

/// Pairs of address and name, each with how many endpoints hold it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    slab: Slab<Named>,
    /// The places by address.
    table: HashTable<Id<Named>>,
    /// Has a secret, since a pod may run the server that answers it.
    hasher: RandomState,
    count: usize,
}

/// An address with its names. Nearly all have one, which takes no memory of its own.
#[derive(Clone, Debug)]
struct Named {
    address: Address,
    name: NameId,
    holders: u32,
    #[expect(
        clippy::box_collection,
        reason = "a third of a map's own size, for every address"
    )]
    others: Option<Box<BTreeMap<NameId, u32>>>,
}

impl Pairs {
    /// One more endpoint holds the pair. Says whether it is the first.
    pub(super) fn hold(&mut self, address: Address, name: NameId) -> bool {
        let hash = self.hasher.hash_one(address);
        let Some(named) = self.find_mut(hash, address) else {
            self.insert(hash, address, name);
            return true;
        };
        if named.name == name {
            named.holders += 1;
            return false;
        }
        let others = named.others.get_or_insert_default();
        let holders = others.entry(name).or_default();
        *holders += 1;
        let first = *holders == 1;
        self.count += usize::from(first);
        first
    }

    /// One endpoint less holds the pair. Says whether it was the last.
    pub(super) fn release(&mut self, address: Address, name: NameId) -> bool {
        let hash = self.hasher.hash_one(address);
        let Some(named) = self.find_mut(hash, address) else {
            return false;
        };
        let holders = if named.name == name {
            Some(&mut named.holders)
        } else {
            named.others.as_mut().and_then(|all| all.get_mut(&name))
        };
        let Some(holders) = holders else {
            return false;
        };
        *holders -= 1;
        if *holders > 0 {
            return false;
        }
        let empty = named.remove(name);
        self.count -= 1;
        if empty {
            self.remove(hash, address);
        }
        true
    }

    /// The names of an address.
    pub(super) fn of_address(&self, address: Address) -> impl Iterator<Item = NameId> {
        let named = self.find(self.hasher.hash_one(address), address);
        let named = named.and_then(|id| self.slab.get(id));
        named.into_iter().flat_map(Named::names)
    }

    /// Every pair, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Address, NameId)> {
        let named = self.slab.values();
        named.flat_map(|named| named.names().map(|name| (named.address, name)))
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.slab.is_sparse()
    }

    fn find(&self, hash: u64, address: Address) -> Option<Id<Named>> {
        let is_same = |id: &Id<Named>| {
            let named = self.slab.get(*id);
            named.is_some_and(|named| named.address == address)
        };
        self.table.find(hash, is_same).copied()
    }

    fn find_mut(&mut self, hash: u64, address: Address) -> Option<&mut Named> {
        let id = self.find(hash, address)?;
        self.slab.get_mut(id)
    }

    fn insert(&mut self, hash: u64, address: Address, name: NameId) {
        let Self {
            slab,
            table,
            hasher,
            count,
        } = self;
        *count += 1;
        let id = slab.insert(Named {
            address,
            name,
            holders: 1,
            others: None,
        });
        table.insert_unique(hash, id, |id| {
            let named = slab.get(*id);
            named.map_or(0, |named| hasher.hash_one(named.address))
        });
    }

    fn remove(&mut self, hash: u64, address: Address) {
        let slab = &self.slab;
        let is_same = |id: &Id<Named>| slab.get(*id).is_some_and(|named| named.address == address);
        if let Ok(place) = self.table.find_entry(hash, is_same) {
            let (id, _) = place.remove();
            self.slab.remove(id);
        }
    }
}

impl Named {
    fn names(&self) -> impl Iterator<Item = NameId> {
        let others = self.others.iter().flat_map(|others| others.keys().copied());
        std::iter::once(self.name).chain(others)
    }

    /// Takes a name out that nobody holds any more. Says whether none is left.
    fn remove(&mut self, name: NameId) -> bool {
        let next = match &mut self.others {
            Some(others) if self.name == name => others.pop_first(),
            Some(others) => {
                others.remove(&name);
                None
            }
            None => return true,
        };
        if let Some((name, holders)) = next {
            (self.name, self.holders) = (name, holders);
        }
        if self.others.as_ref().is_some_and(|others| others.is_empty()) {
            self.others = None;
        }
        false
    }
}

const _: () = assert!(size_of::<Named>() == 32);
