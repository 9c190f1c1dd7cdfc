//! A custom agent on `palisade-node`: its own events in, its own tables out.
//!
//! Run it with `cargo run -p palisade-examples --bin custom_agent`; it needs no root. Events come
//! from a list and go to tables in memory; an agent of yours takes them from its orchestrator and
//! hands the same writes to `palisade_datapath::Datapath` or to maps of its own.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use palisade_abi::{Protocol, Table, Write};
use palisade_fqdn::DnsName;
use palisade_identity::LabelSet;
use palisade_node::{
    Checkpoint, Checkpointing, Config, DnsAnswer, Effect, Endpoint, Event, Link, Node, Party, Token,
};
use palisade_policy::{Image, NamedPorts, Options, ingest};

const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
  - toEndpoints: [{matchLabels: {app: cart}}]
  - toFQDNs: [{matchPattern: '*.example.com'}]
    toPorts: [{ports: [{port: '443', protocol: TCP}]}]
";

/// The agent: a node, the tables it writes, and two files that a restart continues from.
struct Agent {
    node: Node,
    tables: Image,
    /// What was written, which stands in for tables that outlive the process.
    written: Vec<Write>,
    file: PathBuf,
    /// What became of names, entry by entry.
    journal: PathBuf,
}

impl Agent {
    fn start(file: PathBuf, written: Vec<Write>) -> Result<Self, Box<dyn Error>> {
        let config = Config::default();
        let mut tables = Image::new(config.sizes);
        tables.apply_all(&written)?;
        let stored = fs::read_to_string(&file).unwrap_or("{}".into());
        let stored: Checkpoint = serde_json::from_str(&stored)?;
        let journal = file.with_extension("journal");
        let names = fs::read(&journal).unwrap_or_default();
        let mut node = Node::restore(config, &stored, &names, written.clone())?;
        fs::write(&journal, node.start_journal())?;
        Ok(Self {
            node,
            tables,
            written,
            file,
            journal,
        })
    }

    /// Hands an event to the node and carries its plan out, in the order that a crash can bear.
    fn take(&mut self, event: Event) -> Result<Vec<Write>, Box<dyn Error>> {
        let plan = self.node.handle(event, Duration::ZERO)?;
        if plan.checkpoint == Checkpointing::Needed {
            let checkpoint = serde_json::to_string(&self.node.checkpoint())?;
            fs::write(&self.file, checkpoint)?;
        }
        let mut journal = OpenOptions::new().append(true).open(&self.journal)?;
        journal.write_all(&plan.journal)?;
        self.tables.apply_all(&plan.writes)?;
        self.written.extend(&plan.writes);
        for effect in &plan.effects {
            if let Effect::ReleaseAnswer(token) = effect {
                println!("answer {} is enforced and may go", token.0);
            }
        }
        Ok(plan.writes)
    }

    /// What an orchestrator tells at every start. Plans are made from `Restored` on.
    fn hand_in(&mut self) -> Result<Vec<Write>, Box<dyn Error>> {
        let read = ingest::read("web.yaml", POLICY, &Options::default());
        let read = read.map_err(|errors| format!("{errors:?}"))?;
        let policies: Vec<_> = read.policies.into_iter().map(Arc::new).collect();
        self.take(Event::Policies(policies.into()))?;
        for (name, host) in [("web", 2), ("cart", 3), ("db", 4)] {
            self.take(Event::EndpointAdded(pod(name, host)?))?;
        }
        self.take(Event::Restored)
    }

    fn tell(&self, to: &Party) {
        let web = Party::Endpoint("shop/web".into());
        let verdict = self.node.verdict(&web, to, Protocol::TCP, 443);
        if let Some((_, verdict)) = verdict.decisive() {
            let line = self.node.origin(verdict.cookie());
            let line = line.map(|origin| origin.location.to_string());
            println!("{web} → {to}:443: {:?} by {line:?}", verdict.action());
        }
    }
}

fn pod(name: &str, host: u8) -> Result<Endpoint, Box<dyn Error>> {
    let namespace = "k8s:io.kubernetes.pod.namespace=shop";
    let cluster = "k8s:io.cilium.k8s.policy.cluster=default";
    Ok(Endpoint {
        name: format!("shop/{name}").into(),
        labels: LabelSet::parse([&format!("k8s:app={name}"), namespace, cluster])?,
        addresses: vec![Ipv4Addr::new(10, 0, 0, host).into()],
        named_ports: NamedPorts::new(),
        link: Link::default(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("custom-agent-{}.json", std::process::id()));
    let mut agent = Agent::start(file.clone(), Vec::new())?;
    agent.hand_in()?;
    let outside = Party::Address("192.0.2.7".parse()?);
    agent.tell(&Party::Endpoint("shop/cart".into()));
    agent.tell(&Party::Endpoint("shop/db".into()));
    agent.tell(&outside);
    let answer = DnsAnswer {
        token: Token(1),
        client: "10.0.0.2".parse()?,
        name: DnsName::parse("api.example.com")?,
        also: Vec::new(),
        addresses: vec!["192.0.2.7".parse()?],
        ttl: Duration::from_secs(60),
    };
    let writes = agent.take(Event::DnsAnswer(answer))?.into_iter();
    println!(
        "it took {} map write",
        writes.filter(Write::is_map_write).count()
    );
    agent.tell(&outside);

    // The process ends here; the tables stay, and the next one takes them over.
    let mut agent = Agent::start(file.clone(), agent.written)?;
    let writes = agent.hand_in()?.into_iter();
    let told = writes
        .filter(|write| matches!(write, Write::Ipcache(..)))
        .count();
    println!("after a restart {told} addresses had to be told anew");
    agent.tell(&outside);
    fs::remove_file(file.with_extension("journal"))?;
    fs::remove_file(file)?;
    Ok(())
}
