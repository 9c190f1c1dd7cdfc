//! What becomes of a number that was got, and of those who wait for one that was not.

use super::request::{Lock, Request, Response};
use super::set::{Held, MOST_ATTEMPTS, Work};
use super::{ClusterAllocateError, ClusterAllocator, Effect};
use crate::allocator::Allocation;
use crate::label_set::LabelSet;

impl ClusterAllocator {
    /// Answers everyone who waits; the first as said, the others by what is there then.
    pub(super) fn grant(&mut self, labels: &LabelSet, first: Allocation) {
        let Some(set) = self.sets.get_mut(labels) else {
            return;
        };
        let Some(held) = set.held else {
            return;
        };
        let mut allocation = first;
        for ticket in std::mem::take(&mut set.waiting) {
            set.references += 1;
            self.effects.push_back(Effect::Allocated {
                ticket,
                identity: held.identity,
                allocation,
            });
            allocation = Allocation::Existing;
        }
    }

    /// What the node held belongs to others. Its slave goes, and who waits starts anew.
    pub(super) fn lose(&mut self, labels: &LabelSet, lock: Lock, held: Held) {
        self.ask(labels, Request::Unlock { lock });
        if let Some(set) = self.sets.get_mut(labels)
            && std::mem::take(&mut set.references) > 0
        {
            self.effects.push_back(Effect::Lost {
                identity: held.identity,
                labels: labels.clone(),
            });
        }
        self.let_go(labels, held);
    }

    pub(super) fn let_go(&mut self, labels: &LabelSet, held: Held) {
        let key = self.keys.slave(labels);
        let revision = held.slave;
        let request = self.ask(labels, Request::Delete { key, revision });
        if let Some(set) = self.sets.get_mut(labels) {
            set.verified = false;
            set.renew = false;
            set.work = Work::Releasing { request };
        }
    }

    pub(super) fn released(&mut self, labels: &LabelSet, response: &Response) {
        if *response == Response::Deleted {
            if let Some(set) = self.sets.get_mut(labels) {
                set.held = None;
                set.attempts = 0;
            }
            self.advance(labels);
        } else {
            self.rest(labels);
        }
    }

    /// Gives the lock up and tries once more, or tells those who wait that it is no use.
    pub(super) fn attempt_again(&mut self, labels: &LabelSet, lock: Option<Lock>) {
        if let Some(lock) = lock {
            self.ask(labels, Request::Unlock { lock });
        }
        let attempts = self.sets.get(labels).map_or(0, |set| set.attempts + 1);
        if attempts >= MOST_ATTEMPTS {
            self.fail(labels, ClusterAllocateError::GivenUp { attempts });
            if let Some(set) = self.sets.get_mut(labels) {
                set.attempts = 0;
            }
        }
        self.rest(labels);
    }

    pub(super) fn fail(&mut self, labels: &LabelSet, error: ClusterAllocateError) {
        if let Some(set) = self.sets.get_mut(labels) {
            for ticket in std::mem::take(&mut set.waiting) {
                self.effects.push_back(Effect::Failed { ticket, error });
            }
        }
    }

    pub(super) fn rest(&mut self, labels: &LabelSet) {
        if let Some(set) = self.sets.get_mut(labels) {
            set.attempts = set.attempts.saturating_add(1);
            set.work = Work::Resting;
            let after = set.pause();
            self.effects.push_back(Effect::Retry {
                labels: labels.clone(),
                after,
            });
        }
    }
}
