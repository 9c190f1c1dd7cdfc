//! Nodes that are made up, for machines without the documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use palisade_abi::EndpointId;
use palisade_identity::{Identity, LabelSet, LabelSetError, reserved};
use palisade_policy::{LocalEndpoint, Options, ingest};

use crate::scenario::Scenario;

/// Applications per namespace.
const APPS: u32 = 20;

/// A node of a cluster: every policy lets one application of a namespace talk to another, some
/// within a range of ports and some prefixes besides.
///
/// # Errors
/// Never: the labels are well formed.
pub fn cluster(policies: u32, identities: u32, endpoints: u16) -> Result<Scenario, LabelSetError> {
    let options = Options::default();
    let namespaces = policies.div_ceil(APPS).max(1);
    let labels = |number: u32| {
        LabelSet::parse([
            format!("k8s:app=app{}", number % APPS),
            format!(
                "k8s:io.kubernetes.pod.namespace=ns{}",
                number / APPS % namespaces
            ),
            "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
            format!("k8s:inst={number}"),
        ])
    };
    let mut text = String::new();
    for number in 0..policies {
        let (namespace, app, peer) = (number / APPS, number % APPS, (number + 1) % APPS);
        let port = 1_000 + number % 50;
        let _written = write!(
            text,
            "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
             metadata: {{name: p{number}, namespace: ns{namespace}}}\n\
             spec:\n  endpointSelector: {{matchLabels: {{app: app{app}}}}}\n  ingress:\n  \
             - fromEndpoints: [{{matchLabels: {{app: app{peer}}}}}]\n    \
             toPorts: [{{ports: [{{port: \"{port}\", endPort: {}, protocol: TCP}}]}}]\n  \
             egress:\n  - toCIDR: [10.{}.0.0/16]\n",
            port + number % 3,
            number % 250
        );
    }
    let read = ingest::read("synthetic.yaml", &text, &options).unwrap_or_default();
    let policies: Vec<_> = read.policies.into_iter().map(Arc::new).collect();
    let reserved = reserved::ALL.into_iter();
    let mut known: BTreeMap<Identity, LabelSet> = reserved
        .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
        .collect();
    for number in 0..identities {
        known.insert(Identity::new(1_000 + number), labels(number)?);
    }
    let prefixes = policies.iter().flat_map(|policy| policy.prefixes());
    let prefixes: std::collections::BTreeSet<_> = prefixes.collect();
    let local = (Identity::FIRST_LOCAL.get()..).map(Identity::new);
    known.extend(local.zip(prefixes.into_iter().map(LabelSet::of_prefix)));
    let endpoint = |id: u16| -> Result<LocalEndpoint, LabelSetError> {
        let labels = labels(u32::from(id))?;
        Ok(LocalEndpoint::new(EndpointId::new(id), labels))
    };
    Ok(Scenario {
        name: "synthetic".to_owned(),
        identities: known,
        endpoints: (1..=endpoints).map(endpoint).collect::<Result<_, _>>()?,
        policies,
        options,
    })
}
