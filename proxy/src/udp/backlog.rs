//! Queries that came faster than they are looked at.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::config::Limits;
use crate::message::MAX_QUERY;
use crate::sys::Datagram;

/// Queries by client, who take turns: a client that floods waits for itself.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// How many may wait, and how many of one client.
    most: usize,
    most_of_client: usize,
    /// Only clients of whom something waits.
    waiting: HashMap<IpAddr, VecDeque<Waiting>>,
    /// Each of these once, the next one first.
    turns: VecDeque<IpAddr>,
    total: usize,
}

/// A datagram and the listener that it came in by.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) listener: u64,
    message: Box<[u8]>,
    source: Option<SocketAddr>,
    destination: Option<SocketAddr>,
}

/// What had to go for a datagram to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dropped {
    Nothing,
    /// The datagram itself, or another one.
    One,
}

impl Backlog {
    /// Room for as many as may be under way at once, and for no fewer than a burst has: whoever is
    /// beyond a share is to be told so.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            most: limits.in_flight.max(BURST),
            most_of_client: limits.in_flight_per_client.max(BURST_OF_CLIENT),
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            total: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Lets a datagram wait, unless too many of its client do.
    pub(crate) fn push(&mut self, listener: u64, datagram: Datagram<'_>) -> Dropped {
        let Some(client) = datagram.source.map(|source| source.ip()) else {
            return Dropped::One;
        };
        let dropped = if self.total >= self.most {
            self.drop_of_longest()
        } else {
            Dropped::Nothing
        };
        let queue = self.waiting.entry(client).or_default();
        if queue.len() >= self.most_of_client {
            return Dropped::One;
        }
        if queue.is_empty() {
            self.turns.push_back(client);
        }
        // What is too long for a query is known by one byte too many.
        let length = datagram.message.len().min(MAX_QUERY + 1);
        queue.push_back(Waiting {
            listener,
            message: datagram.message.get(..length).unwrap_or_default().into(),
            source: datagram.source,
            destination: datagram.destination,
        });
        self.total += 1;
        dropped
    }

    /// The next datagram of the client whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let client = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&client)?;
        let next = queue.pop_front()?;
        self.total -= 1;
        if queue.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        Some(next)
    }

    /// Makes room at the cost of whoever has most.
    fn drop_of_longest(&mut self) -> Dropped {
        // The last of several stays: a client whose only one it is keeps its turn.
        let longest = self.waiting.values_mut().max_by_key(|queue| queue.len());
        match longest.filter(|queue| queue.len() > 1) {
            Some(queue) => {
                queue.pop_back();
                self.total -= 1;
                Dropped::One
            }
            None => Dropped::Nothing,
        }
    }
}

impl Waiting {
    pub(crate) fn datagram(&self) -> Datagram<'_> {
        Datagram {
            message: &self.message,
            source: self.source,
            destination: self.destination,
        }
    }
}

const BURST: usize = 2048;
const BURST_OF_CLIENT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(backlog: &mut Backlog, client: u16, number: u8) -> Dropped {
        let [high, low] = client.to_be_bytes();
        backlog.push(
            0,
            Datagram {
                message: &[number],
                source: Some(([10, 0, high, low], 9).into()),
                destination: None,
            },
        )
    }

    fn pop(backlog: &mut Backlog) -> Option<(u8, u8)> {
        let waiting = backlog.pop()?;
        let IpAddr::V4(client) = waiting.source?.ip() else {
            return None;
        };
        Some((client.octets()[3], waiting.message[0]))
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let mut backlog = Backlog::new(Limits::default());
        for number in 0..3 {
            push(&mut backlog, 1, number);
        }
        push(&mut backlog, 2, 0);
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut backlog)).collect();
        assert_eq!(order, [(1, 0), (2, 0), (1, 1), (1, 2)]);
        assert!(backlog.is_empty() && backlog.waiting.is_empty());
    }

    #[test]
    fn a_client_that_floods_loses_its_own() {
        let mut backlog = Backlog::new(Limits::default());
        let dropped = (0..300).filter(|_| push(&mut backlog, 1, 0) == Dropped::One);
        assert_eq!(dropped.count(), 300 - BURST_OF_CLIENT);
        assert_eq!(push(&mut backlog, 2, 0), Dropped::Nothing);
        assert_eq!(backlog.total, BURST_OF_CLIENT + 1);
    }

    #[test]
    fn many_that_flood_make_room_for_one_that_does_not() {
        let mut backlog = Backlog::new(Limits::default());
        for client in 1..=8 {
            for _ in 0..BURST_OF_CLIENT {
                assert_eq!(push(&mut backlog, client, 0), Dropped::Nothing);
            }
        }
        assert_eq!(push(&mut backlog, 9, 7), Dropped::One);
        assert_eq!(backlog.total, BURST);
        let first: Vec<_> = (0..9).filter_map(|_| pop(&mut backlog)).collect();
        assert_eq!(first.last(), Some(&(9, 7)));
    }
}
