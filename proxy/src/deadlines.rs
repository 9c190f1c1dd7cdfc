//! A queue of equal waits.

use std::collections::VecDeque;
use std::time::Instant;

/// Things that end at an instant; each push ends no earlier than the one before.
///
/// What was settled early stays queued until it is the first or a compaction finds it dead, so that
/// settling costs nothing.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    queue: VecDeque<(Instant, K)>,
    /// Above this length the dead are swept out. At most half of it may live.
    compact_above: usize,
}

impl<K> Deadlines<K> {
    /// A queue of which at most `live` entries are waited for at a time.
    pub(crate) fn new(live: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            compact_above: 2 * live + 64,
        }
    }

    pub(crate) fn push(&mut self, due: Instant, key: K, alive: impl Fn(&K) -> bool) {
        if self.queue.len() >= self.compact_above {
            self.queue.retain(|(_, key)| alive(key));
        }
        self.queue.push_back((due, key));
    }

    /// The next one that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<K> {
        match self.queue.front() {
            Some((due, _)) if *due <= now => self.queue.pop_front().map(|(_, key)| key),
            Some(_) | None => None,
        }
    }

    /// When the first one that is still waited for is due.
    pub(crate) fn next(&mut self, alive: impl Fn(&K) -> bool) -> Option<Instant> {
        // Nobody is to wake up for the dead.
        while self.queue.front().is_some_and(|(_, key)| !alive(key)) {
            self.queue.pop_front();
        }
        self.queue.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_nothing_early() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(8);
        for n in 0..3_u64 {
            deadlines.push(start + Duration::from_secs(n), n, |_| true);
        }
        assert_eq!(deadlines.next(|_| true), Some(start));
        let now = start + Duration::from_secs(1);
        assert_eq!(deadlines.pop(now), Some(0));
        assert_eq!(deadlines.pop(now), Some(1));
        assert_eq!(deadlines.pop(now), None);
    }

    #[test]
    fn nobody_wakes_for_the_dead() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(8);
        for n in 0..4_u64 {
            deadlines.push(start + Duration::from_secs(n), n, |_| true);
        }
        let third = Some(start + Duration::from_secs(2));
        assert_eq!(deadlines.next(|n| *n == 2), third);
        assert_eq!(deadlines.next(|_| true), third);
        assert_eq!(deadlines.next(|_| false), None);
    }

    #[test]
    fn the_dead_do_not_pile_up() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(10);
        for n in 0..100_000 {
            deadlines.push(start, n, |key| key % 10_000 == 0);
        }
        assert!(deadlines.queue.len() <= 84);
        assert_eq!(deadlines.pop(start), Some(0));
    }
}
