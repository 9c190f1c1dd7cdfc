//! What is decided for an identity that nobody has told of.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{Action, Direction, EndpointId, Protocol, ProxyPort, TableSizes, Verdict};
use palisade_identity::{Identity, LabelSet, reserved};
use palisade_policy::{
    Desired, LocalEndpoint, NamedPorts, Options, Policy, Proxy, ProxyPorts, Tables, ingest,
};

const HEAD: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: pay}}
  ingress:
";

const HTTP: &str = "toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}]";

#[test]
fn whoever_it_is_the_same_proxy_serves_him() {
    let verdict = verdict(&format!(
        "{HEAD}  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    {HTTP}
  - {HTTP}
"
    ));
    assert_eq!(verdict.action(), Action::Redirect);
    assert_eq!(verdict.proxy_port, 10_001);
}

#[test]
fn whom_a_rule_might_deny_is_denied_though_another_might_redirect_him() {
    let verdict = verdict(&format!(
        "{HEAD}  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    {HTTP}
  - {HTTP}
  ingressDeny:
  - fromEndpoints: [{{matchLabels: {{app: cart}}}}]
"
    ));
    assert_eq!(verdict.action(), Action::Deny);
}

#[test]
fn whom_a_rule_might_redirect_is_denied_where_others_pass() {
    let verdict = verdict(&format!(
        "{HEAD}  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    {HTTP}
  - toPorts: [{{ports: [{{port: '80', protocol: TCP}}]}}]
"
    ));
    assert_eq!(verdict.action(), Action::Deny);
}

/// The verdict for TCP port 80 of an identity that is not known.
fn verdict(text: &str) -> Verdict {
    let read = ingest::read("pay.yaml", text, &Options::default()).unwrap();
    let policies: Vec<Arc<Policy>> = read.policies.into_iter().map(Arc::new).collect();
    let labels = LabelSet::parse([
        "k8s:app=pay",
        "k8s:io.kubernetes.pod.namespace=shop",
        "k8s:io.cilium.k8s.policy.cluster=default",
    ]);
    let endpoint = LocalEndpoint::new(EndpointId::new(7), labels.unwrap());
    let identities: BTreeMap<Identity, LabelSet> = reserved::ALL
        .into_iter()
        .map(|(identity, _)| (identity, reserved::labels(identity).unwrap()))
        .collect();
    let proxy = Proxy::Http(Direction::Ingress);
    let mut tables = Tables::new(TableSizes::default());
    let desired = Desired {
        identities: &identities,
        endpoints: &[endpoint],
        policies: &policies,
        options: &Options::default(),
        named_ports: NamedPorts::NONE,
        proxy_ports: &ProxyPorts::from_iter([(proxy, ProxyPort::new(10_001).unwrap())]),
    };
    tables.update(&desired).unwrap();
    let stranger = Identity::new(4_242);
    tables.verdict(
        EndpointId::new(7),
        Direction::Ingress,
        stranger,
        Protocol::TCP,
        80,
    )
}
