//! What a cache knows.

use std::net::IpAddr;

use palisade_abi::EndpointId;

use super::changes::{Lookup, Usage};
use super::names::NameId;
use super::{Cache, Moment};
use crate::name::DnsName;
use crate::pattern::MatchPattern;

impl Cache {
    /// The names under which any endpoint holds an address.
    pub fn names_of(&self, address: IpAddr) -> impl Iterator<Item = &DnsName> {
        let ids = self.store.pairs.of_address(address.into());
        ids.filter_map(|id| self.store.names.name(id))
    }

    /// The pairs of address and name that the node knows, of names that a pattern selects.
    pub fn matching(&self, pattern: &MatchPattern) -> Vec<(IpAddr, DnsName)> {
        // A pattern without stars needs no look at the others' names.
        let only = pattern.name().map(|name| self.store.names.find(&name));
        let selected = |id: NameId| {
            if let Some(only) = only {
                return only == Some(id);
            }
            let name = self.store.names.name(id);
            name.is_some_and(|name| pattern.matches(name))
        };
        let pairs = self.store.pairs.iter().filter(|(_, id)| selected(*id));
        let named = pairs
            .filter_map(|(address, id)| Some((address.ip(), self.store.names.name(id)?.clone())));
        named.collect()
    }

    /// Everything that is held, by endpoint, a name's addresses together.
    pub fn lookups(&self) -> impl Iterator<Item = Lookup<'_>> {
        let named = self.store.by_use().filter_map(|(_, entry)| {
            let name = self.store.names.name(entry.name)?;
            Some((name, entry))
        });
        named.flat_map(|(name, entry)| {
            let held = entry.addresses(&self.store.lists);
            held.map(move |held| Lookup {
                endpoint: entry.endpoint,
                name,
                address: held.address.ip(),
                expires: Moment::duration(held.expires),
            })
        })
    }

    /// How many different names there are.
    pub fn name_count(&self) -> usize {
        self.store.names.len()
    }

    /// How many different pairs of address and name there are.
    pub fn pair_count(&self) -> usize {
        self.store.pairs.len()
    }

    /// How much all endpoints use.
    pub const fn usage(&self) -> Usage {
        self.store.usage
    }

    /// How much an endpoint uses.
    pub fn usage_of(&self, endpoint: EndpointId) -> Usage {
        let known = self.store.endpoints.get(&endpoint);
        known.map(|known| known.usage).unwrap_or_default()
    }
}
