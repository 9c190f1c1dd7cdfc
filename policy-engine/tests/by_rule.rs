//! What each rule takes of the tables.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{EndpointId, TableSizes};
use palisade_identity::{Identity, LabelSet, reserved};
use palisade_policy::{
    Desired, LocalEndpoint, NamedPorts, Options, Policy, ProxyPorts, RuleCost, Tables, ingest,
};

const HEAD: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: pay}}
  ingress:
";

/// Ten identities of each of these names; the endpoint is the first `pay`.
const APPS: [&str; 3] = ["pay", "web", "cart"];

#[test]
fn a_rule_costs_the_cells_that_it_decides() {
    let text = format!(
        "{HEAD}  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    toPorts: [{{ports: [{{port: '80', protocol: TCP}}, {{port: '443', protocol: TCP}}]}}]
  - fromEndpoints: [{{matchLabels: {{app: cart}}}}]
    toPorts: [{{ports: [{{port: '443', protocol: TCP}}]}}]
"
    );
    let costs = by_line(&tables(&text));
    let web = &costs["policies/shop.yaml:7"];
    assert_eq!((web.identities, web.peer_classes), (10, 1));
    assert_eq!((web.cells, web.port_classes, web.verdicts), (2, 2, 3));
    let cart = &costs["policies/shop.yaml:9"];
    assert_eq!((cart.identities, cart.peer_classes), (10, 1));
    assert_eq!((cart.cells, cart.port_classes, cart.verdicts), (1, 1, 1));
    // The first rule switched default deny on: what no rule matches names it, in every row.
    assert_eq!((web.rows, cart.rows), (3, 1));
    assert_eq!(web.bytes, 8 * (2 + 3));
    assert!(costs.values().all(|cost| cost.endpoints == 1));
}

#[test]
fn a_rule_that_is_hidden_costs_nothing() {
    let text = format!(
        "{HEAD}  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    toPorts: [{{ports: [{{port: '80', protocol: TCP}}]}}]
  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    toPorts: [{{ports: [{{port: '80', protocol: TCP}}]}}]
"
    );
    let costs = by_line(&tables(&text));
    let hidden = &costs["policies/shop.yaml:9"];
    assert_eq!((hidden.identities, hidden.endpoints), (10, 1));
    assert_eq!((hidden.cells, hidden.rows, hidden.bytes), (0, 0, 0));
}

#[test]
fn the_dearest_rule_comes_first() {
    let ports = |count: u16| -> String {
        let ports = (1..=count).map(|port| format!("{{port: '{port}', protocol: TCP}}"));
        ports.collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "{HEAD}  - fromEndpoints: [{{matchLabels: {{app: cart}}}}]
    toPorts: [{{ports: [{}]}}]
  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    toPorts: [{{ports: [{}]}}]
",
        ports(3),
        ports(30)
    );
    let tables = tables(&text);
    let costs = tables.budget_by_rule();
    let lines: Vec<u32> = costs.iter().map(|cost| cost.location.line()).collect();
    assert_eq!(lines, [9, 7]);
    let cells: Vec<usize> = costs.iter().map(|cost| cost.cells).collect();
    // Where both allow a port they allow it to different identities.
    assert_eq!(cells, [30, 3]);
}

fn by_line(tables: &Tables) -> BTreeMap<String, RuleCost> {
    let costs = tables.budget_by_rule().into_iter();
    costs
        .map(|cost| (cost.location.to_string(), cost))
        .collect()
}

fn tables(text: &str) -> Tables {
    let read = ingest::read("policies/shop.yaml", text, &Options::default()).unwrap();
    let policies: Vec<Arc<Policy>> = read.policies.into_iter().map(Arc::new).collect();
    let labels = |app: &str, number: u32| {
        LabelSet::parse([
            format!("k8s:app={app}"),
            format!("k8s:number={number}"),
            "k8s:io.kubernetes.pod.namespace=shop".to_owned(),
            "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
        ])
        .unwrap()
    };
    let mut identities: BTreeMap<Identity, LabelSet> = reserved::ALL
        .into_iter()
        .map(|(identity, _)| (identity, reserved::labels(identity).unwrap()))
        .collect();
    let all: BTreeSet<(&str, u32)> = APPS
        .into_iter()
        .flat_map(|app| (0..10).map(move |number| (app, number)))
        .collect();
    identities.extend(
        (1_000..)
            .map(Identity::new)
            .zip(all)
            .map(|(identity, (app, number))| (identity, labels(app, number))),
    );
    let endpoints = [LocalEndpoint::new(EndpointId::new(7), labels("pay", 0))];
    let mut tables = Tables::new(TableSizes::default());
    let desired = Desired {
        identities: &identities,
        endpoints: &endpoints,
        policies: &policies,
        options: &Options::default(),
        named_ports: NamedPorts::NONE,
        proxy_ports: ProxyPorts::NONE,
    };
    tables.update(&desired).unwrap();
    tables
}
