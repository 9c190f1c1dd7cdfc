//! Every drop names its line: verdicts of `drops/shop.yaml` and what their cookies lead to, held
//! to `drops/shop.txt`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use palisade_abi::{Action, Direction, EndpointId, Protocol, TableSizes};
use palisade_identity::{Identity, LabelSet, reserved};
use palisade_policy::{
    Desired, LocalEndpoint, NamedPorts, Options, Policy, ProxyPorts, Tables, ingest,
};

const PAY: Identity = Identity::new(1_011);
const WEB: Identity = Identity::new(1_012);
const CART: Identity = Identity::new(1_013);
const ENDPOINT: EndpointId = EndpointId::new(7);

#[test]
fn every_drop_names_the_line_and_column_that_caused_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drops");
    let text = fs::read_to_string(folder.join("shop.yaml")).unwrap();
    let tables = compile(&text);
    let mut found = String::new();
    for (name, peer, port) in [
        ("web", WEB, 8_443),
        ("web", WEB, 22),
        ("cart", CART, 8_443),
        ("cart", CART, 22),
        ("health", Identity::HEALTH, 8_443),
        ("remote-node", Identity::REMOTE_NODE, 8_443),
        ("unknown", Identity::new(4_242), 8_443),
    ] {
        let verdict = tables.verdict(ENDPOINT, Direction::Ingress, peer, Protocol::TCP, port);
        let word = match verdict.action() {
            Action::Allow => "allow",
            Action::Deny => "deny",
            Action::Redirect => "redirect",
        };
        let origin = tables.origin(verdict.cookie()).unwrap();
        writeln!(
            found,
            "{name} → pay {port}/TCP {word} {:#}",
            origin.location
        )
        .unwrap();
    }
    let golden = folder.join("shop.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&golden).unwrap());
}

#[test]
fn a_moved_rule_keeps_its_cookie_and_names_its_new_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drops");
    let text = fs::read_to_string(folder.join("shop.yaml")).unwrap();
    let mut tables = compile(&text);
    let before = tables.verdict(ENDPOINT, Direction::Ingress, WEB, Protocol::TCP, 22);
    let moved = format!("# One line more.\n{text}");
    let writes = update(&mut tables, &read(&moved));
    let after = tables.verdict(ENDPOINT, Direction::Ingress, WEB, Protocol::TCP, 22);
    assert_eq!(before, after);
    assert_eq!(writes, 0, "nothing that a program reads has changed");
    let origin = tables.origin(after.cookie()).unwrap();
    assert_eq!(format!("{:#}", origin.location), "policies/shop.yaml:19:15");
}

fn compile(text: &str) -> Tables {
    let mut tables = Tables::new(TableSizes::default());
    update(&mut tables, &read(text));
    tables
}

fn read(text: &str) -> Vec<Arc<Policy>> {
    let read = ingest::read("policies/shop.yaml", text, &Options::default()).unwrap();
    read.policies.into_iter().map(Arc::new).collect()
}

/// How many writes it took.
fn update(tables: &mut Tables, policies: &[Arc<Policy>]) -> usize {
    let pod = |app: &str| {
        LabelSet::parse([
            format!("k8s:app={app}"),
            "k8s:io.kubernetes.pod.namespace=shop".to_owned(),
            "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
        ])
        .unwrap()
    };
    let mut identities: BTreeMap<Identity, LabelSet> = reserved::ALL
        .into_iter()
        .map(|(identity, _)| (identity, reserved::labels(identity).unwrap()))
        .collect();
    identities.extend([(PAY, pod("pay")), (WEB, pod("web")), (CART, pod("cart"))]);
    let endpoints = [LocalEndpoint::new(ENDPOINT, pod("pay"))];
    let desired = Desired {
        identities: &identities,
        endpoints: &endpoints,
        policies,
        options: &Options::default(),
        named_ports: NamedPorts::NONE,
        proxy_ports: ProxyPorts::NONE,
    };
    tables.update(&desired).unwrap().len()
}
