//! The names that an endpoint may ask for, beside the plain walk.

#![expect(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that meets something unexpected fails, and uses a part of what is shared"
)]

#[path = "support/walk.rs"]
mod walk;
#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use palisade_abi::{Action, Direction, EndpointId, Identity, Protocol, ProxyPort, TableSizes};
use palisade_fqdn::{Level, MatchPattern};
use palisade_identity::{LabelSet, Selector};
use palisade_policy::{
    DnsRule, DnsRules, Effect, Enforcement, L7Rules, LocalEndpoint, NamedPorts, Options, Peers,
    Policy, PortMatch, PortRule, Ports, Priority, Proxy, ProxyPorts, Redirect, Rule, Tables, Tier,
};
use palisade_testkit::cases;
use proptest::prelude::*;

use self::walk::{Other, Packet};
use self::world::World;

const SIZES: TableSizes = TableSizes {
    policies: 64,
    row_slots: 4_096,
    rows: 1_024,
    cell_slots: 65_536,
    verdicts: 4_096,
    endpoints: 16,
    ipcache: 16,
    conntrack: 16,
    events: 4_096,
};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(150),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn names_count_where_the_plain_walk_comes_to_their_rule(worlds in world::worlds(1)) {
        for mut world in worlds {
            ask_names(&mut world);
            let mut tables = Tables::new(SIZES);
            tables.update(&world.desired()).unwrap();
            let conflicts = tables.conflicts();
            let in_force = world.endpoints.iter().filter(|one| !conflicts.contains_key(&one.id));
            for endpoint in in_force {
                let rules = tables.dns_rules(endpoint.id);
                for (server, (protocol, port)) in world
                    .identities
                    .values()
                    .flat_map(|server| world::ports().into_iter().map(move |ports| (server, ports)))
                {
                    same(&world, &rules, Packet {
                        endpoint,
                        direction: Direction::Egress,
                        other: Other::Known(server),
                        protocol,
                        port,
                    })?;
                }
            }
        }
    }
}

/// Rules are about what endpoints send, and half of their items redirect to the DNS proxy, each
/// with a name of its own.
fn ask_names(world: &mut World) {
    for policy in &mut world.policies {
        let mut changed = Policy::clone(policy);
        for rule in &mut changed.rules {
            rule.direction = Direction::Egress;
            let place = format!("{}-{}", rule.resource.name, rule.index);
            let Ports::Some(items) = &mut rule.ports else {
                continue;
            };
            for (number, item) in (0..).zip(items) {
                let name = format!("{place}-{number}.example");
                item.redirect = ((rule.index + number) % 2 == 0).then(|| asking(&name));
            }
        }
        *policy = Arc::new(changed);
    }
    let port = ProxyPort::new(10_003).unwrap();
    world.proxy_ports = [(Proxy::Dns, port)].into_iter().collect();
}

fn asking(name: &str) -> Arc<Redirect> {
    let rule = DnsRule {
        pattern: MatchPattern::parse(name, Level::Agent).unwrap(),
        location: world::place(0, 300),
    };
    Arc::new(Redirect::dns([rule]))
}

fn same(world: &World, rules: &DnsRules, packet: Packet<'_>) -> Result<(), TestCaseError> {
    let Other::Known(server) = packet.other else {
        return Ok(());
    };
    let (protocol, port) = (packet.protocol, packet.port);
    let found = names(rules, server, protocol, port);
    let walked = walk::verdict(&world.desired(), packet);
    let asked = asked(world, packet.endpoint, server, protocol, port);
    match walked.action {
        Action::Deny => prop_assert_eq!(found, BTreeSet::new(), "{:?}", packet),
        Action::Redirect => prop_assert_eq!(found, asked, "{:?}", packet),
        // The proxy is not asked; it would let every name through, if it has to do with the port.
        Action::Allow => prop_assert!(found.iter().all(|name| name == "*"), "{:?}", packet),
    }
    Ok(())
}

fn names(rules: &DnsRules, server: &LabelSet, protocol: Protocol, port: u16) -> BTreeSet<String> {
    let fitting = rules.fitting(server, protocol, port);
    let names = fitting.iter().flat_map(|(_, set)| &set.rules);
    names.map(|rule| rule.pattern.to_string()).collect()
}

