//! What the tables have to say, kept from change to change.
//!
//! ```text
//! identities ──selectors of the rules in force──▶ signatures   (one set for each direction)
//! endpoints  ──subjects of all rules───────────▶ sides: the rules in force together
//! port items ──────────────────────────────────▶ groups of ports
//! side × signature ──plain walk over the rules that match──▶ row
//! ```
//! A change touches what it is about: a new selector the identities that it matches, a rule the
//! endpoints that it selects. Nothing here knows what the kernel holds.

mod content;
mod in_force;
mod rules;
mod sides;

use std::sync::Arc;

use palisade_abi::{Direction, EndpointId, Identity};
use palisade_identity::LabelSet;

use self::content::Named;
pub(crate) use self::content::{Basis, Content};
pub(crate) use self::in_force::InForce;
use self::rules::Rules;
use self::sides::Sides;
pub(crate) use self::sides::{SideChanges, Sided};
use super::groups::Groups;
use super::hash::Map;
use super::index::Index;
use super::logical::{Both, Signature};
use super::signatures::Signatures;
use super::{LocalEndpoint, has_page, host_selector};
use crate::filters::Conflict;
use crate::named_ports::NamedPorts;
use crate::options::Options;
use crate::rule::{Policy, ResourceName, Rule, Tier};

/// What differs from what is in force.
#[derive(Debug, Default)]
pub(crate) struct Changes<'a> {
    /// Identities with their labels; `None` for those that are gone.
    pub(crate) identities: Vec<(Identity, Option<&'a LabelSet>)>,
    /// Resources with all that they say from now on.
    pub(crate) policies: Vec<(Arc<ResourceName>, Vec<Arc<Policy>>)>,
    /// Endpoints; `None` for those that are gone.
    pub(crate) endpoints: Vec<(EndpointId, Option<&'a LocalEndpoint>)>,
}

impl Changes<'_> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.policies.is_empty() && self.endpoints.is_empty()
    }
}

/// What a change came to.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(crate) sides: SideChanges,
    pub(crate) identities: Vec<Moved>,
}

/// An identity that looks different to some selector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) identity: Identity,
    /// Where it was, if it was known.
    pub(crate) before: Option<u32>,
    /// Where it is, if it still is known.
    pub(crate) now: Option<u32>,
}

impl Moved {
    /// Whether only selectors have joined, and the identity is what it was.
    pub(crate) fn is_settled(&self) -> bool {
        self.before.is_some() && self.before == self.now
    }
}

/// An identity and what the selectors of each direction say about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) identity: Identity,
    keys: Both<u128>,
    pub(crate) signatures: Both<Signature>,
    is_touched: bool,
}

/// What an identity has in common with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alike {
    keys: Both<u128>,
    pub(crate) signatures: Both<Signature>,
}

/// Everything that is derived from identities, endpoints and policies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logic {
    rules: Rules,
    sides: Sides,
    named: Map<u32, Named>,
    pub(crate) groups: Groups,
    peers: Index,
    /// By the numbers of the index.
    members: Vec<Member>,
    numbers: Map<Identity, u32>,
    signatures: Both<Signatures>,
    /// The sides that ask for each selector.
    askers: Both<Vec<Vec<u32>>>,
    /// Selectors and spans that somebody asked for, each time.
    stale: usize,
    departed: Vec<u32>,
}

impl Logic {
    /// Takes a change in. [`Logic::finish`] follows.
    pub(crate) fn change(
        &mut self,
        changes: &Changes<'_>,
        options: &Options,
        named_ports: &NamedPorts,
    ) -> Delta {
        let mut gone = Vec::new();
        let mut new = Vec::new();
        for (resource, policies) in &changes.policies {
            gone.extend(self.rules.remove(resource));
            for policy in policies {
                new.extend(self.rules.add(policy));
            }
        }
        let sides = self
            .sides
            .change(&self.rules, &gone, &new, changes, options, named_ports);
        self.departed.extend(gone);
        let mut moved = Vec::with_capacity(changes.identities.len());
        let mut own = Vec::new();
        if self.members.is_empty() {
            self.numbers.reserve(changes.identities.len());
            self.members.reserve(changes.identities.len());
            self.peers.reserve(changes.identities.len());
        }
        for (identity, labels) in &changes.identities {
            self.identity(*identity, *labels, &mut moved, &mut own);
        }
        let asked = self.ask(&sides.new, options.tier);
        for direction in Direction::BOTH {
            self.sign(direction, asked.get(direction), &own, &mut moved);
        }
        for one in moved.iter().filter_map(|moved| moved.now) {
            if let Some(member) = self.members.get_mut(one as usize) {
                member.is_touched = false;
            }
        }
        Delta {
            sides,
            identities: moved,
        }
    }

