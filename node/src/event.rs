//! What happens to a node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_fqdn::{DnsName, MatchPattern};
use palisade_identity::LabelSet;
use palisade_policy::{CidrGroup, NamedPorts, Policy, ProxyPorts};

/// Something that happened, for [`Node::handle`](crate::Node::handle).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A name was answered; the answer is held until its addresses are enforced.
    DnsAnswer(DnsAnswer),
    /// An endpoint came to the node, or one of this name changed.
    EndpointAdded(Endpoint),
    /// The endpoint of this name left the node.
    EndpointRemoved(Arc<str>),
    /// The names that this pattern selects are to be forgotten, whatever connections there are.
    ForgetNames(MatchPattern),
    /// The node's own addresses, all of them.
    HostAddresses(BTreeSet<IpAddr>),
    /// What is to be in force, all of it. It replaces what was before in one step.
    Policies(PolicySet),
    /// Where the proxies listen.
    Proxy(ProxyPorts),
    /// Everything that was there before a restart has been handed in.
    Restored,
    /// Time passed; names whose time is over are forgotten.
    Tick {
        /// The connections that live: an endpoint's address and the one that it is connected to.
        live: BTreeSet<(IpAddr, IpAddr)>,
    },
}

/// The policies of a node and what they speak of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PolicySet {
    /// The policies, in any order.
    pub policies: Vec<Arc<Policy>>,
    /// The CIDR groups; a rule that names another selects nobody by that name.
    pub cidr_groups: Vec<Arc<CidrGroup>>,
}

impl From<Vec<Arc<Policy>>> for PolicySet {
    fn from(policies: Vec<Arc<Policy>>) -> Self {
        Self {
            policies,
            cidr_groups: Vec::new(),
        }
    }
}

/// An endpoint of the node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// `namespace/pod`.
    pub name: Arc<str>,
    /// Its labels, which give it its identity.
    pub labels: LabelSet,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The names of its ports, for rules that name ports.
    pub named_ports: NamedPorts,
    /// How packets reach it.
    pub link: Link,
}

/// How packets reach an endpoint.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// The index of the host-side interface.
    pub ifindex: u32,
    /// The link address of the endpoint.
    pub mac: [u8; 6],
    /// The link address of the host-side interface.
    pub node_mac: [u8; 6],
}

/// Names an answer that waits; chosen by whoever hands it in.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

/// An answer that a server gave to an allowed query.
#[derive(Clone, Debug)]
pub struct DnsAnswer {
    /// Comes back in [`Effect::ReleaseAnswer`](crate::Effect::ReleaseAnswer).
    pub token: Token,
    /// The address of the endpoint that asked.
    pub client: IpAddr,
    /// The name that was asked for.
    pub name: DnsName,
    /// Other names that the addresses count for; see [`Binding`](palisade_fqdn::Binding).
    pub also: Vec<DnsName>,
    /// The addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// How long they may be used.
    pub ttl: Duration,
}
