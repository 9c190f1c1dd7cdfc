use palisade_abi::Identity;

use crate::label_set::LabelSet;
use crate::source::Source;

/// Where an identity's number has its meaning: the top 8 bits of the number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Scope {
    /// In every cluster of the mesh; the reserved identities belong here.
    Global,
    /// On this node only: addresses outside the cluster.
    Local,
    /// On this node only: other nodes that policy tells apart.
    RemoteNode,
}

impl Scope {
    /// The scope of a number; `None` if its top 8 bits are none of ours.
    pub const fn of(identity: Identity) -> Option<Self> {
        match identity.get() >> 24 {
            0 => Some(Self::Global),
            1 => Some(Self::Local),
            2 => Some(Self::RemoteNode),
            _ => None,
        }
    }

    /// The scope that labels ask for: a remote node's own; local if every label is of an address, a
    /// name or reserved; else, and for no labels at all, global.
    pub fn of_labels(labels: &LabelSet) -> Self {
        let named = |name| {
            labels
                .get(name)
                .is_some_and(|label| label.source() == Source::Reserved)
        };
        if named("remote-node") {
            return Self::RemoteNode;
        }
        let outside = |source| {
            matches!(
                source,
                Source::Cidr | Source::CidrGroup | Source::Fqdn | Source::Reserved
            )
        };
        if !labels.is_empty() && labels.iter().all(|label| outside(label.source())) {
            Self::Local
        } else {
            Self::Global
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_byte_is_the_scope() {
        assert_eq!(Scope::of(Identity::HOST), Some(Scope::Global));
        assert_eq!(Scope::of(Identity::new(0x00ff_ffff)), Some(Scope::Global));
        assert_eq!(Scope::of(Identity::FIRST_LOCAL), Some(Scope::Local));
        assert_eq!(
            Scope::of(Identity::new(0x0200_0001)),
            Some(Scope::RemoteNode)
        );
        assert_eq!(Scope::of(Identity::new(0x0300_0000)), None);
    }

    #[test]
    fn labels_choose_the_scope() {
        let cases: [(&[&str], Scope); 8] = [
            (&["k8s:app=web"], Scope::Global),
            (&["k8s:app=web", "cidr:10.0.0.0/8"], Scope::Global),
            (&["cidr:10.0.0.0/8", "reserved:world-ipv4"], Scope::Local),
            (&["fqdn:*.domain.com", "reserved:world-ipv4"], Scope::Local),
            (&["reserved:ingress"], Scope::Local),
            (&["reserved:remote-node", "k8s:zone=a"], Scope::RemoteNode),
            (&[], Scope::Global),
            (&["reserved:ingress", "k8s:app=web"], Scope::Global),
        ];
        for (texts, scope) in cases {
            let labels = LabelSet::parse(texts).unwrap();
            assert_eq!(labels.scope(), scope, "{labels}");
        }
    }
}
