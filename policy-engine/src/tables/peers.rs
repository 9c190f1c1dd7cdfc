//! How the classes of identities are split, for the policies of one direction.

use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::{Direction, Identity};

use super::error::Error;
use super::image::{Image, class};
use super::numbers::Numbers;
use crate::compile::{Logical, Signature};

/// Identities that share both their class in force and their new signature.
pub(super) type Group = (u32, Signature);

/// How one direction's classes in force relate to the new signatures.
#[derive(Debug)]
pub(super) struct Groups {
    /// The classes that some identity has, and 0.
    pub(super) before: BTreeSet<u32>,
    /// What each class that lives on means from now on. 0 is always the unknown class.
    pub(super) stays: BTreeMap<u32, Signature>,
    /// The same from the other side.
    pub(super) classes: BTreeMap<Signature, Vec<u32>>,
    /// The groups that need another class than the one they have.
    pub(super) leave: Vec<Group>,
}

impl Groups {
    /// Compares what is in force with what is wanted.
    ///
    /// A class goes on as its largest group. Identities whose labels have changed do not count: no
    /// policy should be rewritten for the sake of a class that only they are in.
    pub(super) fn new(
        image: &Image,
        target: &Logical,
        relabelled: &BTreeSet<Identity>,
        direction: Direction,
    ) -> Self {
        let mut sizes: BTreeMap<Group, u32> = BTreeMap::new();
        for (identity, group) in grouped(image, target, direction) {
            let settled = !relabelled.contains(&identity);
            *sizes.entry(group).or_default() += u32::from(settled);
        }
        let mut stays = BTreeMap::from([(0, Signature::UNKNOWN)]);
        let mut largest: BTreeMap<u32, u32> = BTreeMap::new();
        for ((class, signature), size) in &sizes {
            let best = largest.entry(*class).or_default();
            if *class != 0 && *signature != Signature::UNKNOWN && *size > *best {
                *best = *size;
                stays.insert(*class, *signature);
            }
        }
        let mut classes: BTreeMap<Signature, Vec<u32>> = BTreeMap::new();
        for (class, signature) in &stays {
            classes.entry(*signature).or_default().push(*class);
        }
        Self {
            before: sizes.keys().map(|(class, _)| *class).chain([0]).collect(),
            leave: sizes
                .into_keys()
                .filter(|(class, signature)| stays.get(class) != Some(signature))
                .collect(),
            stays,
            classes,
        }
    }
}

/// The class and the signature of every identity that is known or was.
pub(super) fn grouped(
    image: &Image,
    target: &Logical,
    direction: Direction,
) -> impl Iterator<Item = (Identity, Group)> {
    let wanted = target.identities.iter().map(move |(identity, signatures)| {
        let class = image.peer_class(*identity, direction).get();
        (*identity, (class, *signatures.get(direction)))
    });
    let gone = image
        .classified()
        .filter(|(identity, _)| !target.identities.contains_key(identity))
        .map(move |(identity, classes)| {
            (identity, (class(classes, direction), Signature::UNKNOWN))
        });
    wanted.chain(gone)
}

/// The classes that leaving groups go to.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    /// Every leaving group's class.
    pub(super) of: BTreeMap<Group, u32>,
    /// The classes that are new, with the group whose old column they take over.
    pub(super) fresh: Vec<(u32, Group)>,
}

impl Destinations {
    /// Finds a class for every leaving group.
    ///
    /// Two groups may share one if they mean the same from now on and `column` finds no draining
    /// policy that tells their old classes apart.
    pub(super) fn find(
        groups: &Groups,
        numbers: &mut Numbers,
        column: impl Fn(u32) -> Vec<u32>,
    ) -> Result<Self, Error> {
        let mut destinations = Self::default();
        let mut taken: BTreeMap<(Signature, Vec<u32>), u32> = BTreeMap::new();
        let wanted: BTreeSet<Signature> = groups.leave.iter().map(|(_, one)| *one).collect();
        for signature in wanted {
            for class in groups.classes.get(&signature).into_iter().flatten() {
                taken.entry((signature, column(*class))).or_insert(*class);
            }
        }
        for group in &groups.leave {
            let key = (group.1, column(group.0));
            let class = if let Some(class) = taken.get(&key) {
                *class
            } else {
                let class = numbers.allocate()?;
                destinations.fresh.push((class, *group));
                taken.insert(key, class);
                class
            };
            destinations.of.insert(*group, class);
        }
        Ok(destinations)
    }
}
