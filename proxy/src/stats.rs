//! What a proxy counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What a proxy has done since it was started.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)+
            /// How long released answers were held, summed up.
            pub held: Duration,
            /// The longest that an answer was held.
            pub held_longest: Duration,
            /// Queries that wait for their answer or whose answer is held, at this moment.
            pub in_flight: usize,
            /// TCP connections of clients, at this moment.
            pub connections: usize,
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
            held: Counter,
            held_longest: Counter,
        }

        impl Counters {
            pub(crate) fn read(&self, in_flight: usize, connections: usize) -> Stats {
                Stats {
                    $($name: self.$name.read(),)+
                    held: Duration::from_nanos(self.held.read()),
                    held_longest: Duration::from_nanos(self.held_longest.read()),
                    in_flight,
                    connections,
                }
            }
        }
    };
}

stats! {
    /// Queries judged.
    asked,
    /// Queries outside the rules.
    refused,
    /// Messages that were not judged; [`Reject`](crate::Reject) says why.
    rejected,
    /// Server's answers that clients got.
    released,
    /// Answers not enforced in time, released or not.
    late,
    /// Queries that were not forwarded because a share was used up.
    overload,
    /// Queries whose server did not answer in time.
    timeout,
    /// Queries whose server could not be asked.
    unreachable,
    /// Answers dropped because their id or question was not one that waits.
    mismatched,
    /// Answers that could not be read, or that the embedder gave up.
    failed,
    /// Replies that the client's socket did not take.
    unsent,
}

impl Counters {
    pub(crate) fn note_held(&self, held: Duration) {
        let nanos = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        self.held.0.fetch_add(nanos, Ordering::Relaxed);
        self.held_longest.0.fetch_max(nanos, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
