//! `cargo xtask bench dns`: the DNS proxy between dnsperf and a responder.
//!
//! ```text
//! dnsperf ──▶ responder              what the load reaches by itself
//! dnsperf ──▶ proxy ──▶ responder    the same line, in turn
//! ```

mod dnsperf;
mod figures;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use self::dnsperf::{Load, Run};
use self::figures::{median, percentile};
use self::programs::{Folder, Proxy, Responder};
use crate::cargo::{cargo, check, target};
use crate::failure::Failure;
use crate::setup;

/// Rules of the proxy and names that are asked for, half names and half patterns.
const RULES: usize = 2000;
const NAMES: usize = 1000;
/// Names of the short file, whose run is taken off the long one's.
const FEW: usize = 100;
/// How often both are measured in turn.
const ROUNDS: usize = 3;
/// More system calls than this for a query, one at a time, are a failure.
const MOST_CALLS: f64 = 4.0;

pub(crate) fn run() -> Result<(), Failure> {
    setup::run(setup::For::Dns)?;
    let build = "build --release -p palisade --no-default-features";
    check(&mut cargo(build.split(' ')))?;
    let build = "build --release -p palisade-benches --bin dns_responder";
    check(&mut cargo(build.split(' ')))?;
    let built = target()?.join("release");
    let folder = Folder::new("xtask-bench-dns")?;
    let files = Files::write(folder.path())?;
    let responder = Responder::start(&built.join("dns_responder"))?;
    let program = built.join("palisade");
    println!(
        "\nDNS proxy, {RULES} rules, {NAMES} names; {}\n",
        dnsperf::LINE
    );
    saturated(&program, &files, &responder)?;
    paced(&program, &files, &responder)?;
    calls(&program, &files, &responder)
}

/// What both reach at full load, and what a query costs then.
fn saturated(program: &Path, files: &Files, responder: &Responder) -> Result<(), Failure> {
    let proxy = Proxy::start(program, responder, &files.rules)?;
    let load = Load::saturated(&files.names);
    let mut direct = Vec::new();
    let mut through = Vec::new();
    let mut ratios = Vec::new();
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        let alone = load.run(responder.address)?;
        let before = proxy.cpu()?;
        let behind = load.run(proxy.address)?;
        let spent = proxy.cpu()?.saturating_sub(before);
        costs.push(spent.as_secs_f64() * 1e6 / behind.completed);
        ratios.push(behind.rate / alone.rate);
        direct.push(alone.rate);
        through.push(behind.rate);
    }
    let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    println!("  responder alone     {:>8.0} queries/s", median(&direct));
    println!("  through the proxy   {:>8.0} queries/s", median(&through));
    println!(
        "  ratio               {:>8.2} (median of {ROUNDS}, least {worst:.2}; to reach: 0.5)",
        median(&ratios)
    );
    println!(
        "  CPU of a query      {:>8.1} µs (to reach: 12)",
        median(&costs)
    );
    println!(
        "  memory              {:>8.1} MB at most",
        proxy.most_memory()? / 1e6
    );
    Ok(())
}

/// How long a query takes when there is time.
fn paced(program: &Path, files: &Files, responder: &Responder) -> Result<(), Failure> {
    let proxy = Proxy::start(program, responder, &files.rules)?;
    let load = Load::paced(&files.names);
    for (who, address, goal) in [
        ("responder", responder.address, ""),
        ("proxy", proxy.address, " (to reach: p99 2 ms)"),
    ] {
        let Run { latencies, .. } = load.run(address)?;
        println!(
            "  {:<18}  {:>8.3} ms p50, {:.3} ms p99 at {} queries/s{goal}",
            who,
            percentile(&latencies, 50) * 1e3,
            percentile(&latencies, 99) * 1e3,
            dnsperf::PACE,
        );
    }
    Ok(())
}

/// The system calls of a query that comes alone, which has nobody to share one with.
fn calls(program: &Path, files: &Files, responder: &Responder) -> Result<(), Failure> {
    let traced = |names: &Path| -> Result<(f64, f64), Failure> {
        let proxy = Proxy::start_traced(program, responder, &files.rules)?;
        let run = Load::one_by_one(names).run(proxy.address)?;
        Ok((run.completed, proxy.end_traced()?))
    };
    let (few, start) = traced(&files.few)?;
    let (many, all) = traced(&files.names)?;
    let each = (all - start) / (many - few);
    println!(
        "  system calls        {each:>8.2} a query that comes alone (fails over {MOST_CALLS})"
    );
    if each > MOST_CALLS {
        return Err(Failure::Finding(format!(
            "{each:.2} system calls for a query; {MOST_CALLS} are the limit"
        )));
    }
    Ok(())
}

/// What the programs read.
struct Files {
    rules: PathBuf,
    names: PathBuf,
    few: PathBuf,
}

impl Files {
    fn write(folder: &Path) -> Result<Self, Failure> {
        let rules = (0..RULES).map(|n| match n % 2 {
            0 => format!("host{n}.example.com\n"),
            _ => format!("*.sub{n}.example.com\n"),
        });
        // One name in twenty is a rule's own; the others fit a pattern.
        let name = |n: usize| match n % 20 {
            0 => format!("host{}.example.com A\n", n * 2 % RULES),
            _ => format!("w{n}.sub{}.example.com A\n", (n * 2 + 1) % RULES),
        };
        let write = |file: &str, text: String| {
            let path = folder.join(file);
            fs::write(&path, text).map_err(Failure::file(&path))?;
            Ok(path)
        };
        Ok(Self {
            rules: write("rules.txt", rules.collect())?,
            names: write("names.txt", (0..NAMES).map(name).collect())?,
            few: write("few.txt", (0..FEW).map(name).collect())?,
        })
    }
}
