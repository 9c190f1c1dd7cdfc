//! What people and proxies are told, and what small changes cost.

#![expect(
    clippy::expect_used,
    reason = "a test that meets something unexpected fails"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_abi::{
    Action, Direction, EndpointId, PeerClasses, Protocol, ProxyPort, TableSizes, Write,
};
use palisade_identity::{Identity, LabelSet, reserved};
use palisade_policy::explain::{Fate, Reason};
use palisade_policy::{
    AuthMode, Desired, Effect, Flow, LocalEndpoint, NamedPorts, Options, Party, Policy, Proxy,
    ProxyPorts, Tables, ingest,
};

const PAY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: pay, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: pay}}
  ingress:
  - fromEndpoints:
    - matchLabels: {app: web}
    toPorts:
    - ports:
      - {port: \"8443\", protocol: TCP}
";

const CART: &str = "\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: cart, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: cart}}
  egress:
  - toEndpoints:
    - matchLabels: {app: pay}
    toPorts:
    - ports:
      - {port: \"8443\", protocol: TCP}
  - toEndpoints:
    - matchLabels: {app: dns}
    toPorts:
    - ports:
      - {port: \"53\", protocol: UDP}
      rules: {dns: [{matchPattern: \"*.domain.com\"}]}
";

const WEB: Identity = Identity::new(1_001);
const CART_ID: Identity = Identity::new(1_002);
const PAY_ID: Identity = Identity::new(1_003);
const DNS: Identity = Identity::new(1_004);

/// A small node.
struct Node {
    tables: Tables,
    identities: BTreeMap<Identity, LabelSet>,
    endpoints: Vec<LocalEndpoint>,
    policies: Vec<Arc<Policy>>,
    proxy_ports: ProxyPorts,
}

impl Node {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut identities: BTreeMap<Identity, LabelSet> = reserved::ALL
            .into_iter()
            .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
            .collect();
        let pods = [
            (WEB, "web"),
            (CART_ID, "cart"),
            (PAY_ID, "pay"),
            (DNS, "dns"),
        ];
        identities.extend(pods.map(|(identity, app)| (identity, pod(app))));
        let mut node = Self {
            tables: Tables::new(TableSizes::default()),
            identities,
            endpoints: ["web", "cart", "pay", "pay"]
                .into_iter()
                .zip(1..)
                .map(|(app, id)| LocalEndpoint::new(EndpointId::new(id), pod(app)))
                .collect(),
            policies: Vec::new(),
            proxy_ports: [(Proxy::Dns, ProxyPort::new(10_003).expect("the port is one"))]
                .into_iter()
                .collect(),
        };
        node.update(files);
        node
    }

    fn update(&mut self, files: &[(&str, &str)]) -> Vec<Write> {
        let read = |(file, text): &(&str, &str)| {
            let read = ingest::read(file, text, &Options::default());
            read.expect("the documents are fine").policies
        };
        self.policies = files.iter().flat_map(read).map(Arc::new).collect();
        let desired = Desired {
            identities: &self.identities,
            endpoints: &self.endpoints,
            policies: &self.policies,
            options: &Options::default(),
            named_ports: NamedPorts::NONE,
            proxy_ports: &self.proxy_ports,
        };
        self.tables.update(&desired).expect("there is room")
    }

    fn explain(
        &self,
        source: (&str, Identity),
        destination: (&str, Identity),
        port: u16,
    ) -> String {
        let protocol = if port == 53 {
            Protocol::UDP
        } else {
            Protocol::TCP
        };
        let flow = Flow {
            source: self.party(source),
            destination: self.party(destination),
            protocol,
            port,
        };
        format!("{}\n", self.tables.explain(&flow))
    }

    fn party(&self, (name, identity): (&str, Identity)) -> Party {
        let labels = self.identities.get(&identity);
        let local = self
            .endpoints
            .iter()
            .find(|local| Some(&local.labels) == labels);
        Party {
            name: name.into(),
            identity,
            endpoint: local.map(|local| local.id),
        }
    }
}

fn pod(app: &str) -> LabelSet {
    LabelSet::parse([
        &format!("k8s:app={app}"),
        "k8s:io.kubernetes.pod.namespace=shop",
        "k8s:io.cilium.k8s.policy.cluster=default",
    ])
    .expect("the labels are fine")
}

const FILES: [(&str, &str); 2] = [("policies/cart.yaml", CART), ("policies/pay.yaml", PAY)];

#[test]
fn a_denial_names_the_line_the_nearest_miss_and_the_remedy() {
    let node = Node::new(&FILES);
    let text = node.explain(("shop/cart", CART_ID), ("shop/pay", PAY_ID), 8443);
    assert_eq!(
        text,
        "\
DENY  shop/cart → shop/pay 8443/TCP
  egress of shop/cart   allowed   policies/cart.yaml:11   toEndpoints app=pay, port 8443/TCP
  ingress of shop/pay   denied    default deny, switched on by policies/pay.yaml:6 (ingress)
                        nearest   policies/pay.yaml:8     fromEndpoints app=web: \
label app is \"cart\", not \"web\"
  would allow it: add `- matchLabels: {app: cart}` under policies/pay.yaml:7
"
    );
}

#[test]
fn a_port_that_is_missing_is_the_nearest_miss_of_a_peer_that_matches() {
    let node = Node::new(&FILES);
    let text = node.explain(("shop/web", WEB), ("shop/pay", PAY_ID), 443);
    assert_eq!(
        text,
        "\
DENY  shop/web → shop/pay 443/TCP
  egress of shop/web    allowed   no policy for egress
  ingress of shop/pay   denied    default deny, switched on by policies/pay.yaml:6 (ingress)
                        nearest   policies/pay.yaml:11   fromEndpoints app=web, port 8443/TCP: \
port is 443/TCP, not port 8443/TCP
  would allow it: add `- {port: \"443\", protocol: TCP}` under policies/pay.yaml:11
"
    );
}

#[test]
fn redirects_and_the_node_itself_are_explained() {
    let mut node = Node::new(&FILES);
    let text = node.explain(("shop/cart", CART_ID), ("shop/dns", DNS), 53);
    assert_eq!(
        text,
        "\
REDIRECT  shop/cart → shop/dns 53/UDP
  egress of shop/cart   proxied   policies/cart.yaml:16   toEndpoints app=dns, port 53/UDP
"
    );
    let text = node.explain(("node", Identity::HOST), ("shop/pay", PAY_ID), 1);
    assert_eq!(
        text,
        "\
ALLOW  node → shop/pay 1/TCP
  ingress of shop/pay   allowed   the node always reaches its own endpoints
"
    );
    node.proxy_ports = ProxyPorts::default();
    node.update(&FILES);
    let text = node.explain(("shop/cart", CART_ID), ("shop/dns", DNS), 53);
    assert_eq!(
        text,
        "\
DENY  shop/cart → shop/dns 53/UDP
  egress of shop/cart   denied    policies/cart.yaml:16   toEndpoints app=dns, port 53/UDP, \
but its proxy does not listen
"
    );
}

#[test]
fn cookies_survive_when_rules_move_to_other_lines() {
    let mut node = Node::new(&FILES);
    let ask = |node: &Node| {
        let cart = EndpointId::new(2);
        node.tables
            .verdict(cart, Direction::Egress, PAY_ID, Protocol::TCP, 8443)
    };
    let before = ask(&node);
    let line = |node: &Node| {
        node.tables
            .origin(before.cookie())
            .map(|one| one.location.line())
    };
    assert_eq!(line(&node), Some(11));

    let moved = format!("# A comment.\n\n{CART}");
    let files = [("policies/cart.yaml", moved.as_str()), FILES[1]];
    assert_eq!(node.update(&files), [], "only user space is to know");
    assert_eq!(ask(&node), before);
    assert_eq!(line(&node), Some(13));

    // Another port is another rule; events that name the old one are still explained.
    let changed = CART.replace("8443", "8444");
    let files = [("policies/cart.yaml", changed.as_str()), FILES[1]];
    assert!(!node.update(&files).is_empty());
    let cart = EndpointId::new(2);
    let after = node
        .tables
        .verdict(cart, Direction::Egress, PAY_ID, Protocol::TCP, 8444);
    assert_eq!(after.action(), Action::Allow);
    assert_ne!(after.cookie(), before.cookie());
    assert_eq!(line(&node), Some(13));
}

#[test]
fn equal_rules_are_shared_between_endpoints() {
    let node = Node::new(&FILES);
    let image = node.tables.image();
    let [first, second] = [3, 4].map(|id| image.policies_of(EndpointId::new(id)));
    assert_eq!(first, second);
    assert_ne!(first.ingress, image.policies_of(EndpointId::new(1)).ingress);
}

#[test]
fn an_identity_of_a_known_class_costs_one_write_and_leaves_the_generation() {
    let mut node = Node::new(&FILES);
    let new = Identity::new(2_000);
    let pay = EndpointId::new(3);
    let ask = |node: &Node| {
        node.tables
            .verdict(pay, Direction::Ingress, new, Protocol::TCP, 8443)
            .action()
    };
    assert_eq!(ask(&node), Action::Deny);
    let labels = pod("web").with("k8s:version=2".parse().expect("the label is fine"));
    let classes = node.tables.image().peer_classes(WEB);
    let writes = node
        .tables
        .add_identity(new, &labels)
        .expect("there is room");
    assert_eq!(writes, [Write::PeerClasses(new, classes)]);
    assert_eq!(ask(&node), Action::Allow);

    let writes = node.tables.remove_identity(new);
    assert_eq!(
        writes,
        [
            Write::PeerClasses(new, PeerClasses::default()),
            Write::Generation
        ]
    );
    assert_eq!(ask(&node), Action::Deny);
}

#[test]
fn an_identity_of_a_new_class_moves_after_its_columns_are_written() {
    let mut node = Node::new(&FILES);
    let dns = node.identities.remove(&DNS).expect("the node has one");
    // Nobody was the name server before, so that there is no class of its kind.
    node.tables = Tables::new(TableSizes::default());
    node.update(&FILES);
    let cart = EndpointId::new(2);
    let ask = |node: &Node| {
        node.tables
            .verdict(cart, Direction::Egress, DNS, Protocol::UDP, 53)
            .action()
    };
    assert_eq!(ask(&node), Action::Deny);
    let writes = node.tables.add_identity(DNS, &dns).expect("there is room");
    assert_eq!(ask(&node), Action::Redirect);
    let (last, columns) = writes.split_last().expect("there is something to write");
    assert!(matches!(last, Write::PeerClasses(DNS, _)));
    let is_column = |write: &Write| !matches!(write, Write::PeerClasses(..) | Write::PolicyOf(..));
    assert!(
        !columns.is_empty() && columns.iter().all(is_column),
        "{columns:?}"
    );
}

#[test]
fn a_plain_rule_for_the_same_port_allows_every_name() {
    let cart = EndpointId::new(2);
    let names = |node: &Node| -> Vec<Vec<String>> {
        let sets = node.tables.dns_rules(cart);
        let texts = |set: &palisade_policy::DnsRuleSet| {
            set.rules
                .iter()
                .map(|rule| rule.pattern.to_string())
                .collect()
        };
        sets.sets().map(|(_, set)| texts(set)).collect()
    };
    let node = Node::new(&FILES);
    assert_eq!(names(&node), [["*.domain.com"]]);
    assert_eq!(node.tables.dns_rules(EndpointId::new(1)).sets().count(), 0);

    let plain = CART.replace(
        "\n      rules: {dns: [{matchPattern: \"*.domain.com\"}]}",
        "",
    );
    let plain = plain.replace("name: cart", "name: plain");
    let node = Node::new(&[FILES[0], ("policies/plain.yaml", &plain)]);
    assert_eq!(names(&node), [["*.domain.com"], ["*"]]);
}

#[test]
fn the_budget_counts_what_is_in_force() {
    let node = Node::new(&FILES);
    let budget = node.tables.budget();
    assert_eq!((budget.endpoints, budget.identities), (4, 14));
    assert_eq!(node.tables.flat_entries(), {
        // Everybody and, though it adds nothing, the node.
        let unenforced = 2;
        let web = unenforced + 1;
        let cart = unenforced + 2;
        let pay = (1 + 1) + 1;
        web + cart + 2 * pay
    });
    let text = budget.to_string();
    assert!(text.starts_with("4 endpoints, 14 identities in"), "{text}");
}

#[test]
fn classes_and_numbers_do_not_pile_up() {
    let mut node = Node::new(&FILES);
    let budget = |node: &Node| node.tables.budget();
    let (before, mut writes) = (budget(&node), 0);
    for port in 1_000..1_150 {
        // A rule for a port that no rule named before, in place of the last such rule.
        let changed = PAY.replace("8443", &port.to_string());
        writes += node
            .update(&[FILES[0], ("policies/pay.yaml", &changed)])
            .len();
    }
    node.update(&FILES);
    let after = budget(&node);
    assert_eq!(
        (before.identities, before.endpoints),
        (after.identities, after.endpoints)
    );
    assert!(after.port_classes < before.port_classes + 100, "{after}");
    assert!(
        after.ingress_classes < before.ingress_classes + 100,
        "{after}"
    );
    for (table, fill) in &after.tables {
        assert!(fill.used <= before.tables[table].used + 100, "{after}");
    }
    assert!(writes < 150 * 20, "{writes} writes for 150 changes");
}

const ADMIN: &str = "\
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: admin}
spec:
  priority: 10
  subject: {namespaces: {}}
  ingress:
  - {name: leave web, action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}
  - {name: none else, action: Deny, from: [{namespaces: {}}]}
";

#[test]
fn the_walk_is_told_level_by_level() {
    let node = Node::new(&[FILES[0], FILES[1], ("policies/admin.yaml", ADMIN)]);
    let walk = |from: (&str, Identity)| {
        let flow = Flow {
            source: node.party(from),
            destination: node.party(("shop/pay", PAY_ID)),
            protocol: Protocol::TCP,
            port: 8443,
        };
        let halves = node.tables.explain(&flow).halves;
        let half = halves
            .into_iter()
            .find(|half| half.direction == Direction::Ingress);
        let half = half.expect("the server is here");
        let steps: Vec<(Fate, Effect, u32)> = half
            .steps
            .iter()
            .flat_map(|step| step.matched.iter().map(|one| (step.fate, one)))
            .map(|(fate, one)| (fate, one.effect, one.origin.location.line()))
            .collect();
        (half.action, steps)
    };
    assert_eq!(
        walk(("shop/web", WEB)),
        (
            Action::Allow,
            vec![
                (Fate::Passes, Effect::Pass, 8),
                (Fate::Skipped, Effect::Deny, 9),
                (Fate::Decides, Effect::Allow, 11),
            ]
        )
    );
    assert_eq!(
        walk(("shop/cart", CART_ID)),
        (Action::Deny, vec![(Fate::Decides, Effect::Deny, 9)])
    );
}

#[test]
fn who_and_what_can_reach_is_read_from_the_tables() {
    let node = Node::new(&FILES);
    let pay = EndpointId::new(3);
    let tcp = Protocol::TCP;
    let all = node
        .tables
        .who_can_reach(pay, Direction::Ingress, tcp, 8443);
    assert_eq!(all.len(), node.identities.len());
    let allowed: Vec<Identity> = all
        .iter()
        .filter(|one| one.action == Action::Allow)
        .map(|one| one.of)
        .collect();
    assert_eq!(allowed, [Identity::HOST, WEB]);
    let web = all.iter().find(|one| one.of == WEB);
    let line = web
        .and_then(|one| one.origin.as_ref())
        .map(|origin| origin.location.line());
    assert_eq!(line, Some(11));

    let reached = node
        .tables
        .what_can_reach(CART_ID, Direction::Ingress, tcp, 8443);
    let reached: Vec<(u16, Action)> = reached
        .iter()
        .map(|one| (one.of.get(), one.action))
        .collect();
    let (allow, deny) = (Action::Allow, Action::Deny);
    assert_eq!(reached, [(1, allow), (2, allow), (3, deny), (4, deny)]);
}

#[test]
fn who_no_longer_contradicts_itself_has_what_others_have() {
    let other = PAY.replace("name: pay", "name: other");
    let asks = |text: &str, mode: &str| {
        let auth = format!("    authentication: {{mode: {mode}}}\n    toPorts:");
        text.replace("    toPorts:", &auth)
    };
    let files = [
        ("policies/pay.yaml", asks(PAY, "required")),
        ("policies/other.yaml", asks(&other, "disabled")),
    ];
    let mut node = Node::new(&[]);
    node.update(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1)]);
    let pay = EndpointId::new(3);
    let ask = |node: &Node| {
        let ingress = Direction::Ingress;
        node.tables
            .verdict(pay, ingress, WEB, Protocol::TCP, 8443)
            .action()
    };
    assert!(node.tables.conflicts().contains_key(&pay));
    assert_eq!(ask(&node), Action::Deny);
    // Nothing is new and nothing is left: the sides are those that others have had all along.
    node.update(&[]);
    assert_eq!(node.tables.conflicts().len(), 0);
    assert_eq!(ask(&node), Action::Allow);
}

#[test]
fn authentication_and_what_contradicts_itself_are_told() {
    let asks = |mode: &str| {
        PAY.replace(
            "    toPorts:",
            &format!("    authentication: {{mode: {mode}}}\n    toPorts:"),
        )
    };
    let required = asks("required");
    let mut node = Node::new(&[("policies/pay.yaml", &required)]);
    let text = node.explain(("shop/web", WEB), ("shop/pay", PAY_ID), 8443);
    assert!(
        text.contains("once both sides have authenticated (required)"),
        "{text}"
    );
    let pay = EndpointId::new(3);
    let reach = node
        .tables
        .who_can_reach(pay, Direction::Ingress, Protocol::TCP, 8443);
    let web = reach.iter().find(|one| one.of == WEB);
    assert_eq!(web.and_then(|one| one.auth), Some(AuthMode::Required));

    let other = asks("disabled").replace("name: pay", "name: other");
    node.update(&[
        ("policies/pay.yaml", &required),
        ("policies/other.yaml", &other),
    ]);
    let conflicts: Vec<u16> = node
        .tables
        .conflicts()
        .keys()
        .map(|one| one.get())
        .collect();
    assert_eq!(conflicts, [3, 4], "both endpoints of pay, and no other");
    let flow = Flow {
        source: node.party(("shop/web", WEB)),
        destination: node.party(("shop/pay", PAY_ID)),
        protocol: Protocol::TCP,
        port: 8443,
    };
    let explanation = node.tables.explain(&flow);
    assert_eq!(explanation.action, Action::Deny);
    let reasons = explanation.halves.iter().map(|half| &half.reason);
    assert!(
        reasons
            .clone()
            .any(|reason| matches!(reason, Reason::Conflict(_)))
    );
    let text = explanation.to_string();
    assert!(
        text.contains("policies/other.yaml") && text.contains("policies/pay.yaml"),
        "{text}"
    );
}
