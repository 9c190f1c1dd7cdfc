//! The cache as an append-only journal: bytes out, bytes in.
//!
//! A journal begins with the state at its start and goes on with what happened since: what was
//! learnt, what was given up, what is over. It records results, not answers, so that reading it
//! back evicts and forgets exactly what was evicted and forgotten. Every entry carries a checksum;
//! of a journal whose end was torn by a crash, or is corrupt, everything before that is good and
//! the rest is cut.
//!
//! The crate writes no file. Whoever does starts with [`Cache::start_journal`], appends
//! [`Cache::take_journal`] after each change or every few, and starts over in a new file once this
//! one is a few times as long as it began. After a restart [`Cache::replay`] reads it, the file is
//! cut to [`Replayed::length`], or better replaced by a new one. Times keep their meaning, so the
//! cache's epoch must be one that outlives the process, such as the Unix epoch.
//!
//! ```
//! use std::time::Duration;
//! use palisade_abi::EndpointId;
//! use palisade_fqdn::{Answer, Cache, DnsName, Limits};
//!
//! let mut cache = Cache::new(Limits::default());
//! let mut file = cache.start_journal();
//! let (name, addresses) = (DnsName::parse("api.example.com")?, ["192.0.2.1".parse()?]);
//! let (endpoint, ttl) = (EndpointId::new(1), Duration::from_secs(30));
//! let answer = Answer { endpoint, name: &name, addresses: &addresses, ttl };
//! assert!(!cache.update(&answer, Duration::ZERO, &|_, _| false).is_empty());
//! file.extend(cache.take_journal());
//!
//! // A crash tears the next entry.
//! file.extend([23, 0, 0]);
//! let replayed = Cache::replay(Limits::default(), &file);
//! assert_eq!(replayed.cache.snapshot(), cache.snapshot());
//! assert_eq!((replayed.length, replayed.cut.is_some()), (file.len() - 3, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checksum;
mod entry;
mod read;
mod write;

use crate::cache::store::Store;
use crate::cache::{Cache, EntryId, Limits, Live, Moment};

pub use self::entry::Entry;
pub use self::read::{Cut, Entries, Reason};
pub(super) use self::write::Recorder;

/// A cache that was read back from a journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replayed {
    /// What the journal says, as far as it can be read and the limits allow.
    pub cache: Cache,
    /// How many bytes of the journal were good.
    pub length: usize,
    /// Why the rest is not, if there is a rest.
    pub cut: Option<Cut>,
}

impl Cache {
    /// Begins a journal with everything that is held, and records from now on.
    ///
    /// What was recorded for an earlier journal and not taken is in the state and goes.
    pub fn start_journal(&mut self) -> Vec<u8> {
        let mut state = Recorder::begin();
        for (_, entry) in self.store.by_use() {
            let Some(name) = self.store.names.name(entry.name) else {
                continue;
            };
            let held = entry.by_use(&self.store.lists).into_iter();
            let held = held.map(|held| (held.address, held.expires));
            state.learnt(entry.endpoint, name, held);
        }
        self.recorder = Some(Recorder::default());
        state.take()
    }

    /// What happened since the journal was started or last taken, to be appended to it.
    pub fn take_journal(&mut self) -> Vec<u8> {
        let recorder = self.recorder.as_mut();
        recorder.map(Recorder::take).unwrap_or_default()
    }

    /// Records no more.
    pub fn stop_journal(&mut self) {
        self.recorder = None;
    }

    /// Reads a journal back, up to the first entry that is not good.
    pub fn replay(limits: Limits, journal: &[u8]) -> Replayed {
        let mut cache = Self::new(limits);
        let mut entries = Entries::new(journal);
        let cut = loop {
            match entries.next() {
                Some(Ok(entry)) => apply(&mut cache.store, &entry),
                Some(Err(cut)) => break Some(cut),
                None => break None,
            }
        };
        cache.fit();
        Replayed {
            cache,
            length: entries.length(),
            cut,
        }
    }

    /// Gives up what is beyond the limits, which may be narrower than they were.
    fn fit(&mut self) {
        let nobody: Live<'_> = &|_, _| false;
        // Nobody has heard of the pairs yet, so none has to be taken back.
        let mut unheard = super::Changes::default();
        let ids: Vec<EntryId> = self.store.by_use().map(|(id, _)| id).collect();
        for id in ids {
            self.trim(id, nobody, &mut unheard);
        }
        let endpoints: Vec<_> = self.store.endpoints.keys().copied().collect();
        for endpoint in endpoints {
            self.trim_endpoint(endpoint, None, nobody, &mut unheard);
        }
        self.trim_node(None, nobody, &mut unheard);
        self.pack();
    }
}

fn apply(store: &mut Store, entry: &Entry) {
    let mut unheard = Vec::new();
    let find = |store: &Store, endpoint, name| store.find(endpoint, store.names.find(name)?);
    match entry {
        Entry::Learnt {
            endpoint,
            name,
            expires,
            addresses,
        } => {
            let expires = Moment::from(*expires);
            let held = addresses.iter().map(|address| ((*address).into(), expires));
            store.put(*endpoint, name, held, &mut unheard);
        }
        Entry::Gone {
            endpoint,
            name,
            addresses,
        } => {
            if let Some(id) = find(store, *endpoint, name) {
                store.retain(id, &mut unheard, |held| {
                    !addresses.contains(&held.address.ip())
                });
            }
        }
        Entry::NameGone { endpoint, name } => {
            if let Some(id) = find(store, *endpoint, name) {
                store.retain(id, &mut unheard, |_| false);
            }
        }
        Entry::EndpointGone { endpoint } => {
            let known = store.endpoints.get(endpoint);
            let entries = known.map(|known| known.by_use(&store.entries));
            let ids: Vec<EntryId> = entries.into_iter().flatten().map(|(id, _)| id).collect();
            for id in ids {
                store.retain(id, &mut unheard, |_| false);
            }
        }
    }
}
