//! Tables in memory, read as the programs read theirs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use palisade_abi::{Action, Address, Direction, PortIndex, Prefix, Table, Write};
use palisade_identity::Identity;
use palisade_policy::Image;

use crate::model::{Decisions, HALVES, Half};

/// The tables and the writes that made them.
#[derive(Debug)]
pub(crate) struct Kernel {
    image: Image,
    written: Vec<Write>,
}

impl Kernel {
    pub(crate) fn new() -> Self {
        Self {
            image: Image::new(palisade_abi::TableSizes::default()),
            written: Vec::new(),
        }
    }

    pub(crate) fn write(&mut self, write: &Write) {
        self.image.apply(write).unwrap();
        self.written.push(*write);
    }

    /// The writes that would make these tables.
    pub(crate) fn found(&self) -> Vec<Write> {
        self.written.clone()
    }

    pub(crate) fn entries(&self) -> Vec<(Prefix, Identity)> {
        let entries = self.image.ipcache().iter();
        entries
            .map(|(prefix, entry)| (*prefix, Identity::new(entry.identity)))
            .collect()
    }

    pub(crate) fn decisions(&self) -> Decisions {
        let mut known = BTreeMap::new();
        let mut identity_of = |address| {
            *known
                .entry(address)
                .or_insert_with(|| self.identity_of(address))
        };
        HALVES
            .iter()
            .map(|half| self.decide(half, &mut identity_of))
            .collect()
    }

    fn decide(
        &self,
        half: &Half,
        identity_of: &mut impl FnMut(IpAddr) -> Identity,
    ) -> Option<Action> {
        let record = self.image.endpoint(Address::from(half.at))?;
        // What comes from an endpoint has the identity of its record, whatever the ipcache says.
        let sender = self.image.endpoint(Address::from(half.peer));
        let peer = match (half.direction, sender) {
            (Direction::Ingress, Some(sender)) => sender.identity(),
            (Direction::Egress | Direction::Ingress, _) => identity_of(half.peer),
        };
        let pair = self.image.policies_of(record.endpoint());
        let port = PortIndex::new(half.protocol, half.port);
        Some(self.image.lookup(pair, half.direction, peer, port).action())
    }

    fn identity_of(&self, address: IpAddr) -> Identity {
        let exact = Prefix::exact(address);
        let entries = self.image.ipcache().iter();
        let longest = entries
            .filter(|(prefix, _)| prefix.covers(exact))
            .max_by_key(|(prefix, _)| prefix.mapped_length());
        match longest {
            Some((_, entry)) => Identity::new(entry.identity),
            None if address.is_ipv4() => Identity::WORLD_IPV4,
            None => Identity::WORLD_IPV6,
        }
    }
}
