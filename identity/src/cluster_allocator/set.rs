//! What a node knows and does for one label set.

use std::time::Duration;

use palisade_abi::Identity;

use super::Ticket;
use super::request::{Lock, RequestId, StoreRevision};

#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) references: u64,
    pub(super) waiting: Vec<Ticket>,
    pub(super) held: Option<Held>,
    /// Whether the store is known to have what is held, so that it may be given out.
    pub(super) verified: bool,
    /// Whether what is held is to be written again.
    pub(super) renew: bool,
    /// Whether something happened since the work began that may have undone it.
    pub(super) doubted: bool,
    /// A number whose master this node has made, but not begun to use.
    pub(super) leftover: Option<Identity>,
    pub(super) attempts: u32,
    pub(super) work: Work,
}

/// A number that the node uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) identity: Identity,
    /// When the node's slave was written.
    pub(super) slave: StoreRevision,
}

/// What is being done. Only one request of a set is under way at any time.
#[derive(Clone, Debug, Default)]
pub(super) enum Work {
    /// Getting a number, or writing again what is held.
    Acquiring {
        request: RequestId,
        lock: Option<Lock>,
        step: Acquire,
    },
    #[default]
    Idle,
    /// Deleting the node's slave.
    Releasing { request: RequestId },
    /// Waiting before the next attempt.
    Resting,
}

/// How far getting a number has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Acquire {
    /// Writing the slave: the end.
    Binding { identity: Identity, made: bool },
    /// Reading the master of a number that may be taken.
    Checking {
        identity: Identity,
        standing: Standing,
    },
    /// Writing a master.
    Creating { identity: Identity, made: bool },
    /// Reading who uses which number.
    Listing,
    /// Waiting for the lock.
    Locking,
}

/// What speaks for a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// A master that nobody uses. Without it there is nothing.
    Leftover,
    /// Slaves: it is in use, and has its master again if that was lost.
    Used,
}

impl Set {
    pub(super) const fn held(&self) -> Option<Held> {
        self.held
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.work, Work::Idle)
    }

    pub(super) fn rested(&mut self) {
        if matches!(self.work, Work::Resting) {
            self.work = Work::Idle;
        }
    }

    /// Whether an answer is to what the set asked last.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        match self.work {
            Work::Acquiring { request, .. } | Work::Releasing { request } => request == id,
            Work::Idle | Work::Resting => false,
        }
    }

    /// Whether nothing is left to know or do.
    pub(super) fn is_over(&self) -> bool {
        let idle = self.is_idle() && self.waiting.is_empty();
        idle && self.held.is_none() && self.references == 0
    }

    /// How long to wait after so many attempts: twice as long each time.
    pub(super) fn pause(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(MOST_DOUBLINGS);
        FIRST_PAUSE.saturating_mul(1 << doublings)
    }
}

/// How often a number is tried before who asked is told.
pub(super) const MOST_ATTEMPTS: u32 = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// 10 s at most, or a node would be cut off long after the store is back.
const MOST_DOUBLINGS: u32 = 9;
