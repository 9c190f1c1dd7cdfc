//! Compiles shapes that were made to do harm and prints one line of JSON for each:
//! `hostile [SHAPE [SIZE]]`.
//!
//! `table_bytes` are policies, rows, verdicts, their lines and slots up to the last one in use, holes
//! included; the port array and the identity pages are the same for everybody and counted apart.
//! `flat_bytes` are Cilium's entries for the same node at 64 bytes each. Fails if some shape takes
//! more than four times as much as they do.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use palisade_benches::{HOSTILE, Hostile};
use palisade_policy::Tables;
use serde_json::{Map, Value, json};

/// The most that tables may take, in terms of the flat form.
const LIMIT: f64 = 4.0;
/// Bytes of an entry in the kernel's trie.
const FLAT_ENTRY: u64 = 64;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let shapes = match arguments.next() {
        Some(name) => {
            let names = HOSTILE.map(|shape| shape.name).join(", ");
            vec![Hostile::find(&name).ok_or(format!("usage: hostile [SHAPE [SIZE]]: {names}"))?]
        }
        None => HOSTILE.to_vec(),
    };
    let size: Option<u32> = arguments.next().map(|size| size.parse()).transpose()?;
    let mut code = ExitCode::SUCCESS;
    for shape in shapes {
        let (line, ratio) = measure(shape, size.unwrap_or(shape.full))?;
        println!("{line}");
        if ratio > LIMIT {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of two figures")]
fn measure(shape: Hostile, size: u32) -> Result<(Value, f64), Box<dyn Error>> {
    let scenario = shape.scenario(size)?;
    let mut tables = Tables::new(Hostile::sizes());
    let start = Instant::now();
    let writes = tables.update(&scenario.desired())?.len();
    let took = start.elapsed();
    let budget = tables.budget();
    let flat_bytes = tables.flat_entries() * FLAT_ENTRY;
    let ratio = budget.table_bytes as f64 / flat_bytes as f64;
    let used = budget.tables.iter();
    let used: Map<String, Value> = used
        .map(|(table, fill)| (table.to_string(), fill.used.into()))
        .collect();
    let line = json!({
        "shape": shape.name,
        "size": size,
        "ms": (took.as_secs_f64() * 10_000.0).round() / 10.0,
        "table_bytes": budget.table_bytes,
        "flat_bytes": flat_bytes,
        "ratio": (ratio * 100.0).round() / 100.0,
        "writes": writes,
        "identities": budget.identities,
        "peer_classes": budget.ingress_classes + budget.egress_classes,
        "port_classes": budget.port_classes,
        "used": used,
    });
    Ok((line, ratio))
}
