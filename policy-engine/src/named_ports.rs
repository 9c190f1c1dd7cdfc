//! Ports that containers gave names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::Protocol;

/// The names that containers gave their ports, each with its protocol.
///
/// An endpoint has one of its own, for ingress; the pods of the cluster together have one, for
/// egress. A name that stands for several ports of one protocol says nothing.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NamedPorts(BTreeMap<(Arc<str>, Protocol), BTreeSet<u16>>);

impl NamedPorts {
    /// No names.
    pub const NONE: &'static Self = &Self::new();

    /// A container calls this port so. The name is taken in lower case.
    pub fn insert(&mut self, name: &str, protocol: Protocol, port: u16) {
        let name = name.to_ascii_lowercase().into();
        self.0.entry((name, protocol)).or_default().insert(port);
    }

    /// No names yet.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The port of a name; `None` if there is none or if it is not clear which.
    pub fn get(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let key = (Arc::from(name), protocol);
        let ports = self.0.get(&key).filter(|ports| ports.len() == 1)?;
        ports.first().copied()
    }

    /// Everything that another names too.
    pub fn extend(&mut self, other: &Self) {
        for (key, ports) in &other.0 {
            self.0.entry(key.clone()).or_default().extend(ports);
        }
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
