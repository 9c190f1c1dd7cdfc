//! What names were answered with, for how long, and for whom.

mod due;
mod endpoint;
mod limits;
mod moment;
mod names;
mod snapshot;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::{Address, EndpointId};

pub use self::limits::Limits;
pub use self::snapshot::Record;

use self::due::{Due, Place};
use self::endpoint::{Endpoint, Entry, Turn};
use self::moment::Moment;
use self::names::{NameId, Names};
use crate::name::DnsName;
use crate::pattern::MatchPattern;

/// The addresses that endpoints learnt for names.
///
/// Each endpoint has names and addresses of its own, within [`Limits`]; the node as a whole knows
/// a pair of address and name while any endpoint does. What changes for the node is handed out as
/// [`Changes`]. An address whose time is over stays as long as a connection to it lives.
///
/// Time is a duration since whatever the caller likes, such as boot.
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
    names: Names,
    endpoints: BTreeMap<EndpointId, Endpoint>,
    due: Due,
    /// Names over all endpoints.
    entries: usize,
    turn: Turn,
}

/// What an endpoint was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Who asked.
    pub endpoint: EndpointId,
    /// The name that was asked for.
    pub name: &'a DnsName,
    /// The addresses; of more than the limit only the first count.
    pub addresses: &'a [IpAddr],
    /// How long they hold.
    pub ttl: Duration,
}

/// Pairs of address and name that the node knows from now on, or no longer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Changes {
    /// Pairs that no endpoint held before.
    pub added: Vec<(IpAddr, DnsName)>,
    /// Pairs that no endpoint holds any more.
    pub removed: Vec<(IpAddr, DnsName)>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// An address that an endpoint holds under a name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Lookup<'a> {
    /// Who asked.
    pub endpoint: EndpointId,
    /// The name that was asked for.
    pub name: &'a DnsName,
    /// The address.
    pub address: IpAddr,
    /// When its time is over, or was: then only a connection keeps it.
    pub expires: Duration,
}

/// Tells whether a connection of an endpoint to an address lives.
pub type Live<'a> = &'a dyn Fn(EndpointId, IpAddr) -> bool;

