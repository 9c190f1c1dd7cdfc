//! A port, a last port and a protocol, one a line: ranges are not empty, and print back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_policy::{Level, Options, PortMatch, PortRule, Ports, ingest, print};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let mut quoted = || {
        let line = lines.next().unwrap_or_default();
        format!("'{}'", line.replace('\'', "''"))
    };
    let (port, protocol, end) = (quoted(), quoted(), lines.next().unwrap_or("0"));
    let end: i64 = end.trim().parse().unwrap_or(0);
    let document = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p}}\n\
         spec: {{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{{port: {port}, \
         protocol: {protocol}, endPort: {end}}}]}}]}}]}}\n"
    );
    for level in [Level::Agent, Level::Cluster] {
        let options = Options {
            level,
            ..Options::default()
        };
        let Ok(read) = ingest::read("fuzz.yaml", &document, &options) else {
            continue;
        };
        let policy = &read.policies[0];
        let items = ports(&policy.rules[0].ports);
        assert!(!items.is_empty());
        for item in items {
            match &item.ports {
                PortMatch::Named(name) => assert!(name.len() <= 15 && !name.is_empty()),
                PortMatch::Numbers(range) => assert!(range.start() <= range.end()),
            }
        }
        let printed = print::policy(policy).expect("ports can be printed");
        let again = ingest::read("fuzz.yaml", &printed, &options).expect("and read again");
        for (first, second) in items.iter().zip(ports(&again.policies[0].rules[0].ports)) {
            assert_eq!(
                (first.protocol, &first.ports),
                (second.protocol, &second.ports)
            );
        }
    }
});

fn ports(ports: &Ports) -> &[PortRule] {
    match ports {
        Ports::All => &[],
        Ports::Some(items) => items,
    }
}
