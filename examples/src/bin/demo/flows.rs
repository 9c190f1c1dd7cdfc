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

    /// The protocol with its ports; an echo request has its identifier and its type for ports.
    fn transport(&self) -> Option<(&'static str, u16, u16)> {
        let of = |layer: &str, name: &str| {
            let number = self
                .value
                .pointer(&format!("/l4/{layer}/{name}"))?
                .as_u64()?;
            u16::try_from(number).ok()
        };
        let ports = ["TCP", "UDP"].into_iter().find_map(|name| {
            Some((
                name,
                of(name, "source_port")?,
                of(name, "destination_port")?,
            ))
        });
        ports.or_else(|| {
            let echoes = [("ICMPv4", "ICMP"), ("ICMPv6", "ICMPv6")];
            let mut echoes = echoes.into_iter();
            echoes.find_map(|(layer, name)| {
                Some((name, of(layer, "identifier")?, of(layer, "type")?))
            })
        })
    }

    fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (_, source, destination) = self.transport()?;
        let ip = |side| self.text(side)?.parse::<IpAddr>().ok();
        Some((
            (ip("/IP/source")?, source).into(),
            (ip("/IP/destination")?, destination).into(),
        ))
    }

    /// Whether the packet was dropped.
    pub(crate) fn is_drop(&self) -> bool {
        self.text("/verdict")
            .is_some_and(|verdict| verdict.eq_ignore_ascii_case("dropped"))
    }

    /// Where the rule stands that decided.
    pub(crate) fn decided_by(&self) -> Option<&str> {
        self.text("/decided_by/policy")
    }

    /// The name that was asked for, where a question was judged.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.text("/l7/dns/query")
            .map(|name| name.trim_end_matches('.'))
    }

    /// Whether the packet's protocol is this one.
    pub(crate) fn is_of_protocol(&self, protocol: &str) -> bool {
        self.transport()
            .is_some_and(|(found, _, _)| found == protocol)
    }

    /// Whether source and destination are these, in this order.
    pub(crate) fn is_between(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        self.addresses() == Some((source, destination))
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
        let Some((source, destination)) = flow.addresses() else {
            return false;
        };
        flow.is_of_protocol(self.protocol)
            && destination == self.destination
            && (source == self.source || self.any_port)
    }
}