/// The names of the first level that says something about the server and does not pass on.
fn asked(
    world: &World,
    endpoint: &LocalEndpoint,
    server: &LabelSet,
    protocol: Protocol,
    port: u16,
) -> BTreeSet<String> {
    let all = world.policies.iter().flat_map(|policy| &policy.rules);
    let mut rules: Vec<&Rule> = all
        .filter(|rule| rule.direction == Direction::Egress)
        .filter(|rule| rule.subject.selects(&endpoint.labels))
        .collect();
    let isolates = rules.iter().any(|rule| rule.default_deny);
    rules.retain(|rule| !(isolates && rule.is_fallback()));
    let meets = |item: &PortRule| {
        let ports = match &item.ports {
            PortMatch::Numbers(ports) => Some(ports.clone()),
            PortMatch::Named(name) => {
                let port = world.named_ports.get(name, item.protocol);
                port.map(|port| port..=port)
            }
        };
        item.protocol == protocol && ports.is_some_and(|ports| ports.contains(&port))
    };
    let mut levels: BTreeMap<_, Vec<(Effect, Option<&PortRule>)>> = BTreeMap::new();
    for rule in rules {
        let is_peer = match &rule.peers {
            Peers::Any { .. } => true,
            Peers::Some { list, .. } => list.iter().any(|peer| peer.selector.matches(server)),
        };
        let level = levels.entry((rule.tier, rule.priority)).or_default();
        match &rule.ports {
            _ if !is_peer => {}
            Ports::All => level.push((rule.effect, None)),
            Ports::Some(items) => {
                let met = items.iter().filter(|item| meets(item));
                level.extend(met.map(|item| (rule.effect, Some(item))));
            }
        }
    }
    let mut skipped: Option<Tier> = None;
    for ((tier, _), said) in levels {
        let any = |effect| said.iter().any(|(one, _)| *one == effect);
        if skipped == Some(tier) || said.is_empty() {
            continue;
        }
        if any(Effect::Deny) {
            return BTreeSet::new();
        }
        if !any(Effect::Allow) {
            skipped = Some(tier);
            continue;
        }
        let allowed = said.iter().filter(|(effect, _)| *effect == Effect::Allow);
        let items: Vec<&PortRule> = allowed.filter_map(|(_, item)| *item).collect();
        let (asking, plain): (Vec<&PortRule>, Vec<&PortRule>) =
            items.into_iter().partition(|item| item.redirect.is_some());
        let mut names: BTreeSet<String> = asking.iter().map(|item| name(item)).collect();
        let beside = plain
            .iter()
            .any(|item| asking.iter().any(|one| one.ports == item.ports));
        if beside || !isolates && !always(world, endpoint) {
            names.insert("*".to_owned());
        }
        return names;
    }
    BTreeSet::new()
}

fn name(item: &PortRule) -> String {
    let redirect = item.redirect.as_deref().unwrap();
    let L7Rules::Dns(names) = &redirect.rules else {
        unreachable!("every redirect asks for a name");
    };
    names.first().unwrap().pattern.to_string()
}

fn always(world: &World, endpoint: &LocalEndpoint) -> bool {
    let init = endpoint.labels.get("init").map(ToString::to_string);
    world.options.enforcement == Enforcement::Always || init.as_deref() == Some("reserved:init")
}

#[test]
fn names_behind_an_earlier_deny_or_pass_do_not_count() {
    let pod = LabelSet::parse(["k8s:app=a"]).unwrap();
    let server = LabelSet::parse(["k8s:app=dns"]).unwrap();
    let rule = |number: u32, effect, tier, item: Option<PortRule>| {
        let ports = item.map_or(Ports::All, |item| Ports::Some(vec![item]));
        let subject = Selector::everything();
        let peers = Peers::Any { location: None };
        let parts = (subject, Direction::Egress, effect, true, peers, ports);
        let mut policy = world::policy(number, vec![parts]);
        policy.rules.iter_mut().for_each(|rule| rule.tier = tier);
        Arc::new(policy)
    };
    let item = |redirect| PortRule {
        protocol: Protocol::UDP,
        ports: PortMatch::Numbers(53..=53),
        redirect,
        location: world::place(0, 1),
    };
    let asks =
        |number, tier, name| rule(number, Effect::Allow, tier, Some(item(Some(asking(name)))));
    let found = |policies: Vec<Arc<Policy>>| {
        let world = World {
            identities: BTreeMap::from([(Identity::new(256), server.clone())]),
            endpoints: vec![LocalEndpoint::new(EndpointId::new(1), pod.clone())],
            policies,
            options: Options::default(),
            named_ports: NamedPorts::new(),
            proxy_ports: ProxyPorts::default(),
        };
        let mut tables = Tables::new(SIZES);
        tables.update(&world.desired()).unwrap();
        let rules = tables.dns_rules(EndpointId::new(1));
        let found = names(&rules, &server, Protocol::UDP, 53);
        found.into_iter().collect::<Vec<String>>()
    };
    let normal = || asks(1, Tier::Normal, "normal.example");
    let baseline = || asks(2, Tier::Baseline, "baseline.example");
    assert_eq!(found(vec![normal(), baseline()]), ["normal.example"]);
    let before =
        |effect, tier, item| found(vec![rule(0, effect, tier, item), normal(), baseline()]);
    assert!(before(Effect::Deny, Tier::Admin, None).is_empty());
    assert!(before(Effect::Deny, Tier::Normal, Some(item(None))).is_empty());
    let pass = rule(0, Effect::Pass, Tier::Admin, None);
    let admin = || {
        let mut policy = Policy::clone(&asks(3, Tier::Admin, "admin.example"));
        policy
            .rules
            .iter_mut()
            .for_each(|rule| rule.priority = Priority::whole(1));
        Arc::new(policy)
    };
    assert_eq!(found(vec![admin(), normal()]), ["admin.example"]);
    assert_eq!(found(vec![pass, admin(), normal()]), ["normal.example"]);
    // Another port is another matter.
    let web = PortRule {
        ports: PortMatch::Numbers(80..=80),
        ..item(None)
    };
    assert_eq!(
        before(Effect::Deny, Tier::Admin, Some(web)),
        ["normal.example"]
    );
}
