//! Over a restart: what to write down, and what to say of it afterwards.

use std::collections::HashMap;

use palisade_abi::{Identity, Prefix};

use super::{Change, Claim, Layers, Origin, ResourceId};
use crate::allocator::Contents;
use crate::local::LocalIdentities;
use crate::scope::Scope;

impl Layers {
    /// What is to be known after a restart: the identities that the node gave out, and the prefixes
    /// that have them. What others gave out comes back from them.
    pub fn contents(&self, identities: &LocalIdentities) -> Contents {
        let mut given = identities.local().checkpoint();
        given.extend(identities.nodes().checkpoint());
        let prefixes = self.iter().map(|(prefix, entry)| (prefix, entry.identity));
        Contents {
            identities: given,
            prefixes: prefixes.filter(|(_, identity)| is_own(*identity)).collect(),
        }
    }
}

impl Contents {
    /// What is said of the prefixes of a checkpoint, for a resource of its own: their labels, and
    /// the number that goes with them. It is to be said before anything else, while every number
    /// is free; taken back once everyone else has spoken ([`Contents::withdrawn`]), it leaves what
    /// is still wanted, under its old number.
    ///
    /// ```
    /// use palisade_identity::{Change, Claim, LabelSet, Layers, LocalIdentities, Origin, ResourceId};
    ///
    /// let site = "10.0.0.0/8".parse()?;
    /// let claim = Claim::labels(LabelSet::of_prefix(site));
    /// let resource: ResourceId = "cnp/shop/x".parse()?;
    /// let policy = || Change::new(site, Origin::Generated, resource.clone(), claim.clone());
    /// let (mut layers, mut local) = (Layers::default(), LocalIdentities::default());
    /// layers.apply([policy()], &mut local)?.steps;
    /// let contents = layers.contents(&local);
    ///
    /// // Restore, reconcile, release.
    /// let (mut layers, mut local) = (Layers::default(), LocalIdentities::default());
    /// let restored = "daemon//restored".parse()?;
    /// assert_eq!(layers.apply(contents.claims(&restored), &mut local)?.steps.len(), 2);
    /// assert_eq!(layers.apply([policy()], &mut local)?.steps, []);
    /// assert_eq!(layers.apply(contents.withdrawn(&restored), &mut local)?.steps, []);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claims<'a>(&'a self, resource: &'a ResourceId) -> impl Iterator<Item = Change> + 'a {
        let all = self.identities.iter();
        let labels: HashMap<Identity, _> = all.map(|one| (one.identity, &one.labels)).collect();
        self.prefixes.iter().filter_map(move |(prefix, identity)| {
            let labels = (*labels.get(identity)?).clone();
            let claim = Claim::labels(labels).with_number_before(*identity);
            let resource = resource.clone();
            Some(Change::new(*prefix, Origin::Restored, resource, claim))
        })
    }

    /// Takes back what [`Contents::claims`] says.
    pub fn withdrawn<'a>(&'a self, resource: &'a ResourceId) -> impl Iterator<Item = Change> + 'a {
        let withdraw = |prefix: Prefix| {
            let resource = resource.clone();
            Change::withdraw(prefix, Origin::Restored, resource)
        };
        self.prefixes
            .iter()
            .map(move |(prefix, _)| withdraw(*prefix))
    }
}

/// Whether a number means something on this node only.
fn is_own(identity: Identity) -> bool {
    matches!(Scope::of(identity), Some(Scope::Local | Scope::RemoteNode))
}
