//! The node-wide view: which names exist, and how many endpoints learnt an address under each.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use palisade_abi::Address;

use crate::name::DnsName;

/// The number of a name for as long as any endpoint holds an address of it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct NameId(u32);

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    ids: HashMap<DnsName, NameId>,
    records: Vec<Option<Record>>,
    free: Vec<NameId>,
    /// How many endpoints hold the pair; ordered, so that one address's names lie together.
    pairs: BTreeMap<(Address, NameId), usize>,
}

#[derive(Clone, Debug)]
struct Record {
    name: DnsName,
    addresses: usize,
}

impl Names {
    pub(super) fn id(&self, name: &DnsName) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    /// The number of a name; a new one is kept only if an address follows.
    pub(super) fn intern(&mut self, name: &DnsName) -> NameId {
        if let Some(id) = self.id(name) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.records.push(None);
            NameId(u32::try_from(self.records.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(place) = self.records.get_mut(id.0 as usize) {
            *place = Some(Record {
                name: name.clone(),
                addresses: 0,
            });
        }
        self.ids.insert(name.clone(), id);
        id
    }

    pub(super) fn name(&self, id: NameId) -> Option<&DnsName> {
        let record = self.records.get(id.0 as usize)?.as_ref()?;
        Some(&record.name)
    }

    /// One more endpoint holds the pair. Says whether it is the first.
    pub(super) fn hold(&mut self, id: NameId, address: Address) -> bool {
        let holders = self.pairs.entry((address, id)).or_default();
        *holders += 1;
        let first = *holders == 1;
        if first && let Some(Some(record)) = self.records.get_mut(id.0 as usize) {
            record.addresses += 1;
        }
        first
    }

    /// One endpoint less holds the pair. Gives the pair if nobody holds it any more.
    pub(super) fn drop(&mut self, id: NameId, address: Address) -> Option<(IpAddr, DnsName)> {
        let holders = self.pairs.get_mut(&(address, id))?;
        *holders -= 1;
        if *holders > 0 {
            return None;
        }
        self.pairs.remove(&(address, id));
        let place = self.records.get_mut(id.0 as usize)?;
        let record = place.as_mut()?;
        record.addresses -= 1;
        let name = record.name.clone();
        if record.addresses == 0 {
            *place = None;
            self.ids.remove(&name);
            self.free.push(id);
        }
        Some((address.ip(), name))
    }

    pub(super) fn of_address(&self, address: Address) -> impl Iterator<Item = &DnsName> {
        let all = (address, NameId(0))..=(address, NameId(u32::MAX));
        let pairs = self.pairs.range(all);
        pairs.filter_map(|((_, id), _)| self.name(*id))
    }

    /// Every pair whose name is wanted. Asks once for each name.
    pub(super) fn pairs(&self, wanted: impl Fn(&DnsName) -> bool) -> Vec<(IpAddr, DnsName)> {
        let wanted: Vec<Option<&DnsName>> = self
            .records
            .iter()
            .map(|record| Some(&record.as_ref()?.name).filter(|name| wanted(name)))
            .collect();
        let pair = |(address, id): &(Address, NameId)| {
            let name = wanted.get(id.0 as usize).copied().flatten()?;
            Some((address.ip(), name.clone()))
        };
        self.pairs.keys().filter_map(pair).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn pair_count(&self) -> usize {
        self.pairs.len()
    }
}
