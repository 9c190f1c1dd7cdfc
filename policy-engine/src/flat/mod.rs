//! The flat back-end: policies as entries of Cilium's policy maps.
//!
//! For embedders whose data path has that layout, and to compare with Cilium. It works from merged
//! filters ([`crate::filters`]), not from the decision tables; a property test holds the two to the
//! same verdicts.
//!
//! ```text
//! key   = prefix length | identity, 0 for any | direction | protocol | port        12 bytes
//! value = proxy port | deny, prefix length | authentication | precedence | cookie  12 bytes
//! ```
//! A packet is looked up twice, with its identity and with 0; the higher precedence decides, then
//! the longer prefix, then the entry of the identity ([`FlatSide::lookup`]).
//!
//! The priorities are those of Cilium 1.20 where [`Options::tier`](crate::Options::tier) is
//! [`Tier::Admin`](crate::Tier::Admin), which is what all documents have there; in another tier
//! they start at a higher number, which changes no decision.

mod build;
mod entry;
mod key;
mod pass;
mod prune;
mod redirects;
mod side;
mod world;

use std::sync::Arc;

use palisade_abi::{Direction, EndpointId};

pub use self::entry::{AuthRequirement, Entry, Precedence};
pub use self::key::{Key, PortPrefix};
pub use self::redirects::{ProxyId, SelectorRedirect};
pub use self::side::{Enforced, FlatSide};
use self::world::World;
use crate::compile::{Desired, LocalEndpoint};
use crate::filters::Conflict;

/// The policy of one endpoint as entries.
#[derive(Clone, Debug)]
pub struct FlatPolicy {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What it may receive. Endpoints with equal rules share it.
    pub ingress: Arc<FlatSide>,
    /// What it may send.
    pub egress: Arc<FlatSide>,
}

impl FlatPolicy {
    /// One of the directions.
    pub const fn side(&self, direction: Direction) -> &Arc<FlatSide> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The entries, ingress first, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (Key, Entry)> {
        self.ingress.entries().chain(self.egress.entries())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ingress.len() + self.egress.len()
    }

    /// Whether there are none, so that everything is dropped.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The redirects, each with the port that its proxy listens on.
    pub fn redirects(&self) -> impl Iterator<Item = (ProxyId, palisade_abi::ProxyPort)> {
        let sides = [&self.ingress, &self.egress].into_iter();
        sides.flat_map(|side| side.redirects_of(self.endpoint))
    }
}

/// The policy of one endpoint, of those in `desired` or another.
///
/// # Errors
/// [`Conflict`] if two rules of either direction cannot both be in force.
pub fn policy(desired: &Desired<'_>, endpoint: &LocalEndpoint) -> Result<FlatPolicy, Conflict> {
    let mut all = World::new(desired).policies([endpoint]);
    all.pop()
        .unwrap_or_else(|| Ok(FlatPolicy::closed(endpoint.id)))
}

/// The policies of all endpoints, in their order.
///
/// Each is a [`Conflict`] if two rules of either direction cannot both be in force. What selectors
/// match is found out once for all of them.
pub fn policies(desired: &Desired<'_>) -> Vec<Result<FlatPolicy, Conflict>> {
    World::new(desired).policies(desired.endpoints)
}

/// How many entries the policies of all endpoints have. Those whose rules contradict each other
/// have none.
///
/// It keeps few entries at a time, where [`policies`] has them all.
pub fn count(desired: &Desired<'_>) -> u64 {
    World::new(desired).count()
}
