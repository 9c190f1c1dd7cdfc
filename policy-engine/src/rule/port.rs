//! The protocols and ports of a rule.

use std::ops::RangeInclusive;
use std::sync::Arc;

use palisade_abi::Protocol;

use super::l7::Redirect;
use crate::span::Location;

/// The protocols and ports of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ports {
    /// Every IP protocol, with or without ports.
    All,
    /// What one of the items matches; an empty list matches nothing.
    Some(Vec<PortRule>),
}

/// A protocol and a range of its ports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortRule {
    /// The protocol. `ANY` becomes one item each for TCP, UDP and SCTP.
    pub protocol: Protocol,
    /// The destination ports, or ICMP types.
    pub ports: PortMatch,
    /// The proxy that has the last word.
    pub redirect: Option<Arc<Redirect>>,
    /// Where the item stands.
    pub location: Location,
}

impl PortRule {
    /// Every port of a protocol.
    pub const EVERY_PORT: RangeInclusive<u16> = 0..=u16::MAX;

    /// The ports by number; `None` if the rule says them by name.
    pub fn numbers(&self) -> Option<RangeInclusive<u16>> {
        match &self.ports {
            PortMatch::Named(_) => None,
            PortMatch::Numbers(range) => Some(range.clone()),
        }
    }
}

/// How a rule says its ports.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PortMatch {
    /// The port of this name and the rule's protocol: for ingress that of the endpoint itself, for
    /// egress what pods of the cluster agree on. Lower case.
    Named(Arc<str>),
    /// A range. `0..=65535` is every packet of the protocol.
    Numbers(RangeInclusive<u16>),
}
