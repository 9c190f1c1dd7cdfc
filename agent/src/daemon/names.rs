//! What the agent says of names.

use std::net::IpAddr;

use palisade_abi::{EndpointId, Prefix};
use palisade_fqdn::DnsName;
use palisade_identity::Identity;
use palisade_node::{DnsOutcome, KnownAddress, NameRule, Node};

use super::shared::{Shared, name_of};
use super::time;
use crate::protocol::{NameReport, NameRow, QueryRow, SelectorRow};

impl Shared {
    /// The addresses that endpoints learnt.
    pub(super) fn name_rows(&self) -> Vec<NameRow> {
        let node = self.node();
        node.known_addresses()
            .map(|known| row(&node, &known))
            .collect()
    }

    /// The name of an endpoint, or its number if it has left.
    pub(super) fn endpoint_name(&self, id: EndpointId) -> String {
        name_of(&self.node(), id)
    }

    /// The patterns that rules select addresses by.
    pub(super) fn selector_rows(&self) -> Vec<SelectorRow> {
        let node = self.node();
        node.name_patterns()
            .map(|pattern| SelectorRow {
                pattern: pattern.as_str().to_owned(),
                addresses: node.addresses_of(pattern),
            })
            .collect()
    }

    /// Why a name or an address is reachable by name, or not; `None` for what is neither.
    pub(super) fn explain_name(&self, subject: &str) -> Option<NameReport> {
        let node = self.node();
        if let Ok(address) = subject.parse::<IpAddr>() {
            return Some(of_address(&node, address.to_canonical()));
        }
        let name = DnsName::parse(subject).ok()?;
        Some(of_name(&node, &name))
    }
}

fn of_name(node: &Node, name: &DnsName) -> NameReport {
    let known = node.known_addresses().filter(|known| known.name == *name);
    let mut report = NameReport {
        subject: name.to_string(),
        patterns: texts(node, name),
        queries: node
            .name_rules(name)
            .iter()
            .map(|rule| query(node, rule))
            .collect(),
        known: known.map(|known| row(node, &known)).collect(),
        identity: None,
        labels: Vec::new(),
        notes: Vec::new(),
    };
    if report.patterns.is_empty() {
        let note = "no toFQDNs rule in force selects it: its addresses are judged as they are";
        report.notes.push(note.into());
    }
    if report.queries.is_empty() {
        let note = "no endpoint has rules about names: queries for it pass by the proxy";
        report.notes.push(note.into());
    } else if report.queries.iter().all(|query| !query.allowed) {
        report.notes.push("nobody may ask for it".into());
    }
    if report.known.is_empty() {
        let note = "no address is known for it: nobody has asked, or its time is over";
        report.notes.push(note.into());
    }
    report
}

fn of_address(node: &Node, address: IpAddr) -> NameReport {
    let known = node.known_addresses();
    let known: Vec<_> = known.filter(|known| known.address == address).collect();
    let mut patterns: Vec<String> = known
        .iter()
        .flat_map(|known| texts(node, &known.name))
        .collect();
    patterns.sort();
    patterns.dedup();
    let identity = node.identity_of(address);
    let labels = node.identities().get(&identity);
    let mut notes = Vec::new();
    if node.endpoint_at(address).is_some() {
        notes.push("it is an endpoint's: names do not count for it".to_owned());
    } else if node.hosts().contains(&address) {
        notes.push("it is the node's own: names do not count for it".to_owned());
    } else if known.is_empty() {
        notes.push("no answer that is still remembered led to it".to_owned());
    } else if patterns.is_empty() {
        notes.push("no toFQDNs rule in force selects its names".to_owned());
    } else if !node
        .ipcache()
        .any(|(prefix, _)| prefix == Prefix::exact(address))
    {
        notes.push("it is not enforced yet".to_owned());
    }
    NameReport {
        subject: address.to_string(),
        patterns,
        queries: Vec::new(),
        known: known.iter().map(|known| row(node, known)).collect(),
        identity: Some(identity.get()),
        labels: labels
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect(),
        notes,
    }
}

/// The patterns that select a name.
fn texts(node: &Node, name: &DnsName) -> Vec<String> {
    let patterns = node.patterns_of(name).into_iter();
    patterns
        .map(|pattern| pattern.as_str().to_owned())
        .collect()
}

fn query(node: &Node, rule: &NameRule) -> QueryRow {
    let (first, last) = (rule.ports.start(), rule.ports.end());
    QueryRow {
        endpoint: name_of(node, rule.endpoint),
        port: if first == last {
            format!("{first}/{}", rule.protocol)
        } else {
            format!("{first}-{last}/{}", rule.protocol)
        },
        allowed: rule.outcome == DnsOutcome::Allowed,
        rule: rule.location.as_ref().map(ToString::to_string),
    }
}

fn row(node: &Node, known: &KnownAddress) -> NameRow {
    NameRow {
        endpoint: name_of(node, known.endpoint),
        name: known.name.to_string(),
        address: known.address,
        identity: known.identity.map(Identity::get),
        remaining_seconds: known.until.saturating_sub(time::now()).as_secs(),
    }
}
