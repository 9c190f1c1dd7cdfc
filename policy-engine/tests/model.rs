//! What good documents become.

#![expect(clippy::panic, reason = "a test that meets something unexpected fails")]

use palisade_abi::{Direction, Protocol};
use palisade_policy::{
    Effect, Kind, L7Rules, Options, PeerKind, Peers, Policy, PortRule, Ports, ingest,
};

/// The policy that the demo takes unchanged.
const SEED: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: egress-domain-wildcard}
spec:
  endpointSelector: {matchLabels: {app: myService}}
  egress:
  - toEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': kube-system, k8s-app: kube-dns}}]
    toPorts:
    - ports: [{port: '53', protocol: UDP}]
      rules: {dns: [{matchPattern: '*.domain.com'}]}
  - toFQDNs: [{matchPattern: '*.domain.com'}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
";

#[test]
fn the_seed_policy_becomes_two_rules_that_know_their_places() {
    let policy = one(SEED);
    assert_eq!(policy.resource.kind, Kind::CiliumNetworkPolicy);
    assert_eq!(policy.resource.namespace.as_deref(), Some("default"));
    let [dns, web] = policy.rules.as_slice() else {
        panic!("{:#?}", policy.rules);
    };
    let subject = dns.subject.selector();
    assert_eq!(
        subject.to_string(),
        "app=myService,k8s:io.kubernetes.pod.namespace=default"
    );
    assert_eq!(
        (dns.direction, dns.effect),
        (Direction::Egress, Effect::Allow)
    );
    assert!(dns.default_deny);
    assert_eq!(format!("{:#}", dns.section), "seed.yaml:6:3");
    assert_eq!(format!("{:#}", dns.location), "seed.yaml:7:5");
    assert_eq!((dns.index, web.index), (0, 1));

    let [server] = dns.peers.list() else {
        panic!("{:#?}", dns.peers);
    };
    assert_eq!(
        server.selector.to_string(),
        "k8s:io.cilium.k8s.policy.cluster=default,\
         k8s:io.kubernetes.pod.namespace=kube-system,k8s-app=kube-dns"
    );
    assert_eq!(format!("{:#}", server.location), "seed.yaml:7:19");
    let [port] = ports(&dns.ports) else {
        panic!("{:#?}", dns.ports);
    };
    assert_eq!(
        (port.protocol, port.numbers()),
        (Protocol::UDP, Some(53..=53))
    );
    assert_eq!(format!("{:#}", port.location), "seed.yaml:9:15");
    let Some(L7Rules::Dns(rules)) = port.redirect.as_deref().map(|redirect| &redirect.rules) else {
        panic!("{port:#?}");
    };
    assert_eq!(rules[0].pattern.as_str(), "*.domain.com");
    assert_eq!(format!("{:#}", rules[0].location), "seed.yaml:10:21");

    let [name] = web.peers.list() else {
        panic!("{:#?}", web.peers);
    };
    assert_eq!(name.selector.to_string(), "fqdn:*.domain.com");
    assert!(matches!(&name.kind, PeerKind::Fqdn(pattern) if pattern.as_str() == "*.domain.com"));
    assert_eq!(policy.fqdns().count(), 1);
}

#[test]
fn json_is_read_as_yaml_is() {
    let json = r#"{"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "p"}, "specs": [
        {"endpointSelector": {}, "ingress": [{"fromCIDR": ["10.1.2.3/32"]}]},
        {"endpointSelector": {}, "egressDeny": [
            {"toCIDRSet": [{"cidr": "10.1.2.3/8", "except": ["10.0.0.0/16"]}]}]}]}"#;
    let policy = one(json);
    assert_eq!(policy.resource.namespace, None);
    let prefixes: Vec<_> = policy.prefixes().map(|prefix| prefix.to_string()).collect();
    assert_eq!(prefixes, ["10.1.2.3/32", "10.0.0.0/8", "10.0.0.0/16"]);
    assert_eq!(policy.rules[1].effect, Effect::Deny);
    assert_eq!(policy.rules[1].index, 1);
}

