//! Pods, namespaces and services among the policies: who there is to ask about.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use palisade_abi::Protocol;
use palisade_identity::{Label, LabelError, LabelSet, LabelSetError, Source};
use palisade_node::{Endpoint, Link};
use palisade_policy::NamedPorts;
use palisade_policy::resolve::{Service, ServiceTable};
use serde::Deserialize;
use thiserror::Error;

/// The kinds that are read here.
pub(super) const KINDS: [&str; 3] = ["Namespace", "Pod", "Service"];

const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// Why a pod or a namespace cannot be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ManifestError {
    /// A label that cannot be.
    #[error("{resource}: {source}")]
    Label {
        /// Whose.
        resource: String,
        /// What is wrong.
        source: Box<LabelError>,
    },
    /// Labels that cannot stand together.
    #[error("{resource}: {source}")]
    LabelSet {
        /// Whose.
        resource: String,
        /// What is wrong.
        source: Box<LabelSetError>,
    },
    /// The file is no such manifest.
    #[error("{file}: {source}")]
    Parse {
        /// The file.
        file: Arc<str>,
        /// What is wrong, with its place.
        source: Box<serde_saphyr::Error>,
    },
}

/// The pods of a folder of manifests, with the labels that Cilium gives them.
#[derive(Default)]
pub(super) struct Manifests {
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pods: Vec<Document>,
    services: Vec<Document>,
}

impl Manifests {
    /// Takes the pods, namespaces and services of a file; other resources in it are left alone.
    ///
    /// # Errors
    /// [`ManifestError::Parse`].
    pub(super) fn take(&mut self, file: &Arc<str>, text: &str) -> Result<(), ManifestError> {
        let documents: Vec<Document> =
            serde_saphyr::from_multiple(text).map_err(|source| ManifestError::Parse {
                file: Arc::clone(file),
                source: Box::new(source),
            })?;
        for document in documents {
            self.sort(document);
        }
        Ok(())
    }

    fn sort(&mut self, mut document: Document) {
        for item in std::mem::take(&mut document.items) {
            self.sort(item);
        }
        match document.kind.as_str() {
            "Namespace" => {
                let Metadata { name, labels, .. } = document.metadata;
                self.namespaces.insert(name, labels);
            }
            "Pod" => self.pods.push(document),
            "Service" => self.services.push(document),
            _ => {}
        }
    }

    /// The pods as endpoints of a node.
    ///
    /// # Errors
    /// [`ManifestError`] for labels that cannot be.
    pub(super) fn endpoints(&self, cluster: &str) -> Result<Vec<Endpoint>, ManifestError> {
        self.pods
            .iter()
            .map(|pod| self.endpoint(pod, cluster))
            .collect()
    }

    /// The services. What stands behind one without a selector is not known here.
    ///
    /// # Errors
    /// [`ManifestError`] for labels that cannot be.
    pub(super) fn services(&self) -> Result<ServiceTable, ManifestError> {
        let mut table = ServiceTable::new();
        for document in &self.services {
            let Metadata {
                name,
                namespace,
                labels,
            } = &document.metadata;
            let namespace = namespace.as_deref().unwrap_or("default");
            let resource = format!("Service {namespace}/{name}");
            let labels = labels
                .iter()
                .map(|(key, value)| Label::new(Source::K8s, key, value));
            let selector = document.spec.selector.iter();
            table.insert(Service {
                labels: label_set(resource, labels.collect())?,
                selector: selector
                    .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                    .collect(),
                ..Service::new(namespace, name.as_str())
            });
        }
        Ok(table)
    }

    fn endpoint(&self, pod: &Document, cluster: &str) -> Result<Endpoint, ManifestError> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let name = format!("{namespace}/{}", pod.metadata.name);
        let labels = self.labels(pod, namespace, cluster);
        let labels = label_set(format!("Pod {name}"), labels)?;
        let mut named_ports = NamedPorts::new();
        for port in pod.spec.containers.iter().flat_map(|one| &one.ports) {
            let protocol = port
                .protocol
                .as_deref()
                .map_or(Ok(Protocol::TCP), str::parse);
            if let (Some(name), Ok(protocol)) = (&port.name, protocol) {
                named_ports.insert(name, protocol, port.number);
            }
        }
        Ok(Endpoint {
            name: name.into(),
            labels,
            addresses: pod.status.pod_ips.iter().map(|one| one.ip).collect(),
            named_ports,
            link: Link::default(),
        })
    }

    fn labels(
        &self,
        pod: &Document,
        namespace: &str,
        cluster: &str,
    ) -> Result<Vec<Label>, LabelError> {
        let account = pod.spec.service_account_name.as_deref();
        let mut labels = vec![
            (NAMESPACE.to_owned(), namespace),
            (CLUSTER.to_owned(), cluster),
            (SERVICE_ACCOUNT.to_owned(), account.unwrap_or("default")),
            (format!("{NAMESPACE_LABELS}{NAMESPACE_NAME}"), namespace),
        ];
        let of_namespace = self.namespaces.get(namespace).into_iter().flatten();
        labels.extend(
            of_namespace
                .filter(|(key, _)| *key != NAMESPACE_NAME)
                .map(|(key, value)| (format!("{NAMESPACE_LABELS}{key}"), value.as_str())),
        );
        let own = pod.metadata.labels.iter();
        labels.extend(own.map(|(key, value)| (key.clone(), value.as_str())));
        labels
            .iter()
            .map(|(key, value)| Label::new(Source::K8s, key, value))
            .collect()
    }
}

fn label_set(
    resource: String,
    labels: Result<Vec<Label>, LabelError>,
) -> Result<LabelSet, ManifestError> {
    match labels.map(LabelSet::try_from) {
        Ok(Ok(labels)) => Ok(labels),
        Ok(Err(source)) => Err(ManifestError::LabelSet {
            resource,
            source: Box::new(source),
        }),
        Err(source) => Err(ManifestError::Label {
            resource,
            source: Box::new(source),
        }),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    kind: String,
    metadata: Metadata,
    spec: Spec,
    status: Status,
    items: Vec<Self>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    service_account_name: Option<String>,
    /// Of a service; that of a pod, which is about nodes, is another field.
    selector: BTreeMap<String, String>,
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    name: Option<String>,
    #[serde(rename = "containerPort")]
    number: u16,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    #[serde(rename = "podIPs")]
    pod_ips: Vec<PodIp>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: pay, namespace: shop, labels: {app: pay}}
spec:
  containers:
  - name: pay
    ports: [{name: HTTPS, containerPort: 8443}, {containerPort: 9}]
status: {podIPs: [{ip: 10.0.0.7}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: pay, namespace: shop}
spec: {endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80'}]}]}]}
";

    #[test]
    fn a_pod_has_the_labels_that_a_cluster_gives_it() {
        let mut manifests = Manifests::default();
        manifests.take(&"pay.yaml".into(), TEXT).unwrap();
        let endpoints = manifests.endpoints("default").unwrap();
        let [pay] = endpoints.as_slice() else {
            panic!("{endpoints:?}");
        };
        let expected = LabelSet::parse([
            "k8s:app=pay",
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
            "k8s:io.cilium.k8s.namespace.labels.team=a",
            "k8s:io.cilium.k8s.policy.cluster=default",
            "k8s:io.cilium.k8s.policy.serviceaccount=default",
            "k8s:io.kubernetes.pod.namespace=shop",
        ]);
        assert_eq!(pay.labels, expected.unwrap());
        assert_eq!(&*pay.name, "shop/pay");
        assert_eq!(pay.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(pay.named_ports.get("https", Protocol::TCP), Some(8443));
    }
}
