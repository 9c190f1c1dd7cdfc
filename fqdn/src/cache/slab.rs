//! Values under small numbers that are used again.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// The number of a `T` in its [`Slab`], for as long as it is there.
pub(super) struct Id<T> {
    number: NonZeroU32,
    of: PhantomData<fn() -> T>,
}

/// Values by number. It grows piece by piece, since room that nobody uses counts.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Vec<Place<T>>>,
    /// How many places there are.
    length: usize,
    free: Option<Id<T>>,
    taken: usize,
}

#[derive(Clone, Debug)]
enum Place<T> {
    /// The next place that is free.
    Free(Option<Id<T>>),
    Taken(T),
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            length: 0,
            free: None,
            taken: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Id<T> {
        self.taken += 1;
        if let Some(id) = self.free
            && let Some(place) = self.place_mut(id)
            && let Place::Free(next) = *place
        {
            *place = Place::Taken(value);
            self.free = next;
            return id;
        }
        if self.length.is_multiple_of(PIECE) {
            // The first piece grows as needed: most slabs are small.
            let room = if self.length == 0 { 0 } else { PIECE };
            self.pieces.push(Vec::with_capacity(room));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.push(Place::Taken(value));
        }
        self.length += 1;
        // Memory ends long before the numbers do.
        Id::new(u32::try_from(self.length).unwrap_or(u32::MAX))
    }

    pub(super) fn get(&self, id: Id<T>) -> Option<&T> {
        match self
            .pieces
            .get(id.place() / PIECE)?
            .get(id.place() % PIECE)?
        {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        match self.place_mut(id)? {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    pub(super) fn remove(&mut self, id: Id<T>) -> Option<T> {
        let free = self.free;
        let place = self.place_mut(id)?;
        if matches!(place, Place::Free(_)) {
            return None;
        }
        match std::mem::replace(place, Place::Free(free)) {
            Place::Taken(value) => {
                self.free = Some(id);
                self.taken -= 1;
                Some(value)
            }
            Place::Free(_) => None,
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.pieces
            .iter()
            .flatten()
            .filter_map(|place| match place {
                Place::Taken(value) => Some(value),
                Place::Free(_) => None,
            })
    }

    pub(super) const fn len(&self) -> usize {
        self.taken
    }

    /// Whether so much of the room is unused that moving what is left pays.
    pub(super) fn is_sparse(&self) -> bool {
        self.length > WORTHWHILE && self.taken < self.length / 8
    }

    fn place_mut(&mut self, id: Id<T>) -> Option<&mut Place<T>> {
        let piece = self.pieces.get_mut(id.place() / PIECE)?;
        piece.get_mut(id.place() % PIECE)
    }
}

impl<T> Id<T> {
    fn new(number: u32) -> Self {
        Self {
            number: NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX),
            of: PhantomData,
        }
    }

    /// The plain number.
    pub(super) const fn get(self) -> u32 {
        self.number.get()
    }

    const fn place(self) -> usize {
        self.number.get() as usize - 1
    }
}

// By hand, since what is numbered need be none of these.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Id<T> {}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.number)
    }
}

/// Places that are added at a time.
const PIECE: usize = 512;
/// Below so many places nothing is moved.
const WORTHWHILE: usize = 1024;
