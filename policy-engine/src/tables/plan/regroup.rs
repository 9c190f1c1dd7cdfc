//! Which identities can stay in their class, and which have to leave it.

use std::collections::BTreeMap;

use palisade_abi::{Direction, Identity};

use super::Plan;
use crate::compile::{Both, Map, Moved, Signature};

/// Identities that share both their class in force and their signature, and have to leave.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) class: u32,
    pub(super) signature: Signature,
    /// Whether nothing has happened to them but that selectors have joined: to sides that do not
    /// ask for those they are what they were.
    pub(super) is_settled: bool,
    pub(super) movers: Vec<Moved>,
}

impl Plan<'_> {
    /// Compares the classes in force with the signatures of the identities that have changed.
    ///
    /// A class goes on as its largest part. Identities whose labels have changed do not count: no
    /// policy should be rewritten for the sake of a class that only they are in.
    pub(super) fn regroup(&mut self) -> Both<Vec<Leaving>> {
        let mut moved: Vec<Moved> = self.delta.identities.clone();
        if self.engine.found {
            let strays = self.image.classified().map(|(identity, _)| identity);
            let strays = strays.filter(|one| self.engine.logic.number(*one).is_none());
            moved.extend(strays.map(|identity| Moved {
                identity,
                before: None,
                now: None,
            }));
        }
        Both::new(|direction| self.regroup_one(direction, &moved))
    }

    fn regroup_one(&mut self, direction: Direction, moved: &[Moved]) -> Vec<Leaving> {
        let mut groups = self.groups(direction, moved);
        groups.sort_unstable_by_key(|group| (group.class, group.signature));
        let mut leaving = Vec::with_capacity(groups.len());
        let mut by_class: BTreeMap<u32, Vec<Leaving>> = BTreeMap::new();
        for group in groups {
            if group.class == 0 {
                leaving.push(group);
            } else {
                by_class.entry(group.class).or_default().push(group);
            }
        }
        for (class, groups) in by_class {
            self.split(direction, class, groups, &mut leaving);
        }
        leaving
    }

    /// The identities whose class does not mean what they are.
    fn groups(&mut self, direction: Direction, moved: &[Moved]) -> Vec<Leaving> {
        let mut places: Map<(u32, Signature), usize> = Map::default();
        let mut groups: Vec<Leaving> = Vec::new();
        for one in moved {
            let class = self.image.peer_class(one.identity, direction).get();
            let signature = self.signature(direction, one);
            let classes = self.engine.classes.get_mut(direction);
            let fits = if class == 0 {
                signature == Signature::UNKNOWN
            } else {
                signature != Signature::UNKNOWN && classes.meaning(class) == signature
            };
            if fits {
                if let (Some(before), Some(now)) = (one.before, one.now)
                    && before != now
                {
                    classes.take(before);
                    classes.put(now, class);
                }
                continue;
            }
            let place = *places.entry((class, signature)).or_insert_with(|| {
                groups.push(Leaving {
                    class,
                    signature,
                    is_settled: true,
                    movers: Vec::new(),
                });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(place) {
                group.is_settled &= one.is_settled();
                group.movers.push(*one);
            }
        }
        groups
    }

    fn signature(&self, direction: Direction, one: &Moved) -> Signature {
        let member = one.now.and_then(|now| self.engine.logic.member(now));
        member.map_or(Signature::UNKNOWN, |member| {
            *member.signatures.get(direction)
        })
    }

    /// Lets a class go on as its largest part; the others leave.
    fn split(
        &mut self,
        direction: Direction,
        class: u32,
        groups: Vec<Leaving>,
        leaving: &mut Vec<Leaving>,
    ) {
        let found = self.engine.found;
        let settled = |group: &Leaving| {
            let movers = group.movers.iter();
            movers.filter(|one| found || one.is_settled()).count()
        };
        let of_class = |one: &&Moved| one.before.is_some();
        let members = self.engine.classes.get(direction).members(class).len();
        let movers = groups.iter().flat_map(|group| &group.movers);
        let rest = members.saturating_sub(movers.filter(of_class).count());
        let candidates = groups
            .iter()
            .filter(|group| group.signature != Signature::UNKNOWN);
        let largest = candidates
            .map(|group| (settled(group), std::cmp::Reverse(group.signature)))
            .max()
            .filter(|(size, _)| *size > rest);
        let Some((_, std::cmp::Reverse(signature))) = largest else {
            leaving.extend(groups);
            return;
        };
        if rest > 0 {
            leaving.push(self.rest(direction, class, &groups));
        }
        let classes = self.engine.classes.get_mut(direction);
        classes.mean(class, signature);
        for group in groups {
            if group.signature != signature {
                leaving.push(group);
                continue;
            }
            for mover in group.movers {
                if let Some(now) = mover.now.filter(|now| mover.before != Some(*now)) {
                    if let Some(before) = mover.before {
                        classes.take(before);
                    }
                    classes.put(now, class);
                }
            }
        }
    }

    /// The members of a class that nothing has happened to.
    fn rest(&self, direction: Direction, class: u32, groups: &[Leaving]) -> Leaving {
        let movers = groups.iter().flat_map(|group| &group.movers);
        let mut moving: Vec<u32> = movers.filter_map(|one| one.before).collect();
        moving.sort_unstable();
        let classes = self.engine.classes.get(direction);
        let staying = classes.members(class).iter();
        let staying = staying.filter(|number| moving.binary_search(number).is_err());
        let movers = staying.filter_map(|number| {
            Some(Moved {
                identity: self.identity(*number)?,
                before: Some(*number),
                now: Some(*number),
            })
        });
        Leaving {
            class,
            signature: classes.meaning(class),
            is_settled: true,
            movers: movers.collect(),
        }
    }

    fn identity(&self, number: u32) -> Option<Identity> {
        let member = self.engine.logic.member(number)?;
        Some(member.identity)
    }
}
