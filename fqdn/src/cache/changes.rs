//! What goes into a cache and what comes out of it.

use std::net::IpAddr;
use std::time::Duration;

use palisade_abi::EndpointId;

use super::limits::{ADDRESS_BYTES, Bound, name_bytes};
use crate::name::DnsName;

/// What an endpoint was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Who asked.
    pub endpoint: EndpointId,
    /// The name that was asked for.
    pub name: &'a DnsName,
    /// The addresses; of more than the limit only the first count.
    pub addresses: &'a [IpAddr],
    /// How long they hold.
    pub ttl: Duration,
}

/// Pairs of address and name that the node knows from now on, or no longer, and why.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Changes {
    /// Pairs that no endpoint held before.
    pub added: Vec<(IpAddr, DnsName)>,
    /// Pairs that no endpoint holds any more.
    pub removed: Vec<(IpAddr, DnsName)>,
    /// What had to go although its time was not over; its pairs are among the removed ones unless
    /// another endpoint holds them.
    pub evicted: Vec<Eviction>,
}

/// Something that a limit made an endpoint give up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Eviction {
    /// Who had learnt it.
    pub endpoint: EndpointId,
    /// The name.
    pub name: DnsName,
    /// The addresses that the endpoint held under the name and does no longer.
    pub addresses: Vec<IpAddr>,
    /// The limit.
    pub bound: Bound,
    /// Whether a connection led to one of the addresses: too many had one.
    pub live: bool,
}

impl Changes {
    /// Whether nothing changed.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.evicted.is_empty()
    }
}

/// An address that an endpoint holds under a name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Lookup<'a> {
    /// Who asked.
    pub endpoint: EndpointId,
    /// The name that was asked for.
    pub name: &'a DnsName,
    /// The address.
    pub address: IpAddr,
    /// When its time is over, or was: then only a connection keeps it.
    pub expires: Duration,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Usage {
    /// Names, counted for each endpoint.
    pub names: usize,
    /// Addresses, counted for each name of each endpoint.
    pub addresses: usize,
    /// The memory that these take, allocator and tables included; what endpoints share is counted
    /// for each.
    pub bytes: usize,
}

impl Usage {
    pub(super) const fn add_name(&mut self, length: usize) {
        self.names += 1;
        self.bytes += name_bytes(length);
    }

    pub(super) const fn remove_name(&mut self, length: usize) {
        self.names -= 1;
        self.bytes -= name_bytes(length);
    }

    pub(super) const fn add_address(&mut self) {
        self.addresses += 1;
        self.bytes += ADDRESS_BYTES;
    }

    pub(super) const fn remove_address(&mut self) {
        self.addresses -= 1;
        self.bytes -= ADDRESS_BYTES;
    }
}

/// Tells whether a connection of an endpoint to an address lives.
pub type Live<'a> = &'a dyn Fn(EndpointId, IpAddr) -> bool;
