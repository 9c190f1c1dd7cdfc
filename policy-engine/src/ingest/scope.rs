//! The namespace and the cluster that a policy's selectors are confined to.

use std::sync::{Arc, LazyLock};

use palisade_identity::{Label, LabelKey, Requirement, Selector, SelectorError, Source, reserved};

use super::selector::Parts;
use crate::options::Options;
use crate::rule::{ResourceName, Subject, Tier};

/// The prefix of the labels that a pod has from its namespace's labels.
pub(super) const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const NAMESPACE: LabelKey = LabelKey::of_static(Source::K8s, "io.kubernetes.pod.namespace");
const CLUSTER: LabelKey = LabelKey::of_static(Source::K8s, "io.cilium.k8s.policy.cluster");
const REMOTE_NODE: LabelKey = LabelKey::of_static(Source::Reserved, "remote-node");

/// Where a document speaks from.
pub(super) struct Scope {
    pub(super) resource: Arc<ResourceName>,
    namespace: Option<Requirement>,
    local_cluster: Requirement,
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
        let equals = |key: LabelKey, value: &Option<Arc<str>>| match value {
            Some(value) => Requirement::equals(key, value).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            namespace: equals(NAMESPACE, &resource.namespace)?,
            policy_cluster: equals(CLUSTER, &options.policy_cluster)?,
            local_cluster: Requirement::equals(CLUSTER, &options.cluster_name)?,
            tier: options.tier,
            resource: Arc::new(resource),
        })
    }

    /// The pods of this cluster, for the entity of that name.
    pub(super) fn local_cluster(&self) -> Selector {
        Selector::new([self.local_cluster.clone()])
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
    pub(super) fn peer(&self, parts: Parts, subject: &Subject) -> Selector {
        let mut asked = parts.requirements();
        if asks(&asked, |key| key.source() == Source::Reserved) {
            return Selector::new(asked);
        }
        if !asks(&asked, is_namespace) {
            match &self.namespace {
                Some(_) if asks(&asked, is_namespace_label) => {}
                Some(namespace) => asked.push(namespace.clone()),
                // Endpoints without labels have no namespace yet; no node is one of them.
                None if !subject.is_node() && asks(subject.selector().requirements(), is_init) => {}
                None => asked.push(Requirement::exists(NAMESPACE)),
            }
        }
        self.confined(asked)
    }

    /// Nodes as the peers of a policy: other nodes than its own, of its own cluster.
    pub(super) fn node_peer(&self, parts: Parts) -> Selector {
        let mut asked = parts.requirements();
        asked.push(Requirement::exists(REMOTE_NODE));
        self.confined(asked)
    }

    /// The subject of a Kubernetes policy: pods of its own namespace.
    pub(super) fn kubernetes_subject(&self, pods: Selector) -> Selector {
        match &self.namespace {
            Some(namespace) => pods.with(namespace.clone()),
            None => pods,
        }
    }

    /// A Kubernetes peer: pods of the own namespace, or of those that `namespaces` selects.
    pub(super) fn kubernetes_peer(
        &self,
        pods: &Selector,
        namespaces: Option<&Selector>,
    ) -> Selector {
        let mut asked = pods.requirements().to_vec();
        match (namespaces, &self.namespace) {
            (Some(namespaces), _) if namespaces.is_everything() => {
                asked.push(Requirement::exists(NAMESPACE));
            }
            (Some(namespaces), _) => asked.extend_from_slice(namespaces.requirements()),
            (None, Some(namespace)) => asked.push(namespace.clone()),
            (None, None) => {}
        }
        self.confined(asked)
    }

    /// The pods of the namespaces that `namespaces` selects, and nothing that has no namespace:
    /// what only forbids labels would else select the world.
    pub(super) fn pods_of(pods: &Selector, namespaces: &Selector) -> Selector {
        let asked = pods.requirements().iter().chain(namespaces.requirements());
        Selector::new(asked.cloned().chain([Requirement::exists(NAMESPACE)]))
    }

    /// The same peers, of this cluster only unless they name one.
    pub(super) fn confine(&self, selector: Selector) -> Selector {
        match self.missing_cluster(selector.requirements()) {
            Some(cluster) => selector.with(cluster),
            None => selector,
        }
    }

    fn confined(&self, mut asked: Vec<Requirement>) -> Selector {
        let cluster = self.missing_cluster(&asked);
        asked.extend(cluster);
        Selector::new(asked)
    }

    fn missing_cluster(&self, asked: &[Requirement]) -> Option<Requirement> {
        let names = |key: &LabelKey| is_k8s(key) && key.key() == CLUSTER.key();
        let cluster = self.policy_cluster.as_ref()?;
        (!asks(asked, names)).then(|| cluster.clone())
    }
}

/// The selector of a reserved label.
pub(super) fn reserved(name: &str) -> Option<Selector> {
    // Entities become many of them, over and over.
    static KNOWN: LazyLock<Vec<(&str, Selector)>> = LazyLock::new(|| {
        let names = reserved::ALL.into_iter().map(|(_, name)| name);
        let known = names.filter_map(|name| Some((name, having_reserved(name)?)));
        known.collect()
    });
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    known.map_or_else(
        || having_reserved(name),
        |(_, selector)| Some(selector.clone()),
    )
}

fn having_reserved(name: &str) -> Option<Selector> {
    let label = Label::reserved(name).ok()?;
    Some(Selector::having(&label))
}

fn asks(requirements: &[Requirement], test: impl Fn(&LabelKey) -> bool) -> bool {
    requirements.iter().any(|one| test(one.key()))
}

fn is_k8s(key: &LabelKey) -> bool {
    matches!(key.source(), Source::Any | Source::K8s)
}

fn is_namespace(key: &LabelKey) -> bool {
    is_k8s(key) && key.key() == NAMESPACE.key()
}

fn is_namespace_label(key: &LabelKey) -> bool {
    is_k8s(key) && key.key().starts_with(NAMESPACE_LABELS)
}

fn is_init(key: &LabelKey) -> bool {
    key.source() == Source::Reserved && key.key() == "init"
}
