//! The reference store: one map with revisions, leases and locks, and no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use palisade_identity::{
    Identity, LabelSet, Lifetime, Lock, Request, Response, StoreEvent, StoreKeys, StoreRevision,
};

/// What a node's keys and locks hang on. A node that starts again has a new one.
pub(crate) type Lease = u64;
/// Who waits for a lock: a lease, and whatever it wants to be told with the answer.
pub(crate) type Waiter<T> = (Lease, T);

pub(crate) struct Store<T> {
    pub(crate) keys: BTreeMap<String, Entry>,
    /// Every change of a master, for whoever watches.
    pub(crate) events: Vec<StoreEvent>,
    names: StoreKeys,
    revision: u64,
    leases: BTreeSet<Lease>,
    locks: BTreeMap<String, (StoreRevision, Lease)>,
    waiters: BTreeMap<String, VecDeque<Waiter<T>>>,
    /// Answers to those that waited.
    pub(crate) granted: Vec<(Waiter<T>, Response)>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) value: String,
    pub(crate) revision: StoreRevision,
    lease: Option<Lease>,
}

impl<T> Store<T> {
    pub(crate) fn new(names: StoreKeys) -> Self {
        Self {
            keys: BTreeMap::new(),
            events: Vec::new(),
            names,
            revision: 0,
            leases: BTreeSet::new(),
            locks: BTreeMap::new(),
            waiters: BTreeMap::new(),
            granted: Vec::new(),
        }
    }

    pub(crate) fn lease(&mut self) -> Lease {
        let lease = self.next().get();
        self.leases.insert(lease);
        lease
    }

    /// Ends a lease: its keys go, its locks are free.
    pub(crate) fn expire(&mut self, lease: Lease) {
        self.leases.remove(&lease);
        let held = |entry: &Entry| entry.lease == Some(lease);
        let keys: Vec<String> = self
            .keys
            .iter()
            .filter(|(_, entry)| held(entry))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.remove(&key);
        }
        let locks: Vec<String> = self
            .locks
            .iter()
            .filter(|(_, lock)| lock.1 == lease)
            .map(|(key, _)| key.clone())
            .collect();
        for key in locks {
            self.free(&key);
        }
    }

    pub(crate) fn is_alive(&self, lease: Lease) -> bool {
        self.leases.contains(&lease)
    }

    /// Carries a request out; no answer means that it waits for a lock.
    pub(crate) fn execute(&mut self, lease: Lease, tag: T, request: &Request) -> Option<Response> {
        if !self.is_alive(lease) {
            return Some(Response::Failed);
        }
        Some(match request {
            Request::Lock { key } => return self.lock(lease, tag, key),
            Request::Unlock { lock } => {
                if self.holds(lock) {
                    self.free(&lock.key);
                }
                Response::Deleted
            }
            Request::Get { key } => {
                Response::Value(self.keys.get(key).map(|entry| entry.value.clone()))
            }
            Request::List { prefix } => {
                let inside = self
                    .keys
                    .range(prefix.clone()..)
                    .take_while(|(key, _)| key.starts_with(prefix));
                Response::Listed(
                    inside
                        .map(|(key, entry)| (key.clone(), entry.value.clone()))
                        .collect(),
                )
            }
            Request::Create { lock, .. } | Request::Put { lock, .. } if !self.holds(lock) => {
                Response::LockLost
            }
            Request::Create { key, .. } if self.keys.contains_key(key) => Response::Exists,
            Request::Create {
                key,
                value,
                lifetime,
                ..
            }
            | Request::Put {
                key,
                value,
                lifetime,
                ..
            } => Response::Written(self.write(key, value, *lifetime, lease)),
            Request::Delete { key, revision } => {
                if self
                    .keys
                    .get(key)
                    .is_some_and(|entry| entry.revision == *revision)
                {
                    self.remove(key);
                }
                Response::Deleted
            }
        })
    }

    pub(crate) fn lock(&mut self, lease: Lease, tag: T, key: &str) -> Option<Response> {
        if self.locks.contains_key(key) {
            self.waiters
                .entry(key.to_owned())
                .or_default()
                .push_back((lease, tag));
            return None;
        }
        Some(Response::Locked(self.take(key, lease)))
    }

    pub(crate) fn is_free(&self, key: &str) -> bool {
        !self.locks.contains_key(key)
    }

    pub(crate) fn holds(&self, lock: &Lock) -> bool {
        self.locks
            .get(&lock.key)
            .is_some_and(|held| held.0 == lock.revision)
    }

    /// Takes a lock from its holder, who is not told.
    pub(crate) fn revoke(&mut self, pick: usize) {
        let key = self
            .locks
            .keys()
            .nth(pick % self.locks.len().max(1))
            .cloned();
        if let Some(key) = key {
            self.free(&key);
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        if self.keys.remove(key).is_some()
            && let Some(identity) = self.names.identity_of(key)
        {
            self.events.push(StoreEvent::MasterGone(identity));
        }
    }

    /// Writes a master without a lock, as no allocator does.
    pub(crate) fn put_behind_backs(&mut self, key: &str, value: &str) {
        self.write(key, value, Lifetime::Permanent, 0);
    }

    /// Every master as somebody who begins to watch is told.
    pub(crate) fn masters(&self) -> Vec<(Identity, LabelSet, StoreRevision)> {
        let master = |(key, entry): (&String, &Entry)| {
            let labels = LabelSet::from_canonical_key(&entry.value).ok()?;
            Some((self.names.identity_of(key)?, labels, entry.revision))
        };
        self.keys.iter().filter_map(master).collect()
    }

    fn take(&mut self, key: &str, lease: Lease) -> Lock {
        let revision = self.next();
        self.locks.insert(key.to_owned(), (revision, lease));
        Lock {
            key: key.to_owned(),
            revision,
        }
    }

    fn free(&mut self, key: &str) {
        self.locks.remove(key);
        while let Some((lease, tag)) = self.waiters.get_mut(key).and_then(VecDeque::pop_front) {
            if self.is_alive(lease) {
                let lock = self.take(key, lease);
                self.granted.push(((lease, tag), Response::Locked(lock)));
                return;
            }
        }
    }

    fn write(&mut self, key: &str, value: &str, lifetime: Lifetime, lease: Lease) -> StoreRevision {
        let revision = self.next();
        let lease = match lifetime {
            Lifetime::Node => Some(lease),
            Lifetime::Permanent => None,
        };
        let entry = Entry {
            value: value.to_owned(),
            revision,
            lease,
        };
        self.keys.insert(key.to_owned(), entry);
        let labels = LabelSet::from_canonical_key(value).ok();
        if let (Some(identity), Some(labels)) = (self.names.identity_of(key), labels) {
            self.events.push(StoreEvent::Master(identity, labels));
        }
        revision
    }

    fn next(&mut self) -> StoreRevision {
        self.revision += 1;
        StoreRevision::new(self.revision)
    }
}
