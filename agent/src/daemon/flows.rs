//! The last flows, for whoever asks for them.

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palisade_observe::{Batch, Flow, Ring};

/// How many flows are remembered.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8_191);

/// A ring of flows that readers can wait at.
#[derive(Debug)]
pub(super) struct Flows {
    ring: Mutex<Ring<Arc<Flow>>>,
    grown: Condvar,
}

impl Flows {
    pub(super) fn new() -> Self {
        Self {
            ring: Mutex::new(Ring::new(KEPT)),
            grown: Condvar::new(),
        }
    }

    /// Adds a flow.
    pub(super) fn push(&self, flow: Flow) {
        self.ring().push(Arc::new(flow));
        self.grown.notify_all();
    }

    /// Notes how many events the kernel has had no room for.
    pub(super) fn note_lost(&self, lost: u64) {
        let mut ring = self.ring();
        let more = lost.saturating_sub(ring.lost());
        ring.add_lost(more);
    }

    /// How many flows there were, and how many events were lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        let ring = self.ring();
        (ring.seen(), ring.lost())
    }

    /// The number of the flow that is `count` flows back.
    pub(super) fn back(&self, count: usize) -> u64 {
        self.ring().back(count)
    }

    /// The flows from a number on; waits a while for the first.
    pub(super) fn after(&self, from: u64, patience: Duration) -> Batch<Arc<Flow>> {
        let (ring, _) = self
            .grown
            .wait_timeout_while(self.ring(), patience, |ring| ring.seen() <= from)
            .unwrap_or_else(PoisonError::into_inner);
        ring.after(from)
    }

    fn ring(&self) -> MutexGuard<'_, Ring<Arc<Flow>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
