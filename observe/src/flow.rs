use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use palisade_abi::{
    Action, Address, Cookie, Direction, DropReason, EVENT_DROP, EVENT_FLAG_AUDITED,
    EVENT_FLAG_REPLY, EVENT_VERDICT, EndpointId, Identity, Protocol, RawEvent,
};
use palisade_identity::LabelSet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decode::DecodeError;
use crate::json;
use crate::query::DnsQuery;
use crate::resolve::{EndpointName, Origin, Resolver};
use crate::timestamp::Timestamp;
use crate::transport::{TcpFlags, Transport};

/// What happened to a packet, with names.
///
/// Serialises with the field names of Hubble's `Flow` where it has the fact.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "json::Flow", into = "json::Flow")]
pub struct Flow {
    /// When.
    pub time: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// The direction of the policy that decided, or of the program that dropped.
    pub direction: Direction,
    /// Whether the packet goes with its flow or against it.
    pub heading: Heading,
    /// The packet's sender.
    pub source: Peer,
    /// The packet's receiver.
    pub destination: Peer,
    /// What the packet says above IP.
    pub transport: Transport,
    /// Who decided; `None` where no rule was asked.
    pub decided_by: Option<Decider>,
    /// The endpoint of this node whose side decided, with its name if known.
    pub endpoint: Option<(EndpointId, Option<EndpointName>)>,
    /// The question, if the DNS proxy decided.
    pub dns: Option<DnsQuery>,
    /// The interface that the program runs on; 0 for the proxy.
    pub interface: u32,
    /// Bytes of the packet with its link header; 0 for the proxy.
    pub length: u32,
}

/// One end of a flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The address in the packet.
    pub address: IpAddr,
    /// The security identity that policy saw.
    pub identity: Identity,
    /// The labels of the identity; empty if they are not known any more.
    pub labels: LabelSet,
    /// The endpoint that has the address.
    pub endpoint: Option<EndpointName>,
    /// The DNS names that led to the address.
    pub dns_names: Vec<String>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// Policy denies it; audit mode let it pass.
    Audited,
    /// It was dropped.
    Dropped(DropReason),
    /// It passed.
    Forwarded,
    /// It was handed to a proxy.
    Redirected {
        /// The port that the proxy listens on.
        proxy_port: u16,
    },
}

/// The kind of an outcome, as filters name it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FlowVerdict {
    /// [`Outcome::Audited`].
    #[serde(rename = "AUDIT")]
    Audited,
    /// [`Outcome::Dropped`].
    Dropped,
    /// [`Outcome::Forwarded`].
    Forwarded,
    /// [`Outcome::Redirected`].
    Redirected,
}

/// A text that is no verdict.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is none of the verdicts FORWARDED, DROPPED, REDIRECTED, AUDIT")]
pub struct UnknownVerdict {
    /// The text that was given.
    pub text: String,
}

/// Whether a packet goes with its flow or against it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Heading {
    /// As the first packet of the flow.
    Original,
    /// Against it.
    Reply,
}

/// The rule that decided.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Decider {
    /// The number in the verdict.
    pub cookie: Cookie,
    /// The rule; `None` if it has gone since.
    pub origin: Option<Origin>,
}