    /// Forgets what the last change has replaced.
    pub(crate) fn finish(&mut self, delta: &Delta) {
        for side in &delta.sides.gone {
            self.sides.forget(*side);
            let Some(named) = self.named.remove(side) else {
                continue;
            };
            let askers = self.askers.get_mut(named.direction());
            for selector in named.selectors() {
                if let Some(list) = askers.get_mut(selector as usize) {
                    list.retain(|one| one != side);
                    self.stale += usize::from(list.is_empty());
                }
            }
        }
        self.rules.forget(&std::mem::take(&mut self.departed));
    }

    /// Whether most of what is kept means nothing any more.
    pub(crate) fn is_worn(&self) -> bool {
        let asked = self.signatures.ingress.asked_count() + self.signatures.egress.asked_count();
        self.peers.is_worn()
            || self.rules.is_worn()
            || self.sides.is_worn()
            || self.stale > asked / 2 + 256
    }

    pub(crate) fn member(&self, number: u32) -> Option<&Member> {
        self.members.get(number as usize)
    }

    /// The number of a known identity.
    pub(crate) fn number(&self, identity: Identity) -> Option<u32> {
        self.numbers.get(&identity).copied()
    }

    /// Every known identity with its number, in ascending order.
    pub(crate) fn identities(&self) -> impl Iterator<Item = (Identity, u32)> {
        let numbers = self.numbers.iter();
        let mut all: Vec<_> = numbers
            .map(|(identity, number)| (*identity, *number))
            .collect();
        all.sort_unstable();
        all.into_iter()
    }

    pub(crate) fn sides(&self) -> impl Iterator<Item = (u32, &Arc<Sided>)> {
        self.sides.iter()
    }

    pub(crate) fn side(&self, side: u32) -> Option<&Arc<Sided>> {
        self.sides.get(side)
    }

    /// The endpoints whose rules contradict each other.
    pub(crate) fn conflicts(&self) -> impl Iterator<Item = (EndpointId, Arc<Conflict>)> {
        self.sides.conflicts()
    }

    pub(crate) fn of_endpoints(&self) -> impl Iterator<Item = (EndpointId, Both<u32>)> {
        self.sides.of_endpoints()
    }

    /// What labels look like to selectors, if some identity looked so before.
    pub(crate) fn find(&self, labels: &LabelSet) -> Option<Alike> {
        let matching = self.peers.selectors_of(labels);
        let keys = Both::new(|direction| self.signatures.get(direction).key_of(&matching));
        let find = |direction| self.signatures.get(direction).find(*keys.get(direction));
        let signatures = Both {
            ingress: find(Direction::Ingress)?,
            egress: find(Direction::Egress)?,
        };
        Some(Alike { keys, signatures })
    }

    /// An identity joins that looks like others.
    pub(crate) fn add_alike(
        &mut self,
        identity: Identity,
        labels: &LabelSet,
        alike: &Alike,
    ) -> u32 {
        let number = self.peers.add(labels);
        self.members.push(Member {
            identity,
            keys: alike.keys,
            signatures: alike.signatures,
            is_touched: false,
        });
        self.numbers.insert(identity, number);
        number
    }

    /// A known identity leaves.
    pub(crate) fn remove(&mut self, identity: Identity) -> Option<u32> {
        let number = self.numbers.remove(&identity)?;
        self.peers.remove(number);
        Some(number)
    }

    fn identity(
        &mut self,
        identity: Identity,
        labels: Option<&LabelSet>,
        moved: &mut Vec<Moved>,
        own: &mut Vec<(u32, Vec<u32>)>,
    ) {
        let before = self.remove(identity);
        let now = labels
            .filter(|_| has_page(identity) && identity != Identity::UNKNOWN)
            .map(|labels| {
                let number = self.peers.add(labels);
                let matching = self.peers.selectors_of(labels);
                let keys = Both::new(|direction| self.signatures.get(direction).key_of(&matching));
                self.members.push(Member {
                    identity,
                    keys,
                    signatures: Both::new(|_| Signature::UNKNOWN),
                    is_touched: true,
                });
                self.numbers.insert(identity, number);
                if !matching.is_empty() {
                    own.push((number, matching));
                }
                number
            });
        if before.is_some() || now.is_some() {
            moved.push(Moved {
                identity,
                before,
                now,
            });
        }
    }

