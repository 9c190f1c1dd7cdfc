//! The order of writes: identity, class, policy, ipcache; and back in reverse on removal.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use palisade_abi::{EndpointId, IpcacheEntry, Prefix, Write};
use palisade_identity::{Identity, LabelSet, reserved};
use palisade_policy::{Desired, HostFirewall, LocalEndpoint, NamedPorts};

use crate::dns_filter::DnsFilter;
use crate::error::Error;
use crate::named::Named;
use crate::node::Node;
use crate::plan::Plan;

impl Node {
    /// Whether plans are made: not before everything that a restart found has been handed in.
    pub(crate) fn is_gathering(&self) -> bool {
        self.found.is_some()
    }

    /// Brings the decision tables in line with identities, endpoints and policies.
    pub(crate) fn update(&mut self, plan: &mut Plan) -> Result<(), Error> {
        if self.is_gathering() {
            return Ok(());
        }
        let mut endpoints: Vec<LocalEndpoint> = self
            .endpoints
            .iter()
            .map(|member| LocalEndpoint {
                id: member.id,
                labels: member.endpoint.labels.clone(),
                named_ports: member.endpoint.named_ports.clone(),
            })
            .collect();
        endpoints.extend(self.host());
        let mut named_ports = NamedPorts::new();
        for endpoint in &endpoints {
            named_ports.extend(&endpoint.named_ports);
        }
        let writes = self.tables.update(&Desired {
            identities: self.identities.known(),
            endpoints: &endpoints,
            policies: &self.policies.policies,
            options: &self.config.options,
            named_ports: &named_ports,
            proxy_ports: &self.proxy,
        })?;
        plan.writes.extend(writes);
        self.dns = DnsFilter::new(&self.tables, &self.endpoints).into();
        Ok(())
    }

    /// The host as an endpoint, if it has policies of its own.
    fn host(&self) -> Option<LocalEndpoint> {
        let labels = reserved::labels(Identity::HOST)?;
        (self.config.options.host_firewall == HostFirewall::Enabled).then(|| LocalEndpoint {
            id: EndpointId::HOST,
            labels: labels.merged(&self.config.host_labels),
            named_ports: NamedPorts::new(),
        })
    }

    /// Brings the records of endpoints in line with the endpoints.
    pub(crate) fn settle_records(&mut self, plan: &mut Plan) -> Result<(), Error> {
        if self.is_gathering() {
            return Ok(());
        }
        let wanted = self.endpoints.records();
        room("endpoints", wanted.len(), self.config.sizes.endpoints)?;
        let before = plan.writes.len();
        let gone = self
            .records
            .keys()
            .filter(|address| !wanted.contains_key(address));
        plan.writes
            .extend(gone.map(|address| Write::Endpoint(*address, None)));
        let changed = wanted
            .iter()
            .filter(|(address, record)| self.records.get(address) != Some(record));
        plan.writes
            .extend(changed.map(|(address, record)| Write::Endpoint(*address, Some(*record))));
        self.records = wanted;
        if plan.writes.len() > before {
            plan.writes.push(Write::Generation);
        }
        Ok(())
    }

    /// Brings the ipcache in line for these prefixes, as far as `named` tells them apart.
    pub(crate) fn settle(
        &mut self,
        named: &Named,
        dirty: &BTreeSet<Prefix>,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        if self.is_gathering() {
            return Ok(());
        }
        let wanted = self.wanted(named, dirty);
        if self.write_ipcache(&wanted, plan)? == Rest::Owed {
            self.grace(plan);
        }
        Ok(())
    }

    /// As [`Node::settle`] and [`Node::sweep`]; in place unless it could fail half-way, which takes
    /// two identities that the tables do not know.
    pub(crate) fn settle_learnt(
        &mut self,
        addresses: BTreeSet<IpAddr>,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        if self.is_gathering() {
            return Ok(());
        }
        let dirty = addresses.into_iter().map(Prefix::exact).collect();
        let wanted = self.wanted(&self.named, &dirty);
        let rest = if self.novel(&wanted).len() < 2 {
            self.write_ipcache(&wanted, plan)?
        } else {
            let mut next = self.clone();
            let rest = next.write_ipcache(&wanted, plan)?;
            *self = next;
            rest
        };
        self.sweep(plan);
        if rest == Rest::Owed {
            self.grace(plan);
        }
        Ok(())
    }

    /// Forgets identities that nobody holds, in the tables too.
    pub(crate) fn sweep(&mut self, plan: &mut Plan) {
        if self.is_gathering() {
            return;
        }
        let swept = self.identities.sweep();
        for identity in &swept {
            plan.writes.extend(self.tables.remove_identity(*identity));
        }
        if !swept.is_empty() {
            self.grace(plan);
        }
    }

