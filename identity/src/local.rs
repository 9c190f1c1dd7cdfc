//! Identities that one node gives out alone.

use palisade_abi::Identity;

use crate::allocator::{AllocateError, Allocation, Allocator, Range, Release};
use crate::known::Known;
use crate::label_set::LabelSet;
use crate::scope::Scope;

/// The identities that a node gives out alone: of addresses and names outside the cluster, and of
/// other nodes where they are told apart. What is [`Known`] needs no number of them.
///
/// ```
/// use palisade_identity::{Identity, LabelSet, LocalIdentities};
///
/// let mut local = LocalIdentities::default();
/// let site = LabelSet::of_prefix("10.0.0.0/8".parse()?);
/// assert_eq!(local.hold(&site)?.0, Identity::FIRST_LOCAL);
/// assert_eq!(local.hold(&LabelSet::parse(["reserved:health"])?)?.0, Identity::HEALTH);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LocalIdentities {
    known: Known,
    local: Allocator,
    nodes: Allocator,
}

impl LocalIdentities {
    /// Nothing is given out; what is known stays known.
    pub fn new(known: Known) -> Self {
        Self {
            known,
            local: Allocator::new(Range::LOCAL),
            nodes: Allocator::new(Range::REMOTE_NODE),
        }
    }

    /// Takes a reference on the identity of these labels; [`Allocation::Existing`] if it is known.
    ///
    /// # Errors
    /// [`AllocateError`] if no number is left, or the labels ask for one of the whole cluster's.
    pub fn hold(&mut self, labels: &LabelSet) -> Result<(Identity, Allocation), AllocateError> {
        self.hold_number(labels, None)
    }

    /// As [`LocalIdentities::hold`], with the number that the labels had before, if it is free.
    ///
    /// # Errors
    /// As [`LocalIdentities::hold`].
    pub fn hold_as(
        &mut self,
        labels: &LabelSet,
        before: Identity,
    ) -> Result<(Identity, Allocation), AllocateError> {
        self.hold_number(labels, Some(before))
    }

    fn hold_number(
        &mut self,
        labels: &LabelSet,
        before: Option<Identity>,
    ) -> Result<(Identity, Allocation), AllocateError> {
        if let Some(identity) = self.known.find(labels) {
            return Ok((identity, Allocation::Existing));
        }
        let allocator = match Scope::of_labels(labels) {
            Scope::Global => {
                return Err(AllocateError::Global {
                    labels: labels.clone(),
                });
            }
            Scope::Local => &mut self.local,
            Scope::RemoteNode => &mut self.nodes,
        };
        match before {
            Some(before) => allocator.allocate_as(labels, before),
            None => allocator.allocate(labels),
        }
    }

    /// Gives up one reference. What is known has none to give up: [`Release::StillUsed`].
    pub fn release(&mut self, identity: Identity) -> Release {
        match self.allocator_mut(identity) {
            Some(allocator) => allocator.release(identity),
            None => Release::StillUsed,
        }
    }

    /// The identity of these labels, if it is known or given out.
    pub fn get(&self, labels: &LabelSet) -> Option<Identity> {
        self.known
            .find(labels)
            .or_else(|| self.local.get(labels))
            .or_else(|| self.nodes.get(labels))
    }

    /// The labels of an identity.
    pub fn labels(&self, identity: Identity) -> Option<LabelSet> {
        let given = self.local.labels(identity);
        given
            .or_else(|| self.nodes.labels(identity))
            .cloned()
            .or_else(|| self.known.labels(identity))
    }

    /// What is known without allocation.
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// The numbers of addresses and names.
    pub const fn local(&self) -> &Allocator {
        &self.local
    }

    /// The numbers of other nodes.
    pub const fn nodes(&self) -> &Allocator {
        &self.nodes
    }

    /// The allocator that a number belongs to, to restore, set aside or withhold it; `None` if no
    /// node gives it out.
    pub fn allocator_mut(&mut self, identity: Identity) -> Option<&mut Allocator> {
        match Scope::of(identity)? {
            Scope::Global => None,
            Scope::Local => Some(&mut self.local),
            Scope::RemoteNode => Some(&mut self.nodes),
        }
    }
}

impl Default for LocalIdentities {
    fn default() -> Self {
        Self::new(Known::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::NodeIdentities;

    #[test]
    fn each_scope_has_its_numbers() {
        let known = Known::default().with_nodes(NodeIdentities::Apart);
        let mut local = LocalIdentities::new(known);
        let mut hold = |texts: &[&str]| local.hold(&LabelSet::parse(texts).unwrap());
        assert_eq!(hold(&["cidr:10.0.0.0/8"]).unwrap().0.get(), 0x0100_0001);
        assert_eq!(
            hold(&["reserved:remote-node"]).unwrap().0.get(),
            0x0200_0001
        );
        let managed = ["reserved:kube-apiserver", "reserved:world"];
        assert_eq!(hold(&managed).unwrap().0.get(), 0x0100_0002);
        assert_eq!(
            hold(&["reserved:host"]).unwrap(),
            (Identity::HOST, Allocation::Existing)
        );
        let error = hold(&["k8s:app=web"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "labels `k8s:app=web` ask for an identity of the whole cluster's"
        );
        assert_eq!(local.release(Identity::HOST), Release::StillUsed);
        assert_eq!(local.release(Identity::new(0x0200_0001)), Release::Released);
        assert_eq!(local.nodes().len(), 0);
        assert_eq!(local.local().len(), 2);
    }
}