    /// The selectors and ports of new sides join those in force; returns, for each direction, the
    /// selectors that nobody has asked for before and whom they match.
    fn ask(&mut self, new: &[u32], tier: Tier) -> Both<Vec<(u32, Arc<Vec<u32>>)>> {
        let mut asked = Both::<Vec<(u32, Arc<Vec<u32>>)>>::default();
        let mut known: Map<u32, Arc<Vec<u32>>> = Map::default();
        for side in new {
            let Some(sided) = self.sides.get(*side).cloned() else {
                continue;
            };
            let direction = sided.direction;
            let rules: Vec<&Rule> = sided
                .rules
                .iter()
                .filter_map(|one| self.rules.get(*one))
                .collect();
            let host = sided.side.localhost.then(host_selector).flatten();
            let (peers, groups) = (&mut self.peers, &mut self.groups);
            let named = Named::new(&sided, &rules, host.as_ref(), tier, peers, groups);
            let signatures = self.signatures.get_mut(direction);
            let askers = self.askers.get_mut(direction);
            for selector in named.selectors() {
                if askers.len() <= selector as usize {
                    askers.resize(selector as usize + 1, Vec::new());
                }
                if let Some(list) = askers.get_mut(selector as usize) {
                    list.push(*side);
                }
                if !signatures.is_asked(selector) {
                    signatures.ask(selector);
                    let peers = &mut self.peers;
                    let matching = known
                        .entry(selector)
                        .or_insert_with(|| peers.matching(selector).into());
                    asked.get_mut(direction).push((selector, matching.clone()));
                }
            }
            self.named.insert(*side, named);
        }
        if self.groups.has_grown() {
            self.groups.split();
        }
        asked
    }

    /// Finds the signature of every identity that a new selector matches or that is new itself.
    fn sign(
        &mut self,
        direction: Direction,
        asked: &[(u32, Arc<Vec<u32>>)],
        own: &[(u32, Vec<u32>)],
        moved: &mut Vec<Moved>,
    ) {
        let signatures = self.signatures.get_mut(direction);
        for (selector, matching) in asked {
            let weight = signatures.weight(*selector);
            for number in matching.iter() {
                let Some(member) = self.members.get_mut(*number as usize) else {
                    continue;
                };
                let key = member.keys.get_mut(direction);
                *key = key.wrapping_add(weight);
                if !std::mem::replace(&mut member.is_touched, true) {
                    moved.push(Moved {
                        identity: member.identity,
                        before: Some(*number),
                        now: Some(*number),
                    });
                }
            }
        }
        let mut fresh: Map<u32, (Signature, Vec<u32>)> = Map::default();
        for number in moved.iter().filter_map(|moved| moved.now) {
            let Some(member) = self.members.get_mut(number as usize) else {
                continue;
            };
            let key = *member.keys.get(direction);
            let signature = if let Some(signature) = signatures.find(key) {
                signature
            } else {
                let before = *member.signatures.get(direction);
                let signature = signatures.add(key);
                let content = signatures.content(before).to_vec();
                fresh.insert(number, (signature, content));
                signature
            };
            *member.signatures.get_mut(direction) = signature;
        }
        for (number, matching) in own {
            if let Some((_, content)) = fresh.get_mut(number) {
                let known = matching.iter().copied();
                content.extend(known.filter(|one| signatures.is_asked(*one)));
            }
        }
        for (selector, matching) in asked {
            for number in matching.iter() {
                if let Some((_, content)) = fresh.get_mut(number) {
                    content.push(*selector);
                }
            }
        }
        let mut fresh: Vec<(Signature, Vec<u32>)> = fresh.into_values().collect();
        fresh.sort_unstable_by_key(|(signature, _)| *signature);
        for (signature, mut content) in fresh {
            content.sort_unstable();
            content.dedup();
            signatures.fill(signature, content);
        }
    }
}
