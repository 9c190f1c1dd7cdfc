//! Network policies in, decision tables, verdicts and explanations out.
#![forbid(unsafe_code)]

pub mod ingest;
mod options;
mod rule;
mod span;
mod yaml;

pub use self::options::{
    AllowLocalhost, DefaultDenyChoice, Enforcement, ExtendedProtocols, L7Proxy, Level, NodeLabels,
    Options, Stack,
};
pub use self::rule::{
    DnsRule, Effect, Entity, Kind, Peer, PeerKind, Peers, Policy, PortRule, Ports, Redirect,
    ResourceName, Rule, Subject,
};
pub use self::span::{Location, Position};
