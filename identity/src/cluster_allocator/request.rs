//! What is asked of the store, and what it answers.

/// A request of the allocator, to be answered with this number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub(super) u64);

/// How often a store had changed when something in it was last written.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoreRevision(u64);

/// A lock that was taken: its key, and the revision at which the holder created it. Who has lost it
/// has a revision that is not the key's any more.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Lock {
    /// The key that is locked.
    pub key: String,
    /// The revision at which it was.
    pub revision: StoreRevision,
}

/// How long a key lives.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Lifetime {
    /// Until it is deleted.
    Permanent,
    /// While the node keeps its lease.
    Node,
}

/// What is asked of the store. A write under a lock takes place only if the lock is still held, in
/// one step with the check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Takes a lock as soon as it is free: [`Response::Locked`].
    Lock {
        /// The key to lock.
        key: String,
    },
    /// Gives a lock up. It is to be repeated until it is done or the lock is lost, for nobody else
    /// gets the lock before. The answer does not matter.
    Unlock {
        /// The lock.
        lock: Lock,
    },
    /// Reads a key: [`Response::Value`].
    Get {
        /// The key.
        key: String,
    },
    /// Reads all keys that start with a text: [`Response::Listed`].
    List {
        /// What they start with.
        prefix: String,
    },
    /// Writes a key that must not exist: [`Response::Written`] or [`Response::Exists`].
    Create {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// How long it lives.
        lifetime: Lifetime,
        /// The lock that must be held.
        lock: Lock,
    },
    /// Writes a key: [`Response::Written`].
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// How long it lives; the lease of an earlier life of the node holds it no more.
        lifetime: Lifetime,
        /// The lock that must be held.
        lock: Lock,
    },
    /// Deletes a key if it was not written since: [`Response::Deleted`].
    Delete {
        /// The key.
        key: String,
        /// When it was last written.
        revision: StoreRevision,
    },
}

/// What the store answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Response {
    /// The key is gone, or was written since.
    Deleted,
    /// The key that was to be created exists.
    Exists,
    /// It is not known whether the request was, is or will be carried out.
    Failed,
    /// The keys with their values.
    Listed(Vec<(String, String)>),
    /// The lock is held.
    Locked(Lock),
    /// The lock is not held any more, nothing was done.
    LockLost,
    /// The key's value; none if it does not exist.
    Value(Option<String>),
    /// The key was written, at this revision.
    Written(StoreRevision),
}

impl StoreRevision {
    /// A revision by its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}
