//! The model: what documents become once they are read.
//!
//! A [`Policy`] is one document; a [`Rule`] is one item of its `ingress`, `egress`, `ingressDeny` or
//! `egressDeny` lists. Every peer and every port keeps the place it was read from, so that a verdict
//! can name its line.

mod cidr_group;
mod l7;
mod order;
mod peer;
mod port;
mod resource;

use std::sync::Arc;

use palisade_abi::{Direction, Prefix};
use palisade_fqdn::MatchPattern;
use palisade_identity::{LabelSet, Selector, Source};

pub use self::cidr_group::CidrGroup;
pub use self::l7::{
    DnsRule, HeaderMatch, HttpRule, KafkaRule, L7Rules, Listener, MismatchAction, Parser, Redirect,
    SecretName, TlsContext,
};
pub use self::order::{AuthMode, Priority, PriorityError, Tier};
pub use self::peer::{Entity, GroupReference, Peer, PeerKind, Peers, ServiceReference};
pub use self::port::{PortMatch, PortRule, Ports};
pub use self::resource::{Kind, ResourceName};
use crate::proxy_ports::Proxy;
use crate::span::Location;

/// A document: the rules of one resource, in the order they stand in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The name of the resource.
    pub resource: Arc<ResourceName>,
    /// Where the document starts.
    pub location: Location,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// The prefixes that the policy names, exceptions included, in the order they stand in.
    ///
    /// A node gives each of them an identity.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.peers().flat_map(|peer| {
            let (prefix, except) = match &peer.kind {
                PeerKind::Cidr { prefix, except } => (Some(*prefix), except.as_slice()),
                PeerKind::CidrGroup { except, .. } => (None, except.as_slice()),
                PeerKind::Endpoints
                | PeerKind::Entity(_)
                | PeerKind::Fqdn(_)
                | PeerKind::Group(_)
                | PeerKind::Nodes
                | PeerKind::Service(_) => (None, [].as_slice()),
            };
            prefix.into_iter().chain(except.iter().copied())
        })
    }

    /// The DNS selectors of the policy, in the order they stand in.
    pub fn fqdns(&self) -> impl Iterator<Item = &MatchPattern> {
        self.peers().filter_map(|peer| match &peer.kind {
            PeerKind::Fqdn(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// The proxies that the policy redirects to, in the order they stand in.
    pub fn proxies(&self) -> impl Iterator<Item = Proxy> {
        self.rules.iter().flat_map(|rule| {
            let items = match &rule.ports {
                Ports::All => &[],
                Ports::Some(items) => items.as_slice(),
            };
            let redirects = items.iter().filter_map(|item| item.redirect.as_deref());
            redirects.map(|redirect| Proxy::of(rule.direction, redirect))
        })
    }

    fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.rules.iter().flat_map(|rule| rule.peers.list())
    }
}

/// One item of an `ingress`, `egress`, `ingressDeny` or `egressDeny` list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The resource that the rule belongs to.
    pub resource: Arc<ResourceName>,
    /// The place among the rules of the resource, from 0.
    pub index: u32,
    /// Where the item starts.
    pub location: Location,
    /// Where the key of its list stands (`ingress:`): what default deny leads to.
    pub section: Location,
    /// Whom the rule is about.
    pub subject: Subject,
    /// Which traffic of theirs.
    pub direction: Direction,
    /// Which tier decides first.
    pub tier: Tier,
    /// Which rule of a tier decides first.
    pub priority: Priority,
    /// What it does with what it matches.
    pub effect: Effect,
    /// Whether traffic of this direction that no rule allows is denied for the subject.
    pub default_deny: bool,
    /// The other side.
    pub peers: Peers,
    /// The protocols and ports.
    pub ports: Ports,
    /// What the two sides must have proved to each other; `None` if the rule does not say.
    pub auth: Option<AuthMode>,
    /// What the log says about traffic that the rule decides (`log.value`).
    pub log: Option<Arc<str>>,
}

impl Rule {
    /// Whether the rule gives way to policies that isolate its subject.
    ///
    /// The baseline of administrators is for what namespaces leave open: it says nothing about an
    /// endpoint for which another policy switches default deny on.
    pub fn is_fallback(&self) -> bool {
        let kind = self.resource.kind;
        self.tier == Tier::Baseline
            && matches!(
                kind,
                Kind::BaselineAdminNetworkPolicy | Kind::ClusterNetworkPolicy
            )
    }
}

/// Whom a rule is about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Subject {
    /// The endpoints that a selector matches; never the node itself.
    Endpoints(Selector),
    /// The nodes that a selector matches, as the host endpoint of each.
    Nodes(Selector),
}

impl Subject {
    /// Whether a rule of this subject is in force for an endpoint with these labels.
    pub fn selects(&self, labels: &LabelSet) -> bool {
        match self {
            Self::Endpoints(selector) => !is_host(labels) && selector.matches(labels),
            Self::Nodes(selector) => is_host(labels) && selector.matches(labels),
        }
    }

    /// Whether it is about nodes.
    pub const fn is_node(&self) -> bool {
        matches!(self, Self::Nodes(_))
    }

    /// The selector, whatever it is about.
    pub const fn selector(&self) -> &Selector {
        match self {
            Self::Endpoints(selector) | Self::Nodes(selector) => selector,
        }
    }
}

fn is_host(labels: &LabelSet) -> bool {
    labels
        .get("host")
        .is_some_and(|label| label.source() == Source::Reserved)
}

/// What a rule does with what it matches. At one level a deny beats every allow, however narrow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Effect {
    /// Lets it pass, to the proxy if the port says so.
    Allow,
    /// Drops it.
    Deny,
    /// Leaves it to the next tier, past the rest of its own.
    Pass,
}
