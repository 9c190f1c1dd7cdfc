//! Names and the addresses they were answered with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use palisade_fqdn::DnsName;

use crate::config::NameLimits;

/// The addresses of names, until their time is over and no connection leads to them.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    limits: NameLimits,
    by_name: BTreeMap<DnsName, BTreeMap<IpAddr, Duration>>,
    by_address: BTreeMap<IpAddr, BTreeSet<DnsName>>,
}

impl Names {
    pub(crate) fn new(limits: NameLimits) -> Self {
        Self {
            limits,
            by_name: BTreeMap::new(),
            by_address: BTreeMap::new(),
        }
    }

    /// Learns addresses of a name and returns those that had to make room.
    pub(crate) fn learn(
        &mut self,
        name: &DnsName,
        addresses: &[IpAddr],
        ttl: Duration,
        now: Duration,
    ) -> Vec<IpAddr> {
        let until = now + ttl.max(self.limits.min_ttl);
        for address in addresses {
            self.set(name, *address, until);
        }
        Vec::new()
    }

    /// Forgets what is over and not live, and says which addresses that concerns.
    pub(crate) fn expire(
        &mut self,
        live: &BTreeSet<IpAddr>,
        now: Duration,
    ) -> impl Iterator<Item = IpAddr> + use<> {
        let mut gone = BTreeSet::new();
        self.by_name.retain(|name, addresses| {
            addresses.retain(|address, until| {
                let stays = *until > now || live.contains(address);
                if !stays {
                    gone.insert((*address, name.clone()));
                }
                stays
            });
            !addresses.is_empty()
        });
        for (address, name) in &gone {
            if let Some(names) = self.by_address.get_mut(address) {
                names.remove(name);
                if names.is_empty() {
                    self.by_address.remove(address);
                }
            }
        }
        gone.into_iter().map(|(address, _)| address)
    }

    /// The names that an address is known for.
    pub(crate) fn of(&self, address: IpAddr) -> impl Iterator<Item = &DnsName> {
        self.by_address.get(&address).into_iter().flatten()
    }

    /// Every address that is known for a name.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.by_address.keys().copied()
    }

    /// Every name with its addresses and when each is over.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&DnsName, IpAddr, Duration)> {
        let names = self.by_name.iter();
        names.flat_map(|(name, addresses)| {
            let addresses = addresses.iter();
            addresses.map(move |(address, until)| (name, *address, *until))
        })
    }

    /// What to know again after a restart.
    pub(crate) fn checkpoint(&self) -> BTreeMap<String, BTreeMap<IpAddr, Duration>> {
        let names = self.by_name.iter();
        names
            .map(|(name, addresses)| (name.to_string(), addresses.clone()))
            .collect()
    }

    /// Knows again what was known before.
    pub(crate) fn restore(&mut self, known: &BTreeMap<String, BTreeMap<IpAddr, Duration>>) {
        for (name, addresses) in known {
            // What was printed by us can be read.
            let Ok(name) = DnsName::parse(name) else {
                continue;
            };
            for (address, until) in addresses {
                self.set(&name, *address, *until);
            }
        }
    }

    fn set(&mut self, name: &DnsName, address: IpAddr, until: Duration) {
        let addresses = self.by_name.entry(name.clone()).or_default();
        let known = addresses.entry(address).or_default();
        *known = until.max(*known);
        self.by_address
            .entry(address)
            .or_default()
            .insert(name.clone());
    }
}
