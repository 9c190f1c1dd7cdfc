//! The cache as plain data, for a restart.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::{Address, EndpointId};

use super::{Cache, Changes, Limits, Live, Moment};
use crate::name::DnsName;

/// What an endpoint holds under one name.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record {
    /// Who asked.
    pub endpoint: EndpointId,
    /// The name that was asked for.
    pub name: DnsName,
    /// The addresses and when their time is over, the longest unused first.
    pub addresses: Vec<(IpAddr, Duration)>,
}

impl Cache {
    /// Everything that is held and nothing else; of each endpoint the longest unused first.
    pub fn snapshot(&self) -> Vec<Record> {
        let entries = self.store.by_use().filter_map(|(_, entry)| {
            let held = entry.by_use(&self.store.lists).into_iter();
            Some(Record {
                endpoint: entry.endpoint,
                name: self.store.names.name(entry.name)?.clone(),
                addresses: held
                    .map(|held| (held.address.ip(), Moment::duration(held.expires)))
                    .collect(),
            })
        });
        entries.collect()
    }

    /// A cache that holds what another one did, as far as the limits allow.
    ///
    /// Times keep their meaning, so the epoch must be the same. The pairs that are known after are
    /// those of [`Cache::matching`] any name.
    pub fn restore(limits: Limits, records: &[Record]) -> Self {
        let mut cache = Self::new(limits);
        let nobody: Live<'_> = &|_, _| false;
        for record in records {
            // Nobody has heard of the pairs yet, so none has to be taken back.
            let _unheard = cache.admit(record, nobody);
        }
        cache
    }

    /// Holds what somebody else knows; see [`Record`]. What then exceeds a limit goes.
    pub fn admit(&mut self, record: &Record, live: Live<'_>) -> Changes {
        let mut changes = Changes::default();
        for (address, expires) in &record.addresses {
            // One by one, so that of more than a limit the last used ones stay.
            let held = [(Address::from(*address), Moment::from(*expires))];
            let more = self.hold(record.endpoint, &record.name, held.into_iter(), live);
            changes.added.extend(more.added);
            changes.removed.extend(more.removed);
            changes.evicted.extend(more.evicted);
        }
        changes
    }
}
