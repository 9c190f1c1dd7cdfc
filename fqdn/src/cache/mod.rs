//! What names were answered with, for how long, and for whom.

mod changes;
mod endpoint;
mod entry;
pub mod journal;
mod limits;
mod moment;
mod names;
mod pairs;
mod slab;
mod snapshot;
mod store;
mod view;
mod wheel;

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::{Address, EndpointId};

pub use self::changes::{Answer, Changes, Eviction, Live, Lookup, Usage};
pub use self::limits::{Bound, Limits};
pub use self::snapshot::Record;

use self::entry::EntryId;
use self::journal::Recorder;
use self::moment::Moment;
use self::store::Store;
use crate::name::DnsName;
use crate::pattern::MatchPattern;

/// The addresses that endpoints learnt for names.
///
/// Each endpoint has names and addresses of its own, within [`Limits`]; the node as a whole knows
/// a pair of address and name while any endpoint does. What changes for the node is handed out as
/// [`Changes`]. An address whose time is over stays as long as a connection to it lives.
///
/// Time is a duration since whatever the caller likes, such as boot. For a restart there is a
/// [snapshot](Cache::snapshot), or a [journal](crate::journal).
///
/// ```
/// use std::time::Duration;
/// use palisade_abi::EndpointId;
/// use palisade_fqdn::{Answer, Cache, DnsName, Limits};
///
/// let second = Duration::from_secs(1);
/// let mut cache = Cache::new(Limits { grace: Duration::ZERO, ..Limits::default() });
/// let (name, address) = (DnsName::parse("api.example.com")?, "192.0.2.1".parse()?);
/// let answer = Answer {
///     endpoint: EndpointId::new(1),
///     name: &name,
///     addresses: &[address],
///     ttl: 30 * second,
/// };
/// let changes = cache.update(&answer, Duration::ZERO, &|_, _| false);
/// assert_eq!(changes.added, [(address, name.clone())]);
///
/// // While a connection lives, the address stays past its time.
/// assert!(cache.expire(31 * second, &|_, peer| peer == address).is_empty());
/// assert_eq!(cache.expire(32 * second, &|_, _| false).removed, [(address, name)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cache {
    limits: Limits,
    store: Store,
    /// What happened since somebody last asked, if anybody wants to know.
    recorder: Option<Recorder>,
}

