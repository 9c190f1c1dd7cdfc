//! What the threads of a proxy share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use palisade_abi::{Identity, Mark, MarkKind, Protocol};
use palisade_fqdn::DnsName;
use palisade_fqdn::wire::RecordType;

use crate::config::{Config, Mode};
use crate::entropy::Entropy;
use crate::policy::{Event, Policy, Query, Reject};
use crate::share::Shares;
use crate::stats::{Counters, Stats};
use crate::stop::Stop;

pub(crate) struct Shared {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) config: Config,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) counters: Counters,
    pub(crate) queries: Arc<Shares>,
    pub(crate) connections: Arc<Shares>,
    pub(crate) entropy: Mutex<Entropy>,
    pub(crate) stop: Stop,
}

impl Shared {
    /// The server that a client's message is for, or `None` if that is the proxy itself, whose
    /// answer would be another query to itself.
    pub(crate) fn server(&self, destination: SocketAddr) -> Option<SocketAddr> {
        match self.config.mode {
            Mode::Forward { upstream } => Some(upstream),
            Mode::Transparent if self.listeners.contains(&destination) => None,
            Mode::Transparent => Some(destination),
        }
    }

    /// The mark under which a server is asked in a client's name.
    pub(crate) fn upstream_mark(&self, identity: Identity) -> Option<Mark> {
        match self.config.mode {
            Mode::Forward { .. } => None,
            Mode::Transparent => Some(Mark::with_identity(MarkKind::ProxyForward, identity)),
        }
    }

    /// An id that nobody can guess, or `None` if the kernel gives none.
    pub(crate) fn random_id(&self) -> Option<u16> {
        self.entropy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
            .ok()
    }

    pub(crate) fn reject(&self, origin: Origin, reason: Reject) {
        self.counters.rejected.add();
        let Origin {
            client,
            server,
            protocol,
        } = origin;
        self.policy.observe(&Event::Rejected {
            client,
            server,
            protocol,
            reason,
        });
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters
            .read(self.queries.in_use(), self.connections.in_use())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// Between whom a message travels, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) protocol: Protocol,
}

impl Origin {
    pub(crate) fn query<'a>(&self, name: &'a DnsName, qtype: RecordType) -> Query<'a> {
        let Self {
            client,
            server,
            protocol,
        } = *self;
        Query {
            client,
            server,
            protocol,
            name,
            qtype,
        }
    }
}
