//! What goes to proxies.

use std::fmt;
use std::sync::Arc;

use palisade_abi::{Direction, EndpointId, Identity, Protocol, ProxyPort};

use crate::filters::{FilterPorts, ProxyRules};

/// The name that Cilium gives a redirect: `ENDPOINT:DIRECTION:PROTOCOL:PORT:LISTENER`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProxyId {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The direction.
    pub direction: Direction,
    /// The protocol.
    pub protocol: Protocol,
    /// The first port.
    pub port: u16,
    /// The listener, if it is not the proxy of a protocol.
    pub listener: Option<Arc<str>>,
}

impl fmt::Display for ProxyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            direction,
            protocol,
            port,
            listener,
        } = self;
        let listener = listener.as_deref().unwrap_or_default();
        write!(f, "{endpoint}:{direction}:{protocol}:{port}:{listener}")
    }
}

/// A redirect, whoever has it.
#[derive(Clone, Debug)]
pub(super) struct Redirected {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) listener: Option<Arc<str>>,
    /// Which proxy has the name where two parsers share it.
    pub(super) priority: u8,
    pub(super) proxy_port: ProxyPort,
}

impl Redirected {
    pub(super) fn id(&self, endpoint: EndpointId, direction: Direction) -> ProxyId {
        ProxyId {
            endpoint,
            direction,
            protocol: self.protocol,
            port: self.port,
            listener: self.listener.clone(),
        }
    }

    /// What two must not share.
    fn name(&self) -> (Protocol, u16, Option<&Arc<str>>) {
        (self.protocol, self.port, self.listener.as_ref())
    }
}

/// Each name once. Where peers differ in the parser for one port, the redirect has the port of the
/// parser that goes first; the entries have each peer's own.
pub(super) fn distinct(mut all: Vec<Redirected>) -> Vec<Redirected> {
    let order = |one: &Redirected| (one.priority, one.proxy_port);
    all.sort_by(|a, b| (a.name(), order(a)).cmp(&(b.name(), order(b))));
    all.dedup_by(|later, first| later.name() == first.name());
    all
}

/// Whom a proxy serves, and by which rules.
#[derive(Clone, Debug)]
pub struct SelectorRedirect {
    /// The place of the tier, from 0.
    pub tier: u8,
    /// The ports.
    pub ports: FilterPorts,
    /// The other side: everybody if `None`, else who is selected, in ascending order.
    pub identities: Option<Arc<[Identity]>>,
    /// Which policy of the direction decides first.
    pub priority: u32,
    /// The proxy and what it enforces.
    pub proxy: ProxyRules,
}