impl Cache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: limits.consistent(),
            store: Store::default(),
            recorder: None,
        }
    }

    /// Takes in an answer. What then exceeds a limit goes, but for connections that live.
    pub fn update(&mut self, answer: &Answer<'_>, now: Duration, live: Live<'_>) -> Changes {
        let expires = self.limits.expiry(now, answer.ttl);
        let addresses = answer.addresses.iter().take(self.limits.addresses_per_name);
        let held = addresses.map(|address| (Address::from(*address), expires.into()));
        self.hold(answer.endpoint, answer.name, held, live)
    }

    /// Lets go of addresses whose time is over and to which no connection lives.
    ///
    /// `now` must not be later than when the connections were looked at: an address that ends
    /// after that look may have got a connection that the look has missed. Addresses that only a
    /// connection keeps are asked about each time.
    pub fn expire(&mut self, now: Duration, live: Live<'_>) -> Changes {
        let mut changes = Changes::default();
        let now = Moment::from(now);
        let Store {
            wheel,
            entries,
            lists,
            ..
        } = &mut self.store;
        let due = wheel.take_due(entries, lists, now);
        self.store.turn = self.store.turn.wrapping_add(1);
        let mut kept = Vec::new();
        for id in due {
            self.expire_name(id, now, live, &mut changes.removed, &mut kept);
        }
        // What a connection keeps counts as used now, but not in another order than before.
        let turn = self.store.turn;
        kept.sort_by_key(|id| {
            let entry = self.store.entries.get(*id);
            entry.map(|entry| (entry.endpoint, turn.wrapping_sub(entry.used) ^ u32::MAX))
        });
        for id in kept {
            self.touch(id);
        }
        self.pack();
        changes
    }

    /// The earliest time at which [`Cache::expire`] may have something to do; the past if an address
    /// waits for the end of its connections.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.store.wheel.next().map(Moment::duration)
    }

    /// Forgets what an endpoint has learnt.
    pub fn remove_endpoint(&mut self, endpoint: EndpointId) -> Changes {
        let mut changes = Changes::default();
        let Some(known) = self.store.endpoints.get(&endpoint) else {
            return changes;
        };
        let ids: Vec<EntryId> = known
            .by_use(&self.store.entries)
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.store.retain(id, &mut changes.removed, |_| false);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.endpoint_gone(endpoint);
        }
        self.pack();
        changes
    }

    /// Forgets all names that a pattern selects, connections or not, and frees their memory.
    ///
    /// As in a filter, `*` selects every name, whatever bytes it holds.
    pub fn forget(&mut self, pattern: &MatchPattern) -> Changes {
        let mut changes = Changes::default();
        let selected = |name: &DnsName| pattern.is_match_all() || pattern.matches(name);
        let entries = self.store.by_use();
        let ids: Vec<EntryId> = entries
            .filter(|(_, entry)| self.store.names.name(entry.name).is_some_and(selected))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.remove_name(id, &mut changes.removed);
        }
        self.pack();
        changes
    }

    fn hold(
        &mut self,
        endpoint: EndpointId,
        name: &DnsName,
        held: impl Iterator<Item = (Address, Moment)> + Clone,
        live: Live<'_>,
    ) -> Changes {
        let mut changes = Changes::default();
        let Some(id) = self
            .store
            .put(endpoint, name, held.clone(), &mut changes.added)
        else {
            return changes;
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.learnt(endpoint, name, held);
        }
        self.trim(id, live, &mut changes);
        self.trim_endpoint(endpoint, Some(id), live, &mut changes);
        self.trim_node(Some((endpoint, id)), live, &mut changes);
        changes
    }

    /// Gives up addresses of a name beyond the limit.
    fn trim(&mut self, id: EntryId, live: Live<'_>, changes: &mut Changes) {
        let Store { entries, lists, .. } = &mut self.store;
        let Some(entry) = entries.get_mut(id) else {
            return;
        };
        let endpoint = entry.endpoint;
        let is_live = |address: Address| live(endpoint, address.ip());
        let limit = self.limits.addresses_per_name;
        let victims = entry.excess(lists, limit, is_live);
        if victims.is_empty() {
            return;
        }
        let gone = victims.iter().map(|victim| victim.address);
        self.store.release(id, gone.clone(), &mut changes.removed);
        let Some((endpoint, name)) = self.store.title(id) else {
            return;
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.gone(endpoint, name, gone.clone());
        }
        changes.evicted.push(Eviction {
            endpoint,
            name: name.clone(),
            addresses: gone.map(Address::ip).collect(),
            bound: Bound::AddressesPerName,
            live: victims.iter().any(|victim| victim.live),
        });
    }

    /// Gives up names of an endpoint beyond the limits, other than the one just learnt.
    fn trim_endpoint(
        &mut self,
        endpoint: EndpointId,
        newest: Option<EntryId>,
        live: Live<'_>,
        changes: &mut Changes,
    ) {
        let limits = self.limits;
        while let Some(usage) = self.store.endpoints.get(&endpoint).map(|known| known.usage) {
            let bound = if usage.names > limits.names_per_endpoint {
                Bound::NamesPerEndpoint
            } else if usage.addresses > limits.addresses_per_endpoint {
                Bound::AddressesPerEndpoint
            } else if usage.bytes > limits.bytes_per_endpoint {
                Bound::BytesPerEndpoint
            } else {
                return;
            };
            if !self.evict(endpoint, newest, bound, live, changes) {
                return;
            }
        }
    }

    /// Gives up names beyond the limits of the node, of whoever uses most.
    fn trim_node(
        &mut self,
        newest: Option<(EndpointId, EntryId)>,
        live: Live<'_>,
        changes: &mut Changes,
    ) {
        let (endpoint, newest) = newest.unzip();
        loop {
            let bound = if self.store.usage.addresses > self.limits.addresses {
                Bound::Addresses
            } else if self.store.usage.bytes > self.limits.bytes {
                Bound::Bytes
            } else {
                return;
            };
            let endpoints = self.store.endpoints.iter();
            let others = endpoints.filter(|(id, of)| Some(**id) != endpoint || of.usage.names > 1);
            let largest = others.max_by_key(|(_, of)| of.usage.bytes);
            let Some(largest) = largest.map(|(id, _)| *id) else {
                return;
            };
            if !self.evict(largest, newest, bound, live, changes) {
                return;
            }
        }
    }

    /// Makes an endpoint give up a name. Says whether there was one to give up.
    fn evict(
        &mut self,
        endpoint: EndpointId,
        newest: Option<EntryId>,
        bound: Bound,
        live: Live<'_>,
        changes: &mut Changes,
    ) -> bool {
        let Store {
            endpoints,
            entries,
            lists,
            turn,
            ..
        } = &mut self.store;
        let is_live = |address: Address| live(endpoint, address.ip());
        let victim = endpoints
            .get_mut(&endpoint)
            .and_then(|known| known.victim(entries, lists, newest, turn, is_live));
        let Some((id, live)) = victim else {
            return false;
        };
        let name = self.store.title(id).map(|(_, name)| name.clone());
        let addresses = self.remove_name(id, &mut changes.removed);
        changes.evicted.extend(name.map(|name| Eviction {
            endpoint,
            name,
            addresses,
            bound,
            live,
        }));
        true
    }

    fn expire_name(
        &mut self,
        id: EntryId,
        now: Moment,
        live: Live<'_>,
        removed: &mut Vec<(IpAddr, DnsName)>,
        kept: &mut Vec<EntryId>,
    ) {
        let Some((endpoint, name)) = self.store.title(id) else {
            return;
        };
        // Only a recorder wants to know the name of what is gone.
        let name = self.recorder.is_some().then(|| name.clone());
        let (mut gone, mut next, mut past) = (Vec::new(), Moment::NEVER, false);
        let turn = self.store.turn;
        let is_left = self.store.retain(id, removed, |held| {
            if held.expires > now {
                next = next.min(held.expires);
            } else if live(endpoint, held.address.ip()) {
                held.used = turn;
                past = true;
            } else {
                if name.is_some() {
                    gone.push(held.address);
                }
                return false;
            }
            true
        });
        if let (Some(recorder), Some(name)) = (&mut self.recorder, name) {
            if !is_left {
                recorder.name_gone(endpoint, &name);
            } else if !gone.is_empty() {
                recorder.gone(endpoint, &name, gone.into_iter());
            }
        }
        let Store { wheel, entries, .. } = &mut self.store;
        match (is_left, past) {
            (false, _) => {}
            (true, true) => {
                wheel.keep(entries, id);
                kept.push(id);
            }
            (true, false) => wheel.place(entries, id, next),
        }
    }

    fn remove_name(&mut self, id: EntryId, removed: &mut Vec<(IpAddr, DnsName)>) -> Vec<IpAddr> {
        if let Some(recorder) = &mut self.recorder
            && let Some((endpoint, name)) = self.store.title(id)
        {
            recorder.name_gone(endpoint, name);
        }
        let mut gone = Vec::new();
        self.store.retain(id, removed, |held| {
            gone.push(held.address.ip());
            false
        });
        gone
    }

    fn touch(&mut self, id: EntryId) {
        let Store {
            endpoints,
            entries,
            turn,
            ..
        } = &mut self.store;
        let endpoint = entries.get(id).map(|entry| entry.endpoint);
        if let Some(of) = endpoint.and_then(|endpoint| endpoints.get_mut(&endpoint)) {
            *turn = turn.wrapping_add(1);
            of.touch(entries, id, *turn);
        }
    }

    /// Gives memory back after much has gone. Rare enough to cost next to nothing per removal.
    fn pack(&mut self) {
        if self.store.is_sparse() {
            self.store = self.store.packed();
        }
    }
}