impl Flow {
    /// The flow that an event reports, given the wall-clock time of the boot.
    ///
    /// # Errors
    /// [`DecodeError`] for a number that has no meaning here.
    pub fn from_event(
        event: &RawEvent,
        boot: Duration,
        resolver: &dyn Resolver,
    ) -> Result<Self, DecodeError> {
        let outcome = Outcome::of(event)?;
        let direction = Direction::BOTH
            .into_iter()
            .find(|direction| *direction as u8 == event.direction)
            .ok_or(DecodeError::UnknownDirection {
                direction: event.direction,
            })?;
        let peer = |address: Address, identity| {
            Peer::resolve(address.ip(), Identity::new(identity), resolver)
        };
        let heading = if event.flags & EVENT_FLAG_REPLY == 0 {
            Heading::Original
        } else {
            Heading::Reply
        };
        let id = EndpointId::new(event.endpoint);
        Ok(Self {
            time: Timestamp::from_boot(boot, Duration::from_nanos(event.time)),
            outcome,
            direction,
            heading,
            source: peer(event.source, event.source_identity),
            destination: peer(event.destination, event.destination_identity),
            transport: Transport::new(
                Protocol::new(event.protocol),
                event.source_port.get(),
                event.destination_port.get(),
                TcpFlags::new(event.tcp_flags),
            ),
            decided_by: Decider::of(event.verdict.cookie(), resolver),
            endpoint: (event.endpoint != 0).then(|| (id, resolver.endpoint_by_id(id))),
            dns: None,
            interface: event.ifindex,
            length: event.length,
        })
    }

    /// The kind of the outcome.
    pub const fn verdict(&self) -> FlowVerdict {
        match self.outcome {
            Outcome::Audited => FlowVerdict::Audited,
            Outcome::Dropped(_) => FlowVerdict::Dropped,
            Outcome::Forwarded => FlowVerdict::Forwarded,
            Outcome::Redirected { .. } => FlowVerdict::Redirected,
        }
    }

    /// Why the packet was dropped.
    pub const fn drop_reason(&self) -> Option<DropReason> {
        match self.outcome {
            Outcome::Dropped(reason) => Some(reason),
            Outcome::Audited | Outcome::Forwarded | Outcome::Redirected { .. } => None,
        }
    }

    /// Both ends.
    pub fn peers(&self) -> [&Peer; 2] {
        [&self.source, &self.destination]
    }
}

impl Peer {
    /// One end with the names that a resolver knows.
    pub(crate) fn resolve(address: IpAddr, identity: Identity, resolver: &dyn Resolver) -> Self {
        Self {
            address,
            identity,
            labels: resolver.labels(identity).unwrap_or_default(),
            endpoint: resolver.endpoint(address),
            dns_names: resolver.dns_names(address),
        }
    }
}

impl Outcome {
    fn of(event: &RawEvent) -> Result<Self, DecodeError> {
        if !matches!(event.kind, EVENT_DROP | EVENT_VERDICT) {
            return Err(DecodeError::UnknownKind { kind: event.kind });
        }
        if event.flags & EVENT_FLAG_AUDITED != 0 {
            return Ok(Self::Audited);
        }
        if event.kind == EVENT_DROP {
            let reason = event.reason;
            return DropReason::from_number(reason)
                .map(Self::Dropped)
                .ok_or(DecodeError::UnknownReason { reason });
        }
        Ok(match event.verdict.action() {
            Action::Allow => Self::Forwarded,
            Action::Redirect => Self::Redirected {
                proxy_port: event.verdict.proxy_port,
            },
            Action::Deny if event.verdict.is_default_deny() => Self::Dropped(DropReason::Policy),
            Action::Deny => Self::Dropped(DropReason::PolicyDeny),
        })
    }
}

impl Decider {
    pub(crate) fn of(cookie: Cookie, resolver: &dyn Resolver) -> Option<Self> {
        (cookie != Cookie::default()).then(|| Self {
            cookie,
            origin: resolver.origin(cookie),
        })
    }
}

impl FlowVerdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [
        Self::Audited,
        Self::Dropped,
        Self::Forwarded,
        Self::Redirected,
    ];
}

impl fmt::Display for FlowVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Audited => "AUDIT",
            Self::Dropped => "DROPPED",
            Self::Forwarded => "FORWARDED",
            Self::Redirected => "REDIRECTED",
        })
    }
}

impl FromStr for FlowVerdict {
    type Err = UnknownVerdict;

    /// Reads Hubble's names in either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownVerdict { text: text.into() })
    }
}
