//! What judges a scenario.

use palisade_abi::{Action, Direction, EndpointId, Protocol, ProxyPort, TableSizes};
use palisade_identity::Identity;
use palisade_policy::{Desired, LocalEndpoint, NamedPorts, Proxy, Tables};

use super::scenario::Scenario;

/// Something that gives verdicts on a scenario.
pub trait Engine: Sized {
    /// Takes the scenario in.
    ///
    /// # Errors
    /// What the engine cannot do with it, in words.
    fn new(scenario: &Scenario) -> Result<Self, String>;

    /// What is done with a packet of an endpoint; `port` is the destination port or ICMP type.
    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Action;
}

/// The decision tables that the kernel gets.
#[derive(Debug)]
pub struct CompiledTables(Tables);

impl Engine for CompiledTables {
    fn new(scenario: &Scenario) -> Result<Self, String> {
        let endpoints: Vec<LocalEndpoint> = scenario
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let labels = scenario.identities.get(&endpoint.identity)?.clone();
                Some(LocalEndpoint::new(endpoint.id, labels))
            })
            .collect();
        let mut tables = Tables::new(TableSizes::default());
        let desired = Desired {
            identities: &scenario.identities,
            endpoints: &endpoints,
            policies: &scenario.policies,
            options: &scenario.options,
            named_ports: NamedPorts::NONE,
            proxy_ports: &ProxyPort::new(DNS_PROXY)
                .map(|port| (Proxy::Dns, port))
                .into_iter()
                .collect(),
        };
        match tables.update(&desired) {
            Ok(_) => Ok(Self(tables)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn verdict(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        peer: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Action {
        let Self(tables) = self;
        tables
            .verdict(endpoint, direction, peer, protocol, port)
            .action()
    }
}

/// Where the vectors have the DNS proxy listen.
const DNS_PROXY: u16 = 10_003;
