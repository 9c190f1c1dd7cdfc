//! Why a flow is allowed or denied.

mod print;
mod reach;
#[cfg(feature = "serde")]
mod serial;
mod steps;
mod walk;

use std::sync::Arc;

use palisade_abi::{Action, Direction, EndpointId, Identity, Protocol};

pub use self::reach::Reach;
pub use self::steps::{Fate, Matched, Step};
use crate::compile::Origin;
use crate::filters::Conflict;
use crate::rule::AuthMode;
use crate::span::Location;
use crate::tables::Tables;

/// One end of a flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Party {
    /// What people call it: `shop/cart`, `10.0.3.7`.
    pub name: Arc<str>,
    /// Its security identity.
    pub identity: Identity,
    /// Its number, if it is an endpoint of this node.
    pub endpoint: Option<EndpointId>,
}

/// A flow to be explained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flow {
    /// Who opens it.
    pub source: Party,
    /// To whom.
    pub destination: Party,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port; for ICMP the type.
    pub port: u16,
}

/// Why a flow is allowed or denied: what each side decides, and by which line.
///
/// Its text is an answer for people; feature `serde` has the same facts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// The flow.
    pub flow: Flow,
    /// What happens to it: what the stricter of both sides decides.
    pub action: Action,
    /// What policy decides, egress of the source first; an end elsewhere has no half here.
    pub halves: Vec<Half>,
}

/// What one side of a flow decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Half {
    /// The direction of traffic as this side sees it.
    pub direction: Direction,
    /// The name of the side.
    pub name: Arc<str>,
    /// What it decides.
    pub action: Action,
    /// What both sides must have proved before it lets anything through.
    pub auth: Option<AuthMode>,
    /// Why.
    pub reason: Reason,
    /// The walk: every level at which a rule matches, in the order that they decide in.
    pub steps: Vec<Step>,
    /// The rule that came nearest to allowing what default deny denied.
    pub nearest: Option<Nearest>,
}

/// Why one side decides as it does.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The node itself always reaches its endpoints.
    AllowLocalhost,
    /// Rules contradict each other, so that none of what is desired is in force.
    Conflict(Arc<Conflict>),
    /// No rule allows it. The list that switched default deny on, if it was a list.
    DefaultDeny(Option<Origin>),
    /// No rule selects the endpoint for this direction.
    NotEnforced,
    /// Rules select the endpoint, but none of them switches default deny on.
    NoDefaultDeny,
    /// The rule hands traffic to a proxy that does not listen.
    NoProxy(Origin),
    /// A rule decided.
    Rule(Origin),
    /// Nobody knows the peer's labels, so this rule might deny it.
    UnknownPeer(Origin),
}

/// A rule that would have allowed a flow, had something been otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nearest {
    /// The item that missed.
    pub origin: Origin,
    /// What it missed: `label app is "cart", not "web"`.
    pub missed: Vec<String>,
    /// What would allow the flow, and under or beside which line.
    pub remedy: Option<Remedy>,
}

/// A change that would allow a flow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remedy {
    /// The item to add: `- matchLabels: {app: cart}`.
    pub add: String,
    /// The list that it belongs to, or an item beside it.
    pub at: Location,
}

impl Tables {
    /// Explains what the tables decide for a flow, by the policies of the last update.
    pub fn explain(&self, flow: &Flow) -> Explanation {
        let (source, destination) = (&flow.source, &flow.destination);
        let halves: Vec<Half> = [
            (Direction::Egress, source, destination),
            (Direction::Ingress, destination, source),
        ]
        .into_iter()
        .filter_map(|(direction, own, peer)| {
            let endpoint = own.endpoint?;
            let verdict =
                self.verdict(endpoint, direction, peer.identity, flow.protocol, flow.port);
            Some(walk::half(self, flow, direction, own, peer, verdict))
        })
        .collect();
        let strictest = [Action::Deny, Action::Redirect]
            .into_iter()
            .find(|action| halves.iter().any(|half| half.action == *action));
        Explanation {
            flow: flow.clone(),
            action: strictest.unwrap_or(Action::Allow),
            halves,
        }
    }
}
