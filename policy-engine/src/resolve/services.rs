//! Kubernetes services, as far as policies name them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use palisade_identity::LabelSet;

use crate::rule::ServiceReference;

/// Who knows the services of a cluster.
pub trait Services {
    /// The services that a reference names, in an order that does not change by itself.
    fn services(&self, reference: &ServiceReference) -> Vec<Arc<Service>>;
}

/// A service of Kubernetes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its own labels, with the source `k8s`.
    pub labels: LabelSet,
    /// The labels of the pods behind it; empty if somebody else says what stands behind it.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// The addresses behind it, for a service without a selector.
    pub backends: Vec<IpAddr>,
}

impl Service {
    /// A service without labels, selector and backends.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            labels: LabelSet::new(),
            selector: BTreeMap::new(),
            backends: Vec::new(),
        }
    }

    /// Whether a reference names the service. A reference without a namespace means any.
    pub fn is_named_by(&self, reference: &ServiceReference) -> bool {
        match reference {
            ServiceReference::Name { namespace, name } => {
                self.is_in(namespace.as_ref()) && self.name == *name
            }
            ServiceReference::Labels {
                namespace,
                selector,
            } => self.is_in(namespace.as_ref()) && selector.matches(&self.labels),
        }
    }

    fn is_in(&self, namespace: Option<&Arc<str>>) -> bool {
        namespace.is_none_or(|namespace| *namespace == self.namespace)
    }
}

/// The services of a cluster by namespace and name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceTable(BTreeMap<(Arc<str>, Arc<str>), Arc<Service>>);

impl ServiceTable {
    /// No services yet.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a service, or puts it in the place of the one of its name.
    pub fn insert(&mut self, service: Service) {
        let key = (Arc::clone(&service.namespace), Arc::clone(&service.name));
        self.0.insert(key, Arc::new(service));
    }

    /// Removes a service; whether there was one.
    pub fn remove(&mut self, namespace: &str, name: &str) -> bool {
        self.0.remove(&(namespace.into(), name.into())).is_some()
    }

    /// The services in the order of their namespaces and names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.0.values()
    }
}

impl Services for ServiceTable {
    fn services(&self, reference: &ServiceReference) -> Vec<Arc<Service>> {
        if let ServiceReference::Name {
            namespace: Some(namespace),
            name,
        } = reference
        {
            let key = (Arc::clone(namespace), Arc::clone(name));
            return self.0.get(&key).cloned().into_iter().collect();
        }
        let named = self.iter().filter(|service| service.is_named_by(reference));
        named.cloned().collect()
    }
}
