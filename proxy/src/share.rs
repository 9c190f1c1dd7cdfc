//! Bounded shares of what all clients use together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what is in use, over all clients and by each of them.
#[derive(Debug)]
pub(crate) struct Shares {
    total: usize,
    per_client: usize,
    used: Mutex<Used>,
}

impl Shares {
    pub(crate) fn new(total: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_client,
            used: Mutex::default(),
        })
    }

    /// Takes one of the client's share, unless that or the whole is used up.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Slot> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.total >= self.total {
            return None;
        }
        let mine = used.by_client.entry(client).or_default();
        if *mine >= self.per_client {
            return None;
        }
        *mine += 1;
        used.total += 1;
        Some(Slot {
            shares: Arc::clone(self),
            client,
        })
    }

    /// How much is in use.
    pub(crate) fn in_use(&self) -> usize {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .total
    }
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    /// Only clients that use something, so that it is no longer than `total`.
    by_client: HashMap<IpAddr, usize>,
}

/// One piece of a client's share, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    shares: Arc<Shares>,
    client: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut used = self
            .shares
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        used.total -= 1;
        if let Entry::Occupied(mut mine) = used.by_client.entry(self.client) {
            *mine.get_mut() -= 1;
            if *mine.get() == 0 {
                mine.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const C: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    #[test]
    fn a_client_gets_its_share_and_no_more() {
        let shares = Shares::new(3, 2);
        let first = shares.take(A);
        let second = shares.take(A);
        assert!(first.is_some() && second.is_some());
        assert!(shares.take(A).is_none());
        drop(first);
        assert!(shares.take(A).is_some());
    }

    #[test]
    fn one_client_leaves_the_others_theirs_until_the_whole_is_used_up() {
        let shares = Shares::new(3, 2);
        let held = [shares.take(A), shares.take(A), shares.take(B)];
        assert!(held.iter().all(Option::is_some));
        assert!(shares.take(C).is_none());
        drop(held);
        assert_eq!(shares.in_use(), 0);
        assert!(shares.used.lock().unwrap().by_client.is_empty());
    }

    #[test]
    fn a_client_without_luck_leaves_no_trace() {
        let shares = Shares::new(1, 1);
        let held = shares.take(A);
        assert!(shares.take(B).is_none());
        drop(held);
        assert!(shares.used.lock().unwrap().by_client.is_empty());
    }
}
