//! Which names there are.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::slab::{Id, Slab};
use crate::name::DnsName;

/// Every name once, under a number, for as long as an endpoint has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    slab: Slab<Name>,
    /// The numbers by name.
    table: HashTable<NameId>,
    /// Has a secret, since pods choose the names.
    hasher: RandomState,
}

#[derive(Clone, Debug)]
pub(super) struct Name {
    name: DnsName,
    /// How many endpoints have it.
    users: u32,
}

pub(super) type NameId = Id<Name>;

impl Names {
    pub(super) fn find(&self, name: &DnsName) -> Option<NameId> {
        let hash = self.hasher.hash_one(name);
        let found = self.table.find(hash, |id| self.name(*id) == Some(name));
        found.copied()
    }

    /// The number of a name; a new one is to be [taken](Self::take).
    pub(super) fn intern(&mut self, name: &DnsName) -> NameId {
        let Self {
            slab,
            table,
            hasher,
        } = self;
        let hash = hasher.hash_one(name);
        let is_same = |id: &NameId| slab.get(*id).is_some_and(|known| known.name == *name);
        if let Some(id) = table.find(hash, is_same) {
            return *id;
        }
        let name = name.clone();
        let id = slab.insert(Name { name, users: 0 });
        table.insert_unique(hash, id, |id| {
            slab.get(*id)
                .map_or(0, |known| hasher.hash_one(&known.name))
        });
        id
    }

    /// One more endpoint has the name.
    pub(super) fn take(&mut self, id: NameId) {
        if let Some(name) = self.slab.get_mut(id) {
            name.users += 1;
        }
    }

    /// One endpoint less has the name, which goes with the last one.
    pub(super) fn release(&mut self, id: NameId) {
        let Some(name) = self.slab.get_mut(id) else {
            return;
        };
        name.users = name.users.saturating_sub(1);
        if name.users > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&name.name);
        if let Ok(place) = self.table.find_entry(hash, |other| *other == id) {
            place.remove();
        }
        self.slab.remove(id);
    }

    pub(super) fn name(&self, id: NameId) -> Option<&DnsName> {
        self.slab.get(id).map(|known| &known.name)
    }

    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.slab.is_sparse()
    }
}

const _: () = assert!(size_of::<Name>() == 24);
