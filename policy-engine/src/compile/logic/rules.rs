//! The rules that there are, by number and by resource.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::cookies::Stands;
use super::super::hash::Map;
use super::super::index::number_of;
use crate::rule::{Policy, ResourceName, Rule};

/// Rules by number. A number is not given again; when many are gone the owner numbers anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    all: Vec<Option<(Arc<Policy>, usize)>>,
    gone: usize,
    of_resource: Map<Arc<ResourceName>, Vec<u32>>,
}

impl Rules {
    pub(super) fn get(&self, number: u32) -> Option<&Rule> {
        let (policy, at) = self.all.get(number as usize)?.as_ref()?;
        policy.rules.get(*at)
    }

    pub(super) fn stands(&self, number: u32) -> Option<Stands<'_>> {
        let (policy, at) = self.all.get(number as usize)?.as_ref()?;
        Some(Stands { policy, at: *at })
    }

    /// The rules of a policy join; returns their numbers.
    pub(super) fn add(&mut self, policy: &Arc<Policy>) -> Vec<u32> {
        let first = number_of(self.all.len());
        let places = 0..policy.rules.len();
        self.all.extend(places.map(|at| Some((policy.clone(), at))));
        let numbers: Vec<u32> = (first..number_of(self.all.len())).collect();
        let of_resource = self.of_resource.entry(policy.resource.clone());
        of_resource.or_default().extend(&numbers);
        numbers
    }

    /// The rules of a resource leave; returns their numbers, which still lead to them.
    pub(super) fn remove(&mut self, resource: &ResourceName) -> Vec<u32> {
        self.of_resource.remove(resource).unwrap_or_default()
    }

    /// Forgets rules that have left.
    pub(super) fn forget(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(rule) = self.all.get_mut(*number as usize) {
                *rule = None;
                self.gone += 1;
            }
        }
    }

    /// Whether most of what is numbered has left.
    pub(super) const fn is_worn(&self) -> bool {
        self.gone > self.all.len() / 2 + 1_024
    }

    /// The order that rules decide in; of equal ones the first to come.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        let (Some(one), Some(other)) = (self.get(a), self.get(b)) else {
            return a.cmp(&b);
        };
        super::super::in_order(one, other).then(a.cmp(&b))
    }
}