#[test]
fn absent_and_empty_lists_of_peers_are_not_the_same() {
    let peers = |rule: &str| {
        let text = format!(
            "{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: p}}, \
             spec: {{endpointSelector: {{}}, egress: [{rule}]}}}}"
        );
        one(&text).rules.remove(0).peers
    };
    let port = "toPorts: [{ports: [{port: '80'}]}]";
    let nobody = |peers: &Peers| matches!(peers, Peers::Some { list, .. } if list.is_empty());
    let anybody = |peers: &Peers| matches!(peers, Peers::Any { .. });
    assert!(nobody(&peers("{}")));
    assert!(anybody(&peers(&format!("{{{port}}}"))));
    assert!(nobody(&peers(&format!("{{toEndpoints: [], {port}}}"))));
    assert!(nobody(&peers(&format!(
        "{{toEndpoints: [], toEntities: [all], {port}}}"
    ))));
    assert!(nobody(&peers("{toEndpoints: [], toCIDR: [10.0.0.0/8]}")));
    assert!(anybody(&peers(&format!("{{toFQDNs: [], {port}}}"))));
    assert!(anybody(&peers("{toEntities: [all]}")));
    assert!(nobody(&peers("{toEntities: [none]}")));
    // Without a namespace of its own it would be everybody's; a namespaced policy never is.
    assert_eq!(peers("{toEndpoints: [{}]}").list().len(), 1);
}

#[test]
fn ports_and_protocols_are_spelled_out() {
    let ports = |item: &str| {
        let text = format!(
            "{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: p}}, \
             spec: {{endpointSelector: {{}}, ingress: [{{{item}}}]}}}}"
        );
        let rule = one(&text).rules.remove(0);
        match rule.ports {
            Ports::All => None,
            Ports::Some(list) => Some(
                list.into_iter()
                    .map(|port| format!("{} {:?}", port.protocol, port.numbers().unwrap()))
                    .collect::<Vec<_>>(),
            ),
        }
    };
    let some = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect());
    assert_eq!(ports("fromEntities: [all]"), None);
    assert_eq!(ports("fromEntities: [all], toPorts: []"), None);
    assert_eq!(ports("toPorts: [{ports: []}]"), some(&[]));
    assert_eq!(
        ports("toPorts: [{ports: [{port: '80'}]}]"),
        some(&["TCP 80..=80", "UDP 80..=80", "SCTP 80..=80"])
    );
    assert_eq!(
        ports("toPorts: [{ports: [{port: '0', protocol: UDP}]}]"),
        some(&["UDP 0..=65535"])
    );
    assert_eq!(
        ports("toPorts: [{ports: [{port: '80', endPort: 90, protocol: TCP}]}]"),
        some(&["TCP 80..=90"])
    );
    assert_eq!(
        ports("toPorts: [{ports: [{port: '80', endPort: 70, protocol: TCP}]}]"),
        some(&["TCP 80..=80"])
    );
    assert_eq!(
        ports("icmps: [{fields: [{type: 8}, {family: IPv6, type: EchoReply}, {type: EchoReply}]}]"),
        some(&["ICMP 8..=8", "ICMPv6 129..=129", "ICMP 0..=65535"])
    );
}

fn one(text: &str) -> Policy {
    let mut policies = match ingest::read("seed.yaml", text, &Options::default()) {
        Ok(read) => read.policies,
        Err(errors) => panic!(
            "{}",
            errors.iter().map(|e| e.render(text)).collect::<String>()
        ),
    };
    assert_eq!(policies.len(), 1);
    policies.remove(0)
}

fn ports(ports: &Ports) -> &[PortRule] {
    match ports {
        Ports::All => &[],
        Ports::Some(list) => list,
    }
}
