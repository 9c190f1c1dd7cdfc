//! What policies name outside the node: prefixes and DNS patterns.

use std::collections::BTreeSet;

use palisade_abi::Prefix;
use palisade_fqdn::{DnsName, MatchPattern, PatternSet};
use palisade_identity::{Identity, Ipcache, Label, LabelSet};

use crate::event::PolicySet;

/// The prefixes and patterns that a set of policies names.
///
/// An address outside the node is known by those of them that it matches, and by nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    /// Each with the labels of the CIDR groups that hold just this prefix.
    prefixes: Ipcache<LabelSet>,
    patterns: PatternSet,
}

impl Named {
    /// What these policies name.
    pub(crate) fn by(set: &PolicySet) -> Self {
        let mut named = Self::default();
        for policy in &set.policies {
            for prefix in policy.prefixes().filter(|prefix| prefix.length() > 0) {
                // The prefix of length 0 is the world, which needs no entry.
                named.name(prefix, &LabelSet::new());
            }
            for pattern in policy.fqdns() {
                named.patterns.insert(pattern);
            }
        }
        for group in &set.cidr_groups {
            for prefix in &group.prefixes {
                named.name(*prefix, &group.labels);
            }
        }
        named
    }

    fn name(&mut self, prefix: Prefix, groups: &LabelSet) {
        let before = self.prefixes.get(prefix).cloned().unwrap_or_default();
        self.prefixes.insert(prefix, before.merged(groups));
    }

    /// What either of the two names.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        for (prefix, groups) in other.prefixes.iter() {
            union.name(prefix, groups);
        }
        for pattern in other.patterns() {
            union.patterns.insert(pattern);
        }
        union
    }

    /// The prefixes; those of length 0 only where a CIDR group holds them.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.prefixes.iter().map(|(prefix, _)| prefix)
    }

    /// The patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &MatchPattern> {
        self.patterns.iter().map(|(_, pattern)| pattern)
    }

    /// The labels of what has this prefix outside the node and was learnt under these names;
    /// `None` if it is not told apart from the rest of the world.
    pub(crate) fn labels<'a>(
        &self,
        prefix: Prefix,
        names: impl Iterator<Item = &'a DnsName>,
    ) -> Option<LabelSet> {
        let fqdns = self.fqdn_labels(names);
        if fqdns.is_empty() && self.prefixes.get(prefix).is_none() {
            return None;
        }
        let base = match self.prefixes.covering(prefix).next() {
            Some((closest, _)) => LabelSet::of_prefix(closest),
            None => world(prefix),
        };
        let mut labels: LabelSet = base.iter().cloned().chain(fqdns).collect();
        for (_, groups) in self.prefixes.covering(prefix) {
            labels = labels.merged(groups);
        }
        Some(labels)
    }

    /// Labels that addresses of a name matching just this pattern will have, in either family.
    pub(crate) fn in_advance(pattern: &MatchPattern) -> impl Iterator<Item = LabelSet> {
        let worlds = ["0.0.0.0/0", "::/0"]
            .into_iter()
            .filter_map(|all| all.parse().ok());
        let label = fqdn_label(pattern);
        worlds.filter_map(move |all| {
            Some(
                LabelSet::of_prefix(all)
                    .iter()
                    .cloned()
                    .chain([label.clone()?])
                    .collect(),
            )
        })
    }

    /// The identity of what has this prefix outside the node and no entry.
    pub(crate) fn world_of(prefix: Prefix) -> Identity {
        if prefix.address().is_ipv4() {
            Identity::WORLD_IPV4
        } else {
            Identity::WORLD_IPV6
        }
    }

    fn fqdn_labels<'a>(&self, names: impl Iterator<Item = &'a DnsName>) -> BTreeSet<Label> {
        let mut labels = BTreeSet::new();
        for name in names {
            let matching = self.patterns.matching(name).into_iter();
            let matching = matching.filter_map(|id| self.patterns.get(id));
            labels.extend(matching.filter_map(fqdn_label));
        }
        labels
    }
}

/// The labels of the world in the family of a prefix.
fn world(prefix: Prefix) -> LabelSet {
    let whole = Prefix::new(prefix.address().ip(), 0);
    whole.map(LabelSet::of_prefix).unwrap_or_default()
}

fn fqdn_label(pattern: &MatchPattern) -> Option<Label> {
    Label::fqdn(pattern.as_str()).ok()
}
