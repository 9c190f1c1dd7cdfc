//! What is printed reads back as the same rules, and what cannot be printed is said.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets something unexpected fails"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;

use palisade_policy::{
    CidrGroup, CidrMatch, Effect, Kind, NodeLabels, Options, Peers, Policy, PortMatch, Ports,
    Priority, Tier, ingest, print,
};
use palisade_testkit::cases;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(512)))]

    #[test]
    fn what_is_printed_reads_back_as_the_same_rules(text in document()) {
        let policy = read(&text);
        let printed = print::policy(&policy).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let again = read(&printed);
        prop_assert_eq!(placeless(&again), placeless(&policy), "{}\n{}", text, printed);
        // The printed form is canonical.
        prop_assert_eq!(print::policy(&again).unwrap(), printed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(256)))]

    #[test]
    fn a_kubernetes_policy_reads_back_as_the_same_rules(text in kubernetes()) {
        let policy = read(&text);
        let printed = print::policy(&policy).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let again = read(&printed);
        prop_assert_eq!(placeless(&again), placeless(&policy), "{}\n{}", text, printed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_policy_of_administrators_reads_back_as_the_same_rules(
        (text, outside) in (administrators(), any::<bool>())
    ) {
        let options = Options {
            cidr_match: if outside { CidrMatch::Outside } else { CidrMatch::Everybody },
            node_labels: NodeLabels::Known,
            ..Options::default()
        };
        let policy = read_with(&text, &options);
        let printed = print::policy(&policy).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let again = read_with(&printed, &options);
        prop_assert_eq!(placeless(&again), placeless(&policy), "{}\n{}", text, printed);
        prop_assert_eq!(print::policy(&again).unwrap(), printed);
    }

    #[test]
    fn a_cidr_group_reads_back_as_the_same_group(
        name in "[a-z]{1,9}(\\.[a-z0-9]{1,9})?",
        labels in proptest::collection::btree_map("[a-z]{1,5}(/[a-z]{1,5})?", "[a-zA-Z0-9]{0,5}", 0..4),
        prefixes in proptest::collection::vec((any::<u32>(), 0_u8..=32), 0..5),
    ) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("'{key}': '{value}'")).collect();
        let prefixes: Vec<String> = prefixes
            .iter()
            .map(|(address, length)| format!("{}/{length}", Ipv4Addr::from_bits(*address)))
            .chain(["'fd00::/8'".to_owned()])
            .collect();
        let text = format!(
            "{{apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {{name: '{name}', labels: \
             {{{}}}}}, spec: {{externalCIDRs: [{}]}}}}",
            labels.join(", "),
            prefixes.join(", "),
        );
        let read = |text: &str| {
            ingest::read("g.yaml", text, &Options::default()).unwrap().cidr_groups.remove(0)
        };
        let group = read(&text);
        let printed = print::cidr_group(&group);
        let again = CidrGroup { location: group.location.clone(), ..read(&printed) };
        prop_assert_eq!(again, group, "{}", printed);
    }
}

