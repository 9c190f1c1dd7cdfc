//! What a node knows, for whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_abi::{Cookie, Direction, EndpointId, Prefix, Protocol, Verdict};
use palisade_fqdn::DnsName;
use palisade_identity::{Identity, LabelSet};
use palisade_policy::{Explanation, HostFirewall, Origin, Policy, ProxyPorts, Tables, explain};

use crate::config::Config;
use crate::dns_filter::{DnsOutcome, DnsVerdict};
use crate::endpoints::Member;
use crate::named::Named;
use crate::node::Node;

/// One end of a flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Party {
    /// Whoever has this address.
    Address(IpAddr),
    /// The endpoint of this name.
    Endpoint(Arc<str>),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Endpoint(name) => f.write_str(name),
        }
    }
}

/// What is decided for a flow: at its source and at its destination, where these are endpoints of
/// the node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowVerdict {
    /// By the source's egress policy.
    pub egress: Option<Verdict>,
    /// By the destination's ingress policy.
    pub ingress: Option<Verdict>,
}

impl FlowVerdict {
    /// The half that decides: the first that denies, else the first that redirects, else the last
    /// that a rule allows, else the last.
    pub fn decisive(&self) -> Option<(Direction, Verdict)> {
        use palisade_abi::Action::{Deny, Redirect};
        let halves = [
            (Direction::Egress, self.egress),
            (Direction::Ingress, self.ingress),
        ];
        let halves = halves
            .into_iter()
            .filter_map(|(direction, verdict)| Some((direction, verdict?)));
        let by = |action| {
            halves
                .clone()
                .find(|(_, verdict)| verdict.action() == action)
        };
        by(Deny)
            .or_else(|| by(Redirect))
            .or_else(|| halves.clone().rfind(|(_, half)| half.cookie().get() != 0))
            .or_else(|| halves.clone().next_back())
    }
}

/// An address that is known for a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownAddress {
    /// Who asked.
    pub endpoint: EndpointId,
    /// The name.
    pub name: DnsName,
    /// The address.
    pub address: IpAddr,
    /// When its time is over; it stays as long as connections lead to it.
    pub until: Duration,
    /// The identity that the address has, if a policy names it.
    pub identity: Option<Identity>,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// What the map holds.
    pub map: &'static str,
    /// How many there are.
    pub used: usize,
    /// How many there can be.
    pub size: u32,
}

