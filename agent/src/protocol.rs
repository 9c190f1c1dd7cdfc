//! What the command line and the agent say to each other: one JSON value a line.
//!
//! The client sends one [`Request`]; the agent answers with [`Reply`] lines and closes.

use std::net::IpAddr;

use palisade_abi::Mode;
use serde::{Deserialize, Serialize};

/// A question to the agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "request", deny_unknown_fields)]
pub(crate) enum Request {
    /// The endpoints: [`EndpointRow`].
    Endpoints,
    /// What is remembered of names: [`NameRow`].
    FqdnCache,
    /// Forgets names: [`CleanReport`].
    FqdnClean {
        /// Those that this pattern selects; all of them without one.
        pattern: Option<String>,
    },
    /// Why a name or an address is reachable by name, or not: [`NameReport`].
    FqdnExplain {
        /// The name or address.
        subject: String,
    },
    /// The patterns that rules select addresses by: [`SelectorRow`].
    FqdnNames,
    /// The identities: [`IdentityRow`].
    Identities,
    /// Flows: [`FlowRow`] one by one.
    Observe {
        /// How many of the past ones.
        last: usize,
        /// Whether to go on with those to come.
        follow: bool,
    },
    /// The policies in force: [`PolicyReport`].
    Policies,
    /// How the agent is: [`Status`].
    Status,
}

/// A line of the answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// What was asked for; one of several for [`Request::Observe`].
    Value(serde_json::Value),
    /// Why there is no answer.
    Error(String),
}

/// How the agent is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) node: String,
    pub(crate) up_seconds: u64,
    pub(crate) mode: Mode,
    pub(crate) policy: PolicyStatus,
    pub(crate) endpoints: EndpointStatus,
    pub(crate) datapath: DatapathStatus,
    pub(crate) maps: Vec<MapStatus>,
    pub(crate) dns: DnsStatus,
    pub(crate) events: EventStatus,
    pub(crate) trouble: Vec<String>,
}

/// The policies, in short.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PolicyStatus {
    pub(crate) revision: u64,
    pub(crate) files: usize,
    pub(crate) rules: usize,
    pub(crate) last_change_writes: usize,
    pub(crate) last_change_microseconds: u64,
}

/// The endpoints, in short.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EndpointStatus {
    pub(crate) in_force: usize,
    pub(crate) configured: usize,
}

/// How the programs are attached.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct DatapathStatus {
    pub(crate) kernel: String,
    pub(crate) attached: String,
    pub(crate) pinned: String,
    pub(crate) found: String,
}

/// How full a map is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MapStatus {
    pub(crate) name: String,
    pub(crate) used: usize,
    pub(crate) size: usize,
}

/// The DNS proxy, in short.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct DnsStatus {
    pub(crate) port: Option<u16>,
    pub(crate) names: usize,
    pub(crate) addresses: usize,
    pub(crate) waiting: usize,
    /// Addresses that limits took from endpoints.
    pub(crate) evicted: usize,
    /// How long the last answer waited for its addresses to be enforced.
    pub(crate) last_held_microseconds: u64,
    /// The longest that one did.
    pub(crate) longest_held_microseconds: u64,
}

/// The event ring, in short.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EventStatus {
    pub(crate) seen: u64,
    pub(crate) lost: u64,
}

/// An endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EndpointRow {
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) identity: u32,
    pub(crate) labels: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) interface: String,
}

/// An identity.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct IdentityRow {
    pub(crate) identity: u32,
    pub(crate) labels: Vec<String>,
}

/// The policies in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PolicyReport {
    pub(crate) revision: u64,
    pub(crate) policies: Vec<PolicyRow>,
    pub(crate) refused: Vec<RefusedFile>,
}

/// A policy in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PolicyRow {
    pub(crate) resource: String,
    pub(crate) location: String,
    pub(crate) rules: usize,
}

/// A file whose present content is not in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RefusedFile {
    pub(crate) file: String,
    pub(crate) reasons: String,
}

/// An address of a name.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct NameRow {
    /// Who asked for it.
    pub(crate) endpoint: String,
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) identity: Option<u32>,
    /// Seconds until its time is over; 0 if only live connections keep it.
    pub(crate) remaining_seconds: u64,
}

/// What was forgotten.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CleanReport {
    /// How many addresses less are known, counted for each name of each endpoint.
    pub(crate) forgotten: usize,
}

/// A pattern that rules select addresses by.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SelectorRow {
    pub(crate) pattern: String,
    /// How many addresses are known for names that it selects.
    pub(crate) addresses: usize,
}

/// Why a name or an address is reachable by name, or not.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct NameReport {
    pub(crate) subject: String,
    /// The patterns of rules in force that select it.
    pub(crate) patterns: Vec<String>,
    /// Who may ask for it.
    pub(crate) queries: Vec<QueryRow>,
    /// What is known.
    pub(crate) known: Vec<NameRow>,
    /// What an address is judged as.
    pub(crate) identity: Option<u32>,
    pub(crate) labels: Vec<String>,
    /// Why not.
    pub(crate) notes: Vec<String>,
}

/// What becomes of an endpoint's queries for a name.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct QueryRow {
    pub(crate) endpoint: String,
    pub(crate) port: String,
    pub(crate) allowed: bool,
    /// The rule that allows it, or the first of those that do not.
    pub(crate) rule: Option<String>,
}

/// A flow, as people and as programs read it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FlowRow {
    pub(crate) text: String,
    pub(crate) flow: serde_json::Value,
}
