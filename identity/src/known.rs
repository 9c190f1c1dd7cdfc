//! Identities whose numbers are known without asking anybody.

use std::collections::{BTreeMap, HashMap};

use palisade_abi::Identity;
use thiserror::Error;

use crate::label::{Label, LabelError};
use crate::label_set::LabelSet;
use crate::source::Source;
use crate::{reserved, well_known};

/// The identities that have their number without allocation: reserved ones, and those that the
/// user fixed or switched on.
///
/// Labels are looked up in this order: well-known identities, by exactly these labels; the label
/// `io.cilium.fixed-identity`, which names one the user fixed or else asks for an allocated one;
/// reserved labels.
///
/// ```
/// use palisade_identity::{Identity, Known, LabelSet};
///
/// let known = Known::default().with_fixed(Identity::new(128), "kvstore")?;
/// let find = |text: &str| known.find(&LabelSet::parse(text.split(',')).ok()?);
/// assert_eq!(find("reserved:host,k8s:zone=a"), Some(Identity::HOST));
/// assert_eq!(find("k8s:io.cilium.fixed-identity=kvstore"), Some(Identity::new(128)));
/// // An API server outside the cluster is no node: its identity is allocated.
/// assert_eq!(find("reserved:kube-apiserver,reserved:world"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Known {
    components: HashMap<LabelSet, Identity>,
    fixed: BTreeMap<Identity, Label>,
    nodes: NodeIdentities,
}

/// Whether policy tells other nodes apart.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NodeIdentities {
    /// Each has an identity of its own, made of its labels and prefixes. So it is when CIDR rules
    /// select nodes, or policies their labels.
    Apart,
    /// All share [`Identity::REMOTE_NODE`], or [`Identity::KUBE_APISERVER`] with the API server.
    #[default]
    Shared,
}

/// Why a number cannot be fixed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum FixedError {
    /// The name cannot be the key of a label.
    #[error("identity {identity} cannot have this name")]
    Name {
        /// The number.
        identity: Identity,
        /// What is wrong with the name.
        source: LabelError,
    },
    /// The number is not one that users may fix.
    #[error("identity {identity} cannot be fixed, 128 to 255 can")]
    Number {
        /// The number.
        identity: Identity,
    },
    /// The name or the number has been given already.
    #[error("identity {identity} cannot be `{name}`: name or number is taken")]
    Taken {
        /// The number.
        identity: Identity,
        /// The name.
        name: String,
    },
}

/// The key of the label that names an identity which the user fixed.
pub const FIXED_LABEL: &str = "io.cilium.fixed-identity";

impl Known {
    /// Gives a number from 128 to 255 to the label `reserved:name`; workloads with the label
    /// `io.cilium.fixed-identity=name` have it, too.
    ///
    /// # Errors
    /// [`FixedError`].
    pub fn with_fixed(mut self, identity: Identity, name: &str) -> Result<Self, FixedError> {
        if !(128..=255).contains(&identity.get()) {
            return Err(FixedError::Number { identity });
        }
        let label =
            Label::reserved(name).map_err(|source| FixedError::Name { identity, source })?;
        let named = self.fixed.values().any(|known| *known == label);
        if named || reserved::by_name(name).is_some() || self.fixed.contains_key(&identity) {
            return Err(FixedError::Taken {
                identity,
                name: name.into(),
            });
        }
        self.fixed.insert(identity, label);
        Ok(self)
    }

    /// Switches the well-known identities on: DNS servers and Cilium's operator, which then have a
    /// number before the cluster can allocate any.
    #[must_use]
    pub fn with_well_known(mut self, cluster_name: &str, cilium_namespace: &str) -> Self {
        let all = well_known::all(cluster_name, cilium_namespace);
        self.components = all.into_iter().map(|(id, labels)| (labels, id)).collect();
        self
    }

    /// Tells nodes apart, or not.
    #[must_use]
    pub const fn with_nodes(mut self, nodes: NodeIdentities) -> Self {
        self.nodes = nodes;
        self
    }

    /// The number of these labels; `None` if it is to be allocated.
    pub fn find(&self, labels: &LabelSet) -> Option<Identity> {
        if let Some(identity) = self.components.get(labels) {
            return Some(*identity);
        }
        if let Some(label) = labels.get(FIXED_LABEL) {
            return self.fixed_named(label.value());
        }
        if has_reserved(labels, "host") {
            return Some(Identity::HOST);
        }
        if has_reserved(labels, "remote-node") {
            return match self.nodes {
                NodeIdentities::Apart => None,
                NodeIdentities::Shared if has_reserved(labels, "kube-apiserver") => {
                    Some(Identity::KUBE_APISERVER)
                }
                NodeIdentities::Shared => Some(Identity::REMOTE_NODE),
            };
        }
        // Every other reserved identity has one label.
        let mut all = labels.iter();
        match (all.next(), all.next()) {
            (Some(label), None) if label.source() == Source::Reserved => {
                reserved::by_name(label.key()).or_else(|| self.fixed_named(label.key()))
            }
            _ => None,
        }
    }

    /// The labels of a number that is known.
    pub fn labels(&self, identity: Identity) -> Option<LabelSet> {
        if let Some(label) = self.fixed.get(&identity) {
            return Some([label.clone()].into_iter().collect());
        }
        let mut well_known = self.components.iter();
        let found = well_known.find(|(_, number)| **number == identity);
        found
            .map(|(labels, _)| labels.clone())
            .or_else(|| reserved::labels(identity))
    }

