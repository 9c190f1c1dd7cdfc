//! Which policies in force go on as which new ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use palisade_abi::EndpointId;

use super::overlay::{Entry, Overlay};
use super::peers::Groups;
use crate::compile::{Content, Signature};

/// What happens to the policies in force of one direction.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Policy → place of the new policy that it goes on as.
    ///
    /// If nobody leaves it, its fresh columns say what the new policy says: for the identities that
    /// move there, moving is the change. If somebody does, no group's verdict changes in it at all.
    pub(super) kept: BTreeMap<u32, u32>,
    /// Policies that everybody leaves; until a grace period is over they decide as before.
    pub(super) draining: Vec<u32>,
}

/// The direction's policies in force with their users and what each user is to have.
pub(super) type Users = BTreeMap<u32, BTreeMap<EndpointId, Option<u32>>>;

/// A policy seen as rows by signature, over the classes that live on.
type Function = (u32, Vec<(Signature, u32)>);

/// What is needed to compare policies in force with new ones.
pub(super) struct Comparison<'a> {
    pub(super) groups: &'a Groups,
    pub(super) policies: &'a Overlay,
    /// The row that stands for a row in force and all its equals.
    pub(super) canonical: &'a BTreeMap<u32, u32>,
    /// The row in force of each new row.
    pub(super) rows: &'a [u32],
}

impl Comparison<'_> {
    /// Decides the fate of every policy in force.
    pub(super) fn fates(&self, users: &Users, target: &BTreeMap<u32, &Content>) -> Fates {
        let mut by_function: BTreeMap<Function, Vec<u32>> = BTreeMap::new();
        for (place, content) in target {
            by_function
                .entry(self.wanted(content))
                .or_default()
                .push(*place);
        }
        let mut candidates = Vec::new();
        for (policy, endpoints) in users {
            let function = self
                .policies
                .get(*policy)
                .and_then(|entry| self.in_force(entry));
            let equals = function.and_then(|function| by_function.get(&function));
            for place in equals.into_iter().flatten() {
                let staying = endpoints
                    .values()
                    .filter(|new| **new == Some(*place))
                    .count();
                candidates.push((Reverse(staying), *policy, *place));
            }
        }
        candidates.sort_unstable();
        let mut fates = Fates::default();
        let mut taken = BTreeSet::new();
        for (Reverse(staying), policy, place) in candidates {
            if fates.kept.contains_key(&policy) || taken.contains(&place) {
                continue;
            }
            let nobody_leaves = users.get(&policy).is_some_and(|all| all.len() == staying);
            if nobody_leaves || self.agree_on_leaving(policy, target.get(&place).copied()) {
                fates.kept.insert(policy, place);
                taken.insert(place);
            }
        }
        fates.draining = users
            .keys()
            .copied()
            .filter(|policy| !fates.kept.contains_key(policy))
            .collect();
        fates
    }

    /// The row in force that a new policy has for a signature.
    pub(super) fn row(&self, content: &Content, signature: Signature) -> u32 {
        self.number(content.row(signature))
    }

    /// The row in force of a new row.
    pub(super) fn number(&self, row: u32) -> u32 {
        self.rows.get(row as usize).copied().unwrap_or_default()
    }

    /// The canonical row that a policy in force has for a class.
    pub(super) fn row_at(&self, policy: u32, class: u32) -> u32 {
        self.same(self.policies.at(policy, class))
    }

    fn same(&self, row: u32) -> u32 {
        self.canonical.get(&row).copied().unwrap_or(row)
    }

    fn agree_on_leaving(&self, policy: u32, content: Option<&Content>) -> bool {
        content.is_some_and(|content| {
            self.groups.leave.iter().all(|(class, signature)| {
                self.row_at(policy, *class) == self.row(content, *signature)
            })
        })
    }

    fn wanted(&self, content: &Content) -> Function {
        let default = self.number(content.default);
        let mut rows: Vec<(Signature, u32)> = content
            .exceptions
            .iter()
            .filter(|(signature, _)| self.groups.classes.contains_key(signature))
            .chain([&(Signature::UNKNOWN, content.unknown)])
            .map(|(signature, row)| (*signature, self.number(*row)))
            .collect();
        rows.retain(|(_, row)| *row != default);
        (default, rows)
    }

    /// `None` if two classes that from now on mean the same have different rows.
    fn in_force(&self, entry: &Entry) -> Option<Function> {
        let default = self.same(entry.default);
        let mut rows: BTreeMap<Signature, u32> = BTreeMap::new();
        for (class, row) in &entry.exceptions {
            let Some(signature) = self.groups.stays.get(class) else {
                continue;
            };
            let row = self.same(*row);
            if row != default && *rows.entry(*signature).or_insert(row) != row {
                return None;
            }
        }
        let uniform = rows.iter().all(|(signature, row)| {
            let classes = self.groups.classes.get(signature);
            classes
                .into_iter()
                .flatten()
                .all(|class| self.same(entry.at(*class)) == *row)
        });
        uniform.then(|| (default, rows.into_iter().collect()))
    }
}
