//! The agent under test: the `palisade` program beside this one.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use palisade_testkit::{Namespace, Process, wait_some};
use serde_json::Value;

use crate::error::Error;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent's program, files and process.
pub(crate) struct Agent {
    pub(crate) palisade: PathBuf,
    pub(crate) socket: PathBuf,
    config: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Agent {
    /// The agent of a folder with a `node.yaml`; it does not run yet.
    pub(crate) fn new(folder: &std::path::Path) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::io("the demo's own program"))?;
        Ok(Self {
            palisade: own.with_file_name("palisade"),
            // Where the agent of a node of this name listens unless told otherwise.
            socket: PathBuf::from("/run/palisade/demo/palisade.sock"),
            config: folder.join("node.yaml"),
            log: folder.join("agent.log"),
            process: None,
        })
    }

    /// Starts it and waits until its policies are in force on all endpoints.
    pub(crate) fn start(&mut self, node: &Namespace) -> Result<Value, Error> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(Error::io("the agent's log"))?;
        let also = log.try_clone().map_err(Error::io("the agent's log"))?;
        let mut command = Command::new(&self.palisade);
        command
            .arg("agent")
            .arg("--config")
            .arg(&self.config)
            .stdout(log)
            .stderr(also);
        let mut process = node.spawn(&mut command)?;
        let ready = wait_some("the agent", PATIENCE, || {
            if let Ok(Some(status)) = process.ended() {
                return Some(Err(status.to_string()));
            }
            let status = self.ask("status").ok()?;
            is_ready(&status).then_some(Ok(status))
        });
        match ready {
            Ok(Ok(status)) => {
                self.process = Some(process);
                Ok(status)
            }
            Ok(Err(status)) => Err(Error::Ended {
                status,
                log: self.log(),
            }),
            Err(_) => Err(Error::Ended {
                status: "it never got ready".to_owned(),
                log: self.log(),
            }),
        }
    }

    /// Kills it: it can neither save nor say anything.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        match self.process.take() {
            Some(process) => process
                .kill()
                .map(drop)
                .map_err(Error::io("to kill the agent")),
            None => Ok(()),
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) -> Result<bool, Error> {
        let Some(mut process) = self.process.take() else {
            return Ok(false);
        };
        process
            .signal(Signal::SIGTERM)
            .map_err(Error::io("to end the agent"))?;
        let ended = wait_some("the agent's end", PATIENCE, || {
            process.ended().ok().flatten()
        })?;
        Ok(ended.success())
    }

    /// What a command of the program answers, as JSON.
    pub(crate) fn ask(&self, words: &str) -> Result<Value, Error> {
        let text = self.run(&format!("{words} -o json"))?;
        serde_json::from_str(&text).map_err(|source| Error::Answer {
            what: format!("palisade {words}"),
            text,
            source,
        })
    }

    /// What a command of the program prints.
    pub(crate) fn run(&self, words: &str) -> Result<String, Error> {
        let output = Command::new(&self.palisade)
            .args(words.split_whitespace())
            .arg("--socket")
            .arg(&self.socket)
            .output()
            .map_err(Error::io("palisade"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Command {
            words: words.to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn is_ready(status: &Value) -> bool {
    let number = |path| status.pointer(path).and_then(Value::as_u64);
    let configured = number("/endpoints/configured");
    configured.is_some_and(|configured| configured > 0)
        && number("/endpoints/in_force") == configured
        && number("/policy/rules").is_some_and(|rules| rules > 0)
}