impl Cache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits {
                addresses_per_name: limits.addresses_per_name.max(1),
                names_per_endpoint: limits.names_per_endpoint.max(1),
                ..limits
            },
            names: Names::default(),
            endpoints: BTreeMap::new(),
            due: Due::default(),
            entries: 0,
            turn: 0,
        }
    }

    /// Takes in an answer. What then exceeds a limit goes, but for connections that live.
    pub fn update(&mut self, answer: &Answer<'_>, now: Duration, live: Live<'_>) -> Changes {
        let expires = self.limits.expiry(now, answer.ttl).into();
        let mut changes = Changes::default();
        if !answer.addresses.is_empty() {
            let addresses = answer.addresses.iter().take(self.limits.addresses_per_name);
            let addresses = addresses.map(|address| (Address::from(*address), expires));
            self.hold(answer.endpoint, answer.name, addresses, live, &mut changes);
        }
        changes
    }

    /// Lets go of addresses whose time is over and to which no connection lives.
    ///
    /// Those that only a connection keeps are looked at again each time.
    pub fn expire(&mut self, now: Duration, live: Live<'_>) -> Changes {
        let mut changes = Changes::default();
        let now = Moment::from(now);
        let mut due = self.due.take(now);
        // What a connection keeps counts as used now, but not in another order than before.
        due.sort_by_cached_key(|(_, endpoint, id)| {
            let entry = self.endpoints.get(endpoint)?.names.get(id)?;
            Some((*endpoint, entry.used))
        });
        for place in due {
            self.expire_name(place, now, live, &mut changes);
        }
        changes
    }

    /// The earliest time at which [`Cache::expire`] may have something to do; the past if an address
    /// waits for the end of its connections.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.due.first().map(Moment::duration)
    }

    /// Forgets what an endpoint has learnt.
    pub fn remove_endpoint(&mut self, endpoint: EndpointId) -> Changes {
        let mut changes = Changes::default();
        if let Some(gone) = self.endpoints.remove(&endpoint) {
            for (id, entry) in gone.names {
                self.drop_entry(id, &entry, &mut changes);
            }
        }
        changes
    }

    /// Forgets all names that a pattern selects, connections or not.
    pub fn forget(&mut self, pattern: &MatchPattern) -> Changes {
        let mut changes = Changes::default();
        let endpoints: Vec<EndpointId> = self.endpoints.keys().copied().collect();
        for endpoint in endpoints {
            let Some(known) = self.endpoints.get(&endpoint) else {
                continue;
            };
            let selected = |id: &NameId| self.names.name(*id).is_some_and(|n| pattern.matches(n));
            let gone: Vec<NameId> = known.names.keys().copied().filter(selected).collect();
            for id in gone {
                self.remove_name(endpoint, id, &mut changes);
            }
        }
        changes
    }

    /// The names under which any endpoint holds an address.
    pub fn names_of(&self, address: IpAddr) -> impl Iterator<Item = &DnsName> {
        self.names.of_address(address.into())
    }

    /// The pairs of address and name that the node knows, of names that a pattern selects.
    pub fn matching(&self, pattern: &MatchPattern) -> Vec<(IpAddr, DnsName)> {
        self.names.pairs(|name| pattern.matches(name))
    }

    /// Everything that is held, by endpoint, a name's addresses together.
    pub fn lookups(&self) -> impl Iterator<Item = Lookup<'_>> {
        let entries = self.endpoints.iter().flat_map(|(endpoint, known)| {
            let entries = known.names.iter();
            entries.map(move |(id, entry)| (*endpoint, *id, entry))
        });
        let named = entries.filter_map(|(endpoint, id, entry)| {
            let name = self.names.name(id)?;
            Some((endpoint, name, entry))
        });
        named.flat_map(|(endpoint, name, entry)| {
            entry.held.iter().map(move |held| Lookup {
                endpoint,
                name,
                address: held.address.ip(),
                expires: held.expires.duration(),
            })
        })
    }

    /// How many different names there are.
    pub fn name_count(&self) -> usize {
        self.names.len()
    }

    /// How many different pairs of address and name there are.
    pub fn pair_count(&self) -> usize {
        self.names.pair_count()
    }

    fn hold(
        &mut self,
        endpoint: EndpointId,
        name: &DnsName,
        addresses: impl Iterator<Item = (Address, Moment)>,
        live: Live<'_>,
        changes: &mut Changes,
    ) {
        self.turn += 1;
        let live = |address: Address| live(endpoint, address.ip());
        let id = self.names.intern(name);
        let known = self.endpoints.entry(endpoint).or_default();
        let entry = known.names.entry(id).or_insert_with(|| {
            self.entries += 1;
            Entry::new()
        });
        for (address, expires) in addresses {
            if entry.hold(address, expires, self.turn) && self.names.hold(id, address) {
                changes.added.push((address.ip(), name.clone()));
            }
            if expires < entry.check {
                entry.check = expires;
                self.due.push((expires, endpoint, id));
            }
        }
        for address in entry.trim(self.limits.addresses_per_name, self.turn, live) {
            changes.removed.extend(self.names.drop(id, address));
        }
        known.touch(id, self.turn);
        if known.names.len() > self.limits.names_per_endpoint
            && let Some(victim) = known.victim(id, &mut self.turn, live)
        {
            self.remove_name(endpoint, victim, changes);
        }
        self.clear_void();
    }

    fn expire_name(&mut self, place: Place, now: Moment, live: Live<'_>, changes: &mut Changes) {
        let (time, endpoint, id) = place;
        let Some(known) = self.endpoints.get_mut(&endpoint) else {
            return;
        };
        let Some(entry) = known.names.get_mut(&id).filter(|entry| entry.check == time) else {
            return;
        };
        self.turn += 1;
        let mut next = Moment::NEVER;
        let mut kept_alive = false;
        entry.held.retain_mut(|held| {
            if held.expires <= now {
                if !live(endpoint, held.address.ip()) {
                    changes.removed.extend(self.names.drop(id, held.address));
                    return false;
                }
                held.used = self.turn;
                kept_alive = true;
            }
            next = next.min(held.expires.max(now));
            true
        });
        if entry.held.is_empty() {
            self.remove_name(endpoint, id, changes);
            return;
        }
        entry.check = next;
        self.due.push((next, endpoint, id));
        if kept_alive {
            known.touch(id, self.turn);
        }
    }

    fn remove_name(&mut self, endpoint: EndpointId, id: NameId, changes: &mut Changes) {
        let Some(known) = self.endpoints.get_mut(&endpoint) else {
            return;
        };
        let entry = known.names.remove(&id);
        if known.names.is_empty() {
            self.endpoints.remove(&endpoint);
        }
        if let Some(entry) = entry {
            self.drop_entry(id, &entry, changes);
        }
    }

    fn drop_entry(&mut self, id: NameId, entry: &Entry, changes: &mut Changes) {
        self.entries -= 1;
        for held in &entry.held {
            changes.removed.extend(self.names.drop(id, held.address));
        }
    }

    fn clear_void(&mut self) {
        let endpoints = &self.endpoints;
        self.due.clear_void(self.entries, |(time, endpoint, id)| {
            let entry = endpoints
                .get(endpoint)
                .and_then(|known| known.names.get(id));
            entry.is_some_and(|entry| entry.check == *time)
        });
    }
}
