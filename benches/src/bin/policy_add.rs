//! Adds a policy to a compiled document and prints one line of JSON: `policy_add FILE [RUNS]`.
//!
//! The policy is for the first endpoint: from a selector that no other policy has, of up to 50
//! scattered identities, to a range of 101 ports that none has; and to a prefix less a part of it.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use palisade_abi::Write;
use palisade_benches::{Scenario, measure, median};
use palisade_policy::Policy;
use serde_json::{Map, Value};

/// Runs if none are asked for.
const RUNS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("usage: policy_add FILE [RUNS]")?;
    let runs: usize = arguments.next().map_or(Ok(RUNS), |runs| runs.parse())?;
    let text = Scenario::text(&PathBuf::from(path))?;
    let (scenario, tables, _) = measure("bench", &text)?;
    drop(text);
    let policy = policy(&scenario)?;
    let (mut adds, mut writes) = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        let mut trial = tables.clone();
        let start = Instant::now();
        let added = trial.add_policy(&policy)?;
        adds.push(start.elapsed());
        writes.push(added.iter().filter(|write| write.is_map_write()).count());
        if env::var_os("PALISADE_BENCH_PARTS").is_some() {
            let ports = |write: &&Write| matches!(write, Write::PortClass(..));
            let ports = added.iter().filter(ports).count();
            let identities = |write: &&Write| matches!(write, Write::PeerClasses(..));
            let identities = added.iter().filter(identities).count();
            eprintln!(
                "{ports} ports, {identities} identities, {} writes",
                added.len()
            );
        }
    }
    writes.sort_unstable();
    let middle = writes.get(writes.len() / 2).copied().unwrap_or_default();
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut line = Map::new();
    line.insert("ns_add_median".to_owned(), ns(median(&mut adds)).into());
    line.insert("writes_per_add".to_owned(), middle.into());
    println!("{}", Value::Object(line));
    Ok(())
}

fn policy(scenario: &Scenario) -> Result<Arc<Policy>, Box<dyn Error>> {
    let endpoint = scenario.endpoints.first().ok_or("no endpoint")?;
    let subject = endpoint.labels.iter().find(|label| label.key() == "app");
    let subject = subject.or_else(|| endpoint.labels.iter().next());
    let subject = subject.ok_or("an endpoint without labels")?;
    let pods: Vec<_> = scenario
        .identities
        .values()
        .filter_map(|labels| labels.get("inst"))
        .collect();
    let step = (pods.len() / 50).max(1);
    let some: Vec<String> = pods
        .iter()
        .step_by(step)
        .take(50)
        .map(|label| format!("{:?}", label.value()))
        .collect();
    let selector = if some.is_empty() {
        "toCIDRSet: [{cidr: 10.64.0.0/12, except: [10.64.16.0/20]}]".to_owned()
    } else {
        format!(
            "toEndpoints: [{{matchExpressions: [{{key: inst, operator: In, values: [{}]}}]}}]",
            some.join(", ")
        )
    };
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
         metadata: {{name: added}}\nspec:\n  \
         endpointSelector: {{matchLabels: {{\"{}:{}\": \"{}\"}}}}\n  egress:\n  \
         - {selector}\n    \
         toPorts: [{{ports: [{{port: \"20000\", endPort: 20100, protocol: TCP}}]}}]\n",
        subject.source(),
        subject.key(),
        subject.value()
    );
    Ok(scenario.read_policy(&text)?)
}
