//! What one endpoint uses, and its names in the order of their last use.

use palisade_abi::Address;

use super::changes::Usage;
use super::entry::{CHANCES, Entry, EntryId, Lists, Turn};
use super::slab::Slab;

/// The ends of the list of an endpoint's names, and the sums over it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Endpoint {
    oldest: Option<EntryId>,
    newest: Option<EntryId>,
    pub(super) usage: Usage,
}

impl Endpoint {
    /// Puts a name at the end of the list: it was used now.
    pub(super) fn push(&mut self, entries: &mut Slab<Entry>, id: EntryId, turn: Turn) {
        if let Some(entry) = entries.get_mut(id) {
            entry.used = turn;
            entry.older = self.newest;
            entry.newer = None;
        }
        match self.newest.and_then(|newest| entries.get_mut(newest)) {
            Some(before) => before.newer = Some(id),
            None => self.oldest = Some(id),
        }
        self.newest = Some(id);
    }

    /// Takes a name out of the list.
    pub(super) fn unlink(&mut self, entries: &mut Slab<Entry>, id: EntryId) {
        let Some((older, newer)) = entries.get(id).map(|entry| (entry.older, entry.newer)) else {
            return;
        };
        match older.and_then(|older| entries.get_mut(older)) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| entries.get_mut(newer)) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }

    /// Notes that a name was used.
    pub(super) fn touch(&mut self, entries: &mut Slab<Entry>, id: EntryId, turn: Turn) {
        if self.newest == Some(id) {
            if let Some(entry) = entries.get_mut(id) {
                entry.used = turn;
            }
            return;
        }
        self.unlink(entries, id);
        self.push(entries, id, turn);
    }

    /// The name to give up, other than `newest`: the longest unused that `live` is not true of, and
    /// whether it was. Of live names only a few are passed over; these count as used now.
    pub(super) fn victim(
        &mut self,
        entries: &mut Slab<Entry>,
        lists: &Lists,
        newest: Option<EntryId>,
        turn: &mut Turn,
        live: impl Fn(Address) -> bool,
    ) -> Option<(EntryId, bool)> {
        let mut spared = Vec::new();
        let mut victim = None;
        let mut next = self.oldest;
        while let Some(id) = next
            && let Some(entry) = entries.get(id)
            && spared.len() < CHANCES
        {
            next = entry.newer;
            if Some(id) == newest {
                continue;
            }
            if !entry.addresses(lists).any(|held| live(held.address)) {
                victim = Some((id, false));
                break;
            }
            spared.push(id);
        }
        if victim.is_none() && !spared.is_empty() {
            victim = Some((spared.remove(0), true));
        }
        for id in spared {
            *turn = turn.wrapping_add(1);
            self.touch(entries, id, *turn);
        }
        victim
    }

    /// The names, the longest unused first.
    pub(super) fn by_use<'a>(
        &self,
        entries: &'a Slab<Entry>,
    ) -> impl Iterator<Item = (EntryId, &'a Entry)> + use<'a> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let id = next?;
            let entry = entries.get(id)?;
            next = entry.newer;
            Some((id, entry))
        })
    }
}
