//! What the policies of administrators become.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use palisade_abi::{Direction, Protocol};
use palisade_identity::LabelSet;
use palisade_policy::{
    CidrMatch, Effect, NodeLabels, Options, PeerKind, Policy, PortMatch, Ports, Priority, Tier,
    ingest,
};

const ADMIN: &str = r#"
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: guard}
spec:
  priority: 10
  subject: {namespaces: {matchLabels: {team: shop}}}
  ingress:
  - {name: trusted, action: Allow, from: [{namespaces: {matchLabels: {team: trusted}}}]}
  - {action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}
  - action: Deny
    from: [{namespaces: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}}]
    ports:
    - {portNumber: {port: 80}}
    - {portRange: {protocol: UDP, start: 5, end: 7}}
    - {namedPort: HTTP}
  egress:
  - {action: Allow, to: [{domainNames: ["*.Example.com.", pay.example.com]}]}
  - action: Deny
    to: [{networks: [10.0.0.0/8, "::/0"]}, {nodes: {matchLabels: {role: db}}}]
"#;

fn read(text: &str) -> Policy {
    read_as(text, CidrMatch::Outside)
}

fn read_as(text: &str, cidr_match: CidrMatch) -> Policy {
    let options = Options {
        cidr_match,
        node_labels: NodeLabels::Known,
        ..Options::default()
    };
    let mut policies = ingest::read("admin.yaml", text, &options).unwrap().policies;
    assert_eq!(policies.len(), 1);
    policies.remove(0)
}

fn labels<const N: usize>(texts: [&str; N]) -> LabelSet {
    LabelSet::parse(texts).unwrap()
}

#[test]
fn the_rules_of_a_policy_keep_their_order_inside_its_priority() {
    let policy = read(ADMIN);
    let said: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| (rule.direction, rule.effect, rule.priority.get()))
        .collect();
    let (step, ingress, egress) = (1.0 / 256.0, Direction::Ingress, Direction::Egress);
    assert_eq!(
        said,
        [
            (ingress, Effect::Allow, 10.0),
            (ingress, Effect::Pass, 10.0 + step),
            (ingress, Effect::Deny, 10.0 + 2.0 * step),
            (egress, Effect::Allow, 10.0),
            (egress, Effect::Deny, 10.0 + step),
        ]
    );
    assert!(policy.rules.iter().all(|rule| rule.tier == Tier::Admin));
    assert!(policy.rules.iter().all(|rule| !rule.default_deny));
    assert!(Priority::nth(10, u8::MAX) < Priority::whole(11));
}

#[test]
fn pods_are_chosen_by_the_labels_of_their_namespace_and_their_own() {
    let policy = read(ADMIN);
    let pod = |team: &str, app: &str| {
        let team = format!("k8s:io.cilium.k8s.namespace.labels.team={team}");
        let app = format!("k8s:app={app}");
        labels([
            &team,
            &app,
            "k8s:io.kubernetes.pod.namespace=x",
            "k8s:io.cilium.k8s.policy.cluster=default",
        ])
    };
    let selects = |team, app| policy.rules[0].subject.selects(&pod(team, app));
    assert!(selects("shop", "web") && !selects("trusted", "web"));
    let matches =
        |rule: usize, set: &LabelSet| policy.rules[rule].peers.list()[0].selector.matches(set);
    assert!(matches(0, &pod("trusted", "db")) && !matches(0, &pod("shop", "db")));
    assert!(matches(1, &pod("any", "web")) && !matches(1, &pod("any", "db")));
    assert!(matches(2, &pod("b", "web")) && !matches(2, &pod("a", "web")));
    // What has no namespace is no pod, whatever labels it lacks.
    assert!(!matches(2, &labels(["reserved:world-ipv4"])));
    let other = labels([
        "k8s:io.cilium.k8s.namespace.labels.team=trusted",
        "k8s:io.kubernetes.pod.namespace=x",
        "k8s:io.cilium.k8s.policy.cluster=other",
    ]);
    assert!(!matches(0, &other));
}

#[test]
fn ports_are_numbers_ranges_and_names_of_any_protocol() {
    let policy = read(ADMIN);
    let Ports::Some(ports) = &policy.rules[2].ports else {
        panic!("no ports");
    };
    let numbers = |protocol, ports| (protocol, PortMatch::Numbers(ports));
    let named = |protocol| (protocol, PortMatch::Named("http".into()));
    let found: Vec<_> = ports
        .iter()
        .map(|port| (port.protocol, port.ports.clone()))
        .collect();
    assert_eq!(
        found,
        [
            numbers(Protocol::TCP, 80..=80),
            numbers(Protocol::UDP, 5..=7),
            named(Protocol::SCTP),
            named(Protocol::TCP),
            named(Protocol::UDP),
        ]
    );
    assert_eq!(policy.rules[0].ports, Ports::All);
}

#[test]
fn names_networks_and_nodes_are_peers_of_egress() {
    let policy = read(ADMIN);
    let names: Vec<_> = policy.fqdns().map(ToString::to_string).collect();
    assert_eq!(names, ["**.example.com", "pay.example.com"]);
    let prefixes: Vec<_> = policy.prefixes().map(|prefix| prefix.to_string()).collect();
    assert_eq!(prefixes, ["10.0.0.0/8", "::/0"]);
    let selects = |policy: &Policy, set: &LabelSet| {
        let mut peers = policy.rules[4].peers.list().iter();
        peers.any(|peer| peer.kind == PeerKind::Nodes && peer.selector.matches(set))
    };
    let nodes = |set: &LabelSet| selects(&policy, set);
    assert!(nodes(&labels(["reserved:remote-node", "node:role=db"])));
    assert!(!nodes(&labels(["reserved:remote-node", "node:role=web"])));
    assert!(!nodes(&labels([
        "k8s:role=db",
        "k8s:io.kubernetes.pod.namespace=x"
    ])));
    let host = labels(["reserved:host", "node:role=db"]);
    assert!(!nodes(&host));
    assert!(selects(&read_as(ADMIN, CidrMatch::Everybody), &host));
}

#[test]
fn the_other_kinds_say_the_same_in_their_own_words() {
    let cluster = read(
        "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, \
         metadata: {name: c}, spec: {tier: Baseline, priority: 3, \
         subject: {pods: {podSelector: {}}}, ingress: [{action: Accept, \
         from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: \
         {start: 1, end: 9}}}}, {destinationNamedPort: dns}]}]}}",
    );
    let rule = &cluster.rules[0];
    assert_eq!((rule.tier, rule.effect), (Tier::Baseline, Effect::Allow));
    assert_eq!(rule.priority, Priority::whole(3));
    let Ports::Some(ports) = &rule.ports else {
        panic!("no ports");
    };
    assert_eq!(ports.len(), 4);
    let baseline = read(
        "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, \
         metadata: {name: default}, spec: {subject: {namespaces: {}}, \
         egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]}}",
    );
    let rule = &baseline.rules[0];
    assert_eq!((rule.tier, rule.effect), (Tier::Baseline, Effect::Deny));
    assert!(rule.priority > cluster.rules[0].priority);
}
