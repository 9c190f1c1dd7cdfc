use std::collections::VecDeque;
use std::num::NonZeroUsize;

/// The last flows, in memory that does not grow.
///
/// Every flow has a number that only grows, so that a reader knows where it was. A flow that made
/// room for a newer one is not lost; lost are the events that the kernel had no room for, and what
/// a reader comes too late for.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use palisade_observe::Ring;
///
/// let mut ring = Ring::new(NonZeroUsize::MIN.saturating_add(1));
/// for flow in ["a", "b", "c"] {
///     ring.push(flow);
/// }
/// let batch = ring.after(0);
/// assert_eq!((batch.flows, batch.missed, batch.next), (vec!["b", "c"], 1, 3));
/// assert_eq!(ring.after(ring.back(1)).flows, ["c"]);
/// ```
#[derive(Clone, Debug)]
pub struct Ring<T> {
    flows: VecDeque<T>,
    capacity: NonZeroUsize,
    /// The number of the first flow.
    first: u64,
    lost: u64,
}

/// What a reader gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch<T> {
    /// The flows, oldest first.
    pub flows: Vec<T>,
    /// How many flows had gone before the reader came.
    pub missed: u64,
    /// The number to read from next.
    pub next: u64,
}

impl<T> Ring<T> {
    /// A ring that holds this many flows.
    pub const fn new(capacity: NonZeroUsize) -> Self {
        Self {
            flows: VecDeque::new(),
            capacity,
            first: 0,
            lost: 0,
        }
    }

    /// Adds a flow; the oldest one makes room.
    pub fn push(&mut self, flow: T) {
        if self.flows.len() == self.capacity.get() {
            self.flows.pop_front();
            self.first += 1;
        }
        self.flows.push_back(flow);
    }

    /// Adds to the events that never became flows.
    pub const fn add_lost(&mut self, events: u64) {
        self.lost = self.lost.saturating_add(events);
    }

    /// How many events never became flows.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// How many flows there have been; also the number of the next one.
    pub fn seen(&self) -> u64 {
        self.first + self.flows.len() as u64
    }

    /// The number of the flow that is `count` flows back, or of the oldest one.
    pub fn back(&self, count: usize) -> u64 {
        self.seen() - self.flows.len().min(count) as u64
    }

    /// The flows that are held, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.flows.iter()
    }
}

impl<T: Clone> Ring<T> {
    /// The flows from a number on.
    pub fn after(&self, from: u64) -> Batch<T> {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        Batch {
            flows: self.flows.iter().skip(skip).cloned().collect(),
            missed: self.first.saturating_sub(from),
            next: self.seen(),
        }
    }
}