#[test]
fn what_administrators_cannot_say_is_an_error() {
    type Spoil<'a> = &'a dyn Fn(&mut Policy);
    let text = administrators_text(
        "ClusterNetworkPolicy",
        "{namespaces: {}}",
        "",
        "{action: Pass, to: [{networks: [10.0.0.0/8]}]}",
    );
    let cases: [(Spoil<'_>, &str); 5] = [
        (
            &|policy| policy.rules[0].priority = Priority::nth(8, 1),
            "rules in this order",
        ),
        (
            &|policy| policy.rules[0].default_deny = true,
            "more than what it decides",
        ),
        (&|policy| policy.rules[0].tier = Tier::Normal, "this tier"),
        (
            &|policy| policy.rules[0].ports = Ports::Some(Vec::new()),
            "no ports",
        ),
        (
            &|policy| policy.rules[0].peers = Peers::Any { location: None },
            "everybody",
        ),
    ];
    for (spoil, what) in cases {
        let mut policy = read(&text);
        assert!(print::policy(&policy).is_ok());
        spoil(&mut policy);
        assert_eq!(
            print::policy(&policy).unwrap_err().to_string(),
            format!("p.yaml:1: no document of this kind says {what}")
        );
    }
}

#[test]
fn long_lists_of_ports_are_split() {
    let ports: Vec<String> = (1..=40).map(|port| format!("{{port: '{port}'}}")).collect();
    let text = format!(
        "{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: p}}, spec: \
         {{endpointSelector: {{}}, ingress: [{{toPorts: [{{ports: [{}]}}]}}]}}}}",
        ports.join(", ")
    );
    let policy = read(&text);
    let Ports::Some(items) = &policy.rules[0].ports else {
        panic!("ports");
    };
    assert_eq!(items.len(), 120);
    let printed = print::policy(&policy).unwrap();
    assert_eq!(placeless(&read(&printed)), placeless(&policy));
}

#[test]
fn what_no_document_says_is_an_error() {
    let text = "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p}, spec: \
                {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {a: b}}], \
                toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]}}";
    let spoilt = |spoil: &dyn Fn(&mut Policy)| {
        let mut policy = read(text);
        spoil(&mut policy);
        print::policy(&policy).unwrap_err().to_string()
    };
    assert_eq!(
        spoilt(&|policy| policy.rules.clear()),
        "CiliumNetworkPolicy default/p has no rules"
    );
    assert_eq!(
        spoilt(&|policy| Arc::make_mut(&mut policy.resource).kind = Kind::Rules),
        "policies of kind Rules are not printed"
    );
    let place = "p.yaml:1: no document of this kind says";
    assert_eq!(
        spoilt(&|policy| policy.rules[0].effect = Effect::Pass),
        format!("{place} pass")
    );
    assert_eq!(
        spoilt(&|policy| policy.rules[0].priority = Priority::whole(7)),
        format!("{place} a priority")
    );
    assert_eq!(
        spoilt(&|policy| {
            if let Ports::Some(items) = &mut policy.rules[0].ports {
                items[0].ports = PortMatch::Numbers(0..=0);
            }
        }),
        format!("{place} this range of ports")
    );
}

fn read(text: &str) -> Policy {
    let options = Options {
        node_labels: NodeLabels::Known,
        ..Options::default()
    };
    read_with(text, &options)
}

fn read_with(text: &str, options: &Options) -> Policy {
    match ingest::read("p.yaml", text, options) {
        Ok(mut read) => read.policies.remove(0),
        Err(errors) => panic!(
            "{}",
            errors.iter().map(|e| e.render(text)).collect::<String>()
        ),
    }
}

/// A policy's rules as text, without the places they were read from.
fn placeless(policy: &Policy) -> String {
    let text = format!("{:?} {:?}", policy.resource, policy.rules);
    let mut pieces = text.split("Location {");
    let mut found = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (_, rest) = piece.split_once("} }").unwrap();
        found.push_str("here");
        found.push_str(rest);
    }
    found
}

fn document() -> impl Strategy<Value = String> {
    let kind = select(vec![
        "CiliumNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
    ]);
    (kind, proptest::collection::vec(spec(), 1..4)).prop_map(|(kind, specs)| {
        let clusterwide = kind == "CiliumClusterwideNetworkPolicy";
        let namespace = if clusterwide { "" } else { ", namespace: shop" };
        let specs: Vec<String> = specs
            .into_iter()
            .map(|spec| {
                if clusterwide {
                    // A node takes no application rules; a namespaced configuration is not there.
                    spec.replace("CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig")
                } else {
                    spec
                }
            })
            .collect();
        format!(
            "{{apiVersion: cilium.io/v2, kind: {kind}, metadata: {{name: p{namespace}}}, specs: \
             [{}]}}",
            specs.join(",\n")
        )
    })
}

fn kubernetes() -> impl Strategy<Value = String> {
    let rule = |way: &'static str| {
        let peers = [
            "{podSelector: {matchLabels: {app: web}}}",
            "{podSelector: {}}",
            "{namespaceSelector: {}}",
            "{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: b}}}",
            "{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [c]}]}}",
            "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}",
        ];
        let ports = [
            "{port: 80}",
            "{port: http}",
            "{protocol: UDP}",
            "{port: 1, endPort: 9}",
        ];
        let peers = prop_oneof![Just(String::new()), some(&peers)];
        let ports = prop_oneof![Just(String::new()), some(&ports)];
        (peers, ports)
            .prop_map(move |(peers, ports)| format!("{{{way}: [{peers}], ports: [{ports}]}}"))
    };
    let types = select(vec!["[Ingress]", "[Egress]", "[Ingress, Egress]"]);
    let pods = select(vec!["", "matchLabels: {app: db}"]);
    (pods, types, list(rule("from")), list(rule("to"))).prop_map(|(pods, types, ingress, egress)| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p}}, spec: \
             {{podSelector: {{{pods}}}, policyTypes: {types}, ingress: [{ingress}], egress: \
             [{egress}]}}}}"
        )
    })
}

