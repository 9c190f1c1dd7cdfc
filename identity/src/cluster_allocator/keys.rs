//! Where the store keeps what, byte for byte as Cilium does.

use palisade_abi::Identity;
use thiserror::Error;

use crate::label_set::LabelSet;

/// The keys of one node in the store.
///
/// A *master* `<base>/id/<number>` holds the labels of a number and belongs to nobody. A *slave*
/// `<base>/value/<labels>/<node>` holds the number and belongs to a node that uses it: it goes when
/// the node does. A number is in use while a slave names it.
///
/// ```
/// use palisade_identity::{Identity, LabelSet, StoreKeys};
///
/// let keys = StoreKeys::new(StoreKeys::CILIUM, "node-1")?;
/// let labels = LabelSet::parse(["k8s:app=web", "reserved:init"])?;
/// assert_eq!(keys.master(Identity::new(256)), "cilium/state/identities/v1/id/256");
/// assert_eq!(
///     keys.slave(&labels),
///     "cilium/state/identities/v1/value/k8s:app=web;reserved:init=;/node-1"
/// );
/// assert_eq!(
///     keys.lock(&labels),
///     "cilium/state/identities/v1/locks/k8s:app=web;reserved:init=;.lock"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreKeys {
    base: String,
    node: String,
}

/// A name that cannot end a slave's key.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{node}` cannot name a node in the store: it is not empty and has no `/`")]
pub struct NodeNameError {
    /// The name as it was given.
    pub node: String,
}

impl StoreKeys {
    /// Where Cilium keeps identities.
    pub const CILIUM: &'static str = "cilium/state/identities/v1";

    /// The keys of a node below a base.
    ///
    /// # Errors
    /// [`NodeNameError`] for a name that is empty or has a `/`.
    pub fn new(base: &str, node: &str) -> Result<Self, NodeNameError> {
        if node.is_empty() || node.contains('/') {
            return Err(NodeNameError { node: node.into() });
        }
        Ok(Self {
            base: base.into(),
            node: node.into(),
        })
    }

    /// What the keys of all masters start with.
    pub fn masters(&self) -> String {
        format!("{}/id/", self.base)
    }

    /// The master of a number.
    pub fn master(&self, identity: Identity) -> String {
        format!("{}/id/{identity}", self.base)
    }

    /// The number of a master's key.
    pub fn identity_of(&self, master: &str) -> Option<Identity> {
        let rest = master.strip_prefix(&self.base)?.strip_prefix("/id/")?;
        number(rest)
    }

    /// What the keys of all slaves of these labels start with. Other labels' may, too.
    pub fn slaves(&self, labels: &LabelSet) -> String {
        format!("{}/value/{}/", self.base, labels.canonical_key())
    }

    /// The slave of this node.
    pub fn slave(&self, labels: &LabelSet) -> String {
        self.slaves(labels) + &self.node
    }

    /// What is locked while the labels get a number or lose one.
    pub fn lock(&self, labels: &LabelSet) -> String {
        format!("{}/locks/{}.lock", self.base, labels.canonical_key())
    }

    /// The numbers that slaves of these labels name, of a listing of [`StoreKeys::slaves`].
    pub fn used<'a>(
        &self,
        labels: &LabelSet,
        listing: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Identity> {
        let prefix = self.slaves(labels);
        let mut used: Vec<Identity> = listing
            .into_iter()
            .filter(|(key, _)| is_slave(&prefix, key))
            .filter_map(|(_, value)| number(value))
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }
}

/// Keys of labels have slashes of their own, so only what follows the last one is a node.
fn is_slave(prefix: &str, key: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|node| !node.is_empty() && !node.contains('/'))
}

fn number(text: &str) -> Option<Identity> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    Some(Identity::new(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> StoreKeys {
        StoreKeys::new("base", "n1").unwrap()
    }

    #[test]
    fn a_slave_belongs_to_exactly_its_labels() {
        let labels = LabelSet::parse(["k8s:a"]).unwrap();
        assert_eq!(keys().slaves(&labels), "base/value/k8s:a=;/");
        let listing = [
            ("base/value/k8s:a=;/n2", "300"),
            ("base/value/k8s:a=;/n1", "300"),
            ("base/value/k8s:a=;/x/k8s:b=;/n1", "301"),
            ("base/value/k8s:a=;/", "302"),
            ("base/value/k8s:a=;k8s:b=;/n1", "303"),
            ("base/value/k8s:a=;/n3", "+304"),
        ];
        assert_eq!(keys().used(&labels, listing), [Identity::new(300)]);
    }

    #[test]
    fn masters_lead_to_their_numbers() {
        let key = keys().master(Identity::new(4096));
        assert_eq!(keys().identity_of(&key), Some(Identity::new(4096)));
        for bad in [
            "base/id/",
            "base/id/4a",
            "base/id/-1",
            "other/id/1",
            "base/idx/1",
        ] {
            assert_eq!(keys().identity_of(bad), None, "{bad}");
        }
        assert!(key.starts_with(&keys().masters()));
    }

    #[test]
    fn a_node_without_a_name_has_no_keys() {
        assert!(StoreKeys::new("base", "").is_err());
        assert!(StoreKeys::new("base", "a/b").is_err());
    }
}
