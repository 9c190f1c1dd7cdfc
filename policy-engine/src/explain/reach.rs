//! Who can reach whom, as the tables decide.

use palisade_abi::{Action, Direction, EndpointId, Identity, Protocol, Verdict};

use crate::compile::Origin;
use crate::rule::AuthMode;
use crate::tables::Tables;

/// What is decided for one of those that were asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Reach<T> {
    /// Whom it is about.
    pub of: T,
    /// What is done with their traffic.
    pub action: Action,
    /// What both sides must have proved.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serial::auth"))]
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub auth: Option<AuthMode>,
    /// The item that decides; `None` if it is no rule.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serial::origin"))]
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub origin: Option<Origin>,
}

impl Tables {
    /// What is decided between an endpoint of this node and every identity that is known: for
    /// ingress who can reach it, for egress whom it can reach. In the order of the identities.
    ///
    /// `port` is the destination port, for ICMP the type.
    pub fn who_can_reach(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        protocol: Protocol,
        port: u16,
    ) -> Vec<Reach<Identity>> {
        let identities = self.inputs().identities.keys();
        identities
            .map(|peer| {
                let verdict = self.verdict(endpoint, direction, *peer, protocol, port);
                self.reach(*peer, verdict)
            })
            .collect()
    }

    /// What is decided between an identity and every endpoint of this node: for ingress which of
    /// them it can reach, for egress which can reach it. In the order of the endpoints' numbers.
    ///
    /// `port` is the destination port, for ICMP the type.
    pub fn what_can_reach(
        &self,
        identity: Identity,
        direction: Direction,
        protocol: Protocol,
        port: u16,
    ) -> Vec<Reach<EndpointId>> {
        let endpoints = self.inputs().endpoints.iter();
        let mut endpoints: Vec<EndpointId> = endpoints.map(|local| local.id).collect();
        endpoints.sort_unstable();
        endpoints
            .into_iter()
            .map(|endpoint| {
                let verdict = self.verdict(endpoint, direction, identity, protocol, port);
                self.reach(endpoint, verdict)
            })
            .collect()
    }

    fn reach<T>(&self, of: T, verdict: Verdict) -> Reach<T> {
        Reach {
            of,
            action: verdict.action(),
            auth: auth_mode(verdict),
            origin: self.origin(verdict.cookie()),
        }
    }
}

/// What a verdict asks both sides to have proved.
pub(super) fn auth_mode(verdict: Verdict) -> Option<AuthMode> {
    let modes = [AuthMode::Required, AuthMode::AlwaysFail];
    modes
        .into_iter()
        .find(|mode| mode.number() == verdict.auth())
}
