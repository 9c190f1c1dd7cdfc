//! How names are resolved and remembered.

use std::time::Duration;

use palisade_fqdn::{Binding, DnsName, Level, Limits, MatchPattern};
use serde::Deserialize;
use thiserror::Error;

/// What becomes of an answer whose addresses are not enforced in time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnLate {
    /// The client gets it and may meet drops.
    Release,
    /// The client is told SERVFAIL and asks again.
    #[default]
    Servfail,
}

/// What is told whose name no rule allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rejection {
    /// There is no such name.
    Nxdomain,
    /// The server will not say.
    #[default]
    Refused,
}

/// How names are resolved and remembered.
#[cfg_attr(
    not(feature = "kernel"),
    expect(dead_code, reason = "offline commands resolve no names")
)]
#[derive(Clone, Debug)]
pub(crate) struct Dns {
    /// How much is remembered.
    pub(crate) limits: Limits,
    /// Under which names.
    pub(crate) binding: Binding,
    /// Queries of one endpoint that may be under way.
    pub(crate) queries: usize,
    /// How long an answer waits for its addresses to be enforced.
    pub(crate) hold: Duration,
    pub(crate) on_late: OnLate,
    reject: Rejection,
    nxdomain: Vec<MatchPattern>,
}

impl Dns {
    /// What is told whose query for this name no rule allows.
    #[cfg(feature = "kernel")]
    pub(crate) fn rejection(&self, name: &DnsName) -> Rejection {
        if self.nxdomain.iter().any(|pattern| pattern.matches(name)) {
            return Rejection::Nxdomain;
        }
        self.reject
    }
}

/// What is wrong with the section.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DnsError {
    /// A domain that is none.
    #[error("search domain `{text}`: {source}")]
    Domain {
        /// The domain.
        text: String,
        /// What is wrong with it.
        source: palisade_fqdn::NameError,
    },
    /// A pattern that is none.
    #[error("pattern `{text}`: {source}")]
    Pattern {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        source: palisade_fqdn::PatternError,
    },
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Wire {
    min_ttl_seconds: u64,
    grace_seconds: u64,
    addresses_per_name: usize,
    names_per_endpoint: usize,
    addresses_per_endpoint: usize,
    bytes_per_endpoint: usize,
    addresses: usize,
    bytes: usize,
    queries_per_endpoint: usize,
    hold_milliseconds: u64,
    on_late: OnLate,
    reject: Rejection,
    nxdomain: Vec<String>,
    aliases: bool,
    search: Vec<String>,
}

impl Default for Wire {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            min_ttl_seconds: limits.min_ttl.as_secs(),
            grace_seconds: limits.grace.as_secs(),
            addresses_per_name: limits.addresses_per_name,
            names_per_endpoint: limits.names_per_endpoint,
            addresses_per_endpoint: limits.addresses_per_endpoint,
            bytes_per_endpoint: limits.bytes_per_endpoint,
            addresses: limits.addresses,
            bytes: limits.bytes,
            queries_per_endpoint: 256,
            hold_milliseconds: 1000,
            on_late: OnLate::default(),
            reject: Rejection::default(),
            nxdomain: Vec::new(),
            aliases: false,
            search: Vec::new(),
        }
    }
}

impl TryFrom<Wire> for Dns {
    type Error = DnsError;

    fn try_from(wire: Wire) -> Result<Self, DnsError> {
        let pattern = |text: String| {
            MatchPattern::parse(&text, Level::Cluster)
                .map_err(|source| DnsError::Pattern { text, source })
        };
        let domain = |text: String| {
            DnsName::parse(&text).map_err(|source| DnsError::Domain { text, source })
        };
        Ok(Self {
            limits: Limits {
                addresses_per_name: wire.addresses_per_name,
                names_per_endpoint: wire.names_per_endpoint,
                addresses_per_endpoint: wire.addresses_per_endpoint,
                bytes_per_endpoint: wire.bytes_per_endpoint,
                addresses: wire.addresses,
                bytes: wire.bytes,
                min_ttl: Duration::from_secs(wire.min_ttl_seconds),
                grace: Duration::from_secs(wire.grace_seconds),
                ..Limits::default()
            },
            binding: Binding {
                chain: wire.aliases,
                search: wire
                    .search
                    .into_iter()
                    .map(domain)
                    .collect::<Result<_, _>>()?,
            },
            queries: wire.queries_per_endpoint,
            hold: Duration::from_millis(wire.hold_milliseconds),
            on_late: wire.on_late,
            reject: wire.reject,
            nxdomain: wire
                .nxdomain
                .into_iter()
                .map(pattern)
                .collect::<Result<_, _>>()?,
        })
    }
}
