//! The policies that endpoints have: which rules are in force together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId};
use palisade_identity::LabelSet;

use super::super::hash::Map;
use super::super::index::{Index, number_of};
use super::super::logical::Both;
use super::super::subjects::{Side, of_selecting};
use super::super::{LocalEndpoint, is_reserved};
use super::Changes;
use super::rules::Rules;
use crate::filters::{self, Conflict};
use crate::named_ports::NamedPorts;
use crate::options::Options;
use crate::rule::Rule;

/// What endpoints of equal labels have in common.
#[derive(Clone, Debug)]
struct Group {
    endpoint: LocalEndpoint,
    endpoints: BTreeSet<EndpointId>,
    is_node: bool,
    /// The rules that select them, in the order that breaks ties.
    rules: Vec<u32>,
    /// `None` while its rules contradict each other.
    sides: Option<Both<u32>>,
    conflict: Option<Arc<Conflict>>,
}

/// What decides the sides of a group, besides its rules.
#[derive(Clone, Copy)]
struct Settling<'a> {
    rules: &'a Rules,
    options: &'a Options,
    named_ports: &'a NamedPorts,
}

/// The rules of one direction of an endpoint, by number, and what they come to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Sided {
    pub(crate) direction: Direction,
    /// In the order that breaks ties; the places in `side` are places in this list.
    pub(crate) rules: Box<[u32]>,
    pub(crate) side: Side,
}

/// A side and how many groups of endpoints have it.
#[derive(Clone, Debug)]
struct Used {
    sided: Arc<Sided>,
    groups: u32,
}

/// The endpoints, and the sides that they have.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    /// The labels of groups of endpoints, and the subjects of rules.
    index: Index,
    groups: Vec<Option<Group>>,
    group_ids: Map<LocalEndpointKey, u32>,
    endpoints: BTreeMap<EndpointId, u32>,
    /// The rules of each subject.
    of_subject: Vec<Vec<u32>>,
    /// How many subjects have rules.
    live_subjects: usize,
    all: Vec<Option<Used>>,
    ids: Map<Arc<Sided>, u32>,
}

type LocalEndpointKey = (LabelSet, NamedPorts);

/// What a change did to sides.
#[derive(Debug, Default)]
pub(crate) struct SideChanges {
    pub(crate) new: Vec<u32>,
    pub(crate) gone: Vec<u32>,
    /// The sides of endpoints that have others now; `None` for those that are gone.
    pub(crate) endpoints: BTreeMap<EndpointId, Option<Both<u32>>>,
}

impl Sides {
    pub(super) fn get(&self, side: u32) -> Option<&Arc<Sided>> {
        self.all
            .get(side as usize)?
            .as_ref()
            .map(|used| &used.sided)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Arc<Sided>)> {
        let used = (0..).zip(&self.all);
        used.filter_map(|(number, used)| Some((number, &used.as_ref()?.sided)))
    }

    /// The sides of every endpoint.
    pub(super) fn of_endpoints(&self) -> impl Iterator<Item = (EndpointId, Both<u32>)> {
        self.endpoints.iter().filter_map(|(endpoint, group)| {
            let group = self.groups.get(*group as usize)?.as_ref()?;
            Some((*endpoint, group.sides?))
        })
    }

    /// The endpoints whose rules contradict each other.
    pub(super) fn conflicts(&self) -> impl Iterator<Item = (EndpointId, Arc<Conflict>)> {
        self.endpoints.iter().filter_map(|(endpoint, group)| {
            let group = self.groups.get(*group as usize)?.as_ref()?;
            Some((*endpoint, group.conflict.clone()?))
        })
    }

    /// Whether most of what is numbered has left.
    pub(super) fn is_worn(&self) -> bool {
        self.index.is_worn()
            || self.all.len() > 2 * self.ids.len() + 1_024
            || self.index.selector_count() > 2 * self.live_subjects + 1_024
    }

    /// Brings endpoints and the rules that select them in line.
    pub(super) fn change(
        &mut self,
        rules: &Rules,
        gone: &[u32],
        new: &[u32],
        given: &Changes<'_>,
        options: &Options,
        named_ports: &NamedPorts,
    ) -> SideChanges {
        let mut dirty: BTreeSet<u32> = BTreeSet::new();
        self.drop_rules(rules, gone, &mut dirty);
        self.add_rules(rules, new, &mut dirty);
        let mut changes = SideChanges::default();
        let mut moved: BTreeSet<EndpointId> = BTreeSet::new();
        let mut parted = Vec::new();
        for (id, endpoint) in &given.endpoints {
            let before = self.endpoints.remove(id);
            if let Some(before) = before {
                self.part(before, *id);
                parted.push(before);
            }
            if let Some(endpoint) = endpoint {
                let group = self.group(rules, endpoint, &mut dirty);
                self.endpoints.insert(*id, group);
                self.join(group, *id);
                moved.insert(*id);
            } else {
                changes.endpoints.insert(*id, None);
            }
        }
        let mut left = Vec::new();
        for group in dirty {
            let of = Settling {
                rules,
                options,
                named_ports,
            };
            self.settle(group, of, &mut left, &mut changes);
            let group = self.groups.get(group as usize).and_then(Option::as_ref);
            moved.extend(group.iter().flat_map(|group| &group.endpoints));
        }
        let of = |id: EndpointId| (id, self.sides_of(id));
        changes.endpoints.extend(moved.into_iter().map(of));
        self.release(left, &parted, &mut changes);
        changes
    }

