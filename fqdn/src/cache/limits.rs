//! How much is kept, and for how long.

use std::time::Duration;

/// How much a [`Cache`](super::Cache) keeps, and for how long.
///
/// Everything that a pod can fill has a bound. What exceeds it is taken from what was used the
/// longest time ago, and from addresses that no connection leads to before others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Addresses of one name of one endpoint; at least 1.
    pub addresses_per_name: usize,
    /// Names of one endpoint; at least 1.
    pub names_per_endpoint: usize,
    /// What a shorter time to live counts as.
    pub min_ttl: Duration,
    /// What a longer time to live counts as.
    pub max_ttl: Duration,
    /// How much longer an address is kept than its time to live, for a client that connects a
    /// little after it has asked.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            addresses_per_name: 1000,
            names_per_endpoint: 10_000,
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
}
