//! What a change costs on nodes that know more and more identities: `growth [IDENTITIES...]`, by
//! default 1 k, 10 k, 100 k and 1 M. Prints one line of JSON for each size.
//!
//! Times are medians in nanoseconds; `writes` are those that a program could see. The changes are of
//! the same size whatever the node: one identity of a class that exists; one of a class that does
//! not; a policy that names fifty identities and a range of ports that nobody named before. Only
//! `first_ask` grows: a selector that asks for values of a label key that no selector has asked for
//! has to look at every identity that has the key, once.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palisade_abi::Write;
use palisade_benches::{Scenario, cluster, median};
use palisade_identity::{Identity, LabelSet};
use palisade_policy::{Policy, Tables};
use serde_json::{Map, Value, json};

/// Policies of the node and its endpoints.
const POLICIES: u32 = 500;
const ENDPOINTS: u16 = 100;
/// How often each change is made.
const RUNS: u32 = 60;
/// Tiers that policies name and that no identity of the node is in.
const TIERS: u32 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let sizes: Result<Vec<u32>, _> = env::args().skip(1).map(|size| size.parse()).collect();
    let mut sizes = sizes?;
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000, 1_000_000];
    }
    for size in sizes {
        println!("{}", Value::Object(measure(size)?));
    }
    Ok(())
}

/// What one kind of change has taken.
#[derive(Default)]
struct Taken {
    times: Vec<Duration>,
    writes: Vec<usize>,
}

impl Taken {
    fn run(
        &mut self,
        tables: &mut Tables,
        change: impl FnOnce(&mut Tables) -> Result<Vec<Write>, palisade_policy::tables::Error>,
    ) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let writes = change(tables)?;
        self.times.push(start.elapsed());
        let writes = writes.iter().filter(|write| write.is_map_write());
        self.writes.push(writes.count());
        Ok(())
    }

    fn line(mut self) -> Value {
        self.writes.sort_unstable();
        let writes = self.writes.get(self.writes.len() / 2);
        json!({
            "ns": u64::try_from(median(&mut self.times).as_nanos()).unwrap_or(u64::MAX),
            "writes": writes,
        })
    }
}

fn measure(size: u32) -> Result<Map<String, Value>, Box<dyn Error>> {
    let mut scenario = cluster(POLICIES, size, ENDPOINTS)?;
    for tier in 0..TIERS {
        let peers = format!("[{{matchLabels: {{tier: tier{tier}}}}}]");
        scenario
            .policies
            .push(policy(&scenario, tier, &peers, 5_000)?);
    }
    let mut tables = Tables::new(Scenario::sizes());
    let start = Instant::now();
    tables.update(&scenario.desired())?;
    let compiled = start.elapsed();
    let first_ask = {
        let named = policy(&scenario, 100, &instances(0, size), 9_000)?;
        let mut taken = Taken::default();
        taken.run(&mut tables, |tables| tables.add_policy(&named))?;
        taken.line()
    };
    let mut line = Map::new();
    line.insert("identities".to_owned(), size.into());
    let compiled = u64::try_from(compiled.as_nanos()).unwrap_or(u64::MAX);
    line.insert("ns_compile".to_owned(), compiled.into());
    identities(&mut line, &mut tables, size)?;
    line.insert("first_ask".to_owned(), first_ask);
    policies(&mut line, &mut tables, &scenario, size)?;
    Ok(line)
}

/// Identities that come and go again.
fn identities(
    line: &mut Map<String, Value>,
    tables: &mut Tables,
    size: u32,
) -> Result<(), Box<dyn Error>> {
    let new = Identity::new(1_000 + size);
    let (mut add, mut remove) = (Taken::default(), Taken::default());
    let (mut add_unlike, mut remove_unlike) = (Taken::default(), Taken::default());
    for run in 0..RUNS {
        let labels = pod(run * 7, None)?;
        add.run(tables, |tables| tables.add_identity(new, &labels))?;
        remove.run(tables, |tables| Ok(tables.remove_identity(new)))?;
        let labels = pod(run * 7, Some(run % TIERS))?;
        add_unlike.run(tables, |tables| tables.add_identity(new, &labels))?;
        remove_unlike.run(tables, |tables| Ok(tables.remove_identity(new)))?;
    }
    line.insert("identity_add".to_owned(), add.line());
    line.insert("identity_remove".to_owned(), remove.line());
    line.insert("identity_add_new_class".to_owned(), add_unlike.line());
    line.insert("identity_remove_new_class".to_owned(), remove_unlike.line());
    Ok(())
}

/// Policies that come and go again.
fn policies(
    line: &mut Map<String, Value>,
    tables: &mut Tables,
    scenario: &Scenario,
    size: u32,
) -> Result<(), Box<dyn Error>> {
    let (mut add, mut remove) = (Taken::default(), Taken::default());
    for run in 0..RUNS {
        let ports = 20_000 + run * 101;
        let named = policy(scenario, 200 + run, &instances(run + 1, size), ports)?;
        add.run(tables, |tables| tables.add_policy(&named))?;
        remove.run(tables, |tables| tables.remove_policy(&named.resource))?;
    }
    line.insert("policy_add".to_owned(), add.line());
    line.insert("policy_remove".to_owned(), remove.line());
    Ok(())
}

/// The labels of one more pod, in a tier or in none.
fn pod(number: u32, tier: Option<u32>) -> Result<LabelSet, Box<dyn Error>> {
    let mut labels = vec![
        format!("k8s:app=app{}", number % 20),
        format!("k8s:io.kubernetes.pod.namespace=ns{}", number / 20 % 5),
        "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
    ];
    labels.extend(tier.map(|tier| format!("k8s:tier=tier{tier}")));
    Ok(LabelSet::parse(labels)?)
}

/// A selector of fifty identities, others each time.
fn instances(run: u32, size: u32) -> String {
    let step = size / 50;
    let values = (0..50).map(|one| format!("\"{}\"", (one * step + run) % size));
    let values: Vec<String> = values.collect();
    let values = values.join(", ");
    format!("[{{matchExpressions: [{{key: inst, operator: In, values: [{values}]}}]}}]")
}

/// A policy for one of the applications on the node, with 101 ports from one on.
fn policy(
    scenario: &Scenario,
    number: u32,
    peers: &str,
    port: u32,
) -> Result<Arc<Policy>, Box<dyn Error>> {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata: {{name: added{number}}}\nspec:\n  \
         endpointSelector: {{matchLabels: {{app: app{}}}}}\n  ingress:\n  \
         - fromEndpoints: {peers}\n    \
         toPorts: [{{ports: [{{port: \"{port}\", endPort: {}, protocol: TCP}}]}}]\n",
        number % 20,
        port + 100
    );
    Ok(scenario.read_policy(&text)?)
}
