//! How much is kept, and for how long.

use std::time::Duration;

use crate::name::MAX_NAME;

/// How much a [`Cache`](super::Cache) keeps, and for how long.
///
/// Everything that a pod can fill has a bound, in entries and in bytes. What exceeds it is taken
/// from what was used the longest time ago, and from addresses that no connection leads to before
/// others. Where the node as a whole is over its bound, the endpoint that uses most gives up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Addresses of one name of one endpoint; at least 1.
    pub addresses_per_name: usize,
    /// Names of one endpoint; at least 1.
    pub names_per_endpoint: usize,
    /// Addresses of one endpoint, over its names; at least [`Limits::addresses_per_name`] count.
    pub addresses_per_endpoint: usize,
    /// Bytes of one endpoint, as [`Cache::usage_of`](super::Cache::usage_of) counts them; room
    /// for one full name counts at least.
    pub bytes_per_endpoint: usize,
    /// Addresses of all endpoints, over their names; at least one endpoint's worth counts.
    pub addresses: usize,
    /// Bytes of all endpoints; at least one endpoint's worth counts.
    pub bytes: usize,
    /// What a shorter time to live counts as.
    pub min_ttl: Duration,
    /// What a longer time to live counts as.
    pub max_ttl: Duration,
    /// How much longer an address is kept than its time to live, for a client that connects a
    /// little after it has asked.
    pub grace: Duration,
}

/// Which bound of [`Limits`] made something go.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Bound {
    /// [`Limits::addresses`].
    Addresses,
    /// [`Limits::addresses_per_endpoint`].
    AddressesPerEndpoint,
    /// [`Limits::addresses_per_name`].
    AddressesPerName,
    /// [`Limits::bytes`].
    Bytes,
    /// [`Limits::bytes_per_endpoint`].
    BytesPerEndpoint,
    /// [`Limits::names_per_endpoint`].
    NamesPerEndpoint,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            addresses_per_name: 1000,
            names_per_endpoint: 10_000,
            addresses_per_endpoint: 20_000,
            bytes_per_endpoint: 4 << 20,
            addresses: 500_000,
            bytes: 96 << 20,
            min_ttl: Duration::ZERO,
            // A week: what RFC 8767 advises resolvers to cap at.
            max_ttl: Duration::from_secs(7 * 24 * 60 * 60),
            grace: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// When an answer that came now is over.
    pub(super) fn expiry(&self, now: Duration, ttl: Duration) -> Duration {
        let ttl = ttl.max(self.min_ttl).min(self.max_ttl);
        now.saturating_add(ttl).saturating_add(self.grace)
    }

    /// The limits with each at least what the narrower ones need, so that an answer that was just
    /// learnt always fits once everything else is gone.
    pub(super) fn consistent(self) -> Self {
        let addresses_per_name = self.addresses_per_name.max(1);
        let addresses_per_endpoint = self.addresses_per_endpoint.max(addresses_per_name);
        let largest = name_bytes(MAX_NAME) + ADDRESS_BYTES * addresses_per_name;
        let bytes_per_endpoint = self.bytes_per_endpoint.max(largest);
        Self {
            addresses_per_name,
            names_per_endpoint: self.names_per_endpoint.max(1),
            addresses_per_endpoint,
            bytes_per_endpoint,
            addresses: self.addresses.max(addresses_per_endpoint),
            bytes: self.bytes.max(bytes_per_endpoint),
            ..self
        }
    }
}

/// What a name of this length takes without its addresses, allocator and tables included.
pub(super) const fn name_bytes(length: usize) -> usize {
    120 + length
}

/// What one address of a name takes.
pub(super) const ADDRESS_BYTES: usize = 80;
