//! The endpoints of the node, their numbers and their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use palisade_abi::{Address, EndpointId, EndpointRecord, Identity};

use crate::error::Error;
use crate::event::Endpoint;

/// An endpoint and the numbers it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its number on the node.
    pub id: EndpointId,
    /// The identity of its labels.
    pub identity: Identity,
}

impl Member {
    /// The record of one of its addresses.
    pub(crate) fn record(&self) -> EndpointRecord {
        EndpointRecord {
            ifindex: self.endpoint.link.ifindex,
            identity: self.identity.get(),
            id: self.id.get(),
            mac: self.endpoint.link.mac,
            node_mac: self.endpoint.link.node_mac,
            pad: [0; 2],
        }
    }
}

/// Every endpoint of the node, found by name and by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    members: BTreeMap<Arc<str>, Member>,
    owners: BTreeMap<IpAddr, Arc<str>>,
    /// Numbers of endpoints that a restart found and that have not been handed in again.
    expected: BTreeMap<Arc<str>, EndpointId>,
    last: EndpointId,
    /// Forgotten by the plan that is being carried out: the tables may still know them.
    leaving: BTreeMap<Arc<str>, EndpointId>,
}

impl Endpoints {
    /// Keeps the numbers of endpoints that are expected back.
    pub(crate) fn expect(&mut self, expected: BTreeMap<Arc<str>, EndpointId>) {
        self.expected = expected;
    }

    /// Stops waiting for endpoints that did not come back.
    pub(crate) fn expect_nobody(&mut self) {
        self.expected.clear();
    }

    /// Takes an endpoint and returns the one it replaces.
    pub(crate) fn insert(
        &mut self,
        endpoint: Endpoint,
        identity: Identity,
    ) -> Result<Option<Member>, Error> {
        self.check(&endpoint)?;
        let before = self.take(&endpoint.name);
        let known = before.as_ref().map(|member| member.id);
        let known = known.or_else(|| self.expected.remove(&endpoint.name));
        let id = match known {
            Some(id) => id,
            None => self.next_id()?,
        };
        for address in &endpoint.addresses {
            self.owners.insert(*address, endpoint.name.clone());
        }
        let member = Member {
            endpoint,
            id,
            identity,
        };
        self.members.insert(member.endpoint.name.clone(), member);
        Ok(before)
    }

    /// Forgets an endpoint.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Member> {
        let member = self.take(name)?;
        self.leaving.insert(member.endpoint.name.clone(), member.id);
        Some(member)
    }

    fn take(&mut self, name: &str) -> Option<Member> {
        let member = self.members.remove(name)?;
        for address in &member.endpoint.addresses {
            self.owners.remove(address);
        }
        Some(member)
    }

    /// Takes the last plan for carried out.
    pub(crate) fn settled(&mut self) {
        self.leaving.clear();
    }

    /// The number of every endpoint that is here, is expected back, or is just leaving.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (Arc<str>, EndpointId)> {
        let expected = self.expected.iter().chain(&self.leaving);
        let expected = expected.map(|(name, id)| (name.clone(), *id));
        let members = self
            .members
            .iter()
            .map(|(name, member)| (name.clone(), member.id));
        expected.chain(members)
    }

    /// The endpoint with this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Member> {
        self.members.get(name)
    }

    /// The endpoint with this address.
    pub(crate) fn at(&self, address: IpAddr) -> Option<&Member> {
        self.members.get(self.owners.get(&address.to_canonical())?)
    }

    /// Every endpoint, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The record of every address.
    pub(crate) fn records(&self) -> BTreeMap<Address, EndpointRecord> {
        self.members
            .values()
            .flat_map(|member| {
                let addresses = member.endpoint.addresses.iter();
                addresses.map(|address| (Address::from(*address), member.record()))
            })
            .collect()
    }

    fn check(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let taken = endpoint.addresses.iter().find_map(|address| {
            let owner = self.owners.get(address)?;
            (*owner != endpoint.name).then(|| Error::AddressTaken {
                address: *address,
                name: endpoint.name.clone(),
                owner: owner.clone(),
            })
        });
        taken.map_or(Ok(()), Err)
    }

    /// The next free number after the last one given, so that a number rests before it is reused.
    fn next_id(&mut self) -> Result<EndpointId, Error> {
        let members = self.members.values().map(|member| member.id);
        let taken: BTreeSet<EndpointId> = members.chain(self.expected.values().copied()).collect();
        // The last number is the host's.
        let after = self.last.get().saturating_add(1)..EndpointId::HOST.get();
        let free = after.chain(1..=self.last.get()).map(EndpointId::new);
        let id = free
            .filter(|id| id.get() > 0)
            .find(|id| !taken.contains(id));
        let id = id.ok_or(Error::TooManyEndpoints)?;
        self.last = id;
        Ok(id)
    }
}
