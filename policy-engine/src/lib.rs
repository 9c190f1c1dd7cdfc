//! Network policies in, decision tables, verdicts and explanations out.
#![forbid(unsafe_code)]

mod options;
mod rule;
mod span;

pub use self::options::{
    AllowLocalhost, DefaultDenyChoice, Enforcement, L7Proxy, Level, Options, Stack,
};
pub use self::rule::{
    DnsRule, Effect, Entity, Kind, Peer, PeerKind, Peers, Policy, PortRule, Ports, Redirect,
    ResourceName, Rule, Subject,
};
pub use self::span::{Location, Position};