    /// Every identity that is known, in the order of the numbers.
    pub fn all(&self) -> BTreeMap<Identity, LabelSet> {
        let reserved = reserved::ALL.into_iter().map(|(identity, _)| identity);
        reserved
            .chain(self.components.values().copied())
            .chain(self.fixed.keys().copied())
            .filter_map(|identity| Some((identity, self.labels(identity)?)))
            .collect()
    }

    fn fixed_named(&self, name: &str) -> Option<Identity> {
        let mut fixed = self.fixed.iter();
        let found = fixed.find(|(_, label)| label.key() == name);
        found.map(|(identity, _)| *identity)
    }
}

/// Whether a set has this reserved label.
pub(crate) fn has_reserved(labels: &LabelSet, name: &str) -> bool {
    labels
        .get(name)
        .is_some_and(|label| label.source() == Source::Reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(known: &Known, texts: &[&str]) -> Option<u32> {
        let labels = LabelSet::parse(texts).unwrap();
        known.find(&labels).map(Identity::get)
    }

    #[test]
    fn reserved_labels_lead_to_their_numbers() {
        let known = Known::default();
        for (identity, _) in reserved::ALL {
            let labels = known.labels(identity).unwrap();
            assert_eq!(known.find(&labels), Some(identity), "{labels}");
        }
        let cases: [(&[&str], Option<u32>); 8] = [
            (&["reserved:host", "reserved:kube-apiserver"], Some(1)),
            (&["reserved:host", "cidr:10.0.0.1/32"], Some(1)),
            (&["reserved:remote-node", "node:role=gw"], Some(6)),
            (
                &["reserved:remote-node", "reserved:kube-apiserver"],
                Some(7),
            ),
            (&["reserved:kube-apiserver", "reserved:world-ipv4"], None),
            (&["reserved:ingress", "k8s:app=web"], None),
            (&["k8s:host"], None),
            (&[], None),
        ];
        for (texts, expected) in cases {
            assert_eq!(find(&known, texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn nodes_told_apart_have_no_known_number() {
        let known = Known::default().with_nodes(NodeIdentities::Apart);
        assert_eq!(find(&known, &["reserved:remote-node"]), None);
        let server = ["reserved:remote-node", "reserved:kube-apiserver"];
        assert_eq!(find(&known, &server), None);
        assert_eq!(find(&known, &["reserved:host", "node:role=gw"]), Some(1));
    }

    #[test]
    fn a_fixed_identity_is_found_by_its_name() {
        let known = Known::default()
            .with_fixed(Identity::new(200), "kvstore")
            .unwrap();
        assert_eq!(find(&known, &["reserved:kvstore"]), Some(200));
        let fixed = ["container:io.cilium.fixed-identity=kvstore", "k8s:app=etcd"];
        assert_eq!(find(&known, &fixed), Some(200));
        // A name that is not fixed does not fall through to the reserved ones.
        let unknown = ["k8s:io.cilium.fixed-identity=host", "reserved:host"];
        assert_eq!(find(&known, &unknown), None);
        let all = known.all();
        assert_eq!(all.len(), 11);
        assert_eq!(all[&Identity::new(200)].to_string(), "reserved:kvstore");
    }

    #[test]
    fn what_cannot_be_fixed_is_refused() {
        let fix = |number, name| {
            let known = Known::default()
                .with_fixed(Identity::new(128), "one")
                .unwrap();
            known.with_fixed(Identity::new(number), name).map(|_| ())
        };
        assert_eq!(fix(129, "two"), Ok(()));
        assert!(matches!(fix(127, "two"), Err(FixedError::Number { .. })));
        assert!(matches!(fix(256, "two"), Err(FixedError::Number { .. })));
        assert!(matches!(fix(129, "one"), Err(FixedError::Taken { .. })));
        assert!(matches!(fix(128, "two"), Err(FixedError::Taken { .. })));
        assert!(matches!(fix(129, "host"), Err(FixedError::Taken { .. })));
        assert!(matches!(fix(129, ""), Err(FixedError::Name { .. })));
    }

    #[test]
    fn well_known_identities_come_first_and_need_exactly_their_labels() {
        let known = Known::default().with_well_known("default", "kube-system");
        let dns = [
            "k8s:k8s-app=kube-dns",
            "k8s:io.kubernetes.pod.namespace=kube-system",
            "k8s:io.cilium.k8s.policy.serviceaccount=coredns",
            "k8s:io.cilium.k8s.policy.cluster=default",
        ];
        assert_eq!(find(&known, &dns), Some(104));
        let meta = "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=kube-system";
        let with_meta: Vec<&str> = dns.into_iter().chain([meta]).collect();
        assert_eq!(find(&known, &with_meta), Some(112));
        let more: Vec<&str> = dns.into_iter().chain(["k8s:tier=x"]).collect();
        assert_eq!(find(&known, &more), None);
        assert_eq!(find(&Known::default(), &dns), None);
        for (identity, labels) in known.all() {
            assert_eq!(known.find(&labels), Some(identity));
        }
        assert_eq!(known.all().len(), 20);
    }
}
