//! What judges a scenario.

use std::collections::BTreeMap;

use palisade_abi::{Action, Direction, EndpointId, Protocol, ProxyPort, TableSizes};
use palisade_identity::Identity;
use palisade_policy::Tables;
use palisade_policy::flat::{self, FlatPolicy};

use super::scenario::Scenario;

/// What is done with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    /// Whether it goes on, and to whom.
    pub action: Action,
    /// The port of the proxy, 0 for none.
    pub proxy_port: u16,
    /// The authentication that is asked for, 0 for none.
    pub auth: u8,
}

/// Something that gives verdicts on a scenario.
pub trait Engine: Sized {
    /// Takes the scenario in.
    ///
    /// # Errors
    /// What the engine cannot do with it, in words.
    fn new(scenario: &Scenario) -> Result<Self, String>;

    /// Whether rules contradict each other such that the endpoint has no policy.
    fn is_void(&self, endpoint: EndpointId) -> bool;

    /// What is done with a packet of an endpoint; `port` is the destination port or ICMP type.
    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Found;
}

/// The decision tables that the kernel gets.
#[derive(Debug)]
pub struct CompiledTables(Tables);

impl Engine for CompiledTables {
    fn new(scenario: &Scenario) -> Result<Self, String> {
        let mut tables = Tables::new(TableSizes::default());
        match tables.update(&scenario.desired()) {
            Ok(_) => Ok(Self(tables)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn is_void(&self, endpoint: EndpointId) -> bool {
        let Self(tables) = self;
        tables.conflicts().contains_key(&endpoint)
    }

    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Found {
        let Self(tables) = self;
        let verdict = tables.verdict(endpoint, direction, peer, protocol, port);
        Found {
            action: verdict.action(),
            proxy_port: verdict.proxy_port,
            auth: verdict.auth(),
        }
    }
}

/// The entries of Cilium's policy maps.
#[derive(Debug)]
pub(super) struct FlatEntries(BTreeMap<EndpointId, FlatPolicy>);

impl Engine for FlatEntries {
    fn new(scenario: &Scenario) -> Result<Self, String> {
        let all = flat::policies(&scenario.desired());
        let policies = all.into_iter().flatten();
        Ok(Self(policies.map(|one| (one.endpoint, one)).collect()))
    }

    fn is_void(&self, endpoint: EndpointId) -> bool {
        let Self(policies) = self;
        !policies.contains_key(&endpoint)
    }

    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Found {
        let Self(policies) = self;
        let policy = policies.get(&endpoint);
        let entry = policy.and_then(|one| one.side(direction).lookup(peer, protocol, port));
        entry.map_or(
            Found {
                action: Action::Deny,
                proxy_port: 0,
                auth: 0,
            },
            |(_, entry)| Found {
                action: entry.action(),
                proxy_port: entry.proxy_port.map_or(0, ProxyPort::get),
                auth: entry.auth.kind(),
            },
        )
    }
}
