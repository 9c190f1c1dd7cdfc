//! An agent that dies after any write of a change and starts again, under traffic.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that goes wrong says so by panicking"
)]

#[path = "../../datapath/tests/rig/mod.rs"]
mod rig;

use std::io::{self, ErrorKind, Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use palisade_abi::{DenyAnswer, DropReason, EVENT_DROP, Table};
use palisade_datapath::{Hook, Origin};
use palisade_identity::LabelSet;
use palisade_node::{Checkpoint, Checkpointing, Config, Endpoint, Event, Link, Node, Plan};
use palisade_policy::{NamedPorts, Options, Policy, ingest};
use palisade_testkit::{Namespace, echo, wait_for};

use crate::rig::node::{Node as Lab, Pod, node_address};
use crate::rig::{Family, SIZES, at};

const PATIENCE: Duration = Duration::from_secs(5);
/// The port that is open before a change, after it, and at every moment between.
const ALWAYS: u16 = 80;
/// The port that nobody ever opens.
const NEVER: u16 = 82;

/// What may be in force: the ports of `db` that are open to `web`, beside the one that always is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rules {
    Open443,
    Open81,
}

impl Rules {
    const fn port(self) -> u16 {
        match self {
            Self::Open443 => 443,
            Self::Open81 => 81,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Open443 => Self::Open81,
            Self::Open81 => Self::Open443,
        }
    }

