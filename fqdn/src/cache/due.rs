//! Which names to look at when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use palisade_abi::EndpointId;

use super::moment::Moment;
use super::names::NameId;

/// When the addresses of a name may be over, earliest first.
///
/// A place whose time is not the entry's own is void; that is cheaper than to take it out.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    heap: BinaryHeap<Reverse<Place>>,
}

pub(super) type Place = (Moment, EndpointId, NameId);

impl Due {
    pub(super) fn push(&mut self, place: Place) {
        self.heap.push(Reverse(place));
    }

    /// Takes out every place up to this time.
    pub(super) fn take(&mut self, now: Moment) -> Vec<Place> {
        let mut due = Vec::new();
        while let Some(Reverse(place)) = self.heap.peek()
            && place.0 <= now
        {
            due.push(*place);
            self.heap.pop();
        }
        due
    }

    pub(super) fn first(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((time, ..))| *time)
    }

    /// Clears void places once they outnumber the others.
    pub(super) fn clear_void(&mut self, entries: usize, holds: impl Fn(&Place) -> bool) {
        if self.heap.len() > 2 * entries + SPARE {
            self.heap.retain(|Reverse(place)| holds(place));
        }
    }
}

/// Void places that are not worth clearing.
const SPARE: usize = 64;