    fn sides_of(&self, endpoint: EndpointId) -> Option<Both<u32>> {
        let group = self.endpoints.get(&endpoint)?;
        self.groups.get(*group as usize)?.as_ref()?.sides
    }

    fn drop_rules(&mut self, rules: &Rules, gone: &[u32], dirty: &mut BTreeSet<u32>) {
        let mut subjects: BTreeSet<u32> = BTreeSet::new();
        for number in gone {
            let Some(rule) = rules.get(*number) else {
                continue;
            };
            if let Some(subject) = self.index.id(rule.subject.selector()) {
                subjects.insert(subject);
            }
        }
        let mut sorted = gone.to_vec();
        sorted.sort_unstable();
        let is_gone = |number: &u32| sorted.binary_search(number).is_ok();
        for subject in subjects {
            if let Some(of_subject) = self.of_subject.get_mut(subject as usize)
                && !of_subject.is_empty()
            {
                of_subject.retain(|number| !is_gone(number));
                self.live_subjects -= usize::from(of_subject.is_empty());
            }
            for at in self.index.matching(subject) {
                if let Some(group) = self.groups.get_mut(at as usize).and_then(Option::as_mut) {
                    let before = group.rules.len();
                    group.rules.retain(|number| !is_gone(number));
                    if group.rules.len() != before {
                        dirty.insert(at);
                    }
                }
            }
        }
    }

    fn add_rules(&mut self, rules: &Rules, new: &[u32], dirty: &mut BTreeSet<u32>) {
        let sorted = rules.sorted(new);
        let mut selected: Map<u32, Vec<u32>> = Map::default();
        for number in sorted {
            let Some(rule) = rules.get(number) else {
                continue;
            };
            let subject = self.index.intern(rule.subject.selector());
            if self.of_subject.len() <= subject as usize {
                self.of_subject.resize(subject as usize + 1, Vec::new());
            }
            if let Some(of_subject) = self.of_subject.get_mut(subject as usize) {
                self.live_subjects += usize::from(of_subject.is_empty());
                of_subject.push(number);
            }
            let index = &self.index;
            let groups = selected
                .entry(subject)
                .or_insert_with(|| index.matching(subject));
            for at in &*groups {
                if let Some(group) = self.groups.get_mut(*at as usize).and_then(Option::as_mut)
                    && group.takes(rule)
                {
                    group.insert(number, rules);
                    dirty.insert(*at);
                }
            }
        }
    }

    /// The group of endpoints like this one.
    fn group(&mut self, rules: &Rules, endpoint: &LocalEndpoint, dirty: &mut BTreeSet<u32>) -> u32 {
        let key = (endpoint.labels.clone(), endpoint.named_ports.clone());
        if let Some(group) = self.group_ids.get(&key) {
            return *group;
        }
        let number = self.index.add(&endpoint.labels);
        let mut group = Group {
            endpoint: endpoint.clone(),
            endpoints: BTreeSet::new(),
            is_node: is_reserved(&endpoint.labels, "host"),
            rules: Vec::new(),
            sides: None,
            conflict: None,
        };
        for subject in self.index.selectors_of(&endpoint.labels) {
            let of_subject = self.of_subject.get(subject as usize).into_iter().flatten();
            let taken =
                of_subject.filter(|one| rules.get(**one).is_some_and(|one| group.takes(one)));
            let taken: Vec<u32> = taken.copied().collect();
            group.rules.extend(taken);
        }
        group.rules.sort_by(|a, b| rules.compare(*a, *b));
        debug_assert_eq!(
            number_of(self.groups.len()),
            number,
            "groups are numbered as sets"
        );
        self.groups.push(Some(group));
        self.group_ids.insert(key, number);
        dirty.insert(number);
        number
    }

    fn join(&mut self, group: u32, endpoint: EndpointId) {
        if let Some(group) = self.groups.get_mut(group as usize).and_then(Option::as_mut) {
            group.endpoints.insert(endpoint);
        }
    }

    fn part(&mut self, group: u32, endpoint: EndpointId) {
        if let Some(group) = self.groups.get_mut(group as usize).and_then(Option::as_mut) {
            group.endpoints.remove(&endpoint);
        }
    }

