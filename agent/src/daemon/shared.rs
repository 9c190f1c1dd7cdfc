//! What the agent's threads look at together. Only the event loop changes it.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use palisade_abi::{EndpointId, Port};
use palisade_node::Node;

use super::flows::Flows;
use super::policy_files::PolicyFiles;
use crate::config::Config;
use crate::protocol::{
    DatapathStatus, DnsStatus, EndpointRow, EndpointStatus, EventStatus, IdentityRow, MapStatus,
    PolicyReport, PolicyRow, PolicyStatus, RefusedFile, Status,
};

/// What the threads look at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) flows: Flows,
    started: Instant,
    node: RwLock<Node>,
    files: RwLock<PolicyFiles>,
    report: Mutex<Report>,
}

/// What the event loop tells for `status`.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) datapath: DatapathStatus,
    /// The revision whose writes are done, which the node's own is ahead of for a moment.
    pub(super) revision: u64,
    pub(super) connections: usize,
    pub(super) waiting: usize,
    /// Addresses that limits took from endpoints.
    pub(super) evicted: usize,
    pub(super) last_held: Duration,
    pub(super) longest_held: Duration,
    pub(super) last_change_writes: usize,
    pub(super) last_change: Duration,
    pub(super) trouble: Vec<Trouble>,
}

/// Something that is not as it should be, until it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Trouble {
    /// What it is about; one trouble each.
    pub(super) about: String,
    /// What is wrong.
    pub(super) what: String,
}

impl Shared {
    pub(super) fn new(
        config: Config,
        node: Node,
        files: PolicyFiles,
        datapath: DatapathStatus,
    ) -> Self {
        Self {
            config,
            flows: Flows::new(),
            started: Instant::now(),
            node: RwLock::new(node),
            files: RwLock::new(files),
            report: Mutex::new(Report {
                datapath,
                revision: 0,
                connections: 0,
                waiting: 0,
                evicted: 0,
                last_held: Duration::ZERO,
                longest_held: Duration::ZERO,
                last_change_writes: 0,
                last_change: Duration::ZERO,
                trouble: Vec::new(),
            }),
        }
    }

    pub(super) fn node(&self) -> RwLockReadGuard<'_, Node> {
        self.node.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn node_mut(&self) -> RwLockWriteGuard<'_, Node> {
        self.node.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn files(&self) -> RwLockReadGuard<'_, PolicyFiles> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_files(&self, files: PolicyFiles) {
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = files;
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a trouble, and logs it if it is news.
    pub(super) fn trouble(&self, about: &str, what: String) {
        let mut report = self.report();
        let trouble = Trouble {
            about: about.to_owned(),
            what,
        };
        if report.trouble.contains(&trouble) {
            return;
        }
        report.trouble.retain(|known| known.about != about);
        super::log(format_args!("{}: {}", trouble.about, trouble.what));
        report.trouble.push(trouble);
    }

    /// Notes that all is well with something again.
    pub(super) fn well(&self, about: &str) {
        let mut report = self.report();
        let before = report.trouble.len();
        report.trouble.retain(|known| known.about != about);
        if report.trouble.len() < before {
            super::log(format_args!("{about}: well again"));
        }
    }

    pub(super) fn status(&self) -> Status {
        let (seen, lost) = self.flows.counts();
        let report = self.report().clone();
        let files = self.files();
        let node = self.node();
        let refused = files.refused().map(|(_, reasons)| reasons.to_owned());
        let told = report.trouble.iter();
        let told = told.map(|trouble| format!("{}: {}", trouble.about, trouble.what));
        let addresses: Vec<_> = node.known_addresses().collect();
        let mut names: Vec<_> = addresses.iter().map(|known| &known.name).collect();
        names.dedup();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.config.node.to_string(),
            up_seconds: self.started.elapsed().as_secs(),
            mode: self.config.mode,
            policy: PolicyStatus {
                revision: report.revision,
                files: files.len(),
                rules: node
                    .policies()
                    .iter()
                    .map(|policy| policy.rules.len())
                    .sum(),
                last_change_writes: report.last_change_writes,
                last_change_microseconds: micros(report.last_change),
            },
            endpoints: EndpointStatus {
                in_force: node.endpoints().count(),
                configured: self.config.endpoints.len(),
            },
            maps: maps(&node, report.connections),
            dns: DnsStatus {
                port: node
                    .proxy()
                    .get(&palisade_policy::Proxy::Dns)
                    .map(Port::get),
                names: names.len(),
                addresses: addresses.len(),
                waiting: report.waiting,
                evicted: report.evicted,
                last_held_microseconds: micros(report.last_held),
                longest_held_microseconds: micros(report.longest_held),
            },
            datapath: report.datapath,
            events: EventStatus { seen, lost },
            trouble: told.chain(refused).collect(),
        }
    }

    pub(super) fn endpoint_rows(&self) -> Vec<EndpointRow> {
        let node = self.node();
        node.endpoints()
            .map(|member| EndpointRow {
                id: member.id.get(),
                name: member.endpoint.name.to_string(),
                identity: member.identity.get(),
                labels: texts(&member.endpoint.labels),
                addresses: member.endpoint.addresses.clone(),
                interface: super::interfaces::name_of(member.endpoint.link.ifindex),
            })
            .collect()
    }

    pub(super) fn identity_rows(&self) -> Vec<IdentityRow> {
        let node = self.node();
        let identities = node.identities().iter();
        identities
            .map(|(identity, labels)| IdentityRow {
                identity: identity.get(),
                labels: texts(labels),
            })
            .collect()
    }

    pub(super) fn policy_report(&self) -> PolicyReport {
        let revision = self.report().revision;
        let files = self.files();
        let node = self.node();
        let policies = node.policies().iter();
        PolicyReport {
            revision,
            policies: policies
                .map(|policy| PolicyRow {
                    resource: policy.resource.to_string(),
                    location: policy.location.to_string(),
                    rules: policy.rules.len(),
                })
                .collect(),
            refused: files
                .refused()
                .map(|(file, reasons)| RefusedFile {
                    file: file.to_string(),
                    reasons: reasons.to_owned(),
                })
                .collect(),
        }
    }
}

pub(super) fn name_of(node: &Node, id: EndpointId) -> String {
    let member = node.endpoints().find(|member| member.id == id);
    member.map_or_else(|| id.to_string(), |member| member.endpoint.name.to_string())
}

fn maps(node: &Node, connections: usize) -> Vec<MapStatus> {
    let conntrack = MapStatus {
        name: "conntrack".into(),
        used: connections,
        size: size(node.config().sizes.conntrack),
    };
    let counted = node.usage().into_iter().map(|usage| MapStatus {
        name: usage.map.into(),
        used: usage.used,
        size: size(usage.size),
    });
    [conntrack].into_iter().chain(counted).collect()
}

fn size(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn texts(labels: &palisade_identity::LabelSet) -> Vec<String> {
    labels.iter().map(ToString::to_string).collect()
}
