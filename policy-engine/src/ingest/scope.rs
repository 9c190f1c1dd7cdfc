//! The namespace and the cluster that a policy's selectors are confined to.

use std::sync::Arc;

use palisade_identity::{Label, LabelKey, Requirement, Selector, SelectorError, Source};

use super::selector::Parts;
use crate::options::Options;
use crate::rule::{ResourceName, Tier};

/// The prefix of the labels that a pod has from its namespace's labels.
pub(super) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Where a document speaks from.
pub(super) struct Scope {
    pub(super) resource: Arc<ResourceName>,
    namespace: Option<Requirement>,
    any_namespace: Requirement,
    remote_node: Requirement,
    /// The pods of this cluster, for the entity of that name.
    pub(super) local_cluster: Selector,
    policy_cluster: Option<Requirement>,
    /// The tier of its rules.
    pub(super) tier: Tier,
}

impl Scope {
    /// The scope of a resource.
    ///
    /// # Errors
    /// [`SelectorError`] if the namespace or a cluster's name cannot be the value of a label.
    pub(super) fn new(resource: ResourceName, options: &Options) -> Result<Self, SelectorError> {
        let key = |name| LabelKey::new(Source::K8s, name);
        let namespace = match &resource.namespace {
            Some(namespace) => Some(Requirement::equals(key(NAMESPACE)?, namespace)?),
            None => None,
        };
        let policy_cluster = match &options.policy_cluster {
            Some(cluster) => Some(Requirement::equals(key(CLUSTER)?, cluster)?),
            None => None,
        };
        let local = Requirement::equals(key(CLUSTER)?, &options.cluster_name)?;
        Ok(Self {
            resource: Arc::new(resource),
            namespace,
            any_namespace: Requirement::exists(key(NAMESPACE)?),
            remote_node: Requirement::exists(LabelKey::new(Source::Reserved, "remote-node")?),
            local_cluster: Selector::new([local]),
            policy_cluster,
            tier: options.tier,
        })
    }

    /// The subject of a policy: a namespaced one speaks of its own namespace, and what its
    /// `matchLabels` say about the namespace is replaced.
    pub(super) fn subject(&self, mut parts: Parts) -> Selector {
        if let Some(namespace) = &self.namespace {
            parts.labels.retain(|label| label.key() != namespace.key());
            parts.labels.push(namespace.clone());
        }
        parts.selector()
    }

    /// The namespace that a subject asks for and the one it gets, where they differ.
    pub(super) fn replaced(&self, parts: &Parts) -> Option<(String, String)> {
        let own = self.resource.namespace.as_deref()?;
        let key = self.namespace.as_ref()?.key();
        let asked = parts.labels.iter().find(|label| label.key() == key)?;
        let [found] = asked.operator().values() else {
            return None;
        };
        (&**found != own).then(|| (found.to_string(), own.to_owned()))
    }

    /// A peer of a policy: of its own namespace and cluster unless it names others.
    ///
    /// A selector of reserved labels is taken as it stands.
    pub(super) fn peer(&self, selector: &Selector, subject: &Selector) -> Selector {
        if asks(selector, |key| key.source() == Source::Reserved) {
            return selector.clone();
        }
        let mut scoped = selector.clone();
        if !asks(selector, |key| is_k8s(key) && key.key() == NAMESPACE) {
            match &self.namespace {
                Some(_) if asks(selector, is_namespace_label) => {}
                Some(namespace) => scoped = scoped.with(namespace.clone()),
                // Endpoints without labels have no namespace yet.
                None if asks(subject, is_init) => {}
                None => scoped = scoped.with(self.any_namespace.clone()),
            }
        }
        self.confine(scoped)
    }

    /// Nodes as the peers of a policy: other nodes than its own, of its own cluster.
    pub(super) fn node_peer(&self, selector: &Selector) -> Selector {
        self.confine(selector.with(self.remote_node.clone()))
    }

    /// The subject of a Kubernetes policy: pods of its own namespace.
    pub(super) fn kubernetes_subject(&self, pods: Selector) -> Selector {
        match &self.namespace {
            Some(namespace) => pods.with(namespace.clone()),
            None => pods,
        }
    }

    /// A Kubernetes peer: pods of the own namespace, or of those that `namespaces` selects.
    pub(super) fn kubernetes_peer(&self, pods: Selector, namespaces: Option<Selector>) -> Selector {
        let scoped = match (namespaces, &self.namespace) {
            (Some(namespaces), _) if namespaces.is_everything() => {
                pods.with(self.any_namespace.clone())
            }
            (Some(namespaces), _) => namespaces
                .requirements()
                .iter()
                .fold(pods, |pods, requirement| pods.with(requirement.clone())),
            (None, Some(namespace)) => pods.with(namespace.clone()),
            (None, None) => pods,
        };
        self.confine(scoped)
    }

    /// The pods of the namespaces that `namespaces` selects, and nothing that has no namespace:
    /// what only forbids labels would else select the world.
    pub(super) fn pods_of(&self, pods: Selector, namespaces: &Selector) -> Selector {
        namespaces
            .requirements()
            .iter()
            .fold(pods, |pods, requirement| pods.with(requirement.clone()))
            .with(self.any_namespace.clone())
    }

    /// The same peers, of this cluster only unless they name one.
    pub(super) fn confine(&self, selector: Selector) -> Selector {
        match &self.policy_cluster {
            Some(cluster) if !asks(&selector, |key| is_k8s(key) && key.key() == CLUSTER) => {
                selector.with(cluster.clone())
            }
            Some(_) | None => selector,
        }
    }
}

/// The selector of a reserved label.
pub(super) fn reserved(name: &str) -> Option<Selector> {
    Label::reserved(name)
        .ok()
        .map(|label| Selector::having(&label))
}

fn asks(selector: &Selector, test: impl Fn(&LabelKey) -> bool) -> bool {
    selector
        .requirements()
        .iter()
        .any(|requirement| test(requirement.key()))
}

fn is_k8s(key: &LabelKey) -> bool {
    matches!(key.source(), Source::Any | Source::K8s)
}

fn is_namespace_label(key: &LabelKey) -> bool {
    is_k8s(key) && key.key().starts_with(NAMESPACE_LABELS)
}

fn is_init(key: &LabelKey) -> bool {
    key.source() == Source::Reserved && key.key() == "init"
}
