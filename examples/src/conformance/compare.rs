//! Expected and found.

use std::collections::BTreeSet;

use palisade_abi::{Action, Direction, EndpointId, Protocol};
use palisade_identity::{Identity, Prefix};

use super::engine::{Engine, FlatEntries};
use super::flat;
use super::scenario::{Scenario, Unbuilt};
use super::vector::{Allocated, Query, Vector, Verdict};

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
    compare_allocated(scenario, &expected.allocated)?;
    judge::<E>(vector, scenario)?;
    judge::<FlatEntries>(vector, scenario).map_err(|what| format!("entries: {what}"))?;
    flat::compare(vector, scenario)
}

/// Compares the verdicts on all queries.
fn judge<E: Engine>(vector: &Vector, scenario: &Scenario) -> Result<(), String> {
    let expected = &vector.expected;
    let engine = E::new(scenario)?;
    compare_void(&engine, vector)?;
    if vector.queries.len() != expected.verdicts.len() {
        return Err("queries and verdicts differ in number".to_owned());
    }
    for (query, verdict) in vector.queries.iter().zip(&expected.verdicts) {
        let endpoint = expected
            .endpoints
            .iter()
            .find(|one| one.ep == query.endpoint);
        let proxy = if endpoint.is_some_and(|one| !one.redirect_conflicts.is_empty()) {
            Compared::No
        } else {
            Compared::Yes
        };
        query_one(&engine, scenario, query, verdict, proxy)?;
    }
    Ok(())
}

/// The identities of prefixes, by number and labels.
fn compare_allocated(scenario: &Scenario, expected: &[Allocated]) -> Result<(), String> {
    for one in expected {
        let prefix: Prefix = one.prefix.parse().map_err(|_| one.prefix.clone())?;
        let found = scenario.prefixes.iter().find(|(found, _)| *found == prefix);
        let identity = found.map(|(_, identity)| *identity);
        let labels = identity.and_then(|identity| scenario.identities.get(&identity));
        let labels: Option<Vec<String>> =
            labels.map(|labels| labels.iter().map(ToString::to_string).collect());
        let mut wanted = one.labels.clone();
        wanted.sort();
        let sorted = labels.map(|mut labels| {
            labels.sort();
            labels
        });
        // What falls to a reserved identity has its labels.
        if identity == Some(Identity::new(one.id)) && one.id < FIRST_FREE {
            continue;
        }
        if (identity, sorted.as_ref()) != (Some(Identity::new(one.id)), Some(&wanted)) {
            let id = one.id;
            return Err(format!(
                "{prefix}: identity {identity:?} {sorted:?}, expected {id} {wanted:?}"
            ));
        }
    }
    Ok(())
}

/// The endpoints without a policy because rules contradict each other.
fn compare_void<E: Engine>(engine: &E, vector: &Vector) -> Result<(), String> {
    for endpoint in &vector.expected.endpoints {
        let found = engine.is_void(EndpointId::new(endpoint.ep));
        if found != endpoint.error.is_some() {
            return Err(format!(
                "endpoint {}: contradiction found: {found}, expected: {:?}",
                endpoint.ep, endpoint.error
            ));
        }
    }
    Ok(())
}

/// Whether something is part of the comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Compared {
    No,
    Yes,
}

fn query_one<E: Engine>(
    engine: &E,
    scenario: &Scenario,
    query: &Query,
    expected: &Verdict,
    proxy: Compared,
) -> Result<(), String> {
    let not_understood = || format!("query not understood: {query:?}");
    let direction: Direction = query.direction.parse().map_err(|_| not_understood())?;
    let protocol: Protocol = query.proto.parse().map_err(|_| not_understood())?;
    let peer = match (query.peer, &query.peer_ip) {
        (Some(peer), _) => Identity::new(peer),
        (None, Some(text)) => scenario.identity_of(text.parse().map_err(|_| not_understood())?),
        (None, None) => return Err(not_understood()),
    };
    let endpoint = EndpointId::new(query.endpoint);
    let found = engine.verdict(endpoint, direction, peer, protocol, query.port);
    // Where the other engine contradicts its own rules, a plain walk over them is the truth.
    let truth = match (&expected.ref_differs, expected.action.as_str()) {
        (Some(walk), _) => walk.as_str(),
        (None, "panic") => return Ok(()),
        // An endpoint without a policy denies everything.
        (None, "error") => "deny",
        (None, verdict) => verdict,
    };
    let action = match found.action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Redirect => "redirect",
    };
    let same_proxy = proxy == Compared::No || found.proxy_port == expected.proxy_port;
    let same_auth = found.auth == expected.auth & !EXPLICIT;
    // A walk that differs says neither.
    let same_rest = expected.ref_differs.is_some() || same_proxy && same_auth;
    if action == truth && same_rest {
        return Ok(());
    }
    Err(format!(
        "{direction} of {endpoint}, peer {peer} (expected {}), {}/{protocol}: {action} to {} with \
         auth {}, expected {truth} to {} with auth {}",
        expected.peer,
        query.port,
        found.proxy_port,
        found.auth,
        expected.proxy_port,
        expected.auth & !EXPLICIT
    ))
}

/// Lower numbers are given for good.
const FIRST_FREE: u32 = 256;

/// Says that a rule of this very key asks for the authentication; the type is in the other bits.
const EXPLICIT: u8 = 1 << 7;
