//! The node: what is to be, what is in force, and how one becomes the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use palisade_abi::{Address, EndpointRecord, Prefix, Write};
use palisade_fqdn::Answer;
use palisade_identity::{Identity, Ipcache, LabelSet};
use palisade_policy::{ProxyPorts, Tables};

use crate::config::Config;
use crate::dns_filter::DnsFilter;
use crate::endpoints::Endpoints;
use crate::error::Error;
use crate::event::{DnsAnswer, Endpoint, Event, PolicySet, Token};
use crate::identities::{Identities, Novelty};
use crate::named::Named;
use crate::names::Names;
use crate::plan::{Checkpointing, Effect, Plan};

/// The state of one node and the only maker of plans for its tables.
///
/// Deterministic: the same events at the same times make the same plans. Every plan must be carried
/// out before the next event is handled.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) config: Config,
    /// The writes that would make what a restart found, until everything has been handed in.
    pub(crate) found: Option<Arc<[Write]>>,
    /// Answers that wait for that moment.
    pub(crate) waiting: Vec<Token>,
    // What is to be.
    pub(crate) hosts: BTreeSet<IpAddr>,
    pub(crate) endpoints: Endpoints,
    pub(crate) policies: PolicySet,
    pub(crate) proxy: ProxyPorts,
    pub(crate) names: Names,
    pub(crate) named: Named,
    pub(crate) revision: u64,
    // The numbers.
    pub(crate) identities: Identities,
    /// What holds the identities of addresses that are yet to be learnt, and of what was found.
    pub(crate) in_advance: Vec<Identity>,
    // What is in force.
    pub(crate) tables: Tables,
    pub(crate) dns: Arc<DnsFilter>,
    pub(crate) records: BTreeMap<Address, EndpointRecord>,
    pub(crate) ipcache: Ipcache<Identity>,
}

impl Node {
    /// A node without endpoints and policies, over empty tables.
    ///
    /// Hand in the policies before the endpoints: an endpoint that no policy selects is open.
    pub fn new(config: Config) -> Self {
        Self {
            found: None,
            waiting: Vec::new(),
            hosts: BTreeSet::new(),
            endpoints: Endpoints::default(),
            policies: PolicySet::default(),
            proxy: ProxyPorts::default(),
            names: Names::new(config.names),
            named: Named::default(),
            revision: 0,
            identities: Identities::new(),
            in_advance: Vec::new(),
            tables: Tables::new(config.sizes),
            dns: Arc::default(),
            records: BTreeMap::new(),
            ipcache: Ipcache::new(),
            config,
        }
    }

    /// Takes an event and says what is to be done about it.
    ///
    /// `now` is the time since some moment that stays the same, over restarts too. Between any two
    /// writes of the plan every flow meets the decision from before the plan or the one after it.
    ///
    /// # Errors
    /// [`Error`] if the event cannot be taken; then the node is as before.
    pub fn handle(&mut self, event: Event, now: Duration) -> Result<Plan, Error> {
        self.identities.settled();
        self.endpoints.settled();
        let mut plan = self.plan(event, now)?;
        if self.identities.take_novelty() == Novelty::New {
            plan.checkpoint = Checkpointing::Needed;
        }
        plan.journal = self.names.take_journal();
        Ok(plan)
    }

    fn plan(&mut self, event: Event, now: Duration) -> Result<Plan, Error> {
        match event {
            Event::DnsAnswer(answer) => self.learn(&answer, now),
            Event::ForgetNames(pattern) => {
                let dirty = self.names.forget_names(&pattern);
                self.unlearn(dirty)
            }
            Event::Tick { live } => self.expire(&live, now),
            Event::EndpointAdded(_)
            | Event::EndpointRemoved(_)
            | Event::HostAddresses(_)
            | Event::Policies(_)
            | Event::Proxy(_)
            | Event::Restored => {
                // These are rare, so that working on a copy is the simplest way to take all of an
                // event or nothing.
                let mut next = self.clone();
                let mut plan = Plan {
                    checkpoint: Checkpointing::Needed,
                    ..Plan::default()
                };
                next.change(event, &mut plan)?;
                *self = next;
                Ok(plan)
            }
        }
    }

    fn change(&mut self, event: Event, plan: &mut Plan) -> Result<(), Error> {
        match event {
            Event::EndpointAdded(endpoint) => self.add(endpoint, plan),
            Event::EndpointRemoved(name) => self.remove(&name, plan),
            Event::HostAddresses(hosts) => self.set_hosts(&hosts, plan),
            Event::Policies(policies) => self.set_policies(policies, plan),
            Event::Proxy(ports) => {
                self.proxy = ports;
                self.update(plan)
            }
            Event::Restored => self.reconcile(plan),
            Event::DnsAnswer(_) | Event::ForgetNames(_) | Event::Tick { .. } => Ok(()),
        }
    }

