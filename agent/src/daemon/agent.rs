//! The event loop.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use palisade_abi::{DatapathConfig, Protocol, Table, Write};
use palisade_datapath::netlink::Netlink;
use palisade_datapath::{Connection, Datapath};
use palisade_fqdn::{DnsName, Eviction, MatchPattern};
use palisade_node::{Checkpointing, DnsAnswer, Effect, Endpoint, Event, Plan, Token};
use palisade_proxy::{Answer, Held};

use super::error::DaemonError;
use super::interfaces;
use super::journal::Journal;
use super::shared::Shared;
use super::start::{host_addresses, programs};
use super::state::State;
use super::{Message, log, time};
use crate::config::EndpointConfig;
use crate::error::chain;
use crate::policies;

/// How often the node looks at what nobody tells it: interfaces, addresses, times that are over.
const TICK: Duration = Duration::from_millis(500);
/// How often connections are counted if nothing else asks for them.
const COUNT: Duration = Duration::from_secs(10);
/// How many ticks go by before an endpoint that could not be added is tried again.
const RETRY: u32 = 4;
/// How often a write that the kernel refuses is tried again.
const TRIES: u32 = 5;

/// How long after the last eviction an endpoint is well again.
const QUIET: Duration = Duration::from_secs(60);
/// What the journal's troubles are about.
const JOURNAL: &str = "journal of names";

/// The one owner of the node's state and of the datapath.
#[derive(Debug)]
pub(super) struct Agent {
    shared: Arc<Shared>,
    datapath: Datapath,
    /// What the programs were told last.
    told: DatapathConfig,
    state: State,
    journal: Journal,
    netlink: Netlink,
    held: BTreeMap<Token, (Held, Instant)>,
    next_token: u64,
    /// From whom limits took names, and when last.
    evicting: BTreeMap<String, Instant>,
    counted: Option<Instant>,
    ticks: u32,
}

/// Whether the node took an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Taken {
    No,
    Yes,
}