    /// Lets numbers and addresses rest that the plan has freed.
    pub(crate) fn grace(&self, plan: &mut Plan) {
        if !self.is_gathering() && plan.writes.last() != Some(&Write::Grace) {
            plan.writes.push(Write::Grace);
        }
    }

    /// The labels of what has this prefix; `None` if it has no entry.
    pub(crate) fn labels_of(&self, prefix: Prefix, named: &Named) -> Option<LabelSet> {
        if !prefix.is_exact() {
            return named.labels(prefix, std::iter::empty());
        }
        let address = prefix.address().ip();
        if let Some(member) = self.endpoints.at(address) {
            return Some(member.endpoint.labels.clone());
        }
        if self.hosts.contains(&address) {
            return reserved::labels(Identity::HOST);
        }
        named.labels(prefix, self.names.of(address))
    }

    /// The prefixes whose labels are not those of the identity in force.
    fn wanted(
        &self,
        named: &Named,
        dirty: &BTreeSet<Prefix>,
    ) -> BTreeMap<Prefix, Option<LabelSet>> {
        let mut wanted = BTreeMap::new();
        for prefix in dirty {
            let now = self.ipcache.get(*prefix).copied();
            let labels = self.labels_of(*prefix, named);
            let then = labels.as_ref().map(|labels| self.identities.get(labels));
            if then != now.map(Some) {
                wanted.insert(*prefix, labels);
            }
        }
        wanted
    }

    /// Holds the identity of new labels and tells the tables; all of it or nothing.
    fn introduce(&mut self, labels: &LabelSet) -> Result<(Identity, Vec<Write>), Error> {
        let (identity, _) = self.identities.hold(labels)?;
        match self.tables.add_identity(identity, labels) {
            Ok(writes) => Ok((identity, writes)),
            Err(error) => {
                self.identities.take_back(identity);
                Err(error.into())
            }
        }
    }

    /// The labels among these that have no identity yet.
    fn novel<'a>(&self, wanted: &'a BTreeMap<Prefix, Option<LabelSet>>) -> BTreeSet<&'a LabelSet> {
        let labels = wanted.values().flatten();
        labels
            .filter(|labels| self.identities.get(labels).is_none())
            .collect()
    }

    /// Gives addresses their identities, the new ones first: if the first of them cannot be had,
    /// nothing has changed. What a new identity has replaced in the tables must rest
    /// before it is used again, but nobody need wait for that with the address in hand: the grace
    /// period is left to the end of the plan where it can be.
    fn write_ipcache(
        &mut self,
        wanted: &BTreeMap<Prefix, Option<LabelSet>>,
        plan: &mut Plan,
    ) -> Result<Rest, Error> {
        let mut rest = Rest::Enough;
        let added = wanted
            .iter()
            .filter(|(prefix, labels)| labels.is_some() && self.ipcache.get(**prefix).is_none());
        let needed = self.ipcache.len() + added.count();
        room("ipcache", needed, self.config.sizes.ipcache)?;
        let mut new = Vec::new();
        for labels in self.novel(wanted) {
            if rest == Rest::Owed {
                plan.writes.push(Write::Grace);
            }
            let (identity, mut writes) = self.introduce(labels)?;
            new.push(identity);
            rest = match writes.pop_if(|last| *last == Write::Grace) {
                Some(_) => Rest::Owed,
                None => Rest::Enough,
            };
            plan.writes.extend(writes);
        }
        let mut changes: BTreeMap<Prefix, Option<Identity>> = BTreeMap::new();
        for (prefix, labels) in wanted {
            let held = labels.as_ref().map(|labels| self.identities.hold(labels));
            changes.insert(*prefix, held.transpose()?.map(|(identity, _)| identity));
        }
        // Their addresses hold them now.
        for identity in new {
            self.identities.release(identity);
        }
        for (prefix, identity) in &changes {
            let entry = identity.map(IpcacheEntry::new);
            plan.writes.push(Write::Ipcache(*prefix, entry));
            let before = match identity {
                Some(identity) => self.ipcache.insert(*prefix, *identity),
                None => self.ipcache.remove(*prefix),
            };
            if let Some(before) = before {
                self.identities.release(before);
            }
        }
        if !changes.is_empty() {
            plan.writes.push(Write::Generation);
        }
        Ok(rest)
    }
}

/// Whether what was replaced has rested.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Rest {
    /// Nothing waits.
    Enough,
    /// A grace period must end the plan.
    Owed,
}

fn room(map: &'static str, needed: usize, size: u32) -> Result<(), Error> {
    if u32::try_from(needed).is_ok_and(|needed| needed <= size) {
        Ok(())
    } else {
        Err(Error::Full { map, needed, size })
    }
}
