//! What differs between what the tables were made from and what is desired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{EndpointId, Identity};
use palisade_identity::LabelSet;

use super::Inputs;
use crate::compile::{Changes, Desired, LocalEndpoint, Map};
use crate::rule::{Policy, ResourceName};

impl Inputs {
    /// Whether something differs that may change every verdict.
    pub(super) fn decide_otherwise(&self, desired: &Desired<'_>) -> bool {
        self.options != *desired.options
            || self.named_ports != *desired.named_ports
            || self.proxy_ports != *desired.proxy_ports
    }

    /// What differs.
    pub(super) fn changes<'a>(&self, desired: &Desired<'a>) -> Changes<'a> {
        Changes {
            identities: self.identity_changes(desired.identities),
            policies: self.policy_changes(desired.policies),
            endpoints: self.endpoint_changes(desired.endpoints),
        }
    }

    /// Remembers a change.
    pub(super) fn take(&mut self, changes: &Changes<'_>) {
        for (identity, labels) in &changes.identities {
            let _before = match labels {
                Some(labels) => self.identities.insert(*identity, (*labels).clone()),
                None => self.identities.remove(identity),
            };
        }
        for (resource, policies) in &changes.policies {
            self.policies.retain(|one| one.resource != *resource);
            self.policies.extend(policies.iter().cloned());
        }
        for (id, endpoint) in &changes.endpoints {
            let place = self.endpoints.iter().position(|one| one.id == *id);
            match (place, endpoint) {
                (Some(place), Some(endpoint)) => {
                    if let Some(one) = self.endpoints.get_mut(place) {
                        one.clone_from(endpoint);
                    }
                }
                (Some(place), None) => {
                    self.endpoints.remove(place);
                }
                (None, Some(endpoint)) => self.endpoints.push((*endpoint).clone()),
                (None, None) => {}
            }
        }
    }

    fn identity_changes<'a>(
        &self,
        desired: &'a BTreeMap<Identity, LabelSet>,
    ) -> Vec<(Identity, Option<&'a LabelSet>)> {
        let mut changes = Vec::new();
        let mut known = self.identities.iter().peekable();
        for (identity, labels) in desired {
            while let Some((gone, _)) = known.next_if(|(one, _)| *one < identity) {
                changes.push((*gone, None));
            }
            let before = known.next_if(|(one, _)| *one == identity);
            if before.is_none_or(|(_, before)| before != labels) {
                changes.push((*identity, Some(labels)));
            }
        }
        changes.extend(known.map(|(gone, _)| (*gone, None)));
        changes
    }

    fn policy_changes(
        &self,
        desired: &[Arc<Policy>],
    ) -> Vec<(Arc<ResourceName>, Vec<Arc<Policy>>)> {
        // Most of them are the very same ones, often in the very same order.
        let same = self
            .policies
            .iter()
            .zip(desired)
            .take_while(|(before, now)| Arc::ptr_eq(before, now))
            .count();
        let before = self.policies.get(same..).unwrap_or_default();
        let now = desired.get(same..).unwrap_or_default();
        let place = |policy: &Arc<Policy>| Arc::as_ptr(policy).addr();
        let mut count: Map<usize, i32> = Map::default();
        for policy in before {
            *count.entry(place(policy)).or_default() -= 1;
        }
        for policy in now {
            *count.entry(place(policy)).or_default() += 1;
        }
        let differing = before.iter().chain(now);
        let differing = differing.filter(|one| count.get(&place(one)) != Some(&0));
        let resources: BTreeSet<&Arc<ResourceName>> = differing.map(|one| &one.resource).collect();
        if resources.is_empty() {
            return Vec::new();
        }
        let gather = |policies: &[Arc<Policy>]| {
            let mut of: BTreeMap<Arc<ResourceName>, Vec<Arc<Policy>>> = BTreeMap::new();
            for policy in policies
                .iter()
                .filter(|one| resources.contains(&one.resource))
            {
                let of = of.entry(policy.resource.clone()).or_default();
                of.push(policy.clone());
            }
            of
        };
        let (mut before, mut now) = (gather(&self.policies), gather(desired));
        let resources = resources.into_iter().cloned();
        resources
            .filter_map(|resource| {
                let before = before.remove(&resource).unwrap_or_default();
                let now = now.remove(&resource).unwrap_or_default();
                (before != now).then_some((resource, now))
            })
            .collect()
    }

    fn endpoint_changes<'a>(
        &self,
        desired: &'a [LocalEndpoint],
    ) -> Vec<(EndpointId, Option<&'a LocalEndpoint>)> {
        if self.endpoints == desired {
            return Vec::new();
        }
        let before: BTreeMap<EndpointId, &LocalEndpoint> =
            self.endpoints.iter().map(|one| (one.id, one)).collect();
        let now: BTreeMap<EndpointId, &LocalEndpoint> =
            desired.iter().map(|one| (one.id, one)).collect();
        let gone = before.keys().filter(|id| !now.contains_key(id));
        let gone: Vec<_> = gone.map(|id| (*id, None)).collect();
        let differing = now
            .iter()
            .filter(|(id, endpoint)| before.get(id) != Some(endpoint))
            .map(|(id, endpoint)| (*id, Some(*endpoint)));
        differing.chain(gone).collect()
    }
}
