//! The rules that there are, by number and by resource.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::cookies::Stands;
use super::super::hash::Map;
use super::super::index::number_of;
use crate::rule::{Policy, Priority, ResourceName, Rule, Tier};

/// Rules by number. A number is not given again; when many are gone the owner numbers anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    all: Vec<Option<Numbered>>,
    gone: usize,
    of_resource: Map<Arc<ResourceName>, Vec<u32>>,
}

#[derive(Clone, Debug)]
struct Numbered {
    policy: Arc<Policy>,
    at: usize,
    order: Order,
}

/// What nearly always tells which of two rules decides first, without a look at either.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Order {
    tier: Tier,
    priority: Priority,
    /// How the name of the resource begins.
    name: [u64; 3],
}

impl Order {
    fn of(rule: &Rule) -> Self {
        let ResourceName {
            kind,
            namespace,
            name,
        } = &*rule.resource;
        let namespace = namespace.as_deref();
        let marks = [*kind as u8, u8::from(namespace.is_some())];
        let namespace = namespace.unwrap_or_default().as_bytes();
        let mut first = [0; 24];
        let mut rest = first.iter_mut();
        for part in [&marks, namespace, &[0], name.as_bytes()] {
            for (from, to) in part.iter().zip(rest.by_ref()) {
                *to = *from;
            }
        }
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(first.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Self {
            tier: rule.tier,
            priority: rule.priority,
            name: words,
        }
    }
}

impl Rules {
    pub(super) fn get(&self, number: u32) -> Option<&Rule> {
        self.stands(number)?.rule()
    }

    pub(super) fn stands(&self, number: u32) -> Option<Stands<'_>> {
        let one = self.all.get(number as usize)?.as_ref()?;
        let (policy, at) = (&one.policy, one.at);
        Some(Stands { policy, at })
    }

    /// The rules of a policy join; returns their numbers.
    pub(super) fn add(&mut self, policy: &Arc<Policy>) -> Vec<u32> {
        let first = number_of(self.all.len());
        let rules = policy.rules.iter().enumerate();
        self.all.extend(rules.map(|(at, rule)| {
            Some(Numbered {
                policy: policy.clone(),
                at,
                order: Order::of(rule),
            })
        }));
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

    /// Rules in the order that they decide in.
    pub(super) fn sorted(&self, numbers: &[u32]) -> Vec<u32> {
        let order = |number: &u32| (self.order(*number), *number);
        let mut sorted: Vec<(Option<Order>, u32)> = numbers.iter().map(order).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.compare(a.1, b.1)));
        sorted.into_iter().map(|(_, number)| number).collect()
    }

    fn order(&self, number: u32) -> Option<Order> {
        Some(self.all.get(number as usize)?.as_ref()?.order)
    }

    /// The order that rules decide in; of equal ones the first to come.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        let by_order = self.order(a).cmp(&self.order(b));
        by_order.then_with(|| match (self.get(a), self.get(b)) {
            (Some(one), Some(other)) => super::super::in_order(one, other).then(a.cmp(&b)),
            _ => a.cmp(&b),
        })
    }
}
