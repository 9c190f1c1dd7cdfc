//! What judges a scenario.

use palisade_abi::{Action, Direction, EndpointId, Protocol};
use palisade_identity::Identity;

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
