//! A node whose tables are written slowly.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

use palisade_abi::{Action, Address, Direction, PortIndex, Prefix, Protocol, Table, Write};
use palisade_identity::{Identity, LabelSet};
use palisade_node::{Config, DnsAnswer, Effect, Endpoint, Event, Link, Node, Token};
use palisade_policy::{Image, NamedPorts, Options, ingest};
use palisade_proxy::{Answer, Decision, Held, Policy, Query, RuleToken};

/// How many pods ask, each from many sockets.
pub(crate) const PODS: usize = 40;
/// Whose names lead where, and to which port.
pub(crate) const ZONES: [(&str, u16); 2] = [("example.com", 443), ("other.test", 8443)];

const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: clients, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: client}}
  egress:
  - toFQDNs: [{matchPattern: '*.example.com'}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
  - toFQDNs: [{matchPattern: '*.other.test'}]
    toPorts: [{ports: [{port: '8443', protocol: TCP}]}]
";

/// Whether answers wait for their addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gate {
    Off,
    On,
}

/// The address of a pod, which anybody may bind to.
pub(crate) fn pod(number: usize) -> IpAddr {
    Ipv4Addr::new(127, 10, 0, u8::try_from(number + 1).unwrap()).into()
}

/// Hands answers to a thread that takes its time.
pub(crate) struct Slow {
    gate: Gate,
    send: Mutex<Sender<(DnsAnswer, Option<Held>)>>,
}

impl Slow {
    pub(crate) fn start(gate: Gate, seed: u64) -> (Self, Arc<Tables>) {
        let mut node = Node::new(Config::default());
        let tables = Arc::new(Tables::new());
        for event in beginning() {
            let plan = node.handle(event, Duration::ZERO).unwrap();
            for write in &plan.writes {
                tables.write(write);
            }
        }
        let (send, answers) = channel();
        let written = tables.clone();
        thread::spawn(move || enforce(node, &written, &answers, Random::new(seed)));
        let send = Mutex::new(send);
        (Self { gate, send }, tables)
    }
}

impl Policy for Slow {
    fn decide(&self, _query: &Query<'_>) -> Decision {
        Decision::Allow {
            identity: Identity::WORLD,
            rule: RuleToken::default(),
        }
    }

    fn answer(&self, held: Held) {
        let answer = learnt(&held.answer());
        let waiting = match self.gate {
            Gate::On => Some(held),
            Gate::Off => {
                held.release();
                None
            }
        };
        self.send.lock().unwrap().send((answer, waiting)).unwrap();
    }
}

fn learnt(answer: &Answer<'_>) -> DnsAnswer {
    DnsAnswer {
        token: Token(0),
        client: answer.query.client.ip(),
        name: answer.query.name.clone(),
        also: Vec::new(),
        addresses: answer.addresses.to_vec(),
        ttl: answer.ttl,
    }
}

/// Carries plans out as they say, with pauses of any length, and lets answers go.
fn enforce(
    mut node: Node,
    tables: &Tables,
    answers: &Receiver<(DnsAnswer, Option<Held>)>,
    mut random: Random,
) {
    let mut waiting = BTreeMap::new();
    for (number, (mut answer, held)) in answers.iter().enumerate() {
        answer.token = Token(number as u64);
        waiting.extend(held.map(|held| (answer.token, held)));
        let event = Event::DnsAnswer(answer);
        let plan = node.handle(event, Duration::ZERO).unwrap();
        for write in &plan.writes {
            thread::sleep(Duration::from_micros(random.below(1500)));
            tables.write(write);
        }
        for effect in &plan.effects {
            if let Effect::ReleaseAnswer(token) = effect
                && let Some(held) = waiting.remove(token)
            {
                held.release();
            }
        }
    }
}

fn beginning() -> impl Iterator<Item = Event> {
    let read = ingest::read("clients.yaml", POLICY, &Options::default()).unwrap();
    let policies: Vec<_> = read.policies.into_iter().map(Arc::new).collect();
    let pods = (0..PODS).map(|number| {
        Event::EndpointAdded(Endpoint {
            name: format!("shop/p{number}").into(),
            labels: LabelSet::parse([
                "k8s:app=client",
                "k8s:io.kubernetes.pod.namespace=shop",
                "k8s:io.cilium.k8s.policy.cluster=default",
            ])
            .unwrap(),
            addresses: vec![pod(number)],
            named_ports: NamedPorts::new(),
            link: Link::default(),
        })
    });
    std::iter::once(Event::Policies(policies.into())).chain(pods)
}

/// What the programs would read.
pub(crate) struct Tables(RwLock<Image>);

impl Tables {
    fn new() -> Self {
        Self(RwLock::new(Image::new(Config::default().sizes)))
    }

    fn write(&self, write: &Write) {
        self.0.write().unwrap().apply(write).unwrap();
    }

    /// Whether the first packet of a connection passes.
    pub(crate) fn connect(&self, from: IpAddr, to: IpAddr, port: u16) -> bool {
        let image = self.0.read().unwrap();
        let entry = image.ipcache().get(&Prefix::exact(to));
        let peer = entry.map_or(Identity::WORLD_IPV4, |entry| Identity::new(entry.identity));
        let record = image.endpoint(Address::from(from)).unwrap();
        let policies = image.policies_of(record.endpoint());
        let port = PortIndex::new(Protocol::TCP, port);
        let verdict = image.lookup(policies, Direction::Egress, peer, port);
        verdict.action() == Action::Allow
    }
}

/// A generator of numbers that are the same in every run with one seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