    /// Finds the sides of a group whose rules have changed.
    fn settle(
        &mut self,
        number: u32,
        of: Settling<'_>,
        left: &mut Vec<u32>,
        changes: &mut SideChanges,
    ) {
        let Some(group) = self.groups.get(number as usize).and_then(Option::as_ref) else {
            return;
        };
        let before = group.sides;
        let sided = Both::new(|direction| sided(direction, group, of));
        let check = |direction| {
            let sided = sided.get(direction);
            if self.ids.contains_key(sided) {
                return None;
            }
            let rules = sided.rules.iter().filter_map(|one| of.rules.get(*one));
            filters::check(direction, rules).err()
        };
        let conflict = check(Direction::Ingress).or_else(|| check(Direction::Egress));
        let sides = conflict
            .is_none()
            .then(|| Both::new(|direction| self.take_side(sided.get(direction), &mut changes.new)));
        if let Some(before) = before {
            left.extend([before.ingress, before.egress]);
        }
        if let Some(group) = self
            .groups
            .get_mut(number as usize)
            .and_then(Option::as_mut)
        {
            group.sides = sides;
            group.conflict = conflict.map(Arc::new);
        }
    }

    fn take_side(&mut self, sided: &Arc<Sided>, new: &mut Vec<u32>) -> u32 {
        let number = if let Some(number) = self.ids.get(sided) {
            *number
        } else {
            let number = number_of(self.all.len());
            self.all.push(Some(Used {
                sided: sided.clone(),
                groups: 0,
            }));
            self.ids.insert(sided.clone(), number);
            new.push(number);
            number
        };
        if let Some(used) = self.all.get_mut(number as usize).and_then(Option::as_mut) {
            used.groups += 1;
        }
        number
    }

    /// Lets go of sides that groups had, and of groups without endpoints.
    fn release(&mut self, mut left: Vec<u32>, parted: &[u32], changes: &mut SideChanges) {
        for number in parted {
            let Some(slot) = self.groups.get_mut(*number as usize) else {
                continue;
            };
            if let Some(group) = slot.take_if(|group| group.endpoints.is_empty()) {
                self.index.remove(*number);
                let LocalEndpoint {
                    labels,
                    named_ports,
                    ..
                } = group.endpoint;
                self.group_ids.remove(&(labels, named_ports));
                let sides = group.sides.into_iter();
                left.extend(sides.flat_map(|sides| [sides.ingress, sides.egress]));
            }
        }
        for number in left {
            let Some(used) = self.all.get_mut(number as usize).and_then(Option::as_mut) else {
                continue;
            };
            used.groups -= 1;
            if used.groups == 0 {
                changes.gone.push(number);
            }
        }
        let gone = std::mem::take(&mut changes.gone);
        for number in gone {
            if changes.new.contains(&number) {
                changes.new.retain(|one| *one != number);
                self.forget(number);
            } else {
                changes.gone.push(number);
            }
        }
    }

    /// Forgets a side that nobody has.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some(used) = self.all.get_mut(number as usize).and_then(Option::take) {
            self.ids.remove(&used.sided);
        }
    }
}

impl Group {
    /// Whether a rule whose selector matches is about such endpoints.
    fn takes(&self, rule: &Rule) -> bool {
        rule.subject.is_node() == self.is_node
    }

    fn insert(&mut self, number: u32, rules: &Rules) {
        let before = |one: &u32| rules.compare(*one, number).is_lt();
        if self.rules.last().is_none_or(before) {
            self.rules.push(number);
        } else {
            let at = self.rules.partition_point(before);
            self.rules.insert(at, number);
        }
    }
}

/// What the rules that select an endpoint come to in one direction.
fn sided(direction: Direction, group: &Group, of: Settling<'_>) -> Arc<Sided> {
    let of_direction = group
        .rules
        .iter()
        .filter_map(|number| Some((*number, of.rules.get(*number)?)))
        .filter(|(_, rule)| rule.direction == direction);
    let isolates = of_direction.clone().any(|(_, rule)| rule.default_deny);
    // Whatever is listed here decides, so what gives way must not be.
    let in_force = of_direction.filter(|(_, rule)| !(isolates && rule.is_fallback()));
    let (numbers, rules): (Vec<u32>, Vec<&Rule>) = in_force.unzip();
    let places: Vec<u32> = (0..number_of(numbers.len())).collect();
    let endpoint = &group.endpoint;
    let mut sides = of_selecting(&endpoint.labels, &places, &rules, of.options);
    let side = std::mem::replace(sides.get_mut(direction), Side::unenforced());
    let names = match direction {
        Direction::Ingress => &endpoint.named_ports,
        Direction::Egress => of.named_ports,
    };
    let is_enforced = !side.rules.is_empty();
    Arc::new(Sided {
        direction,
        rules: if is_enforced {
            numbers.into()
        } else {
            Box::default()
        },
        side: side.named(&rules, names),
    })
}
