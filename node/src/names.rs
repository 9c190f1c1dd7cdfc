//! Names and the addresses they were answered with.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::EndpointId;
use palisade_fqdn::{Answer, Cache, Changes, DnsName, Eviction, Limits, Lookup, MatchPattern};

/// Connections: an endpoint and the address that its connection leads to.
pub(crate) type Connections = BTreeSet<(EndpointId, IpAddr)>;

/// The addresses that endpoints learnt, and the connections that keep them.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    cache: Cache,
    /// The connections that lived when somebody last looked.
    live: Connections,
}

impl Names {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            cache: Cache::new(limits),
            live: Connections::new(),
        }
    }

    /// What a journal says, as far as it can be read.
    pub(crate) fn replay(limits: Limits, journal: &[u8]) -> Self {
        Self {
            cache: Cache::replay(limits, journal).cache,
            live: Connections::new(),
        }
    }

    /// Begins a journal with everything that is known.
    pub(crate) fn start_journal(&mut self) -> Vec<u8> {
        self.cache.start_journal()
    }

    /// What is to be appended to the journal, if there is one.
    pub(crate) fn take_journal(&mut self) -> Vec<u8> {
        self.cache.take_journal()
    }

    /// Learns an answer and says which addresses have other names now, and what had to go for it.
    pub(crate) fn learn(
        &mut self,
        answer: &Answer<'_>,
        now: Duration,
    ) -> (BTreeSet<IpAddr>, Vec<Eviction>) {
        let live = |endpoint, address| self.live.contains(&(endpoint, address));
        let mut changes = self.cache.update(answer, now, &live);
        let evicted = std::mem::take(&mut changes.evicted);
        (changed(changes), evicted)
    }

    /// Forgets what is over and not live, and says which addresses have other names now.
    pub(crate) fn expire(&mut self, live: Connections, now: Duration) -> BTreeSet<IpAddr> {
        self.live = live;
        let live = |endpoint, address| self.live.contains(&(endpoint, address));
        changed(self.cache.expire(now, &live))
    }

    /// Forgets what an endpoint has learnt, and says which addresses have other names now.
    pub(crate) fn forget(&mut self, endpoint: EndpointId) -> BTreeSet<IpAddr> {
        changed(self.cache.remove_endpoint(endpoint))
    }

    /// Forgets the names that a pattern selects, and says which addresses have other names now.
    pub(crate) fn forget_names(&mut self, pattern: &MatchPattern) -> BTreeSet<IpAddr> {
        changed(self.cache.forget(pattern))
    }

    /// Who has learnt something.
    pub(crate) fn endpoints(&self) -> BTreeSet<EndpointId> {
        let lookups = self.cache.lookups();
        lookups.map(|lookup| lookup.endpoint).collect()
    }

    /// When something may be over.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.cache.next_expiry()
    }

    /// The names that an address is known for.
    pub(crate) fn of(&self, address: IpAddr) -> impl Iterator<Item = &DnsName> {
        self.cache.names_of(address)
    }

    /// Every address that is known for a name that one of the patterns selects.
    pub(crate) fn matching<'a>(
        &self,
        patterns: impl Iterator<Item = &'a MatchPattern>,
    ) -> BTreeSet<IpAddr> {
        let pairs = patterns.flat_map(|pattern| self.cache.matching(pattern));
        pairs.map(|(address, _)| address).collect()
    }

    /// Everything that is known.
    pub(crate) fn lookups(&self) -> impl Iterator<Item = Lookup<'_>> {
        self.cache.lookups()
    }
}

fn changed(changes: Changes) -> BTreeSet<IpAddr> {
    let pairs = changes.added.into_iter().chain(changes.removed);
    pairs.map(|(address, _)| address).collect()
}
