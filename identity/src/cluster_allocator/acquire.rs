//! Step by step to a number, and back.

use palisade_abi::Identity;

use super::request::{Lifetime, Lock, Request, RequestId, Response};
use super::set::{Acquire, Held, MOST_ATTEMPTS, Standing, Work};
use super::{ClusterAllocateError, ClusterAllocator, StoreRevision};
use crate::allocator::Allocation;
use crate::label_set::LabelSet;

impl ClusterAllocator {
    /// Begins what is due for a set, unless it waits for something.
    pub(super) fn advance(&mut self, labels: &LabelSet) {
        let Some(set) = self.sets.get_mut(labels) else {
            return;
        };
        if !self.synced || !set.is_idle() {
            return;
        }
        if set.verified {
            self.grant(labels, Allocation::Existing);
        }
        let Some(set) = self.sets.get_mut(labels) else {
            return;
        };
        let renew = set.renew && set.references > 0;
        if !set.waiting.is_empty() || renew {
            set.doubted = false;
            let key = self.keys.lock(labels);
            self.acquire(labels, None, Acquire::Locking, Request::Lock { key });
        } else if set.references == 0
            && let Some(held) = set.held
        {
            self.let_go(labels, held);
        } else if set.is_over() {
            self.sets.remove(labels);
        }
    }

    /// Takes the answer to what a set asked.
    pub(super) fn answer(&mut self, id: RequestId, response: Response) {
        let Some(labels) = self.asked.remove(&id) else {
            return;
        };
        // Nobody waits for the answer to an unlock.
        let Some(set) = self.sets.get_mut(&labels).filter(|set| set.awaits(id)) else {
            return;
        };
        match std::mem::take(&mut set.work) {
            Work::Acquiring { lock, step, .. } => self.acquired(&labels, lock, step, response),
            Work::Releasing { .. } => self.released(&labels, &response),
            Work::Idle | Work::Resting => {}
        }
    }

    fn acquired(
        &mut self,
        labels: &LabelSet,
        lock: Option<Lock>,
        step: Acquire,
        response: Response,
    ) {
        match (step, lock, response) {
            (Acquire::Locking, _, Response::Locked(lock)) => {
                let prefix = self.keys.slaves(labels);
                self.acquire(
                    labels,
                    Some(lock),
                    Acquire::Listing,
                    Request::List { prefix },
                );
            }
            (Acquire::Listing, Some(lock), Response::Listed(listing)) => {
                self.listed(labels, lock, &listing);
            }
            (Acquire::Checking { identity, standing }, Some(lock), Response::Value(value)) => {
                self.checked(labels, lock, identity, standing, value.as_deref());
            }
            (Acquire::Creating { identity, made }, Some(lock), Response::Written(_)) => {
                if made && let Some(set) = self.sets.get_mut(labels) {
                    set.leftover = Some(identity);
                }
                self.bind(labels, lock, identity, made);
            }
            (Acquire::Creating { identity, made }, Some(lock), Response::Exists) => {
                self.taken(labels, lock, identity, made);
            }
            (Acquire::Binding { identity, made }, Some(lock), Response::Written(slave)) => {
                self.bound(labels, lock, identity, slave, made);
            }
            (step, lock, response) => {
                if let Acquire::Creating {
                    identity,
                    made: true,
                } = step
                {
                    self.masters.unpick(identity);
                }
                // What was not answered may still come to pass, but not without the lock.
                let lock = lock.filter(|_| response != Response::LockLost);
                self.attempt_again(labels, lock);
            }
        }
    }

    /// It is known who uses which number for the labels.
    fn listed(&mut self, labels: &LabelSet, lock: Lock, listing: &[(String, String)]) {
        let pairs = listing
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let used = self.keys.used(labels, pairs);
        let Some(set) = self.sets.get(labels) else {
            return;
        };
        let leftover = set.leftover.or_else(|| self.masters.of(labels));
        match (set.held, used.first()) {
            (Some(held), Some(_)) if !used.contains(&held.identity) => {
                self.lose(labels, lock, held);
            }
            (Some(held), _) => self.check(labels, lock, held.identity, Standing::Used),
            (None, Some(identity)) => self.check(labels, lock, *identity, Standing::Used),
            (None, None) => match leftover {
                Some(identity) => self.check(labels, lock, identity, Standing::Leftover),
                None => self.make(labels, lock),
            },
        }
    }

