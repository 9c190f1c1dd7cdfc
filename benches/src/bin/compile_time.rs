//! Compiles a bench document and prints one line of JSON: `compile_time FILE [RUNS]`.
//!
//! `ns_parse` is the least time to take the texts apart, `ns_load_compile_*` the time from there to
//! tables in force; `palisade_benches::Times` says what is counted where. With
//! `PALISADE_BENCH_PARTS` set the parts of every run go to standard error, and how often the time of
//! plain `serde_json` goes into load and compile: a figure that machines agree on far more than on
//! milliseconds. One thread; the peak of memory is that of the whole process, document, all runs and
//! these values included.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs};

use palisade_benches::{Scenario, measure, median};
use serde_json::{Map, Value};

/// Runs if none are asked for.
const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("usage: compile_time FILE [RUNS]")?;
    let runs = arguments.next().map_or(Ok(RUNS), |runs| runs.parse())?;
    let text = Scenario::text(&PathBuf::from(&path))?;
    let mut parse = Vec::new();
    let mut compile = Vec::new();
    let has_parts = env::var_os("PALISADE_BENCH_PARTS").is_some();
    let mut plain = Vec::new();
    if has_parts {
        for _ in 0..runs.max(1) {
            plain.push(plain_parse(&text)?);
        }
    }
    let mut last = None;
    for _ in 0..runs.max(1) {
        // What a run has made is gone before the next begins.
        drop(last.take());
        let (scenario, tables, times) = measure("bench", &text)?;
        if has_parts {
            eprintln!("{times:?}");
        }
        parse.push(times.parse);
        compile.push(times.load + times.compile);
        last = Some((scenario, tables));
    }
    if let (Some(plain), Some(ours)) = (plain.iter().min(), compile.iter().min()) {
        let ratio = ours.as_secs_f64() / plain.as_secs_f64();
        eprintln!("plain serde_json: {plain:?}; load and compile take {ratio:.2} times as long");
    }
    let (_, tables) = last.ok_or("no run")?;
    let budget = tables.budget();
    let peak = peak_kb()?;
    let nanoseconds =
        |time: Duration| Value::from(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let least = |times: &[Duration]| nanoseconds(times.iter().min().copied().unwrap_or_default());
    let mut line = Map::new();
    line.insert("ns_parse".to_owned(), least(&parse));
    line.insert("ns_load_compile_min".to_owned(), least(&compile));
    line.insert(
        "ns_load_compile_median".to_owned(),
        nanoseconds(median(&mut compile)),
    );
    let fill = |table| budget.tables.get(&table).map_or(0, |fill| fill.used);
    line.insert("identities".to_owned(), budget.identities.into());
    line.insert(
        "peer_classes".to_owned(),
        (budget.ingress_classes + budget.egress_classes).into(),
    );
    line.insert("port_classes".to_owned(), budget.port_classes.into());
    line.insert(
        "rows".to_owned(),
        fill(palisade_policy::tables::Limited::Rows).into(),
    );
    line.insert(
        "cells".to_owned(),
        fill(palisade_policy::tables::Limited::CellSlots).into(),
    );
    line.insert("table_bytes".to_owned(), budget.table_bytes.into());
    line.insert("fixed_bytes".to_owned(), budget.fixed_bytes.into());
    line.insert("peak_rss_kb".to_owned(), peak.into());
    line.insert("flat_entries".to_owned(), tables.flat_entries().into());
    println!("{}", Value::Object(line));
    Ok(())
}

/// What it takes to read the document into values, whoever does it: tells machines apart.
fn plain_parse(text: &str) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let value: Value = serde_json::from_str(text)?;
    let took = start.elapsed();
    drop(value);
    Ok(took)
}

/// The most memory that the process has had, in kB.
fn peak_kb() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no VmHWM in /proc/self/status")?.parse()?)
}
