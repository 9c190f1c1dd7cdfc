//! Reading a document with the time of each part.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palisade_abi::EndpointId;
use palisade_identity::{Identity, LabelPool, LabelSet, Prefix, reserved};
use palisade_policy::ingest::{Resource, Tree};
use palisade_policy::{AllowLocalhost, Level, LocalEndpoint, Options, Tables};
use serde_json::Value;

use crate::document::Fields;
use crate::scenario::Scenario;

/// Items taken apart before they are read: few, so that a text's trees never lie in memory at once.
const BATCH: usize = 64;

/// What a run took.
///
/// *Parse* takes texts apart: policies into trees whose nodes know where they stand, identities into
/// the texts of their labels. *Load* is everything from there to a node's inputs: policies from
/// trees (checked, with selectors and provenance), label sets from texts, and an identity for every
/// prefix that a policy names. *Compile* is everything from inputs to tables that are in force, from
/// empty tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Texts to trees.
    pub parse: Duration,
    /// Trees to inputs.
    pub load: Duration,
    /// Inputs to tables in force.
    pub compile: Duration,
}

/// Reads a document and compiles it, once.
///
/// # Errors
/// What is wrong with the document.
pub fn measure(name: &str, text: &str) -> Result<(Scenario, Tables, Times), String> {
    let mut times = Times::default();
    let scenario = load(name, text, &mut times)?;
    let start = Instant::now();
    let mut tables = Tables::new(Scenario::sizes());
    let writes = tables.update(&scenario.desired());
    writes.map_err(|error| error.to_string())?;
    times.compile = start.elapsed();
    Ok((scenario, tables, times))
}

/// Reads a document.
///
/// # Errors
/// What is wrong with the document.
pub fn load(name: &str, text: &str, times: &mut Times) -> Result<Scenario, String> {
    let options = Options {
        allow_localhost: AllowLocalhost::ByPolicy,
        policy_cluster: None,
        level: Level::Agent,
        ..Options::default()
    };
    let mut scenario = Scenario {
        name: name.to_owned(),
        identities: reserved::ALL
            .into_iter()
            .filter_map(|(identity, _)| Some((identity, reserved::labels(identity)?)))
            .collect(),
        endpoints: Vec::new(),
        policies: Vec::new(),
        options,
    };
    identities(text, &mut scenario, times)?;
    policies(name, text, &mut scenario, times)?;
    for endpoint in Fields::array(text, "endpoints") {
        let value = json(endpoint)?;
        let start = Instant::now();
        let id = number(&value, "id").and_then(|id| u16::try_from(id).ok());
        let labels = number(&value, "identity")
            .and_then(|identity| scenario.identities.get(&Identity::new(identity)));
        let (Some(id), Some(labels)) = (id, labels) else {
            return Err("an endpoint without an identity".to_owned());
        };
        let endpoint = LocalEndpoint::new(EndpointId::new(id), labels.clone());
        scenario.endpoints.push(endpoint);
        times.load += start.elapsed();
    }
    Ok(scenario)
}

/// The middle one of some times.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn identities(text: &str, scenario: &mut Scenario, times: &mut Times) -> Result<(), String> {
    let mut pool = LabelPool::default();
    for items in Fields::array(text, "identities").chunks(BATCH) {
        let start = Instant::now();
        let values: Result<Vec<Value>, String> = items.iter().map(|item| json(item)).collect();
        let values = values?;
        times.parse += start.elapsed();
        let start = Instant::now();
        for value in &values {
            let id = number(value, "id").ok_or("an identity without a number")?;
            let texts = value.get("labels").and_then(Value::as_array);
            let texts = texts.into_iter().flatten().filter_map(Value::as_str);
            let labels = pool.parse(texts).map_err(|error| error.to_string())?;
            scenario.identities.insert(Identity::new(id), labels);
        }
        times.load += start.elapsed();
    }
    let start = Instant::now();
    drop(pool);
    times.load += start.elapsed();
    Ok(())
}

fn policies(
    name: &str,
    text: &str,
    scenario: &mut Scenario,
    times: &mut Times,
) -> Result<(), String> {
    let file: Arc<str> = name.into();
    for items in Fields::array(text, "policies").chunks(BATCH) {
        let texts: Vec<String> = items.iter().map(|item| with_version(item)).collect();
        let start = Instant::now();
        let trees: Vec<Tree<'_>> = texts.iter().map(|text| Tree::parse(text)).collect();
        times.parse += start.elapsed();
        let start = Instant::now();
        for (tree, text) in trees.into_iter().zip(&texts) {
            for document in tree.read(Arc::clone(&file), &scenario.options) {
                match document.outcome {
                    Ok(Resource::Policy(policy)) => scenario.policies.push(Arc::new(policy)),
                    Ok(_) => {}
                    Err(errors) => {
                        return Err(errors.iter().map(|error| error.render(text)).collect());
                    }
                }
            }
        }
        times.load += start.elapsed();
    }
    let start = Instant::now();
    let prefixes = scenario.policies.iter().flat_map(|one| one.prefixes());
    let prefixes: BTreeSet<Prefix> = prefixes.collect();
    let local = (Identity::FIRST_LOCAL.get()..).map(Identity::new);
    let local = local.zip(prefixes.into_iter().map(LabelSet::of_prefix));
    scenario.identities.extend(local);
    times.load += start.elapsed();
    Ok(())
}

/// The policy with the `apiVersion` of its kind, which some documents leave out.
fn with_version(policy: &str) -> String {
    if Fields::of(policy).any(|(name, _)| name == "apiVersion") {
        return policy.to_owned();
    }
    let is_kubernetes = Fields::of(policy).any(|field| field == ("kind", "\"NetworkPolicy\""));
    let version = if is_kubernetes {
        "networking.k8s.io/v1"
    } else {
        "cilium.io/v2"
    };
    let rest = policy.trim_start().strip_prefix('{').unwrap_or_default();
    format!("{{\"apiVersion\": \"{version}\", {rest}")
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn number(value: &Value, key: &str) -> Option<u32> {
    u32::try_from(value.get(key)?.as_u64()?).ok()
}
