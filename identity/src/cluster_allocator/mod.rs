//! Numbers for label sets that all nodes of a cluster share.

mod acquire;
mod gc;
mod keys;
mod masters;
mod release;
mod request;
mod set;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use palisade_abi::Identity;
use thiserror::Error;

pub use self::gc::{FoundMaster, Judgement, Round, UnusedMarks};
pub use self::keys::{NodeNameError, StoreKeys};
use self::masters::Masters;
pub use self::request::{Lifetime, Lock, Request, RequestId, Response, StoreRevision};
use self::set::Set;
use crate::allocator::{Allocation, Range};
use crate::label_set::LabelSet;

/// One node's part in giving out the numbers that all nodes of a cluster share.
///
/// It is a machine without hands: events go in, and what comes out of [`ClusterAllocator::poll`] is
/// to be carried out, by whoever has a store. Call `poll` until it is empty after each event.
/// Requests of different label sets may be carried out in any order, and at the same time.
///
/// Labels get a number under a lock of their own. A number that other nodes use for them is taken;
/// else one whose master is left over; else a new one, whose master only one node can create.
///
/// ```
/// use palisade_identity::*;
///
/// let keys = StoreKeys::new(StoreKeys::CILIUM, "node-1")?;
/// let mut allocator = ClusterAllocator::new(keys, Range::CLUSTER, 42);
/// allocator.handle(StoreEvent::Synced);
/// let labels = LabelSet::parse(["k8s:app=web"])?;
/// let ticket = allocator.allocate(&labels);
///
/// // The least store there can be: nothing exists, and every write is done.
/// let revision = StoreRevision::new(1);
/// let mut got = None;
/// while let Some(effect) = allocator.poll() {
///     match effect {
///         Effect::Ask(id, request) => {
///             let answer = match request {
///                 Request::Lock { key } => Response::Locked(Lock { key, revision }),
///                 Request::List { .. } => Response::Listed(Vec::new()),
///                 Request::Get { .. } => Response::Value(None),
///                 _ => Response::Written(revision),
///             };
///             allocator.handle(StoreEvent::Answer(id, answer));
///         }
///         Effect::Allocated { ticket: done, identity, .. } => got = Some((done, identity)),
///         other => return Err(format!("{other:?}").into()),
///     }
/// }
/// let (done, identity) = got.ok_or("no number")?;
/// assert_eq!(done, ticket);
/// assert_eq!(allocator.identity(&labels), Some(identity));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClusterAllocator {
    keys: StoreKeys,
    masters: Masters,
    sets: HashMap<LabelSet, Set>,
    asked: HashMap<RequestId, LabelSet>,
    effects: VecDeque<Effect>,
    next_request: u64,
    next_ticket: u64,
    synced: bool,
}

/// Who asked for a number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// What a [`ClusterAllocator`] hears.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreEvent {
    /// The store answers a request.
    Answer(RequestId, Response),
    /// The node's lease ran out, and all its slaves with it.
    LeaseLost,
    /// A master came, is known from the first listing, or was written again.
    Master(Identity, LabelSet),
    /// A master is gone.
    MasterGone(Identity),
    /// The time that [`Effect::Retry`] asked for is over.
    Retry(LabelSet),
    /// The first listing of the masters is complete. Nothing is allocated before.
    Synced,
}

/// What a [`ClusterAllocator`] wants done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// The labels have a number, and one more reference.
    Allocated {
        /// Who asked.
        ticket: Ticket,
        /// The number.
        identity: Identity,
        /// Whether a number was made for them now.
        allocation: Allocation,
    },
    /// A request to the store.
    Ask(RequestId, Request),
    /// The labels get no number.
    Failed {
        /// Who asked.
        ticket: Ticket,
        /// Why.
        error: ClusterAllocateError,
    },
    /// The number of these labels has been given to others while the node had lost its lease, or
    /// others have another number for them. All references are void; ask again.
    Lost {
        /// The number.
        identity: Identity,
        /// The labels that had it.
        labels: LabelSet,
    },
    /// [`StoreEvent::Retry`] with these labels is wanted after a while.
    Retry {
        /// The labels.
        labels: LabelSet,
        /// How long to wait.
        after: Duration,
    },
}

