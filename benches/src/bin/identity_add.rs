//! Adds identities to a compiled document and prints one line of JSON: `identity_add FILE [RUNS]`.
//!
//! `ns_add_median` and `ns_delete_median` are for an identity that looks like others,
//! `ns_add_new_class_median` for one that looks like none: a combination of labels that policies ask
//! for and that no identity has had, or, where there is none, the labels of a pod without some. Null
//! if the document has no pods: a prefix always looks like the next wider one that a policy names.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use palisade_abi::Write;
use palisade_benches::{Scenario, measure, median};
use palisade_identity::{Identity, Label, LabelSet};
use palisade_policy::Tables;
use serde_json::{Map, Value};

/// Runs if none are asked for.
const RUNS: usize = 1_000;
/// An identity that no document has.
const FIRST: u32 = 40_000;
/// Combinations tried for an identity that looks like none.
const TRIES: usize = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("usage: identity_add FILE [RUNS]")?;
    let runs: usize = arguments.next().map_or(Ok(RUNS), |runs| runs.parse())?;
    let text = Scenario::text(&PathBuf::from(path))?;
    let (scenario, mut tables, _) = measure("bench", &text)?;
    drop(text);
    let mut line = Map::new();
    let (add, delete, writes) = alike(&scenario, &mut tables, runs)?;
    line.insert("ns_add_median".to_owned(), add.into());
    line.insert("ns_delete_median".to_owned(), delete.into());
    line.insert("writes_per_add".to_owned(), writes.into());
    let (add, writes) = unlike(&scenario, &mut tables, runs)?;
    line.insert("ns_add_new_class_median".to_owned(), add);
    line.insert("writes_per_new_class".to_owned(), writes);
    println!("{}", Value::Object(line));
    Ok(())
}

/// Identities with the labels of others.
fn alike(
    scenario: &Scenario,
    tables: &mut Tables,
    runs: usize,
) -> Result<(u64, u64, u64), Box<dyn Error>> {
    let pods: Vec<LabelSet> = pods(scenario);
    let (mut adds, mut deletes, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    let new = Identity::new(FIRST);
    for labels in pods.iter().cycle().take(runs.max(1)) {
        let start = Instant::now();
        let added = tables.add_identity(new, labels)?;
        adds.push(start.elapsed());
        writes.push(map_writes(&added));
        let start = Instant::now();
        let _removed = tables.remove_identity(new);
        deletes.push(start.elapsed());
    }
    writes.sort_unstable();
    let middle = writes.get(writes.len() / 2).copied().unwrap_or_default();
    Ok((ns(&mut adds), ns(&mut deletes), middle))
}

/// Identities that look like none; one comes after the other, and all of them stay.
fn unlike(
    scenario: &Scenario,
    tables: &mut Tables,
    runs: usize,
) -> Result<(Value, Value), Box<dyn Error>> {
    let classes = |tables: &Tables| {
        let budget = tables.budget();
        budget.ingress_classes + budget.egress_classes
    };
    let mut before = classes(tables);
    let (mut adds, mut writes) = (Vec::new(), Vec::new());
    for (number, labels) in (FIRST..).zip(candidates(scenario).iter().take(TRIES)) {
        let new = Identity::new(number);
        let start = Instant::now();
        let added = tables.add_identity(new, labels)?;
        let took = start.elapsed();
        let after = classes(tables);
        if after > before {
            adds.push(took);
            writes.push(map_writes(&added));
        } else {
            tables.remove_identity(new);
        }
        before = after;
        if adds.len() >= runs.clamp(1, 100) {
            break;
        }
    }
    if adds.is_empty() {
        return Ok((Value::Null, Value::Null));
    }
    writes.sort_unstable();
    let middle = writes.get(writes.len() / 2).copied().unwrap_or_default();
    Ok((ns(&mut adds).into(), middle.into()))
}

fn pods(scenario: &Scenario) -> Vec<LabelSet> {
    let known = scenario.identities.iter();
    let pods = known.filter(|(identity, _)| !identity.is_reserved());
    pods.map(|(_, labels)| labels.clone()).collect()
}

/// The labels of pods, each with one label of another pod, and without one of its own.
fn candidates(scenario: &Scenario) -> Vec<LabelSet> {
    let pods = pods(scenario);
    // Far apart, and in step with no period that the document may have.
    let places = (0..40_usize).map(|one| one * 7_919 % pods.len().max(1));
    let some: Vec<&LabelSet> = places.filter_map(|place| pods.get(place)).collect();
    let labels: BTreeSet<&Label> = some.iter().flat_map(|pod| pod.iter()).collect();
    let mut made = Vec::new();
    for pod in &some {
        made.extend(labels.iter().map(|label| pod.with((*label).clone())));
        made.extend(pod.iter().map(|gone| pod.filtered(|label| label != gone)));
    }
    made
}

fn map_writes(writes: &[Write]) -> u64 {
    let count = writes.iter().filter(|write| write.is_map_write()).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn ns(times: &mut [Duration]) -> u64 {
    u64::try_from(median(times).as_nanos()).unwrap_or(u64::MAX)
}
