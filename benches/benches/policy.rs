//! Compiling policies and changing what is in force.
//!
//! Recorded for Cilium 1.20 on this kind of machine (`notes/policy.md` §12), same documents, without
//! parsing: `cluster-s` 1.8 ms, `cluster-m` 97 ms, `cluster-l` 1,700 ms, `cidr1000` 69 ms,
//! `cidrdeny1000` 294 ms, `l3ingress1000` 222 ms. One identity more: 0.44 ms and 38 map writes on
//! `cluster-m`, 134 ms and 27,500 writes on `fanout-500x110`.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use palisade_benches::{Scenario, cluster};
use palisade_identity::Identity;
use palisade_policy::Tables;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for scenario in scenarios()? {
        compile(&mut criterion, &scenario)?;
        identity(&mut criterion, &scenario)?;
        policy(&mut criterion, &scenario)?;
    }
    criterion.final_summary();
    Ok(())
}

/// The documents, else nodes that are made up.
fn scenarios() -> Result<Vec<Scenario>, Box<dyn Error>> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = env::var_os("PALISADE_BENCH_DATA")
        .map_or_else(|| here.join("../../shared/bench/policy"), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("{} is missing: nodes are made up", folder.display());
        return Ok(vec![cluster(50, 200, 20)?, cluster(2_000, 10_000, 100)?]);
    }
    let mut paths = Vec::new();
    for entry in folder.read_dir()? {
        paths.push(entry?.path());
    }
    paths.sort();
    let read = |path: &PathBuf| Scenario::read(path).map_err(Into::into);
    paths.iter().map(read).collect()
}

/// From nothing to tables that are in force.
fn compile(criterion: &mut Criterion, scenario: &Scenario) -> Result<(), Box<dyn Error>> {
    let mut tables = Tables::new(Scenario::sizes());
    tables.update(&scenario.desired())?;
    println!("{}: {}", scenario.name, tables.budget());
    println!("  {} entries in Cilium's layout", tables.flat_entries());
    criterion.bench_function(&format!("policy/{}/compile", scenario.name), |bench| {
        bench.iter_batched(
            || Tables::new(Scenario::sizes()),
            |mut tables| {
                black_box(
                    tables
                        .update(&scenario.desired())
                        .map(|writes| writes.len()),
                )
            },
            BatchSize::PerIteration,
        );
    });
    Ok(())
}

/// One more identity of a class that exists, and its removal.
fn identity(criterion: &mut Criterion, scenario: &Scenario) -> Result<(), Box<dyn Error>> {
    let mut tables = Tables::new(Scenario::sizes());
    tables.update(&scenario.desired())?;
    let new = Identity::new(60_000);
    let first = scenario.endpoints.first().ok_or("no endpoint")?;
    let writes = tables.add_identity(new, &first.labels)?.len();
    tables.remove_identity(new);
    println!("{}: {writes} writes for one more identity", scenario.name);
    criterion.bench_function(&format!("policy/{}/identity", scenario.name), |bench| {
        bench.iter(|| {
            let added = tables
                .add_identity(new, &first.labels)
                .map(|writes| writes.len());
            (black_box(added), tables.remove_identity(new).len())
        });
    });
    Ok(())
}

/// One policy less, and one more.
fn policy(criterion: &mut Criterion, scenario: &Scenario) -> Result<(), Box<dyn Error>> {
    let mut tables = Tables::new(Scenario::sizes());
    tables.update(&scenario.desired())?;
    let mut fewer = scenario.policies.clone();
    fewer.pop();
    let without = |policies: &[Arc<_>], tables: &mut Tables| {
        let mut desired = scenario.desired();
        desired.policies = policies;
        tables.update(&desired).map(|writes| writes.len())
    };
    let removed = without(&fewer, &mut tables)?;
    let added = without(&scenario.policies, &mut tables)?;
    println!(
        "{}: {removed} writes for one policy less, {added} for one more",
        scenario.name
    );
    criterion.bench_function(&format!("policy/{}/policy", scenario.name), |bench| {
        bench.iter(|| {
            let removed = without(&fewer, &mut tables).ok();
            (removed, without(&scenario.policies, &mut tables).ok())
        });
    });
    Ok(())
}