/// Why labels get no number.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ClusterAllocateError {
    /// Every number has a master.
    #[error("every identity of the cluster is taken")]
    Exhausted,
    /// The store failed, or others were quicker, too often.
    #[error("no identity after {attempts} attempts")]
    GivenUp {
        /// How often it was tried.
        attempts: u32,
    },
}

impl ClusterAllocator {
    /// An allocator that has heard nothing yet. Numbers are tried in an order that follows from the
    /// seed, so that nodes with different seeds rarely try the same.
    pub fn new(keys: StoreKeys, range: Range, seed: u64) -> Self {
        Self {
            keys,
            masters: Masters::new(range, seed),
            sets: HashMap::new(),
            asked: HashMap::new(),
            effects: VecDeque::new(),
            next_request: 0,
            next_ticket: 0,
            synced: false,
        }
    }

    /// Asks for a reference on the number of these labels. [`Effect::Allocated`] or
    /// [`Effect::Failed`] follows, at once if the node has the number already.
    pub fn allocate(&mut self, labels: &LabelSet) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.sets
            .entry(labels.clone())
            .or_default()
            .waiting
            .push(ticket);
        self.advance(labels);
        ticket
    }

    /// Gives up one reference; with the last one the node's slave goes.
    pub fn release(&mut self, labels: &LabelSet) {
        if let Some(set) = self.sets.get_mut(labels) {
            set.references = set.references.saturating_sub(1);
        }
        self.advance(labels);
    }

    /// Looks after everything that the node holds: what is lost in the store is written again. Worth
    /// doing every few minutes.
    pub fn resync(&mut self) {
        for labels in self.held() {
            if let Some(set) = self.sets.get_mut(&labels) {
                set.renew = true;
            }
            self.advance(&labels);
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Answer(id, response) => self.answer(id, response),
            StoreEvent::LeaseLost => {
                let all: Vec<LabelSet> = self.sets.keys().cloned().collect();
                for labels in all {
                    self.doubt(&labels);
                }
            }
            StoreEvent::Master(identity, labels) => self.masters.insert(identity, &labels),
            StoreEvent::MasterGone(identity) => {
                if let Some(labels) = self.masters.remove(identity) {
                    self.doubt(&labels);
                }
            }
            StoreEvent::Retry(labels) => {
                if let Some(set) = self.sets.get_mut(&labels) {
                    set.rested();
                }
                self.advance(&labels);
            }
            StoreEvent::Synced => {
                self.synced = true;
                let waiting: Vec<LabelSet> = self.sets.keys().cloned().collect();
                for labels in waiting {
                    self.advance(&labels);
                }
            }
        }
    }

    /// What is to be done next, if anything is.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The number that this node holds for labels.
    pub fn identity(&self, labels: &LabelSet) -> Option<Identity> {
        let held = self.sets.get(labels).and_then(Set::held)?;
        Some(held.identity)
    }

    /// The labels of a number, as far as the store has told.
    pub fn labels(&self, identity: Identity) -> Option<&LabelSet> {
        self.masters.labels(identity)
    }

    /// Where the allocator keeps what.
    pub const fn keys(&self) -> &StoreKeys {
        &self.keys
    }

    /// Nothing is certain of what the node holds: it is written again before it is given out again.
    fn doubt(&mut self, labels: &LabelSet) {
        if let Some(set) = self.sets.get_mut(labels) {
            set.doubted = true;
            set.renew = set.held.is_some();
            set.verified = false;
        }
        self.advance(labels);
    }

    fn held(&self) -> Vec<LabelSet> {
        let held = self.sets.iter().filter(|(_, set)| set.held().is_some());
        held.map(|(labels, _)| labels.clone()).collect()
    }

    fn ask(&mut self, labels: &LabelSet, request: Request) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.asked.insert(id, labels.clone());
        self.effects.push_back(Effect::Ask(id, request));
        id
    }
}
