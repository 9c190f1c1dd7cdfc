//! Changes in, ordered steps out.

use std::collections::BTreeSet;

use palisade_abi::{Identity, Prefix};

use super::flatten::{self, Claims, Decided, Flat, Voice};
use super::{Change, Claim, Entry, Layers, Settled, Step, Update, merge};
use crate::allocator::{AllocateError, Allocation, Release};
use crate::label_set::LabelSet;
use crate::local::LocalIdentities;

/// IPv4 before IPv6, then by address and length: the order in which new identities get numbers.
type Place = (Family, Prefix);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Family {
    V4,
    V6,
}

/// A prefix that has been looked at, before anything is final.
struct Planned {
    prefix: Prefix,
    settled: Option<Settled>,
    number: Number,
}

/// What became of the number that a prefix needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Number {
    /// It has the labels it had, and holds their number.
    Kept,
    /// It needs none, or has one that somebody else gave out.
    None,
    /// This one was taken for it.
    Taken(Identity),
}

impl Layers {
    /// Takes changes, as one.
    ///
    /// Only the prefixes named and, where the labels of one change, those inside it are looked at.
    ///
    /// # Errors
    /// [`AllocateError`] if an identity cannot be had. Nothing has changed then, except that
    /// numbers go on from a later one.
    pub fn apply(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
        identities: &mut LocalIdentities,
    ) -> Result<Update, AllocateError> {
        let mut before = Vec::new();
        let mut named = BTreeSet::new();
        for change in changes {
            named.insert(change.prefix);
            before.push(self.say(change));
        }
        let affected = self.affected(&named);
        let mut update = Update {
            resolved: affected.len(),
            ..Update::default()
        };
        let mut planned = Vec::new();
        for (_, prefix) in &affected {
            match self.plan(*prefix, identities, &mut update.steps) {
                Ok(plan) => planned.push(plan),
                Err(error) => {
                    for plan in planned {
                        if let Number::Taken(identity) = plan.number {
                            identities.release(identity);
                        }
                    }
                    self.unsay(before);
                    return Err(error);
                }
            }
        }
        self.settle(planned, identities, &mut update.steps);
        for prefix in named {
            if let Some(slot) = self.slots.get(prefix) {
                update
                    .conflicts
                    .extend(flatten::conflicts(prefix, &slot.claims));
            }
        }
        Ok(update)
    }

    /// Enters a change, and returns what undoes it.
    fn say(&mut self, change: Change) -> (Prefix, Voice, Option<Claim>) {
        let Change {
            prefix,
            origin,
            resource,
            claim,
        } = change;
        let voice = (origin, resource);
        let claims = self.claims(prefix);
        let before = match claim {
            Some(claim) => claims.insert(voice.clone(), claim),
            None => claims.remove(&voice),
        };
        (prefix, voice, before)
    }

    /// Undoes changes. A slot goes only when all are undone, for it may come back to life.
    fn unsay(&mut self, before: Vec<(Prefix, Voice, Option<Claim>)>) {
        let named: BTreeSet<Prefix> = before.iter().map(|(prefix, ..)| *prefix).collect();
        for (prefix, voice, claim) in before.into_iter().rev() {
            let claims = self.claims(prefix);
            match claim {
                Some(claim) => claims.insert(voice, claim),
                None => claims.remove(&voice),
            };
        }
        for prefix in named {
            let slot = self.slots.get_or_default(prefix);
            slot.flat = flatten::flatten(&slot.claims);
            if slot.claims.is_empty() {
                self.slots.remove(prefix);
            }
        }
    }

    fn claims(&mut self, prefix: Prefix) -> &mut Claims {
        &mut self.slots.get_or_default(prefix).claims
    }

    /// The prefixes to look at again, in the order of their numbers to be.
    fn affected(&mut self, named: &BTreeSet<Prefix>) -> BTreeSet<Place> {
        let mut affected = BTreeSet::new();
        for prefix in named {
            let Some(slot) = self.slots.get_mut(*prefix) else {
                continue;
            };
            let flat = flatten::flatten(&slot.claims);
            let inherited = flat.labels != slot.flat.labels;
            slot.flat = flat;
            affected.insert(place(*prefix));
            if inherited {
                affected.extend(self.slots.inside(*prefix).map(|(inside, _)| place(inside)));
            }
        }
        affected
    }

