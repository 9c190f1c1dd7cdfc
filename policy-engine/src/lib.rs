//! Network policies in, decision tables, verdicts and explanations out.
#![forbid(unsafe_code)]

mod compile;
pub mod ingest;
mod options;
mod rule;
mod span;
pub mod tables;
mod yaml;

pub use self::compile::{Desired, LocalEndpoint, Origin, ProxyPorts};
pub use self::options::{
    AllowLocalhost, DefaultDenyChoice, Enforcement, ExtendedProtocols, IpBlocks, L7Proxy, Level, NodeLabels,
    Options, Stack,
};
pub use self::rule::{
    DnsRule, Effect, Entity, Kind, Peer, PeerKind, Peers, Policy, PortRule, Ports, Redirect,
    ResourceName, Rule, Subject,
};
pub use self::span::{Location, Position};
pub use self::tables::{Image, LoadOrder, Tables};