impl Node {
    /// How the node is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The decision tables, with what they hold and what each rule takes of them.
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How many sets of policies were taken.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The policies in force.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies.policies
    }

    /// The node's own addresses.
    pub fn hosts(&self) -> &BTreeSet<IpAddr> {
        &self.hosts
    }

    /// Where the proxies listen.
    pub const fn proxy(&self) -> &ProxyPorts {
        &self.proxy
    }

    /// The endpoints, by name.
    pub fn endpoints(&self) -> impl Iterator<Item = &Member> {
        self.endpoints.iter()
    }

    /// The endpoint of this name.
    pub fn endpoint(&self, name: &str) -> Option<&Member> {
        self.endpoints.get(name)
    }

    /// The endpoint with this address.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&Member> {
        self.endpoints.at(address)
    }

    /// Every identity that the tables know, with its labels.
    pub fn identities(&self) -> &BTreeMap<Identity, LabelSet> {
        self.identities.known()
    }

    /// The identity of an address, as the tables have it.
    pub fn identity_of(&self, address: IpAddr) -> Identity {
        let found = self.ipcache.lookup(address);
        found.map_or_else(|| Named::world_of(Prefix::exact(address)), |(_, id)| *id)
    }

    /// The prefixes that have an identity of their own, as the tables have them.
    pub fn ipcache(&self) -> impl Iterator<Item = (Prefix, Identity)> {
        self.ipcache.iter().map(|(prefix, id)| (prefix, *id))
    }

    /// The addresses that endpoints learnt for names.
    pub fn known_addresses(&self) -> impl Iterator<Item = KnownAddress> {
        self.names.lookups().map(|lookup| KnownAddress {
            endpoint: lookup.endpoint,
            name: lookup.name.clone(),
            address: lookup.address,
            until: lookup.expires,
            identity: self.ipcache.get(Prefix::exact(lookup.address)).copied(),
        })
    }

    /// The names that an address is known for.
    pub fn names_of(&self, address: IpAddr) -> impl Iterator<Item = &DnsName> {
        self.names.of(address.to_canonical())
    }

    /// When [`Event::Tick`](crate::Event::Tick) may have something to do; a time that is past while
    /// addresses wait for the end of their connections.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.names.next_expiry()
    }

    /// Where the rule of a verdict stands.
    pub fn origin(&self, cookie: Cookie) -> Option<Origin> {
        self.tables.origin(cookie)
    }

    /// What the tables decide for a flow to a port (for ICMP: of a type).
    pub fn verdict(
        &self,
        source: &Party,
        destination: &Party,
        protocol: Protocol,
        port: u16,
    ) -> FlowVerdict {
        let (from, to) = (self.party(source), self.party(destination));
        let decide = |at: &(Option<&Member>, Identity), direction, peer| {
            let id = self.judge(at)?;
            Some(self.tables.verdict(id, direction, peer, protocol, port))
        };
        FlowVerdict {
            egress: decide(&from, Direction::Egress, to.1),
            ingress: decide(&to, Direction::Ingress, from.1),
        }
    }

    /// Why the tables decide for a flow as they do.
    pub fn explain(
        &self,
        source: &Party,
        destination: &Party,
        protocol: Protocol,
        port: u16,
    ) -> Explanation {
        let end = |party: &Party| {
            let (member, identity) = self.party(party);
            explain::Party {
                name: match (member, party) {
                    (Some(member), _) => member.endpoint.name.clone(),
                    (None, Party::Address(address)) => address.to_string().into(),
                    (None, Party::Endpoint(name)) => name.clone(),
                },
                identity,
                endpoint: self.judge(&(member, identity)),
            }
        };
        self.tables.explain(&explain::Flow {
            source: end(source),
            destination: end(destination),
            protocol,
            port,
        })
    }

    /// What becomes of a DNS query, given that its packets are redirected to the proxy.
    pub fn dns_verdict(
        &self,
        client: &Party,
        server: &Party,
        protocol: Protocol,
        port: u16,
        name: &DnsName,
    ) -> DnsVerdict {
        let labels = self.identities.known().get(&self.party(server).1);
        match (self.party(client).0, labels) {
            (Some(client), Some(labels)) => {
                self.dns.decide(client.id, labels, protocol, port, name)
            }
            (Some(_) | None, _) => DnsVerdict {
                outcome: DnsOutcome::Refused,
                location: None,
            },
        }
    }

    /// How full the maps are that the node counts.
    pub fn usage(&self) -> [Usage; 2] {
        let sizes = self.config.sizes;
        [
            Usage {
                map: "endpoints",
                used: self.records.len(),
                size: sizes.endpoints,
            },
            Usage {
                map: "ipcache",
                used: self.ipcache.len(),
                size: sizes.ipcache,
            },
        ]
    }

    /// Whose policies decide at one end of a flow.
    fn judge(&self, (member, identity): &(Option<&Member>, Identity)) -> Option<EndpointId> {
        let host = *identity == Identity::HOST
            && self.config.options.host_firewall == HostFirewall::Enabled;
        let host = host.then_some(EndpointId::HOST);
        member.map(|member| member.id).or(host)
    }

    /// The endpoint and the identity of one end of a flow.
    pub(crate) fn party(&self, party: &Party) -> (Option<&Member>, Identity) {
        let member = match party {
            Party::Address(address) => self.endpoints.at(*address),
            Party::Endpoint(name) => self.endpoints.get(name),
        };
        let identity = match (member, party) {
            (Some(member), _) => member.identity,
            (None, Party::Address(address)) => self.identity_of(*address),
            (None, Party::Endpoint(_)) => Identity::UNKNOWN,
        };
        (member, identity)
    }
}
