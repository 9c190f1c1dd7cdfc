//! Services and security groups become the peers that they have now.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets something unexpected fails"
)]

use palisade_identity::LabelSet;
use palisade_policy::resolve::{self, Resolver, Service, ServiceTable, StaticGroups};
use palisade_policy::{Options, Policy, ingest};

const GROUPS: &str = "\
- {id: sg-1, name: web, labels: {team: a}, addresses: [10.0.0.2, 10.0.0.1, 'fd00::1']}
- {id: sg-2, name: web, labels: {team: b}, addresses: [10.0.0.1]}
- {id: sg-3, name: db, region: eu, addresses: [10.0.0.3]}
";

#[test]
fn a_service_with_a_selector_becomes_its_pods() {
    let mut services = ServiceTable::new();
    services.insert(Service {
        selector: [("app".into(), "pay".into())].into(),
        backends: vec!["10.0.0.1".parse().unwrap()],
        ..Service::new("bank", "pay")
    });
    let policy = egress("toServices: [{k8sService: {serviceName: pay, namespace: bank}}]");
    assert!(resolve::is_needed(&policy));
    assert_eq!(
        peers(&policy, &services),
        ["7:18 k8s:app=pay,k8s:io.cilium.k8s.policy.cluster=default,\
          k8s:io.kubernetes.pod.namespace=bank"]
    );
}

#[test]
fn a_service_without_a_selector_becomes_the_addresses_behind_it() {
    let mut services = ServiceTable::new();
    let backends = ["192.0.2.9", "192.0.2.1", "192.0.2.9", "2001:db8::1"];
    services.insert(Service {
        backends: backends.map(|text| text.parse().unwrap()).to_vec(),
        ..Service::new("bank", "legacy")
    });
    let policy = egress("toServices: [{k8sService: {serviceName: legacy}}]");
    assert_eq!(
        peers(&policy, &services),
        [
            "7:18 cidr:192.0.2.1/32",
            "7:18 cidr:192.0.2.9/32",
            "7:18 cidr:2001-db8--1/128",
        ]
    );
    assert!(services.remove("bank", "legacy"));
    assert_eq!(peers(&policy, &services), ["7:18 reserved:none"]);
}

#[test]
fn a_service_is_found_by_its_labels_in_the_namespace_that_is_named() {
    let mut services = ServiceTable::new();
    for (namespace, address) in [("bank", "192.0.2.1"), ("shop", "192.0.2.2")] {
        services.insert(Service {
            labels: LabelSet::parse(["k8s:tier=old"]).unwrap(),
            backends: vec![address.parse().unwrap()],
            ..Service::new(namespace, "s")
        });
    }
    let selector = "selector: {matchLabels: {tier: old}}";
    let one = format!("toServices: [{{k8sServiceSelector: {{{selector}, namespace: shop}}}}]");
    assert_eq!(peers(&egress(&one), &services), ["7:18 cidr:192.0.2.2/32"]);
    let any = format!("toServices: [{{k8sServiceSelector: {{{selector}}}}}]");
    assert_eq!(peers(&egress(&any), &services).len(), 2);
    let other = any.replace("old", "new");
    assert_eq!(peers(&egress(&other), &services), ["7:18 reserved:none"]);
}

#[test]
fn a_group_is_found_by_all_that_is_asked_of_it() {
    let none = ServiceTable::new();
    let group = |aws: &str| peers(&egress(&format!("toGroups: [{{aws: {{{aws}}}}}]")), &none);
    assert_eq!(
        group("securityGroupsNames: [web]"),
        [
            "7:16 cidr:10.0.0.1/32",
            "7:16 cidr:10.0.0.2/32",
            "7:16 cidr:fd00--1/128",
        ]
    );
    assert_eq!(
        group("securityGroupsNames: [web], labels: {team: b}"),
        ["7:16 cidr:10.0.0.1/32"]
    );
    assert_eq!(
        group("securityGroupsIds: [sg-3], region: eu"),
        ["7:16 cidr:10.0.0.3/32"]
    );
    for nobody in ["securityGroupsIds: [sg-3]", "region: eu", ""] {
        assert_eq!(group(nobody), ["7:16 reserved:none"], "{nobody}");
    }
}

#[test]
fn what_names_no_service_stays_as_it_is() {
    let policy = egress("toCIDR: [10.0.0.0/8]");
    assert!(!resolve::is_needed(&policy));
    assert_eq!(
        peers(&policy, &ServiceTable::new()),
        ["7:14 cidr:10.0.0.0/8"]
    );
}

#[test]
fn a_file_of_groups_is_refused_with_every_place() {
    let text = "- {id: a, addresses: [10.0.0.0/8, x]}\n- {adresses: []}\n";
    let errors = StaticGroups::read("groups.yaml", text).unwrap_err();
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "groups.yaml:1:23: [0].addresses[0]: this is not an address (found \"10.0.0.0/8\": an \
             address, such as 10.0.0.1 or fd00::1)",
            "groups.yaml:1:35: [0].addresses[1]: this is not an address (found \"x\": an address, \
             such as 10.0.0.1 or fd00::1)",
            "groups.yaml:2:3: [1]: a field is missing (add id, name or labels)",
            "groups.yaml:2:3: [1]: a field is missing (add addresses)",
            "groups.yaml:2:4: [1].adresses: unknown field (`adresses`: did you mean `addresses`?)",
        ]
    );
}

fn egress(rule: &str) -> Policy {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
         metadata: {{name: p, namespace: shop}}\nspec:\n  endpointSelector: {{}}\n  egress:\n  \
         - {rule}\n"
    );
    let mut read = ingest::read("p.yaml", &text, &Options::default()).unwrap();
    read.policies.remove(0)
}

fn peers(policy: &Policy, services: &ServiceTable) -> Vec<String> {
    let resolver = Resolver {
        services,
        groups: &StaticGroups::read("groups.yaml", GROUPS).unwrap(),
        options: &Options::default(),
    };
    let resolved = resolver.policy(policy);
    let list = resolved.rules.last().unwrap().peers.list();
    list.iter()
        .map(|peer| format!("{} {}", peer.location.position, peer.selector))
        .collect()
}
