//! Identities of components that a cluster needs before it can allocate any.

use palisade_abi::Identity;

use crate::label::Label;
use crate::label_set::LabelSet;
use crate::source::Source;

/// Every well-known identity with its labels, in the order of the numbers.
///
/// A component has two: without and with the namespace's own name among its labels, which
/// Kubernetes has set since 1.21. Numbers 100, 101 and 107, and their seconds, belonged to an etcd
/// operator that is no more, and are not given to anything else.
pub(crate) fn all(cluster_name: &str, cilium_namespace: &str) -> Vec<(Identity, LabelSet)> {
    let mut all = Vec::new();
    for component in &COMPONENTS {
        let namespace = match component.namespace {
            Namespace::Cilium => cilium_namespace,
            Namespace::KubeSystem => "kube-system",
        };
        let place = [
            (NAMESPACE, namespace),
            (SERVICE_ACCOUNT, component.service_account),
            (crate::remote::CLUSTER_LABEL, cluster_name),
        ];
        let pairs = component.labels.iter().copied().chain(place);
        let plain = k8s(pairs.clone());
        let named = k8s(pairs.chain([(NAMESPACE_NAME, namespace)]));
        let numbers = [component.number, component.number + SECOND];
        all.extend(numbers.map(Identity::new).into_iter().zip([plain, named]));
    }
    all.sort_by_key(|(identity, _)| *identity);
    all
}

/// A text that cannot be a label is left out, as it cannot be on a pod either.
fn k8s<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> LabelSet {
    pairs
        .filter_map(|(key, value)| Label::new(Source::K8s, key, value).ok())
        .collect()
}

struct Component {
    number: u32,
    namespace: Namespace,
    service_account: &'static str,
    labels: &'static [(&'static str, &'static str)],
}

enum Namespace {
    Cilium,
    KubeSystem,
}

const COMPONENTS: [Component; 5] = [
    Component {
        number: 102,
        namespace: Namespace::KubeSystem,
        service_account: "kube-dns",
        labels: &[("k8s-app", "kube-dns")],
    },
    Component {
        number: 103,
        namespace: Namespace::KubeSystem,
        service_account: "kube-dns",
        labels: &[("k8s-app", "kube-dns"), (EKS_COMPONENT, "kube-dns")],
    },
    Component {
        number: 104,
        namespace: Namespace::KubeSystem,
        service_account: "coredns",
        labels: &[("k8s-app", "kube-dns")],
    },
    Component {
        number: 105,
        namespace: Namespace::Cilium,
        service_account: "cilium-operator",
        labels: &[
            ("name", "cilium-operator"),
            ("io.cilium/app", "operator"),
            ("app.kubernetes.io/part-of", "cilium"),
            ("app.kubernetes.io/name", "cilium-operator"),
        ],
    },
    Component {
        number: 106,
        namespace: Namespace::KubeSystem,
        service_account: "coredns",
        labels: &[("k8s-app", "kube-dns"), (EKS_COMPONENT, "coredns")],
    },
];

/// From a component's first number to its second.
const SECOND: u32 = 8;
const EKS_COMPONENT: &str = "eks.amazonaws.com/component";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAMESPACE_NAME: &str = "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name";
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_its_two_numbers() {
        let all = all("default", "cilium");
        let numbers: Vec<u32> = all.iter().map(|(identity, _)| identity.get()).collect();
        assert_eq!(numbers, [102, 103, 104, 105, 106, 110, 111, 112, 113, 114]);
        let (_, operator) = &all[3];
        assert_eq!(
            operator.canonical_key(),
            "k8s:app.kubernetes.io/name=cilium-operator;k8s:app.kubernetes.io/part-of=cilium;\
             k8s:io.cilium.k8s.policy.cluster=default;\
             k8s:io.cilium.k8s.policy.serviceaccount=cilium-operator;\
             k8s:io.cilium/app=operator;k8s:io.kubernetes.pod.namespace=cilium;\
             k8s:name=cilium-operator;"
        );
        for (first, second) in all.iter().zip(&all[5..]) {
            assert_eq!(first.1.len() + 1, second.1.len());
        }
    }
}
