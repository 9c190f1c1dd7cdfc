//! Where the proxies of a node listen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use palisade_abi::{Direction, ProxyPort};

use crate::rule::{Parser, Redirect};

/// A proxy that verdicts redirect to. There is one of each on a node.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Proxy {
    /// The DNS proxy.
    Dns,
    /// The HTTP proxy of a direction.
    Http(Direction),
    /// The listener of this qualified name.
    Listener(Arc<str>),
    /// The proxy of a direction for Kafka, for TLS alone and for protocols of the user's own.
    Proxylib(Direction),
}

impl Proxy {
    /// The proxy that enforces a rule of this direction.
    pub fn of(direction: Direction, redirect: &Redirect) -> Self {
        match (redirect.parser(), &redirect.listener) {
            (_, Some(listener)) => Self::Listener(Arc::clone(&listener.name)),
            (Parser::Dns, None) => Self::Dns,
            (Parser::Http, None) => Self::Http(direction),
            (Parser::Kafka | Parser::Listener | Parser::Proxylib | Parser::Tls, None) => {
                Self::Proxylib(direction)
            }
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns => f.write_str("the DNS proxy"),
            Self::Http(direction) => write!(f, "the {direction} HTTP proxy"),
            Self::Listener(name) => write!(f, "listener {name}"),
            Self::Proxylib(direction) => write!(f, "the {direction} proxy for other protocols"),
        }
    }
}

/// Where the proxies listen. Traffic for a proxy that does not is dropped, never let past it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProxyPorts(BTreeMap<Proxy, ProxyPort>);

impl ProxyPorts {
    /// No proxy listens.
    pub const NONE: &'static Self = &Self::new();

    /// None listens yet.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Where a proxy listens; `None` while it does not.
    pub fn get(&self, proxy: &Proxy) -> Option<ProxyPort> {
        self.0.get(proxy).copied()
    }

    /// A proxy listens here from now on; `None` if no longer.
    pub fn set(&mut self, proxy: Proxy, port: Option<ProxyPort>) {
        match port {
            Some(port) => self.0.insert(proxy, port),
            None => self.0.remove(&proxy),
        };
    }

    /// The proxies that listen.
    pub fn iter(&self) -> impl Iterator<Item = (&Proxy, ProxyPort)> {
        self.0.iter().map(|(proxy, port)| (proxy, *port))
    }
}

impl FromIterator<(Proxy, ProxyPort)> for ProxyPorts {
    fn from_iter<I: IntoIterator<Item = (Proxy, ProxyPort)>>(ports: I) -> Self {
        Self(ports.into_iter().collect())
    }
}
