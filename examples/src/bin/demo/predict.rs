//! The offline verdict: asked of a process that has the YAML and nothing else.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::flows::Flow;
use crate::probe::Probe;

/// Nobody's number: whoever predicts may not look into the kernel.
const NOBODY: u32 = 65_534;

/// What is predicted for a probe.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Prediction {
    verdict: String,
    /// The line and column that decide.
    position: Option<String>,
    /// The line that decides.
    pub(crate) location: Option<String>,
}

impl Prediction {
    /// Whether the probe is to pass, be it through a proxy.
    pub(crate) fn passes(&self) -> bool {
        self.verdict != "deny"
    }

    /// Whether a flow was decided where this says, be it told with the column or without.
    pub(crate) fn names(&self, flow: &Flow) -> bool {
        let decided_by = flow.decided_by();
        let places = [self.position.as_deref(), self.location.as_deref()];
        decided_by.is_some() && places.contains(&decided_by)
    }
}

/// Predicts the probes. The answers are written by the process itself, into `folder`.
pub(crate) fn predict(
    palisade: &Path,
    folder: &Path,
    probes: &[Value],
    name: &str,
) -> Result<(Vec<Prediction>, Vec<Value>), Error> {
    let asked = folder.join(format!("{name}.probes.jsonl"));
    let answered = folder.join(format!("{name}.predicted.jsonl"));
    let lines: Vec<String> = probes.iter().map(|probe| format!("{probe}\n")).collect();
    fs::write(&asked, lines.concat()).map_err(Error::io("the probes"))?;
    let out = File::create(&answered).map_err(Error::io("the predictions"))?;
    // Nobody may not be let into the folder that the program was built in.
    let program = folder.join("palisade");
    fs::copy(palisade, &program).map_err(Error::io("a copy of palisade"))?;
    let output = Command::new(&program)
        .args(["policy", "matrix", "-o", "json", "--config"])
        .arg(folder.join("node.yaml"))
        .arg("--probes")
        .arg(&asked)
        .uid(NOBODY)
        .gid(NOBODY)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(out)
        .output()
        .map_err(Error::io("palisade policy matrix"))?;
    if !output.status.success() {
        return Err(Error::Command {
            words: "policy matrix".to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    read(&answered, probes.len())
}

fn read(path: &Path, probes: usize) -> Result<(Vec<Prediction>, Vec<Value>), Error> {
    let text = fs::read_to_string(path).map_err(Error::io("the predictions"))?;
    let mut predictions = Vec::new();
    let mut values = Vec::new();
    for line in text.lines() {
        let wrong = |source| Error::Answer {
            what: "palisade policy matrix".to_owned(),
            text: line.to_owned(),
            source,
        };
        let value: Value = serde_json::from_str(line).map_err(wrong)?;
        predictions.push(Prediction::deserialize(&value).map_err(wrong)?);
        values.push(value);
    }
    if predictions.len() == probes {
        return Ok((predictions, values));
    }
    Err(Error::Predictions {
        predictions: predictions.len(),
        probes,
    })
}

/// The questions that the probes put.
pub(crate) fn questions(probes: &[Probe]) -> Vec<Value> {
    probes.iter().map(Probe::question).collect()
}
