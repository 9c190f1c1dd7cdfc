//! The runner of connectivity cases, over clusters small enough to see through.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use std::fs;

use palisade_examples::connectivity::{Report, is_cases, run_file};
use serde_json::{Value, json};

/// Two namespaces with a pod each, and a third pod on another node.
const CLUSTER: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: other}}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {role: db}}
status: {addresses: [{type: InternalIP, address: 172.18.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: web}]}
status: {podIPs: [{ip: 10.0.1.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pay, namespace: shop, labels: {app: pay}}
spec:
  nodeName: n2
  containers: [{name: pay, ports: [{name: http, containerPort: 8080}]}]
status: {podIPs: [{ip: 10.0.2.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: spy, namespace: other, labels: {app: web}}
spec: {nodeName: n2, containers: [{name: spy}]}
status: {podIPs: [{ip: 10.0.2.2}]}
---
";

/// Runs cases made of the cluster, policies and queries.
fn run(cases: &[(&str, Value)]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.jsonl");
    let lines: Vec<_> = cases
        .iter()
        .map(|(policies, queries)| {
            let manifests = format!("{CLUSTER}{policies}");
            json!({"name": "case", "manifests": manifests, "queries": queries}).to_string()
        })
        .collect();
    fs::write(&file, lines.join("\n")).unwrap();
    assert!(is_cases(&file).unwrap());
    run_file(&file).unwrap()
}

fn ask(src: &str, dst: &str, port: u16, expect: &str) -> Value {
    json!({"src": src, "dst": dst, "proto": "TCP", "port": port, "expect": expect})
}

fn assert_passes(policies: &str, queries: Value) {
    let report = run(&[(policies, queries)]);
    assert_eq!((report.passed, &report.failed[..]), (1, &[][..]));
    assert!(report.unmodelled.is_empty());
}

const FROM_WEB: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  podSelector: {matchLabels: {app: pay}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]
";

#[test]
fn both_sides_of_a_connection_are_asked() {
    assert_passes(
        FROM_WEB,
        json!([
            ask("shop/web", "shop/pay", 8080, "allow"),
            ask("shop/web", "shop/pay", 8081, "deny"),
            ask("other/spy", "shop/pay", 8080, "deny"),
            ask("shop/pay", "other/spy", 8080, "allow"),
            // The node of a pod is the host to it, and any other node is a stranger.
            ask("ip:172.18.0.2", "shop/pay", 8081, "allow"),
            ask("ip:172.18.0.1", "shop/pay", 8080, "deny"),
            ask("ip:1.1.1.1", "shop/pay", 8080, "deny"),
        ]),
    );
}

#[test]
fn a_wrong_answer_fails_its_case_and_no_other() {
    let wrong = json!([ask("other/spy", "shop/pay", 8080, "allow")]);
    let right = json!([ask("other/spy", "shop/pay", 8080, "deny")]);
    let report = run(&[(FROM_WEB, wrong), (FROM_WEB, right)]);
    assert_eq!((report.passed, report.failed.len()), (1, 1));
    // Once for each reading of prefixes.
    assert_eq!((report.queries, report.wrong), (4, 2));
    assert!(report.failed.iter().all(|text| text.contains(
        "other/spy → shop/pay:8080/TCP : deny (egress allow, ingress deny by NetworkPolicy shop/pay"
    )));
}

#[test]
fn a_policy_that_is_refused_fails_its_case() {
    let broken = FROM_WEB.replace("podSelector", "podSelektor");
    let report = run(&[(&broken, json!([]))]);
    assert_eq!((report.passed, report.failed.len()), (0, 1));
}

#[test]
fn a_prefix_selects_pods_in_one_of_two_readings() {
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.2.2/32]}}]}]
";
    let mut pay = ask("shop/web", "shop/pay", 80, "allow");
    pay["expect_cidr_never_selects_pods"] = json!("deny");
    let node = |expect: &str, outside: &str| {
        let mut node = ask("shop/web", "ip:172.18.0.2", 80, expect);
        node["expect_cidr_never_selects_pods"] = json!(outside);
        node
    };
    assert_passes(
        policy,
        json!([
            pay,
            ask("shop/web", "other/spy", 80, "deny"),
            ask("shop/web", "ip:1.1.1.1", 80, "allow"),
            ask("shop/web", "ip:fd00::1", 80, "deny"),
            node("allow", "deny"),
        ]),
    );
}

#[test]
fn tiers_decide_around_the_policies_of_namespaces() {
    let tiers = format!(
        "{FROM_WEB}---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {{name: guard}}
spec:
  priority: 1
  subject: {{namespaces: {{matchLabels: {{team: shop}}}}}}
  ingress:
  - {{action: Pass, from: [{{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: web}}}}}}}}], ports: [{{portNumber: {{port: 8080}}}}]}}
  - {{action: Deny, from: [{{namespaces: {{matchLabels: {{team: other}}}}}}]}}
  - {{action: Allow, from: [{{namespaces: {{}}}}], ports: [{{portNumber: {{port: 9}}}}]}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: base}}
spec:
  tier: Baseline
  priority: 1
  subject: {{namespaces: {{}}}}
  ingress:
  - {{action: Accept, from: [{{namespaces: {{}}}}], protocols: [{{tcp: {{destinationPort: {{number: 7}}}}}}]}}
  - {{action: Deny, from: [{{namespaces: {{}}}}]}}
"
    );
    assert_passes(
        &tiers,
        json!([
            // Passed on, and then judged by the namespace's own policy.
            ask("shop/web", "shop/pay", 8080, "allow"),
            ask("other/spy", "shop/pay", 8080, "deny"),
            ask("other/spy", "shop/pay", 9, "deny"),
            ask("shop/web", "shop/pay", 9, "allow"),
            // A pod that a policy isolates does not come to the last tier.
            ask("shop/web", "shop/pay", 7, "deny"),
            ask("shop/pay", "shop/web", 7, "allow"),
            ask("shop/pay", "shop/web", 8, "deny"),
        ]),
    );
}

#[test]
fn a_proxy_has_the_last_word_on_requests() {
    let policy = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: pay}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts:
    - ports: [{port: http, protocol: TCP}]
      rules: {http: [{method: GET, path: /pay/.*, headers: ['X-Key: 1']}]}
";
    let request = |method: &str, path: &str, key: &str, expect: &str| {
        let mut query = ask("shop/web", "shop/pay", 8080, expect);
        query["http"] = json!({"method": method, "path": path, "headers": {"x-key": key}});
        query
    };
    assert_passes(
        policy,
        json!([
            request("GET", "/pay/1", "1", "allow"),
            request("POST", "/pay/1", "1", "l7-deny"),
            request("GET", "/x/pay/1", "1", "l7-deny"),
            request("GET", "/pay/1", "2", "l7-deny"),
            ask("shop/web", "shop/pay", 8081, "deny"),
        ]),
    );
}

#[test]
fn nodes_are_chosen_by_their_labels() {
    let policy = "
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: nodes}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{action: Deny, to: [{nodes: {matchLabels: {role: db}}}]}]
";
    // Its own node is the host of a pod, and one of the nodes only where addresses select anybody.
    let mut own = ask("shop/web", "ip:172.18.0.1", 80, "deny");
    own["expect_cidr_never_selects_pods"] = json!("allow");
    assert_passes(
        policy,
        json!([
            own,
            ask("shop/pay", "ip:172.18.0.1", 80, "deny"),
            ask("shop/pay", "ip:172.18.0.2", 80, "allow"),
            ask("shop/pay", "shop/web", 80, "allow"),
        ]),
    );
}