    fn add(&mut self, mut endpoint: Endpoint, plan: &mut Plan) -> Result<(), Error> {
        for address in &mut endpoint.addresses {
            *address = address.to_canonical();
        }
        let (identity, _) = self.identities.hold(&endpoint.labels)?;
        let mut dirty = exact(&endpoint.addresses);
        let before = self.endpoints.insert(endpoint, identity)?;
        // Its policies first, for from its record on its packets are judged by them.
        self.update(plan)?;
        self.settle_records(plan)?;
        if let Some(before) = before {
            dirty.extend(exact(&before.endpoint.addresses));
            self.identities.release(before.identity);
        }
        self.settle(&self.named.clone(), &dirty, plan)?;
        self.sweep(plan);
        Ok(())
    }

    fn remove(&mut self, name: &Arc<str>, plan: &mut Plan) -> Result<(), Error> {
        let Some(member) = self.endpoints.remove(name) else {
            return Err(Error::UnknownEndpoint { name: name.clone() });
        };
        self.settle_records(plan)?;
        let mut dirty = exact(&member.endpoint.addresses);
        dirty.extend(self.names.forget(member.id).into_iter().map(Prefix::exact));
        self.settle(&self.named.clone(), &dirty, plan)?;
        // Its policies last, when nothing leads to them any more.
        self.update(plan)?;
        self.identities.release(member.identity);
        self.sweep(plan);
        self.grace(plan);
        Ok(())
    }

    fn set_hosts(&mut self, hosts: &BTreeSet<IpAddr>, plan: &mut Plan) -> Result<(), Error> {
        let hosts: BTreeSet<IpAddr> = hosts.iter().map(IpAddr::to_canonical).collect();
        let changed: Vec<IpAddr> = hosts.symmetric_difference(&self.hosts).copied().collect();
        self.hosts = hosts;
        self.settle(&self.named.clone(), &exact(&changed), plan)?;
        self.sweep(plan);
        Ok(())
    }

    /// Switches policies, with addresses told apart at every moment as the policies then in force
    /// need them: first as the old and the new ones do, then the switch, then as the new ones do.
    fn set_policies(&mut self, policies: PolicySet, plan: &mut Plan) -> Result<(), Error> {
        let named = Named::by(&policies);
        let union = self.named.union(&named);
        let mut dirty: BTreeSet<Prefix> = union.prefixes().collect();
        dirty.extend(
            self.names
                .matching(union.patterns())
                .into_iter()
                .map(Prefix::exact),
        );
        self.settle(&union, &dirty, plan)?;
        self.policies = policies;
        self.named = named;
        let in_advance = self.hold_in_advance()?;
        self.update(plan)?;
        // Whoever comes back hands in what was in force.
        if self.revision == 0 || !self.is_gathering() {
            self.revision += 1;
        }
        self.settle(&self.named.clone(), &dirty, plan)?;
        for identity in std::mem::replace(&mut self.in_advance, in_advance) {
            self.identities.release(identity);
        }
        self.sweep(plan);
        Ok(())
    }

    /// Holds the identities that the first address of each pattern will have, so that learning it
    /// takes one write.
    pub(crate) fn hold_in_advance(&mut self) -> Result<Vec<Identity>, Error> {
        let labels: Vec<LabelSet> = self.named.patterns().flat_map(Named::in_advance).collect();
        let hold = |labels| self.identities.hold(labels).map(|(identity, _)| identity);
        labels.iter().map(hold).collect()
    }

    /// Learns the addresses of an answer. Usually their identity is known and nothing can fail.
    fn learn(&mut self, answer: &DnsAnswer, now: Duration) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        if let Some(member) = self.endpoints.at(answer.client) {
            let addresses: Vec<IpAddr> =
                answer.addresses.iter().map(IpAddr::to_canonical).collect();
            // Its own addresses too, should they not have been enforced the last time.
            let mut dirty: BTreeSet<IpAddr> = addresses.iter().copied().collect();
            // Of several names the one that was asked for counts as the last used.
            for name in answer.also.iter().chain([&answer.name]) {
                let learnt = Answer {
                    endpoint: member.id,
                    name,
                    addresses: &addresses,
                    ttl: answer.ttl,
                };
                let (changed, evicted) = self.names.learn(&learnt, now);
                dirty.extend(changed);
                plan.evicted.extend(evicted);
            }
            self.settle_learnt(dirty, &mut plan)?;
        }
        if self.is_gathering() {
            self.waiting.push(answer.token);
        } else {
            plan.effects.push(Effect::ReleaseAnswer(answer.token));
        }
        Ok(plan)
    }

    fn expire(&mut self, live: &BTreeSet<(IpAddr, IpAddr)>, now: Duration) -> Result<Plan, Error> {
        let live = live.iter().filter_map(|(client, address)| {
            Some((self.endpoints.at(*client)?.id, address.to_canonical()))
        });
        let dirty = self.names.expire(live.collect(), now);
        self.unlearn(dirty)
    }

    /// Gives addresses that have lost a name the identities that are left to them.
    fn unlearn(&mut self, addresses: BTreeSet<IpAddr>) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        if !addresses.is_empty() {
            self.settle_learnt(addresses, &mut plan)?;
        }
        Ok(plan)
    }
}

fn exact(addresses: &[IpAddr]) -> BTreeSet<Prefix> {
    addresses.iter().copied().map(Prefix::exact).collect()
}