fn administrators() -> impl Strategy<Value = String> {
    let kind = select(vec![
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "ClusterNetworkPolicy",
    ]);
    let subject = select(vec![
        "{namespaces: {}}",
        "{namespaces: {matchLabels: {team: a}}}",
        "{pods: {namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: \
         [b]}]}, podSelector: {matchLabels: {app: web}}}}",
    ]);
    kind.prop_flat_map(move |kind| {
        let (ingress, egress) = (admin_rule(kind, "from"), admin_rule(kind, "to"));
        (subject.clone(), list(ingress), list(egress)).prop_filter_map(
            "a policy without rules is printed by nobody",
            move |(subject, ingress, egress)| {
                let any = !ingress.is_empty() || !egress.is_empty();
                any.then(|| administrators_text(kind, subject, &ingress, &egress))
            },
        )
    })
}

fn administrators_text(kind: &str, subject: &str, ingress: &str, egress: &str) -> String {
    let (version, name, place) = match kind {
        "AdminNetworkPolicy" => ("v1alpha1", "p", "priority: 7, "),
        "ClusterNetworkPolicy" => ("v1alpha2", "p", "tier: Baseline, priority: 1000, "),
        _ => ("v1alpha1", "default", ""),
    };
    format!(
        "{{apiVersion: policy.networking.k8s.io/{version}, kind: {kind}, metadata: {{name: {name}}}, \
         spec: {{{place}subject: {subject}, ingress: [{ingress}], egress: [{egress}]}}}}"
    )
}

fn admin_rule(kind: &'static str, way: &'static str) -> impl Strategy<Value = String> {
    let actions = match kind {
        "AdminNetworkPolicy" => vec!["Allow", "Deny", "Pass"],
        "ClusterNetworkPolicy" => vec!["Accept", "Deny", "Pass"],
        _ => vec!["Allow", "Deny"],
    };
    let pods = [
        "{namespaces: {}}",
        "{namespaces: {matchLabels: {team: a}}}",
        "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}",
        "{pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchExpressions: \
         [{key: app, operator: DoesNotExist}]}}}",
    ];
    let outside = [
        "{networks: [10.0.0.0/8, 'fd00::/8']}",
        "{networks: [0.0.0.0/0]}",
        "{nodes: {}}",
        "{nodes: {matchLabels: {role: db}}}",
    ];
    let ports = if kind == "ClusterNetworkPolicy" {
        [
            "{tcp: {destinationPort: {number: 80}}}",
            "{sctp: {destinationPort: {range: {start: 5, end: 7}}}}",
            "{udp: {destinationPort: {number: 53}}}",
        ]
    } else {
        [
            "{portNumber: {port: 80}}",
            "{portRange: {protocol: UDP, start: 5, end: 7}}",
            "{portNumber: {port: 53, protocol: SCTP}}",
        ]
    };
    let (field, name) = if kind == "ClusterNetworkPolicy" {
        ("protocols", "{destinationNamedPort: HTTP}")
    } else {
        ("ports", "{namedPort: HTTP}")
    };
    let ports = some(&ports).prop_map(move |ports| format!(", {field}: [{ports}]"));
    let ports = prop_oneof![Just(String::new()), ports].boxed();
    let named = Just(format!(", {field}: [{name}]"));
    let of_pods = (some(&pods), prop_oneof![ports.clone(), named]).boxed();
    let action = select(actions);
    let rule = if way == "from" {
        (action, of_pods).boxed()
    } else {
        (action, prop_oneof![of_pods, (some(&outside), ports)]).boxed()
    };
    let names = way == "to" && kind != "BaselineAdminNetworkPolicy";
    rule.prop_map(move |(action, (peers, ports))| {
        // Only who allows may name domains, and names of ports do not go with them.
        let allows = ["Accept", "Allow"].contains(&action) && !ports.contains("amedPort");
        let more = if names && allows {
            ", {domainNames: ['*.a.test', b.test]}"
        } else {
            ""
        };
        format!("{{action: {action}, {way}: [{peers}{more}]{ports}}}")
    })
}

