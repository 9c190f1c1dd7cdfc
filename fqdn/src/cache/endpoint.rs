//! What one endpoint has learnt.

use std::collections::{HashMap, VecDeque};

use palisade_abi::Address;

use super::moment::Moment;
use super::names::NameId;

/// The names of an endpoint, and the order in which they were last used.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) names: HashMap<NameId, Entry>,
    /// From the longest unused on. A place whose turn is not the name's last use is void; that is
    /// cheaper than to take it out.
    order: VecDeque<(Turn, NameId)>,
}

/// Counts uses, so that of any two one is the earlier.
pub(super) type Turn = u64;

/// The addresses of a name.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Sorted by address.
    pub(super) held: Vec<Held>,
    pub(super) used: Turn,
    /// No address is over before this; [`super::due::Due`] knows it.
    pub(super) check: Moment,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) address: Address,
    pub(super) expires: Moment,
    pub(super) used: Turn,
}

impl Endpoint {
    /// Notes that a name was used.
    pub(super) fn touch(&mut self, id: NameId, turn: Turn) {
        let Some(entry) = self.names.get_mut(&id) else {
            return;
        };
        entry.used = turn;
        self.order.push_back((turn, id));
        if self.order.len() > 2 * self.names.len() + SPARE {
            let names = &self.names;
            self.order
                .retain(|(turn, id)| is_last_use(names, *turn, *id));
        }
    }

    /// The name to give up for the sake of `newest`: the longest unused that `live` is not true
    /// of. Of live names only a few are passed over; these count as used now.
    pub(super) fn victim(
        &mut self,
        newest: NameId,
        turn: &mut Turn,
        live: impl Fn(Address) -> bool,
    ) -> Option<NameId> {
        let mut spared = Vec::new();
        let mut victim = None;
        while let Some((used, id)) = self.order.pop_front() {
            let Some(entry) = self.names.get(&id).filter(|entry| entry.used == used) else {
                continue;
            };
            if id == newest || spared.len() == CHANCES {
                self.order.push_front((used, id));
                break;
            }
            if !entry.held.iter().any(|held| live(held.address)) {
                victim = Some(id);
                break;
            }
            spared.push(id);
        }
        if victim.is_none() && !spared.is_empty() {
            victim = Some(spared.remove(0));
        }
        for id in spared {
            *turn += 1;
            self.touch(id, *turn);
        }
        victim
    }

    /// The names, the longest unused first.
    pub(super) fn by_use(&self) -> impl Iterator<Item = (NameId, &Entry)> {
        let mut names: Vec<_> = self.names.iter().map(|(id, entry)| (*id, entry)).collect();
        names.sort_unstable_by_key(|(id, entry)| (entry.used, *id));
        names.into_iter()
    }
}

fn is_last_use(names: &HashMap<NameId, Entry>, turn: Turn, id: NameId) -> bool {
    names.get(&id).is_some_and(|entry| entry.used == turn)
}

impl Entry {
    pub(super) const fn new() -> Self {
        Self {
            held: Vec::new(),
            used: 0,
            check: Moment::NEVER,
        }
    }

    /// Holds an address at least as long as this. Says whether it is new.
    pub(super) fn hold(&mut self, address: Address, expires: Moment, used: Turn) -> bool {
        match self
            .held
            .binary_search_by_key(&address, |held| held.address)
        {
            Ok(place) => {
                if let Some(held) = self.held.get_mut(place) {
                    held.expires = held.expires.max(expires);
                    held.used = used;
                }
                false
            }
            Err(place) => {
                // Most names have one address; growth by doubling would hold room for four.
                if self.held.len() < FEW {
                    self.held.reserve_exact(1);
                }
                let held = Held {
                    address,
                    expires,
                    used,
                };
                self.held.insert(place, held);
                true
            }
        }
    }

    /// Gives up addresses beyond the limit: the longest unused that `live` is not true of. Of live
    /// addresses only a few are passed over; these count as used at this turn. Addresses used at
    /// this turn already stay, and are fewer than the limit.
    pub(super) fn trim(
        &mut self,
        limit: usize,
        turn: Turn,
        live: impl Fn(Address) -> bool,
    ) -> Vec<Address> {
        let excess = self.held.len().saturating_sub(limit);
        if excess == 0 {
            return Vec::new();
        }
        let older = self.held.iter().filter(|held| held.used < turn);
        let mut older: Vec<_> = older.map(|held| (held.used, held.address)).collect();
        if older.len() > excess + CHANCES {
            older.select_nth_unstable(excess + CHANCES);
            older.truncate(excess + CHANCES);
        }
        older.sort_unstable();
        let (mut spared, mut gone) = (Vec::new(), Vec::with_capacity(excess));
        for (_, address) in older {
            if gone.len() == excess {
                break;
            }
            if spared.len() < CHANCES && live(address) {
                spared.push(address);
            } else {
                gone.push(address);
            }
        }
        let missing = excess - gone.len();
        gone.extend(spared.drain(..missing.min(spared.len())));
        gone.sort_unstable();
        spared.sort_unstable();
        self.held.retain_mut(|held| {
            if spared.binary_search(&held.address).is_ok() {
                held.used = turn;
            }
            gone.binary_search(&held.address).is_err()
        });
        gone
    }
}

/// How many live names or addresses one eviction passes over: enough to keep connections, and few
/// enough that a pod with many of them cannot slow down its node.
pub(super) const CHANCES: usize = 8;
/// Void places that are not worth clearing.
const SPARE: usize = 16;
/// Up to how many addresses memory counts more than time.
const FEW: usize = 4;
