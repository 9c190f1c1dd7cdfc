//! The agent's flows, as `palisade observe -f -o json` prints them.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use palisade_testkit::Process;
use serde_json::Value;

use crate::error::Error;

/// A flow with the moment it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) value: Value,
    pub(crate) seen: Instant,
}

/// All flows so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flows {
    seen: Arc<Mutex<Vec<Flow>>>,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuple {
    protocol: &'static str,
    source: SocketAddr,
    destination: SocketAddr,
    any_port: bool,
}

impl Flows {
    /// Follows the agent behind a socket, as long as the process that this returns lives.
    pub(crate) fn follow(&self, palisade: &Path, socket: &Path) -> Result<Process, Error> {
        let mut command = Command::new(palisade);
        command
            .args([
                "observe", "--follow", "--last", "0", "-o", "json", "--socket",
            ])
            .arg(socket)
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let flows = self.clone();
        if let Some(out) = process.child().stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Ok(value) = serde_json::from_str(&line) {
                        let seen = Instant::now();
                        flows.seen().push(Flow { value, seen });
                    }
                }
            });
        }
        Ok(process)
    }

    /// How many flows there are.
    pub(crate) fn count(&self) -> usize {
        self.seen().len()
    }

    /// The first drop after the first `since` flows for which this holds.
    pub(crate) fn drop_since(&self, since: usize, holds: impl Fn(&Flow) -> bool) -> Option<Flow> {
        let seen = self.seen();
        let mut later = seen.iter().skip(since);
        later.find(|flow| flow.is_drop() && holds(flow)).cloned()
    }

    /// Waits for such a drop.
    pub(crate) fn wait_drop(
        &self,
        since: usize,
        what: &str,
        deadline: Duration,
        holds: impl Fn(&Flow) -> bool,
    ) -> Result<Flow, Error> {
        let found = palisade_testkit::wait_some(what, deadline, || self.drop_since(since, &holds));
        Ok(found?)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Flow>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flow {
    fn text(&self, path: &str) -> Option<&str> {
        self.value.pointer(path)?.as_str()
    }

    fn address(&self, side: &str) -> Option<SocketAddr> {
        let ip: IpAddr = self.text(&format!("/{side}/address"))?.parse().ok()?;
        let port = self
            .value
            .pointer(&format!("/{side}/port"))
            .and_then(Value::as_u64);
        Some((ip, u16::try_from(port.unwrap_or(0)).ok()?).into())
    }

    /// Whether the packet was dropped.
    pub(crate) fn is_drop(&self) -> bool {
        self.text("/verdict")
            .is_some_and(|verdict| verdict.eq_ignore_ascii_case("dropped"))
    }

    /// The line and column that decided.
    pub(crate) fn position(&self) -> Option<&str> {
        self.text("/policy/position")
    }

    /// Whether the packet's protocol is this one.
    pub(crate) fn is_of_protocol(&self, protocol: &str) -> bool {
        self.text("/protocol")
            .is_some_and(|found| found.eq_ignore_ascii_case(protocol))
    }

    /// Whether source and destination are these, in this order.
    pub(crate) fn is_between(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        self.address("source") == Some(source) && self.address("destination") == Some(destination)
    }
}

impl Tuple {
    pub(crate) fn new(protocol: &'static str, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            protocol,
            source,
            destination,
            any_port: false,
        }
    }

    /// The same from any port and address: what a proxy sends for the source.
    pub(crate) fn whatever_port(self) -> Self {
        Self {
            any_port: true,
            ..self
        }
    }

    /// Whether a flow is this one.
    pub(crate) fn is_of(&self, flow: &Flow) -> bool {
        let source = flow.address("source");
        flow.is_of_protocol(self.protocol)
            && flow.address("destination") == Some(self.destination)
            && (source == Some(self.source) || self.any_port)
    }
}