    fn policies(self) -> Vec<Arc<Policy>> {
        let port = self.port();
        let text = format!(
            "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: db, namespace: shop}}
spec:
  endpointSelector: {{matchLabels: {{app: db}}}}
  ingress:
  - fromEndpoints: [{{matchLabels: {{app: web}}}}]
    toPorts: [{{ports: [{{port: \"{ALWAYS}\", protocol: TCP}}, {{port: \"{port}\", protocol: TCP}}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: web, namespace: shop}}
spec:
  endpointSelector: {{matchLabels: {{app: web}}}}
  egress:
  - toEndpoints: [{{matchLabels: {{app: db}}}}]
  - toCIDR: [198.51.100.0/24]
    toPorts: [{{ports: [{{port: \"{port}\", protocol: TCP}}]}}]
"
        );
        let read = ingest::read("rules.yaml", &text, &Options::default());
        let policies = read.unwrap_or_else(|errors| panic!("{errors:?}")).policies;
        policies.into_iter().map(Arc::new).collect()
    }
}

/// The part of an agent that makes plans and carries them out; what it has stored outlives it.
struct Agent {
    node: Node,
    stored: Checkpoint,
    journal: Vec<u8>,
}

/// Whether a plan was carried out to its end.
#[derive(Debug, Eq, PartialEq)]
enum Fate {
    Died,
    Finished,
}

impl Agent {
    /// A start over what is in the kernel, with what an earlier one has stored.
    fn start(lab: &mut Lab, rules: Rules, stored: &Checkpoint, journal: &[u8]) -> Self {
        let mut config = Config::default();
        config.sizes = SIZES;
        let found = lab.datapath.dump().unwrap();
        let mut node = Node::restore(config, stored, journal, found).unwrap();
        let mut agent = Self {
            journal: node.start_journal(),
            stored: stored.clone(),
            node,
        };
        let hosts = Family::BOTH.map(node_address);
        let mut events = vec![
            Event::HostAddresses(hosts.into_iter().collect()),
            Event::Policies(rules.policies().into()),
        ];
        events.extend([("web", &lab.web), ("db", &lab.db)].map(|(name, pod)| added(name, pod)));
        for event in events {
            let plan = agent.node.handle(event, Duration::ZERO).unwrap();
            assert!(plan.writes.is_empty(), "before everything is handed in");
        }
        let plan = agent.node.handle(Event::Restored, Duration::ZERO).unwrap();
        assert_eq!(agent.carry_out(lab, &plan, usize::MAX), Fate::Finished);
        agent
    }

    /// Changes what is in force, and dies after so many writes, if there are as many.
    fn change(&mut self, lab: &mut Lab, rules: Rules, writes: usize) -> Fate {
        let event = Event::Policies(rules.policies().into());
        let plan = self.node.handle(event, Duration::ZERO).unwrap();
        self.carry_out(lab, &plan, writes)
    }

    fn carry_out(&mut self, lab: &mut Lab, plan: &Plan, writes: usize) -> Fate {
        if plan.checkpoint == Checkpointing::Needed {
            self.stored = self.node.checkpoint();
        }
        self.journal.extend(&plan.journal);
        for (index, write) in plan.writes.iter().enumerate() {
            if index == writes {
                return Fate::Died;
            }
            lab.datapath.apply(write).unwrap();
        }
        Fate::Finished
    }
}

fn added(name: &str, pod: &Pod) -> Event {
    let labels = [
        format!("k8s:app={name}"),
        "k8s:io.kubernetes.pod.namespace=shop".to_owned(),
        "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
    ];
    let address = |family: Family| {
        if name == "web" {
            family.web()
        } else {
            family.db()
        }
    };
    Event::EndpointAdded(Endpoint {
        name: format!("shop/{name}").into(),
        labels: LabelSet::parse(labels.iter().map(String::as_str)).unwrap(),
        addresses: Family::BOTH.map(address).into(),
        named_ports: NamedPorts::new(),
        link: Link {
            ifindex: pod.ifindex,
            mac: pod.record.mac,
            node_mac: pod.record.node_mac,
        },
    })
}

fn connect(from: &Namespace, to: SocketAddr) -> io::Result<TcpStream> {
    from.run(|| {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        exchange(&mut stream)?;
        Ok(stream)
    })
    .unwrap()
}

fn exchange(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

/// A connection that is never idle; its end says how often a byte went to and fro.
struct Traffic {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Traffic {
    fn start(from: &Namespace, to: SocketAddr) -> Self {
        let mut stream = connect(from, to).unwrap();
        let (stop, count) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                exchange(&mut stream)?;
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Self {
            stop,
            count,
            thread,
        }
    }

    /// Waits until packets have gone to and fro once more.
    fn goes_on(&self) {
        let before = self.count.load(Ordering::Relaxed);
        let more = || self.count.load(Ordering::Relaxed) > before + 1;
        wait_for("traffic", PATIENCE, more).unwrap();
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap().unwrap();
    }
}

/// Nobody was stopped at the port that is always open.
fn no_drops(lab: &mut Lab) {
    for event in lab.events.poll(Duration::ZERO).unwrap() {
        let ports = [event.source_port.get(), event.destination_port.get()];
        let stopped = event.kind == EVENT_DROP && ports.contains(&ALWAYS);
        let reason = DropReason::from_number(event.reason);
        assert!(!stopped, "{reason:?}: {event:?}");
    }
}

fn refused(from: &Namespace, to: SocketAddr) {
    let kind = connect(from, to).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ConnectionRefused, "{to}");
}

/// Deaths are shared out among as many tests, none of which then takes long on a slow machine.
const SHARES: usize = 3;

/// Dies after the given number of writes of one change, then after [`SHARES`] more and so on until it
/// lives, and starts again each time.
fn dies_after(mut writes: usize, from: Rules, family: Family) {
    let mut lab = Lab::with(Hook::Auto, |programs| {
        programs.deny_answer = DenyAnswer::Reset as u32;
    });
    let db: IpAddr = family.db();
    let ports = [ALWAYS, Rules::Open443.port(), Rules::Open81.port()];
    let _servers = ports.map(|port| echo::Server::tcp(&lab.db.namespace, at(db, port)).unwrap());
    let mut agent = Agent::start(&mut lab, from, &Checkpoint::default(), &[]);
    let traffic = Traffic::start(&lab.web.namespace, at(db, ALWAYS));
    let to = from.other();
    loop {
        let mut forbidden = connect(&lab.web.namespace, at(db, from.port())).unwrap();
        let fate = agent.change(&mut lab, to, writes);
        traffic.goes_on();
        refused(&lab.web.namespace, at(db, NEVER));
        let Agent {
            stored, journal, ..
        } = agent;
        lab.restart();
        assert_eq!(lab.datapath.origin(), Origin::Adopted);
        agent = Agent::start(&mut lab, to, &stored, &journal);
        traffic.goes_on();
        assert!(exchange(&mut forbidden).is_err(), "after {writes} writes");
        refused(&lab.web.namespace, at(db, from.port()));
        connect(&lab.web.namespace, at(db, to.port())).unwrap();
        no_drops(&mut lab);
        if fate == Fate::Finished {
            break;
        }
        assert_eq!(agent.change(&mut lab, from, usize::MAX), Fate::Finished);
        writes += SHARES;
    }
    assert!(writes > 5, "{writes} writes are no change");
    traffic.end();
}

#[test]
fn an_agent_that_dies_at_a_write_comes_back_without_a_connection_lost() {
    dies_after(0, Rules::Open443, Family::V4);
}

#[test]
fn the_same_one_write_later() {
    dies_after(1, Rules::Open443, Family::V4);
}

#[test]
fn the_same_two_writes_later() {
    dies_after(2, Rules::Open443, Family::V4);
}

#[test]
fn the_same_on_the_way_back_with_ipv6() {
    dies_after(1, Rules::Open81, Family::V6);
}