fn spec() -> impl Strategy<Value = String> {
    let sections = (
        list(rule("from")),
        list(deny_rule("from")),
        list(rule("to")),
        list(deny_rule("to")),
    );
    let switch = select(vec![
        "",
        ", enableDefaultDeny: {ingress: false}",
        ", enableDefaultDeny: {egress: false, ingress: true}",
    ]);
    let log = select(vec!["", ", log: {value: 'a b'}"]);
    (selector(), sections, switch, log).prop_map(|(subject, sections, switch, log)| {
        let (ingress, ingress_deny, egress, egress_deny) = sections;
        // One item at least, which default deny may come from.
        format!(
            "{{endpointSelector: {subject}{switch}{log}, ingress: [{ingress}], ingressDeny: \
             [{ingress_deny}], egress: [{egress}], egressDeny: [{egress_deny}, {{}}]}}"
        )
        .replace("[, {}]", "[{}]")
    })
}

fn list(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec(item, 0..3).prop_map(|items| items.join(", "))
}

fn rule(way: &'static str) -> impl Strategy<Value = String> {
    let auth = select(vec![
        "",
        "authentication: {mode: required}",
        "authentication: {mode: disabled}",
    ]);
    (peers(way, true), ports(way, true), auth).prop_map(join)
}

fn deny_rule(way: &'static str) -> impl Strategy<Value = String> {
    (peers(way, false), ports(way, false), Just("")).prop_map(join)
}

fn join((peers, ports, auth): (String, String, &str)) -> String {
    let fields = [peers.as_str(), ports.as_str(), auth];
    let fields: Vec<&str> = fields.into_iter().filter(|text| !text.is_empty()).collect();
    format!("{{{}}}", fields.join(", "))
}

fn selector() -> impl Strategy<Value = String> {
    let parts = [
        "{key: app, operator: In, values: [web]}",
        "{key: 'k8s:app', operator: In, values: [web, cart]}",
        "{key: 'k8s:app', operator: In, values: ['']}",
        "{key: tier, operator: NotIn, values: [be]}",
        "{key: env, operator: Exists}",
        "{key: 'reserved:remote-node', operator: In, values: ['']}",
        "{key: example.com/x, operator: DoesNotExist}",
        "{key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [other]}",
        "{key: 'k8s:io.cilium.k8s.policy.cluster', operator: Exists}",
        "{key: 'k8s:io.cilium.k8s.namespace.labels.team', operator: In, values: [a]}",
    ];
    subsequence(parts.to_vec(), 0..4)
        .prop_map(|parts| format!("{{matchExpressions: [{}]}}", parts.join(", ")))
}

fn peers(way: &'static str, allow: bool) -> BoxedStrategy<String> {
    let name = move |list: &str, items: &str| format!("{way}{list}: [{items}]");
    let entities = ["all", "world", "cluster", "host", "none", "kube-apiserver"];
    let cidrs = [
        "{cidr: 10.0.0.0/8}",
        "{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}",
        "{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.0.0.0/6]}",
        "{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}",
        "{cidr: 'fd00::/8'}",
        "{cidrGroupRef: office}",
        "{cidrGroupRef: office, except: [10.0.0.0/8]}",
        "{cidrGroupSelector: {matchLabels: {kind: int}}}",
        "{cidrGroupSelector: {matchExpressions: [{key: kind, operator: Exists}]}}",
    ];
    let groups = [
        "{aws: {labels: {a: b}, securityGroupsIds: [sg-1], region: eu}}",
        "{aws: {securityGroupsNames: [x, z]}}",
    ];
    let mut all = vec![
        Just(String::new()).boxed(),
        Just(name("Endpoints", "")).boxed(),
        list(selector())
            .prop_map(move |items| name("Endpoints", &items))
            .boxed(),
        list(selector())
            .prop_map(move |items| name("Nodes", &items))
            .boxed(),
        some(&entities)
            .prop_map(move |items| name("Entities", &items))
            .boxed(),
        some(&cidrs)
            .prop_map(move |items| name("CIDRSet", &items))
            .boxed(),
        some(&["10.0.0.0/8", "192.0.2.1/32", "'::/0'"])
            .prop_map(move |items| name("CIDR", &items))
            .boxed(),
        some(&groups)
            .prop_map(move |items| name("Groups", &items))
            .boxed(),
    ];
    if way == "to" {
        let services = [
            "{k8sService: {serviceName: a, namespace: b}}",
            "{k8sService: {serviceName: a}}",
            "{k8sServiceSelector: {selector: {matchLabels: {a: b}}, namespace: c}}",
        ];
        let services = some(&services).prop_map(move |items| name("Services", &items));
        all.push(services.boxed());
        if allow {
            let names = [
                "{matchName: a.test}",
                "{matchPattern: '*.a.test'}",
                "{matchName: A.b}",
            ];
            let names = some(&names).prop_map(move |items| name("FQDNs", &items));
            all.push(names.boxed());
        }
    }
    proptest::strategy::Union::new(all).boxed()
}

