//! The report: written with the predictions before the first packet, and again at the end.

use std::fs::File;
use std::io::{Seek, Write};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::error::Error;

/// What the demo found.
pub(crate) struct Report {
    file: Option<File>,
    start: Instant,
    values: Map<String, Value>,
    checks: Vec<(String, bool)>,
    probes: Vec<Value>,
    total: usize,
    agree: usize,
    denied: usize,
}

impl Report {
    pub(crate) fn new(file: Option<File>) -> Self {
        Self {
            file,
            start: Instant::now(),
            values: Map::new(),
            checks: Vec::new(),
            probes: Vec::new(),
            total: 0,
            agree: 0,
            denied: 0,
        }
    }

    /// Adds a figure.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// Adds something that must hold, and says whether it does.
    pub(crate) fn check(&mut self, name: impl Into<String>, holds: bool) -> bool {
        self.checks.push((name.into(), holds));
        holds
    }

    /// Adds a probe with what was predicted for it and what became of it.
    pub(crate) fn probe(&mut self, agrees: bool, denied: bool, value: Value) {
        self.total += 1;
        self.agree += usize::from(agrees);
        self.denied += usize::from(denied);
        self.probes.push(value);
    }

    /// Writes what there is so far.
    pub(crate) fn save(&mut self) -> Result<(), Error> {
        let value = self.value();
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.write_all(format!("{value:#}\n").as_bytes()))
            .map_err(Error::io("the report"))
    }

    /// Writes the whole.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.set("complete", true.into());
        self.save()
    }

    /// Whether every probe agrees and every check holds.
    pub(crate) fn agrees(&self) -> bool {
        self.total > 0 && self.agree == self.total && self.checks.iter().all(|(_, holds)| *holds)
    }

    /// What failed, and the closing line.
    pub(crate) fn closing(&self) -> String {
        let failed = self.checks.iter().filter(|(_, holds)| !holds);
        let failed: Vec<String> = failed.map(|(name, _)| format!("✗ {name}\n")).collect();
        let seconds = self.start.elapsed().as_secs();
        let line = format!(
            "demo: {} of {} probes agree with the offline verdict",
            self.agree, self.total
        );
        format!("\n{}{line}{seconds:>26} s\n", failed.concat())
    }

    fn value(&self) -> Value {
        let checks = self
            .checks
            .iter()
            .map(|(name, holds)| json!({"name": name, "passed": holds}));
        let mut values = self.values.clone();
        values.extend([
            (
                "seconds".to_owned(),
                json!(self.start.elapsed().as_secs_f64()),
            ),
            ("checks".to_owned(), checks.collect()),
            (
                "probes".to_owned(),
                json!({
                    "total": self.total,
                    "agree": self.agree,
                    "denied": self.denied,
                    "each": self.probes,
                }),
            ),
        ]);
        Value::Object(values)
    }
}
