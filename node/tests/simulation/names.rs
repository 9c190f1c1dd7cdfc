//! What a node knows of names, and what a restart does.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::Prefix;
use palisade_fqdn::{Bound, DnsName, MatchPattern};
use palisade_node::{Checkpointing, Config, DnsAnswer, Event, Node, Plan, Token};

use crate::world::{self, OUTSIDE, config};

/// A node whose endpoint 0 may reach `*.example.com`, and the journal of its names.
fn node(config: Config) -> (Node, Vec<u8>) {
    let mut node = Node::new(config);
    let policies = crate::shared(world::policy(3));
    let events = [
        Event::Policies(policies.into()),
        Event::EndpointAdded(world::endpoint(0)),
    ];
    for event in events {
        let _plan = node.handle(event, Duration::ZERO).unwrap();
    }
    let journal = node.start_journal();
    (node, journal)
}

fn address(number: usize) -> IpAddr {
    OUTSIDE[number].parse().unwrap()
}

fn learn(node: &mut Node, names: &[&str], at: usize) -> Plan {
    let mut names: Vec<DnsName> = names.iter().map(|name| name.parse().unwrap()).collect();
    let answer = DnsAnswer {
        token: Token(1),
        client: world::addresses(0)[0],
        name: names.remove(0),
        also: names,
        addresses: vec![address(at)],
        ttl: Duration::from_secs(30),
    };
    let event = Event::DnsAnswer(answer);
    node.handle(event, Duration::ZERO).unwrap()
}

/// Whether an address has an identity of its own.
fn is_told_apart(node: &Node, at: usize) -> bool {
    let wanted = Prefix::exact(address(at));
    node.ipcache().any(|(prefix, _)| prefix == wanted)
}

#[test]
fn an_answer_costs_an_entry_of_the_journal_however_much_is_known() {
    let (mut node, _) = node(config());
    let first = learn(&mut node, &["a.example.com"], 0);
    for number in 0..1000 {
        let _plan = learn(&mut node, &[&format!("n{number}.example.com")], 1);
    }
    let later = learn(&mut node, &["b.example.com"], 2);
    assert_eq!(later.checkpoint, Checkpointing::Unchanged);
    assert_eq!(later.journal.len(), first.journal.len());
    assert!(later.journal.len() < 100);
}

#[test]
fn an_alias_counts_only_if_the_answer_says_so() {
    let (mut node, _) = node(config());
    let _plan = learn(&mut node, &["other.test"], 0);
    assert!(!is_told_apart(&node, 0));
    let _plan = learn(&mut node, &["other.test", "www.example.com"], 1);
    assert!(is_told_apart(&node, 1));
}

#[test]
fn what_a_limit_took_is_told_and_does_not_come_back() {
    let mut config = config();
    config.names.names_per_endpoint = 2;
    let (mut node, mut journal) = node(config.clone());
    for (number, name) in ["a.example.com", "b.example.com", "c.example.com"]
        .into_iter()
        .enumerate()
    {
        let plan = learn(&mut node, &[name], number);
        journal.extend(&plan.journal);
        let evicted: Vec<_> = plan.evicted.iter().map(|one| one.bound).collect();
        let wanted = if number == 2 {
            vec![Bound::NamesPerEndpoint]
        } else {
            vec![]
        };
        assert_eq!(evicted, wanted, "{name}");
    }
    assert!(!is_told_apart(&node, 0) && is_told_apart(&node, 2));
    let again = Node::restore(config, &node.checkpoint(), &journal, vec![]).unwrap();
    let mut names: Vec<_> = again.known_addresses().map(|known| known.address).collect();
    names.sort();
    assert_eq!(names, [address(1), address(2)]);
}

#[test]
fn a_connection_keeps_an_address_from_a_limit() {
    let mut config = config();
    config.names.addresses_per_name = 2;
    let (mut node, _) = node(config);
    let _plan = learn(&mut node, &["a.example.com"], 0);
    let _plan = learn(&mut node, &["a.example.com"], 1);
    let live = [(world::addresses(0)[0], address(0))].into();
    let _plan = node.handle(Event::Tick { live }, Duration::ZERO).unwrap();
    let plan = learn(&mut node, &["a.example.com"], 2);
    assert_eq!(plan.evicted[0].addresses, [address(1)]);
    assert!(is_told_apart(&node, 0) && !is_told_apart(&node, 1));
}

#[test]
fn names_are_forgotten_by_pattern_and_stay_so() {
    let (mut node, mut journal) = node(config());
    for (number, name) in ["a.example.com", "b.example.com"].into_iter().enumerate() {
        journal.extend(learn(&mut node, &[name], number).journal);
    }
    let pattern = MatchPattern::parse("a.example.com", palisade_fqdn::Level::Cluster).unwrap();
    let event = Event::ForgetNames(pattern);
    let plan = node.handle(event, Duration::ZERO).unwrap();
    journal.extend(&plan.journal);
    assert!(!is_told_apart(&node, 0) && is_told_apart(&node, 1));
    let again = Node::restore(config(), &node.checkpoint(), &journal, vec![]).unwrap();
    let names: Vec<_> = again.known_addresses().map(|known| known.address).collect();
    assert_eq!(names, [address(1)]);
}