/// One or more of some texts.
fn some(texts: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    subsequence(texts.to_vec(), 1..=texts.len()).prop_map(|texts| texts.join(", "))
}

fn ports(way: &'static str, allow: bool) -> BoxedStrategy<String> {
    let ports = [
        "{port: '80'}",
        "{port: '443', protocol: TCP}",
        "{port: '8000', endPort: 8999, protocol: UDP}",
        "{port: '0', endPort: 9, protocol: UDP}",
        "{port: http, protocol: TCP}",
        "{port: '0', protocol: SCTP}",
        "{port: '0', protocol: VRRP}",
        "{port: '80', endPort: 70}",
    ];
    let types = [
        "{type: 8}",
        "{type: EchoReply}",
        "{family: IPv6, type: EchoRequest}",
        "{family: IPv6, type: 255}",
    ];
    let plain = some(&ports).prop_map(|ports| format!("{{ports: [{ports}]}}"));
    let item = if allow {
        prop_oneof![plain, proxied(way)].boxed()
    } else {
        plain.boxed()
    };
    prop_oneof![
        Just(String::new()),
        Just("toPorts: [{}]".to_owned()),
        Just("toPorts: []".to_owned()),
        list(item).prop_map(|items| format!("toPorts: [{items}]")),
        some(&types).prop_map(|types| format!("icmps: [{{fields: [{types}]}}]")),
    ]
    .boxed()
}

fn proxied(way: &str) -> impl Strategy<Value = String> + use<> {
    const SECRET: &str = "{secret: {name: s, namespace: ns}, trustedCA: ca, privateKey: k}";
    let rules = [
        "http: [{path: '/a/.*', method: GET}, {}]",
        "http: [{host: a, headers: ['X-A: b', c], headerMatches: [{name: x, value: v, mismatch: \
         LOG}, {name: m, secret: {name: s}}]}]",
        "kafka: [{role: produce, topic: t}, {apiKey: Fetch, apiVersion: '2', clientID: c}, {}]",
        "l7proto: memcache, l7: [{cmd: get, key: 'a b'}, {}]",
    ];
    let mut items: Vec<String> = rules
        .iter()
        .map(|rules| format!("{{ports: [{{port: '80', protocol: TCP}}], rules: {{{rules}}}}}"))
        .collect();
    items.push("{ports: [{port: '443'}], serverNames: [a.test, '*.b.test']}".to_owned());
    items.push(format!(
        "{{ports: [{{port: https, protocol: TCP}}], terminatingTLS: {SECRET}, originatingTLS: \
         {{secret: {{name: t}}}}, serverNames: [c], rules: {{http: [{{}}]}}}}"
    ));
    if way == "to" {
        for dns in ["{matchName: a.test}", "{matchPattern: '*'}, {matchName: b}"] {
            items.push(format!(
                "{{ports: [{{port: '53'}}], rules: {{dns: [{dns}]}}}}"
            ));
        }
        for listener in [
            "kind: CiliumClusterwideEnvoyConfig, name: c}, name: l, priority: 7",
            "kind: CiliumEnvoyConfig, name: c}, name: l",
            "kind: CiliumClusterwideEnvoyConfig, name: c}, name: /c/d/e",
            "name: c}, name: shop/d",
        ] {
            items.push(format!(
                "{{ports: [{{port: '80', protocol: TCP}}], listener: {{envoyConfig: {{{listener}}}}}"
            ));
        }
    }
    select(items)
}
