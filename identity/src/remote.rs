//! What is known of another cluster's identities.

use std::collections::BTreeMap;

use palisade_abi::Identity;
use thiserror::Error;

use crate::cluster::ClusterId;
use crate::label::Label;
use crate::label_set::LabelSet;
use crate::source::Source;

/// The identities that another cluster of the mesh says it has.
///
/// Another cluster is not trusted to speak for anybody but itself: a number must lie in its range,
/// and the labels must carry its name. What is deleted is deleted without questions, so that
/// nothing stays for ever.
///
/// ```
/// use palisade_identity::{Identity, LabelSet, MaxClusters, RemoteIdentities};
///
/// let mut east = RemoteIdentities::new(MaxClusters::C255.cluster(2)?, "east")?;
/// let labels = LabelSet::parse(["k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=east"])?;
/// east.upsert(Identity::new(131_072), &labels)?;
/// assert_eq!(east.get(Identity::new(131_072)), Some(&labels));
/// // It may not say what a number of ours means, nor use our name.
/// assert!(east.upsert(Identity::new(256), &labels).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RemoteIdentities {
    cluster: ClusterId,
    name: String,
    identities: BTreeMap<Identity, LabelSet>,
}

/// Why an identity of another cluster is not taken.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RemoteError {
    /// A cluster that is in no mesh, or has no name.
    #[error("a remote cluster has a number from 1 on and a name, not {number} and `{name}`")]
    NoCluster {
        /// The number as it was given.
        number: u16,
        /// The name as it was given.
        name: String,
    },
    /// The number belongs to another cluster.
    #[error("cluster `{name}` has {first} to {last}, identity {identity} is not its own")]
    ForeignIdentity {
        /// The number.
        identity: Identity,
        /// The cluster that named it.
        name: String,
        /// The first number of that cluster.
        first: Identity,
        /// The last number of that cluster.
        last: Identity,
    },
    /// The labels name another cluster, or none.
    #[error(
        "cluster `{name}` named identity {identity} with the labels {labels}, which are not its own"
    )]
    ForeignLabels {
        /// The number.
        identity: Identity,
        /// The cluster that named it.
        name: String,
        /// The labels.
        labels: LabelSet,
    },
}

/// The key of the label with the name of a pod's cluster.
pub const CLUSTER_LABEL: &str = "io.cilium.k8s.policy.cluster";

impl RemoteIdentities {
    /// Nothing is known yet of a cluster.
    ///
    /// # Errors
    /// [`RemoteError::NoCluster`] for cluster 0 and an empty name.
    pub fn new(cluster: ClusterId, name: &str) -> Result<Self, RemoteError> {
        if cluster.get() == 0 || name.is_empty() {
            return Err(RemoteError::NoCluster {
                number: cluster.get(),
                name: name.into(),
            });
        }
        Ok(Self {
            cluster,
            name: name.into(),
            identities: BTreeMap::new(),
        })
    }

    /// Takes an identity, and returns the labels that its number had.
    ///
    /// # Errors
    /// [`RemoteError`] if it is not the cluster's own; what was known of the number stays.
    pub fn upsert(
        &mut self,
        identity: Identity,
        labels: &LabelSet,
    ) -> Result<Option<LabelSet>, RemoteError> {
        let range = self.cluster.range();
        if !range.contains(identity) {
            return Err(RemoteError::ForeignIdentity {
                identity,
                name: self.name.clone(),
                first: range.first(),
                last: range.last(),
            });
        }
        let named = |label: &Label| label.source() == Source::K8s && label.value() == self.name;
        if !labels.get(CLUSTER_LABEL).is_some_and(named) {
            return Err(RemoteError::ForeignLabels {
                identity,
                name: self.name.clone(),
                labels: labels.clone(),
            });
        }
        Ok(self.identities.insert(identity, labels.clone()))
    }

    /// Forgets an identity and returns its labels.
    pub fn delete(&mut self, identity: Identity) -> Option<LabelSet> {
        self.identities.remove(&identity)
    }

    /// The labels of a number.
    pub fn get(&self, identity: Identity) -> Option<&LabelSet> {
        self.identities.get(&identity)
    }

    /// Every identity, in the order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Identity, &LabelSet)> {
        self.identities
            .iter()
            .map(|(identity, labels)| (*identity, labels))
    }

    /// The cluster.
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::MaxClusters;

    fn labels(texts: &[&str]) -> LabelSet {
        LabelSet::parse(texts).unwrap()
    }

    #[test]
    fn a_cluster_speaks_for_itself_only() {
        let cluster = MaxClusters::C511.cluster(1).unwrap();
        let mut east = RemoteIdentities::new(cluster, "east").unwrap();
        let own = labels(&["k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=east"]);
        let number = Identity::new(32_768);
        assert_eq!(east.upsert(number, &own), Ok(None));
        for foreign in [255, 256, 32_767, 65_536, 0x0100_0001] {
            assert!(matches!(
                east.upsert(Identity::new(foreign), &own),
                Err(RemoteError::ForeignIdentity { .. })
            ));
        }
        for texts in [
            &["k8s:app=web"][..],
            &["k8s:io.cilium.k8s.policy.cluster=west"],
            &["container:io.cilium.k8s.policy.cluster=east"],
        ] {
            let error = east.upsert(number, &labels(texts)).unwrap_err();
            assert!(matches!(error, RemoteError::ForeignLabels { .. }));
        }
        assert_eq!(east.get(number), Some(&own), "what was known stays");
        assert_eq!(east.delete(number), Some(own));
        assert_eq!(east.iter().count(), 0);
    }

    #[test]
    fn a_remote_cluster_has_a_number_and_a_name() {
        let cluster = |number| MaxClusters::C255.cluster(number).unwrap();
        assert!(RemoteIdentities::new(cluster(0), "east").is_err());
        assert!(RemoteIdentities::new(cluster(1), "").is_err());
    }
}