    fn check(&mut self, labels: &LabelSet, lock: Lock, identity: Identity, standing: Standing) {
        let key = self.keys.master(identity);
        let step = Acquire::Checking { identity, standing };
        self.acquire(labels, Some(lock), step, Request::Get { key });
    }

    /// It is known whose a number is.
    fn checked(
        &mut self,
        labels: &LabelSet,
        lock: Lock,
        identity: Identity,
        standing: Standing,
        master: Option<&str>,
    ) {
        let held = self.sets.get(labels).and_then(|set| set.held);
        match (master, standing, held) {
            (Some(value), _, _) if value == labels.canonical_key() => {
                self.bind(labels, lock, identity, false);
            }
            (None, Standing::Used, _) => self.create(labels, lock, identity, false),
            (Some(_), Standing::Used, Some(held)) => self.lose(labels, lock, held),
            (Some(_), Standing::Used, None) | (_, Standing::Leftover, _) => {
                self.make(labels, lock);
            }
        }
    }

    /// Tries a new number.
    fn make(&mut self, labels: &LabelSet, lock: Lock) {
        if let Some(set) = self.sets.get_mut(labels) {
            set.leftover = None;
        }
        if let Some(identity) = self.masters.pick() {
            self.create(labels, lock, identity, true);
        } else {
            self.ask(labels, Request::Unlock { lock });
            self.fail(labels, ClusterAllocateError::Exhausted);
            self.advance(labels);
        }
    }

    fn create(&mut self, labels: &LabelSet, lock: Lock, identity: Identity, made: bool) {
        let request = Request::Create {
            key: self.keys.master(identity),
            value: labels.canonical_key(),
            lifetime: Lifetime::Permanent,
            lock: lock.clone(),
        };
        let step = Acquire::Creating { identity, made };
        self.acquire(labels, Some(lock), step, request);
    }

    /// Somebody was quicker with a master.
    fn taken(&mut self, labels: &LabelSet, lock: Lock, identity: Identity, made: bool) {
        let Some(set) = self.sets.get_mut(labels) else {
            return;
        };
        set.attempts += 1;
        if set.attempts >= MOST_ATTEMPTS {
            self.attempt_again(labels, Some(lock));
        } else if made {
            self.make(labels, lock);
        } else {
            self.check(labels, lock, identity, Standing::Used);
        }
    }

    fn bind(&mut self, labels: &LabelSet, lock: Lock, identity: Identity, made: bool) {
        let request = Request::Put {
            key: self.keys.slave(labels),
            value: identity.to_string(),
            lifetime: Lifetime::Node,
            lock: lock.clone(),
        };
        let step = Acquire::Binding { identity, made };
        self.acquire(labels, Some(lock), step, request);
    }

    /// The number is the node's to use.
    fn bound(
        &mut self,
        labels: &LabelSet,
        lock: Lock,
        identity: Identity,
        slave: StoreRevision,
        made: bool,
    ) {
        self.ask(labels, Request::Unlock { lock });
        let Some(set) = self.sets.get_mut(labels) else {
            return;
        };
        set.held = Some(Held { identity, slave });
        set.leftover = None;
        set.attempts = 0;
        set.renew = set.doubted;
        set.verified = !set.doubted;
        if set.verified {
            let allocation = if made {
                Allocation::New
            } else {
                Allocation::Existing
            };
            self.grant(labels, allocation);
        }
        self.advance(labels);
    }

    fn acquire(&mut self, labels: &LabelSet, lock: Option<Lock>, step: Acquire, request: Request) {
        let request = self.ask(labels, request);
        if let Some(set) = self.sets.get_mut(labels) {
            set.work = Work::Acquiring {
                request,
                lock,
                step,
            };
        }
    }
}