    /// What a prefix amounts to now; takes the number that it needs.
    fn plan(
        &self,
        prefix: Prefix,
        identities: &mut LocalIdentities,
        steps: &mut Vec<Step>,
    ) -> Result<Planned, AllocateError> {
        let mut planned = Planned {
            prefix,
            settled: None,
            number: Number::None,
        };
        let Some(slot) = self
            .slots
            .get(prefix)
            .filter(|slot| !slot.claims.is_empty())
        else {
            return Ok(planned);
        };
        let Flat { who, rest, .. } = &slot.flat;
        let (identity, labels) = match who {
            Decided::Identity(identity) => (*identity, None),
            Decided::Exactly | Decided::Merged => {
                let labels = self.labels_of(prefix, &slot.flat);
                let before = slot.settled.as_ref();
                let same = before.filter(|settled| settled.labels.as_ref() == Some(&labels));
                let identity = if let Some(settled) = same {
                    planned.number = Number::Kept;
                    settled.entry.identity
                } else {
                    let taken = hold(&labels, rest.before, identities, steps)?;
                    planned.number = Number::Taken(taken);
                    taken
                };
                (identity, Some(labels))
            }
        };
        let entry = Entry {
            identity,
            tunnel: rest.tunnel,
            key: rest.key,
            flags: rest.flags.unwrap_or_default(),
        };
        planned.settled = Some(Settled { entry, labels });
        Ok(planned)
    }

    pub(super) fn labels_of(&self, prefix: Prefix, flat: &Flat) -> LabelSet {
        if flat.who == Decided::Exactly {
            return flat.labels.clone();
        }
        let around = self.slots.covering(prefix);
        let around = around.filter(|(outer, _)| *outer != prefix);
        let labels = around.map(|(_, slot)| &slot.flat.labels);
        merge::resolve(prefix, &flat.labels, labels, self.settings)
    }

    /// Makes the plan final, and gives up the numbers that are not needed any more.
    fn settle(
        &mut self,
        planned: Vec<Planned>,
        identities: &mut LocalIdentities,
        steps: &mut Vec<Step>,
    ) {
        let host = self.host_labels();
        let (mut removed, mut given_up) = (Vec::new(), Vec::new());
        let mut entries = Vec::new();
        for Planned {
            prefix,
            settled,
            number,
        } in planned
        {
            self.note_host(prefix, settled.as_ref());
            let Some(slot) = self.slots.get_mut(prefix) else {
                continue;
            };
            let entry = settled.as_ref().map(|settled| settled.entry);
            let gone = settled.is_none();
            let before = std::mem::replace(&mut slot.settled, settled);
            if gone {
                self.slots.remove(prefix);
            }
            if entry != before.as_ref().map(|before| before.entry) {
                match entry {
                    Some(entry) => entries.push(Step::SetEntry { prefix, entry }),
                    None => removed.push(Step::RemoveEntry { prefix }),
                }
            }
            let held = before.filter(|before| before.labels.is_some());
            let held = held.filter(|_| number != Number::Kept);
            given_up.extend(held.map(|before| before.entry.identity));
        }
        let host_now = self.host_labels();
        steps.extend(
            host_now
                .filter(|now| host.as_ref() != Some(now))
                .map(|labels| Step::SetIdentity {
                    identity: Identity::HOST,
                    labels,
                    allocation: Allocation::Existing,
                }),
        );
        steps.append(&mut entries);
        steps.extend(removed.into_iter().rev());
        given_up.sort_unstable();
        for identity in given_up.into_iter().rev() {
            if identities.release(identity) == Release::Released {
                steps.push(Step::RemoveIdentity { identity });
            }
        }
    }

    fn note_host(&mut self, prefix: Prefix, settled: Option<&Settled>) {
        let labels = settled
            .filter(|settled| settled.entry.identity == Identity::HOST)
            .and_then(|settled| settled.labels.clone());
        match labels {
            Some(labels) => self.host.insert(prefix, labels),
            None => self.host.remove(&prefix),
        };
    }

    /// The labels of all the host's prefixes together; of one key, those of the first prefix.
    fn host_labels(&self) -> Option<LabelSet> {
        let mut all = self.host.values();
        let first = all.next()?.clone();
        Some(all.fold(first, |known, more| more.merged(&known)))
    }
}

/// Takes a number for labels, and says so if it is new.
fn hold(
    labels: &LabelSet,
    before: Option<Identity>,
    identities: &mut LocalIdentities,
    steps: &mut Vec<Step>,
) -> Result<Identity, AllocateError> {
    let (identity, allocation) = match before {
        Some(before) => identities.hold_as(labels, before)?,
        None => identities.hold(labels)?,
    };
    if allocation != Allocation::Existing {
        steps.push(Step::SetIdentity {
            identity,
            labels: labels.clone(),
            allocation,
        });
    }
    Ok(identity)
}

fn place(prefix: Prefix) -> Place {
    let family = if prefix.address().is_ipv4() {
        Family::V4
    } else {
        Family::V6
    };
    (family, prefix)
}
