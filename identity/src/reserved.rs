//! The identities that have a fixed number.

use palisade_abi::Identity;

use crate::label::Label;
use crate::label_set::LabelSet;
use crate::source::Source;

/// Name of [`Identity::WORLD_IPV4`].
pub(crate) const WORLD_IPV4: &str = "world-ipv4";
/// Name of [`Identity::WORLD_IPV6`].
pub(crate) const WORLD_IPV6: &str = "world-ipv6";

/// Every reserved identity with its name, in the order of the numbers.
pub const ALL: [(Identity, &str); 10] = [
    (Identity::HOST, "host"),
    (Identity::WORLD, "world"),
    (Identity::UNMANAGED, "unmanaged"),
    (Identity::HEALTH, "health"),
    (Identity::INIT, "init"),
    (Identity::REMOTE_NODE, "remote-node"),
    (Identity::KUBE_APISERVER, "kube-apiserver"),
    (Identity::INGRESS, "ingress"),
    (Identity::WORLD_IPV4, WORLD_IPV4),
    (Identity::WORLD_IPV6, WORLD_IPV6),
];

/// The name of a reserved identity.
///
/// ```
/// use palisade_identity::{Identity, reserved};
///
/// assert_eq!(reserved::name(Identity::HOST), Some("host"));
/// assert_eq!(reserved::name(Identity::new(1007)), None);
/// ```
pub fn name(identity: Identity) -> Option<&'static str> {
    ALL.into_iter()
        .find(|(known, _)| *known == identity)
        .map(|(_, name)| name)
}

/// The reserved identity with this name.
pub fn by_name(name: &str) -> Option<Identity> {
    ALL.into_iter()
        .find(|(_, known)| *known == name)
        .map(|(identity, _)| identity)
}

/// The labels of a reserved identity.
///
/// A node that runs the Kubernetes API server is a remote node, too.
pub fn labels(identity: Identity) -> Option<LabelSet> {
    let own = Label::reserved_static(name(identity)?);
    let more = (identity == Identity::KUBE_APISERVER)
        .then(|| name(Identity::REMOTE_NODE).map(Label::reserved_static))
        .flatten();
    Some([own].into_iter().chain(more).collect())
}

/// The reserved identity whose labels are exactly these.
pub fn by_labels(set: &LabelSet) -> Option<Identity> {
    if !set.has_source(Source::Reserved) {
        return None;
    }
    ALL.into_iter()
        .map(|(identity, _)| identity)
        .find(|identity| labels(*identity).as_ref() == Some(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_labels_lead_to_each_other() {
        for (identity, text) in ALL {
            assert_eq!(name(identity), Some(text));
            assert_eq!(by_name(text), Some(identity));
            let labels = labels(identity).unwrap();
            assert_eq!(by_labels(&labels), Some(identity), "{labels}");
            assert!(identity.is_reserved());
        }
    }

    #[test]
    fn the_api_server_is_a_remote_node() {
        let labels = labels(Identity::KUBE_APISERVER).unwrap();
        assert_eq!(
            labels.to_string(),
            "reserved:kube-apiserver,reserved:remote-node"
        );
    }

    #[test]
    fn other_identities_have_no_reserved_labels() {
        assert_eq!(labels(Identity::UNKNOWN), None);
        assert_eq!(labels(Identity::new(11)), None);
        assert_eq!(labels(Identity::FIRST_LOCAL), None);
        assert_eq!(by_name("cluster"), None);
        let web = LabelSet::parse(["k8s:app=web"]).unwrap();
        assert_eq!(by_labels(&web), None);
    }
}
