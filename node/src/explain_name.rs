//! Why a name or an address is reachable by name, or not.

use std::ops::RangeInclusive;

use palisade_abi::{EndpointId, Protocol};
use palisade_fqdn::{DnsName, MatchPattern};
use palisade_policy::Location;

use crate::dns_filter::DnsOutcome;
use crate::node::Node;

/// What becomes of an endpoint's queries for a name by one of its sets of rules. For some servers
/// a rule of an earlier level may decide before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameRule {
    /// Whose queries.
    pub endpoint: EndpointId,
    /// Of which protocol.
    pub protocol: Protocol,
    /// To which ports of the servers that the set is about.
    pub ports: RangeInclusive<u16>,
    /// What becomes of them.
    pub outcome: DnsOutcome,
    /// The rule that allows them, or the first of those that do not.
    pub location: Option<Location>,
}

impl Node {
    /// The patterns that rules in force select addresses by.
    pub fn name_patterns(&self) -> impl Iterator<Item = &MatchPattern> {
        self.named.patterns()
    }

    /// Those of them that select a name.
    pub fn patterns_of(&self, name: &DnsName) -> Vec<&MatchPattern> {
        let patterns = self.named.patterns();
        patterns.filter(|pattern| pattern.matches(name)).collect()
    }

    /// How many addresses are known for names that a pattern selects.
    pub fn addresses_of(&self, pattern: &MatchPattern) -> usize {
        self.names.matching(std::iter::once(pattern)).len()
    }

    /// What becomes of queries for a name, by endpoint. An endpoint without rules about names is
    /// not among them.
    pub fn name_rules(&self, name: &DnsName) -> Vec<NameRule> {
        self.dns.rules(name).collect()
    }
}
