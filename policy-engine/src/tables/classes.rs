//! Which identities share a class, for the policies of one direction.

use palisade_abi::Direction;

use super::image::Image;
use super::state::found_classes;
use crate::compile::{Logic, Signature};

/// The classes that are in force and what they mean. Class 0 is the unknown one.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    table: Vec<Option<Class>>,
    /// The classes of each signature.
    of: Vec<Vec<u32>>,
    /// The class of each identity and its place there, by the numbers of the logic.
    homes: Vec<(u32, u32)>,
    live: usize,
    empty: usize,
    /// How many signatures have classes.
    meanings: usize,
}

#[derive(Clone, Debug)]
struct Class {
    /// [`Signature::UNKNOWN`] if nobody remembers.
    signature: Signature,
    members: Vec<u32>,
}

impl Classes {
    /// The classes of an image, of which nobody remembers what they mean.
    pub(super) fn found(image: &Image, direction: Direction) -> Self {
        let mut classes = Self::default();
        for class in found_classes(image, direction) {
            classes.insert(class, Signature::UNKNOWN);
        }
        classes
    }

    /// The classes of an image whose identities are known.
    pub(super) fn attached(image: &Image, direction: Direction, logic: &Logic) -> Self {
        let mut classes = Self::default();
        for (identity, number) in logic.identities() {
            let class = image.peer_class(identity, direction).get();
            let signature = logic
                .member(number)
                .map(|one| *one.signatures.get(direction));
            if class != 0 {
                classes.insert(class, signature.unwrap_or(Signature::UNKNOWN));
            }
            classes.put(number, class);
        }
        classes
    }

    /// A class comes into force.
    pub(super) fn insert(&mut self, class: u32, signature: Signature) {
        if class == 0 || self.is_live(class) {
            return;
        }
        let place = class as usize;
        if self.table.len() <= place {
            self.table.resize(place + 1, None);
        }
        if let Some(one) = self.table.get_mut(place) {
            *one = Some(Class {
                signature,
                members: Vec::new(),
            });
            self.live += 1;
            self.empty += 1;
        }
        self.list(class, signature);
    }

    /// A class is given up; its members have left.
    pub(super) fn remove(&mut self, class: u32) {
        let removed = self.table.get_mut(class as usize).and_then(Option::take);
        if let Some(removed) = removed {
            self.live -= 1;
            self.empty -= usize::from(removed.members.is_empty());
            self.unlist(class, removed.signature);
        }
    }

    /// From now on a class means something else.
    pub(super) fn mean(&mut self, class: u32, signature: Signature) {
        let one = self.table.get_mut(class as usize).and_then(Option::as_mut);
        let before = one.map(|one| std::mem::replace(&mut one.signature, signature));
        if let Some(before) = before {
            self.unlist(class, before);
            self.list(class, signature);
        }
    }

    /// What a class means; [`Signature::UNKNOWN`] for class 0 and if nobody remembers.
    pub(super) fn meaning(&self, class: u32) -> Signature {
        self.get(class)
            .map_or(Signature::UNKNOWN, |class| class.signature)
    }

    /// The classes that mean a signature, in the order in which they came.
    pub(super) fn of(&self, signature: Signature) -> &[u32] {
        self.of.get(signature.0 as usize).map_or(&[], AsRef::as_ref)
    }

    /// Whether a class is in force.
    pub(super) fn is_live(&self, class: u32) -> bool {
        class == 0 || self.get(class).is_some()
    }

    /// The classes in force but 0, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let classes = (0..).zip(&self.table);
        classes.filter_map(|(class, one)| one.is_some().then_some(class))
    }

    /// How many classes are in force, the unknown one included.
    pub(super) const fn count(&self) -> usize {
        self.live + 1
    }

    /// How many of them nobody has.
    pub(super) const fn empty(&self) -> usize {
        self.empty
    }

    /// How many signatures have classes.
    pub(super) const fn meanings(&self) -> usize {
        self.meanings
    }

    /// The classes of every signature that has several.
    pub(super) fn doubles(&self) -> Vec<Vec<u32>> {
        let several = self.of.iter().filter(|classes| classes.len() > 1);
        several.cloned().collect()
    }

    /// The class of an identity.
    pub(super) fn home(&self, number: u32) -> u32 {
        self.homes.get(number as usize).map_or(0, |home| home.0)
    }

    /// The identities of a class.
    pub(super) fn members(&self, class: u32) -> &[u32] {
        self.get(class).map_or(&[], |class| &class.members)
    }

    /// An identity joins a class.
    pub(super) fn put(&mut self, number: u32, class: u32) {
        let place = number as usize;
        if self.homes.len() <= place {
            self.homes.resize(place + 1, (0, 0));
        }
        let one = self.table.get_mut(class as usize).and_then(Option::as_mut);
        let at = one.map_or(0, |one| {
            self.empty -= usize::from(one.members.is_empty());
            one.members.push(number);
            one.members.len() - 1
        });
        if let Some(home) = self.homes.get_mut(place) {
            *home = (class, u32::try_from(at).unwrap_or(u32::MAX));
        }
    }

    /// An identity leaves its class.
    pub(super) fn take(&mut self, number: u32) {
        let home = self.homes.get_mut(number as usize).map(std::mem::take);
        let Some((class, at)) = home.filter(|(class, _)| *class != 0) else {
            return;
        };
        let one = self.table.get_mut(class as usize).and_then(Option::as_mut);
        let Some(one) = one.filter(|one| (at as usize) < one.members.len()) else {
            return;
        };
        one.members.swap_remove(at as usize);
        self.empty += usize::from(one.members.is_empty());
        let moved = one.members.get(at as usize).copied();
        if let Some(home) = moved.and_then(|moved| self.homes.get_mut(moved as usize)) {
            home.1 = at;
        }
    }

    fn get(&self, class: u32) -> Option<&Class> {
        self.table.get(class as usize)?.as_ref()
    }

    fn list(&mut self, class: u32, signature: Signature) {
        if signature == Signature::UNKNOWN {
            return;
        }
        let place = signature.0 as usize;
        if self.of.len() <= place {
            self.of.resize(place + 1, Vec::new());
        }
        if let Some(list) = self.of.get_mut(place) {
            self.meanings += usize::from(list.is_empty());
            list.push(class);
        }
    }

    fn unlist(&mut self, class: u32, signature: Signature) {
        if let Some(list) = self.of.get_mut(signature.0 as usize) {
            let before = list.len();
            list.retain(|one| *one != class);
            self.meanings -= usize::from(before > 0 && list.is_empty());
        }
    }
}
