use std::fmt;

use palisade_abi::Identity;
use thiserror::Error;

use crate::allocator::Range;
use crate::scope::Scope;

/// How many clusters a mesh can have, and so how a number is shared: the cluster above, what the
/// cluster allocates below.
///
/// Every cluster of a mesh must agree on it.
///
/// ```
/// use palisade_identity::{Identity, MaxClusters};
///
/// let third = MaxClusters::C255.cluster(3)?;
/// assert_eq!(third.range().first().get(), 196_608);
/// assert_eq!(MaxClusters::C255.cluster_of(Identity::new(200_000)), Some(third));
/// assert!(MaxClusters::C255.cluster(256).is_err());
/// # Ok::<(), palisade_identity::ClusterIdError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MaxClusters {
    /// 255 clusters with 65,536 identities each.
    #[default]
    C255,
    /// 511 clusters with 32,768 identities each.
    C511,
}

/// A cluster of a mesh. 0 is the cluster that is in no mesh.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClusterId {
    clusters: MaxClusters,
    number: u16,
}

/// A number that no cluster of the mesh can have.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("cluster {number} of a mesh of up to {max} clusters")]
pub struct ClusterIdError {
    /// The number as it was given.
    pub number: u16,
    /// The largest number.
    pub max: u16,
}

impl MaxClusters {
    /// The largest number of a cluster.
    pub const fn max(self) -> u16 {
        match self {
            Self::C255 => 255,
            Self::C511 => 511,
        }
    }

    /// How many bits of a number, from the lowest, belong to the cluster that allocates it.
    pub const fn shift(self) -> u32 {
        match self {
            Self::C255 => 16,
            Self::C511 => 15,
        }
    }

    /// The cluster with this number.
    ///
    /// # Errors
    /// [`ClusterIdError`] if it is too large.
    pub const fn cluster(self, number: u16) -> Result<ClusterId, ClusterIdError> {
        let max = self.max();
        if number > max {
            return Err(ClusterIdError { number, max });
        }
        Ok(ClusterId {
            clusters: self,
            number,
        })
    }

    /// The cluster that a number belongs to; `None` if it has its meaning on one node only.
    ///
    /// The reserved identities belong to no cluster, which is cluster 0.
    pub fn cluster_of(self, identity: Identity) -> Option<ClusterId> {
        match Scope::of(identity)? {
            Scope::Global => {
                let number = u16::try_from(identity.get() >> self.shift()).ok()?;
                self.cluster(number).ok()
            }
            Scope::Local | Scope::RemoteNode => None,
        }
    }
}

impl ClusterId {
    /// The number.
    pub const fn get(self) -> u16 {
        self.number
    }

    /// The mesh's size.
    pub const fn clusters(self) -> MaxClusters {
        self.clusters
    }

    /// The numbers that this cluster allocates. Cluster 0 leaves the reserved ones out.
    pub const fn range(self) -> Range {
        let shift = self.clusters.shift();
        let base = (self.number as u32) << shift;
        let first = if self.number == 0 { FIRST } else { base };
        Range::between(first, base + (1 << shift) - 1)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number, f)
    }
}

/// The first number that is not reserved.
const FIRST: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(clusters: MaxClusters, number: u16) -> (u32, u32) {
        let range = clusters.cluster(number).unwrap().range();
        (range.first().get(), range.last().get())
    }

    #[test]
    fn the_ranges_are_those_of_cilium() {
        assert_eq!(ends(MaxClusters::C255, 0), (256, 65_535));
        assert_eq!(ends(MaxClusters::C255, 1), (65_536, 131_071));
        assert_eq!(ends(MaxClusters::C255, 255), (0x00ff_0000, 0x00ff_ffff));
        assert_eq!(ends(MaxClusters::C511, 0), (256, 32_767));
        assert_eq!(ends(MaxClusters::C511, 1), (32_768, 65_535));
        assert_eq!(ends(MaxClusters::C511, 511), (0x00ff_8000, 0x00ff_ffff));
        assert_eq!(
            MaxClusters::C255.cluster(0).unwrap().range(),
            Range::CLUSTER
        );
    }

    #[test]
    fn every_cluster_owns_its_range_and_no_other() {
        for clusters in [MaxClusters::C255, MaxClusters::C511] {
            let mut next = FIRST;
            for number in 0..=clusters.max() {
                let cluster = clusters.cluster(number).unwrap();
                let range = cluster.range();
                assert_eq!(range.first().get(), next);
                next = range.last().get() + 1;
                for identity in [range.first(), range.last()] {
                    assert_eq!(clusters.cluster_of(identity), Some(cluster));
                }
            }
            assert_eq!(next, 1 << 24, "nothing is left over");
            let error = clusters.cluster(clusters.max() + 1).unwrap_err();
            assert_eq!(error.max, clusters.max());
        }
    }

    #[test]
    fn a_number_of_one_node_has_no_cluster() {
        assert_eq!(MaxClusters::C255.cluster_of(Identity::FIRST_LOCAL), None);
        assert_eq!(
            MaxClusters::C255.cluster_of(Identity::new(0x0200_0001)),
            None
        );
        let none = MaxClusters::C255.cluster_of(Identity::HOST);
        assert_eq!(none.map(ClusterId::get), Some(0));
    }
}
