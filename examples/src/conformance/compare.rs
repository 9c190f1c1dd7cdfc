//! Expected and found.

use std::collections::BTreeSet;

use palisade_abi::{Action, Direction, EndpointId, Protocol};
use palisade_identity::Identity;

use super::engine::Engine;
use super::scenario::{Scenario, Unbuilt};
use super::vector::{Query, Vector, Verdict};

/// What became of a scenario.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Everything came out as expected.
    Passed,
    /// The first thing that did not.
    Failed(String),
    /// A document says what is not modelled yet.
    Unmodelled(String),
}

/// Builds and judges a scenario and compares refusals and verdicts.
pub fn run_one<E: Engine>(vector: &Vector) -> Outcome {
    let scenario = match Scenario::build(vector) {
        Ok(scenario) => scenario,
        Err(Unbuilt::Unmodelled(what)) => return Outcome::Unmodelled(what),
        Err(Unbuilt::Unreadable(what)) => return Outcome::Failed(what),
    };
    match compare::<E>(vector, &scenario) {
        Ok(()) => Outcome::Passed,
        Err(what) => Outcome::Failed(what),
    }
}

fn compare<E: Engine>(vector: &Vector, scenario: &Scenario) -> Result<(), String> {
    let expected = &vector.expected;
    let refused: BTreeSet<usize> = expected
        .policy_errors
        .iter()
        .map(|error| error.index)
        .collect();
    if refused != scenario.refused {
        let found = &scenario.refused;
        return Err(format!("refused documents {found:?}, expected {refused:?}"));
    }
    let engine = E::new(scenario)?;
    if vector.queries.len() != expected.verdicts.len() {
        return Err("queries and verdicts differ in number".to_owned());
    }
    for (query, expected) in vector.queries.iter().zip(&expected.verdicts) {
        query_one(&engine, scenario, query, expected)?;
    }
    Ok(())
}

fn query_one<E: Engine>(
    engine: &E,
    scenario: &Scenario,
    query: &Query,
    expected: &Verdict,
) -> Result<(), String> {
    let not_understood = || format!("query not understood: {query:?}");
    let direction: Direction = query.direction.parse().map_err(|_| not_understood())?;
    let protocol: Protocol = query.proto.parse().map_err(|_| not_understood())?;
    let peer = match (query.peer, &query.peer_ip) {
        (Some(peer), _) => Identity::new(peer),
        (None, Some(text)) => scenario.identity_of(text.parse().map_err(|_| not_understood())?),
        (None, None) => return Err(not_understood()),
    };
    // Where the other engine contradicts its own rules, a plain walk over them is the truth.
    let truth = match (&expected.ref_differs, expected.action.as_str()) {
        (Some(walk), _) => walk.as_str(),
        (None, "panic") => return Ok(()),
        (None, verdict) => verdict,
    };
    let endpoint = EndpointId::new(query.endpoint);
    let found = match engine.verdict(endpoint, direction, peer, protocol, query.port) {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Redirect => "redirect",
    };
    if found == truth {
        return Ok(());
    }
    Err(format!(
        "{direction} of {endpoint}, peer {peer} (expected {}), {}/{protocol}: {found}, \
         expected {truth}",
        expected.peer, query.port
    ))
}