impl Agent {
    pub(super) fn new(
        shared: Arc<Shared>,
        datapath: Datapath,
        told: DatapathConfig,
        state: State,
        journal: Journal,
        netlink: Netlink,
    ) -> Self {
        Self {
            shared,
            datapath,
            told,
            state,
            journal,
            netlink,
            held: BTreeMap::new(),
            next_token: 0,
            evicting: BTreeMap::new(),
            counted: None,
            ticks: 1,
        }
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Hands all endpoints in, and puts in force what follows from that.
    pub(super) fn begin(&mut self) -> Result<(), DaemonError> {
        let shared = self.shared.clone();
        let endpoints = &shared.config.endpoints;
        if endpoints
            .iter()
            .any(|endpoint| endpoint.interface.is_none())
        {
            log(format_args!(
                "this node forwards packets: net.ipv4.ip_forward and net.ipv6.conf.all.forwarding \
                 are set to 1"
            ));
            interfaces::forward()?;
        }
        for endpoint in endpoints {
            self.add(endpoint)?;
        }
        self.take(Event::Restored)?;
        // Their programs find everything in place that they ask for.
        self.guard_devices()?;
        interfaces::wait_until_running(&mut self.netlink, endpoints)?;
        self.release_strangers()
    }

    /// Takes messages until it is told to stop.
    pub(super) fn run(&mut self, receive: &Receiver<Message>) -> Result<(), DaemonError> {
        let mut next = Instant::now();
        loop {
            let patience = next.saturating_duration_since(Instant::now());
            match receive.recv_timeout(patience) {
                Ok(Message::Answer(held, since)) => self.answer(held, since)?,
                Ok(Message::Folder) => self.read_policies()?,
                Ok(Message::ForgetNames(pattern, done)) => self.forget_names(pattern, &done)?,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= next {
                self.tick()?;
                next = Instant::now() + TICK;
            }
        }
    }

    /// Hands an event to the node and carries its plan out.
    fn take(&mut self, event: Event) -> Result<(), DaemonError> {
        let plan = self.shared.node_mut().handle(event, time::now())?;
        self.carry_out(&plan)
    }

    fn carry_out(&mut self, plan: &Plan) -> Result<(), DaemonError> {
        if plan.checkpoint == Checkpointing::Needed {
            let checkpoint = self.shared.node().checkpoint();
            self.state.set_checkpoint(&checkpoint)?;
        }
        if !plan.journal.is_empty() {
            // Without it a restart knows less; until then all is as it should be.
            let appended = self.journal.append(&plan.journal);
            self.note_journal(appended);
        }
        // A grace period at the end is for numbers to be used again, not for what is enforced: nobody
        // waits for it with an answer in hand.
        let (now, after) = match plan.writes.split_last() {
            Some((Write::Grace, now)) => (now, Some(&Write::Grace)),
            Some(_) | None => (plan.writes.as_slice(), None),
        };
        for write in now {
            self.write(write)?;
        }
        for effect in &plan.effects {
            if let Effect::ReleaseAnswer(token) = effect
                && let Some((held, since)) = self.held.remove(token)
            {
                // Too late or not, the addresses are enforced.
                let _released = held.release();
                let mut report = self.shared.report();
                report.last_held = since.elapsed();
                report.longest_held = report.longest_held.max(report.last_held);
            }
        }
        if let Some(grace) = after {
            self.write(grace)?;
        }
        self.note_evictions(&plan.evicted);
        let revision = self.shared.node().revision();
        let mut report = self.shared.report();
        report.revision = revision;
        report.waiting = self.held.len();
        Ok(())
    }

    /// Begins the journal anew when it is long, beside what else goes on.
    fn keep_journal(&mut self) {
        let settled = self.journal.settle();
        self.note_journal(settled);
        if self.journal.is_long() {
            let start = self.shared.node_mut().start_journal();
            let begun = self.journal.begin_anew(start);
            self.note_journal(begun);
        } else if self.journal.is_whole() {
            self.shared.well(JOURNAL);
        }
    }

    fn note_journal(&self, done: io::Result<()>) {
        if let Err(error) = done {
            let what = format!("a restart will know less of names: {}", chain(&error));
            self.shared.trouble(JOURNAL, what);
        }
    }

    /// Memory may be short for a moment; for longer the agent ends, and what is in force stays.
    fn write(&mut self, write: &Write) -> Result<(), DaemonError> {
        let mut tries = 0;
        loop {
            match self.datapath.apply(write) {
                Ok(()) => return Ok(()),
                Err(error) if tries == TRIES => return Err(error.into()),
                Err(_) => tries += 1,
            }
            thread::sleep(Duration::from_millis(1 << tries));
        }
    }

    /// As [`Agent::take`], for what can wait: an event that the node cannot take now is a trouble.
    fn try_take(&mut self, about: &str, event: Event) -> Result<Taken, DaemonError> {
        match self.take(event) {
            Ok(()) => Ok(Taken::Yes),
            Err(DaemonError::Node(error)) => {
                self.shared.trouble(about, chain(&error));
                Ok(Taken::No)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives an endpoint its programs and hands it in. What stands in the way of one endpoint does
    /// not stand in the way of the others.
    fn add(&mut self, config: &EndpointConfig) -> Result<(), DaemonError> {
        let about = format!("endpoint {}", config.name);
        let interface = match interfaces::prepare(&mut self.netlink, config) {
            Ok(interface) => interface,
            Err(error) => {
                self.shared.trouble(&about, chain(&error));
                return Ok(());
            }
        };
        let ifindex = interface.link.ifindex;
        // From here on nothing passes that has no record.
        self.datapath.attach(ifindex)?;
        if let Err(error) = interfaces::connect(&mut self.netlink, config, ifindex) {
            self.shared.trouble(&about, chain(&error));
            return Ok(());
        }
        let event = Event::EndpointAdded(Endpoint {
            name: config.name.clone(),
            labels: config.labels.clone(),
            addresses: interface.addresses,
            named_ports: config.named_ports.clone(),
            link: interface.link,
        });
        if self.try_take(&about, event)? == Taken::Yes {
            self.shared.well(&about);
        }
        Ok(())
    }

    /// Tells the programs with which addresses the node speaks, if these have changed.
    fn tell_programs(&mut self, hosts: &BTreeSet<IpAddr>) -> Result<(), DaemonError> {
        let programs = programs(&self.shared.config, &mut self.netlink, hosts)?;
        if programs != self.told {
            self.datapath.reconfigure(&programs)?;
            self.told = programs;
        }
        Ok(())
    }

    /// Gives the devices towards other machines their programs, and takes them off all others.
    fn guard_devices(&mut self) -> Result<(), DaemonError> {
        let shared = self.shared.clone();
        let mut own = BTreeSet::new();
        for name in &shared.config.devices {
            let about = format!("device {name}");
            match self.netlink.device(name)? {
                Some(device) if device.mac != [0; 6] => {
                    own.insert(device.ifindex);
                    self.shared.well(&about);
                }
                Some(_) => self.shared.trouble(&about, "it has no link address".into()),
                None => self
                    .shared
                    .trouble(&about, "there is no such interface".into()),
            }
        }
        let attached: BTreeSet<u32> = self.datapath.attached_network()?.into_iter().collect();
        for ifindex in own.difference(&attached) {
            self.datapath.attach_network(*ifindex)?;
        }
        for ifindex in attached.difference(&own) {
            self.datapath.detach(*ifindex)?;
        }
        Ok(())
    }

    /// Tries again what stood in the way of endpoints.
    fn add_missing(&mut self) -> Result<(), DaemonError> {
        let shared = self.shared.clone();
        for config in &shared.config.endpoints {
            if shared.node().endpoint(&config.name).is_none() {
                self.add(config)?;
            }
        }
        Ok(())
    }

    /// Takes the programs off devices that are no endpoint's any more. Those of an endpoint that
    /// has a trouble keep them: without a record nothing passes there.
    fn release_strangers(&mut self) -> Result<(), DaemonError> {
        let shared = self.shared.clone();
        let mut own = BTreeSet::new();
        for config in &shared.config.endpoints {
            let device = self.netlink.device(&interfaces::host_name(config))?;
            own.extend(device.map(|device| device.ifindex));
        }
        for ifindex in self.datapath.attached()? {
            if !own.contains(&ifindex) {
                self.datapath.detach(ifindex)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, held: Held, since: Instant) -> Result<(), DaemonError> {
        let token = Token(self.next_token);
        self.next_token += 1;
        let answer = held.answer();
        let event = Event::DnsAnswer(DnsAnswer {
            token,
            client: answer.query.client.ip(),
            name: answer.query.name.clone(),
            also: self.aliases(&answer),
            addresses: answer.addresses.to_vec(),
            ttl: answer.ttl,
        });
        self.held.insert(token, (held, since));
        match self.take(event) {
            Err(DaemonError::Node(error)) => {
                self.held.remove(&token);
                self.shared.trouble("dns", chain(&error));
                Ok(())
            }
            taken => taken,
        }
    }

    fn forget_names(
        &mut self,
        pattern: MatchPattern,
        done: &SyncSender<usize>,
    ) -> Result<(), DaemonError> {
        let before = self.shared.node().known_addresses().count();
        self.try_take("dns", Event::ForgetNames(pattern))?;
        let after = self.shared.node().known_addresses().count();
        // Whoever asked may have gone.
        let _told = done.send(before.saturating_sub(after));
        Ok(())
    }

    /// Tells what limits took from endpoints: connections to it that are new will be dropped.
    fn note_evictions(&mut self, evicted: &[Eviction]) {
        for eviction in evicted {
            self.shared.report().evicted += eviction.addresses.len();
            let about = format!("names of {}", self.shared.endpoint_name(eviction.endpoint));
            let what = format!(
                "over the limit {:?}: what was used longest ago goes",
                eviction.bound
            );
            self.shared.trouble(&about, what);
            self.evicting.insert(about, Instant::now());
        }
    }

    /// Takes it for over where nothing has been taken for a while.
    fn forget_evictions(&mut self) {
        let shared = &self.shared;
        self.evicting.retain(|about, last| {
            let goes_on = last.elapsed() <= QUIET;
            if !goes_on {
                shared.well(about);
            }
            goes_on
        });
    }

    /// The other names that an answer's addresses count for, as far as the node is asked to.
    fn aliases(&self, answer: &Answer<'_>) -> Vec<DnsName> {
        let binding = &self.shared.config.dns.binding;
        if !binding.chain && binding.search.is_empty() {
            return Vec::new();
        }
        let message = palisade_fqdn::wire::Message::parse(answer.message);
        let resolution = message.and_then(|message| message.resolution());
        // The proxy has read it before, so that nothing is lost here.
        let told = resolution
            .map(|resolution| resolution.aliases)
            .unwrap_or_default();
        let others = binding.others(answer.query.name, &told).into_iter();
        others.cloned().collect()
    }

    /// Puts the folder's policies in force, as far as they are good.
    fn read_policies(&mut self) -> Result<(), DaemonError> {
        let started = Instant::now();
        let about = format!("policies {}", self.shared.config.policies.display());
        let texts = match policies::read(&self.shared.config.policies) {
            Ok(texts) => texts,
            Err(error) => {
                let what = format!("{}; what was in force stays", chain(&error));
                self.shared.trouble(&about, what);
                return Ok(());
            }
        };
        let files = self.shared.files().clone();
        let next = files.with(texts);
        for (_, reasons) in next.newly_refused(&files) {
            log(format_args!("{reasons}"));
        }
        if next.is_same(&files) {
            self.shared.well(&about);
            self.shared.set_files(next);
            return Ok(());
        }
        let event = Event::Policies(next.set());
        let plan = match self.shared.node_mut().handle(event, time::now()) {
            Ok(plan) => plan,
            Err(error) => {
                let what = format!("{}; what was in force stays", chain(&error));
                self.shared.trouble(&about, what);
                return Ok(());
            }
        };
        self.state.set_policies(&next.accepted())?;
        self.shared.set_files(next);
        self.carry_out(&plan)?;
        self.shared.well(&about);
        let mut report = self.shared.report();
        report.last_change_writes = plan.map_writes();
        report.last_change = started.elapsed();
        log(format_args!(
            "policy revision {} in force: {} map writes, {:.1} ms",
            report.revision,
            plan.map_writes(),
            started.elapsed().as_secs_f64() * 1e3
        ));
        Ok(())
    }

    fn tick(&mut self) -> Result<(), DaemonError> {
        self.keep_journal();
        self.forget_evictions();
        self.check_interfaces()?;
        let hosts = host_addresses(&self.shared.config, &mut self.netlink)?;
        if self.ticks.is_multiple_of(RETRY) {
            self.add_missing()?;
            self.guard_devices()?;
            self.tell_programs(&hosts)?;
        }
        self.ticks = self.ticks.wrapping_add(1);
        if *self.shared.node().hosts() != hosts {
            self.try_take("host addresses", Event::HostAddresses(hosts))?;
        }
        self.shared
            .flows
            .note_lost(self.datapath.maps().counters.lost_events()?);
        let due = self.shared.node().next_expiry();
        let due = due.is_some_and(|due| due <= time::now());
        if !due
            && self
                .counted
                .is_some_and(|counted| counted.elapsed() < COUNT)
        {
            return Ok(());
        }
        let connections = self.datapath.connections()?;
        self.counted = Some(Instant::now());
        self.shared.report().connections = connections.len();
        let live = connections.iter().filter_map(live).collect();
        self.try_take("dns", Event::Tick { live }).map(drop)
    }

    /// Lets endpoints go whose interface has gone, with their namespace or without it.
    fn check_interfaces(&mut self) -> Result<(), DaemonError> {
        let devices = self.netlink.devices()?;
        let present: BTreeSet<u32> = devices.iter().map(|device| device.ifindex).collect();
        let gone: Vec<(Arc<str>, u32)> = {
            let node = self.shared.node();
            let members = node.endpoints();
            members
                .filter(|member| !present.contains(&member.endpoint.link.ifindex))
                .map(|member| (member.endpoint.name.clone(), member.endpoint.link.ifindex))
                .collect()
        };
        for (name, ifindex) in gone {
            let about = format!("endpoint {name}");
            self.shared
                .trouble(&about, "its interface has gone, and so has it".into());
            self.try_take(&about, Event::EndpointRemoved(name))?;
            self.datapath.detach(ifindex)?;
        }
        Ok(())
    }
}

/// Who keeps an address alive: the endpoint that has a connection to it.
fn live(connection: &Connection) -> Option<(IpAddr, IpAddr)> {
    let over = connection.protocol == Protocol::TCP && connection.is_closing();
    (!over).then(|| (connection.source.ip(), connection.destination.ip()))
}
