//! The cache as plain data, for a restart.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::EndpointId;

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
        let mut records = Vec::with_capacity(self.entries);
        for (endpoint, known) in &self.endpoints {
            for (id, entry) in known.by_use() {
                let Some(name) = self.names.name(id).cloned() else {
                    continue;
                };
                let mut held = entry.held.clone();
                held.sort_unstable_by_key(|held| (held.used, held.address));
                let addresses = held.iter();
                records.push(Record {
                    endpoint: *endpoint,
                    name,
                    addresses: addresses
                        .map(|held| (held.address.ip(), held.expires.duration()))
                        .collect(),
                });
            }
        }
        records
    }

    /// A cache that holds what another one did, as far as the limits allow.
    ///
    /// Times keep their meaning, so the epoch must be the same. The pairs that are known after are
    /// those of [`Cache::matching`] any name.
    pub fn restore(limits: Limits, records: &[Record]) -> Self {
        let mut cache = Self::new(limits);
        let nobody: Live<'_> = &|_, _| false;
        // Nobody has heard of the pairs yet, so none has to be taken back.
        let mut unheard = Changes::default();
        for record in records {
            for (address, expires) in &record.addresses {
                let held = [((*address).into(), Moment::from(*expires))];
                let Record { endpoint, name, .. } = record;
                cache.hold(*endpoint, name, held.into_iter(), nobody, &mut unheard);
            }
        }
        cache
    }
}
