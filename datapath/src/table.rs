//! Maps as the tables that plans are applied to, and as the plan that would recreate them.

use palisade_abi::{
    EndpointId, IPCACHE_IPV6, IpcacheEntry, IpcachePrefix, PORT_INDEXES, PolicyId, PortClass,
    PortIndex, Prefix, RowId, Table, VerdictIndex, Write,
};

use crate::maps::{Error, Maps};

impl Table for Maps {
    type Error = Error;

    /// One bpf call or one mapped store per write.
    ///
    /// # Errors
    /// What kept the write from being applied; the maps are as before it.
    fn apply(&mut self, write: &Write) -> Result<(), Error> {
        match *write {
            Write::PortClass(index, class) => self.port_class.set(index, class),
            Write::PeerClasses(identity, classes) => self.identity_pages.set(identity, classes),
            Write::PolicyLine(policy, line) => self.policy_line.set(policy.get(), &line),
            Write::RowSlot(index, slot) => self.row_slot.set(index, &slot),
            Write::RowLine(row, line) => self.row_line.set(row.get(), &line),
            Write::CellSlot(index, slot) => self.cell_slot.set(index, &slot),
            Write::Verdict(index, verdict) => self.verdict.set(index.get().into(), &verdict),
            Write::PolicyOf(endpoint, pair) => self.policy_of.set(endpoint.get().into(), &pair),
            Write::Endpoint(address, Some(record)) => self.endpoints.insert(&address, &record),
            Write::Endpoint(address, None) => self.endpoints.remove(&address).map(drop),
            Write::Ipcache(prefix, entry) => match (prefix.is_exact(), entry) {
                (true, Some(entry)) => self.ipcache.insert(&prefix.address(), &entry),
                (true, None) => self.ipcache.remove(&prefix.address()).map(drop),
                (false, Some(entry)) => {
                    let entry = of_family(prefix, entry);
                    self.ipcache_cidr.insert(&prefix.into(), &entry)
                }
                (false, None) => self.ipcache_cidr.remove(&prefix.into()).map(drop),
            },
            Write::Generation => {
                self.state.bump_generation();
                Ok(())
            }
            Write::Grace => self.identity_pages.wait_for_readers(),
        }
    }
}

impl Maps {
    /// The writes that would recreate the contents: every word and entry that is not zero, in an
    /// order that is safe to apply to empty tables. Connections are not among them.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn dump(&self) -> Result<Vec<Write>, Error> {
        let mut writes = Vec::new();
        let verdicts = self.verdict.entries().filter_map(|(index, verdict)| {
            let index = u16::try_from(index).ok()?;
            Some(Write::Verdict(VerdictIndex::new(index), verdict))
        });
        writes.extend(verdicts);
        let cells = self.cell_slot.entries();
        writes.extend(cells.map(|(index, slot)| Write::CellSlot(index, slot)));
        let rows = self.row_line.entries();
        writes.extend(rows.map(|(row, line)| Write::RowLine(RowId::new(row), line)));
        let slots = self.row_slot.entries();
        writes.extend(slots.map(|(index, slot)| Write::RowSlot(index, slot)));
        let lines = self.policy_line.entries();
        writes.extend(lines.map(|(policy, line)| Write::PolicyLine(PolicyId::new(policy), line)));
        writes.extend(self.port_classes());
        let classes = self.identity_pages.entries();
        writes.extend(classes.map(|(identity, classes)| Write::PeerClasses(identity, classes)));
        let policies = self.policy_of.entries().filter_map(|(endpoint, pair)| {
            let endpoint = u16::try_from(endpoint).ok()?;
            Some(Write::PolicyOf(EndpointId::new(endpoint), pair))
        });
        writes.extend(policies);
        for (address, record) in self.endpoints.entries()? {
            writes.push(Write::Endpoint(address, Some(record)));
        }
        for (address, entry) in self.ipcache.entries()? {
            writes.push(Write::Ipcache(Prefix::exact(address.ip()), Some(entry)));
        }
        for (prefix, entry) in self.ipcache_cidr.entries()? {
            let entry = IpcacheEntry { flags: 0, ..entry };
            writes.extend(prefix_of(&prefix).map(|prefix| Write::Ipcache(prefix, Some(entry))));
        }
        Ok(writes)
    }

    fn port_classes(&self) -> impl Iterator<Item = Write> {
        (0..PORT_INDEXES).filter_map(|index| {
            let index = PortIndex::from_index(index)?;
            let class = self.port_class.get(index);
            (class != PortClass::default()).then_some(Write::PortClass(index, class))
        })
    }
}

/// Both families share one space, where a short prefix of IPv6 covers the IPv4-mapped range.
fn of_family(prefix: Prefix, entry: IpcacheEntry) -> IpcacheEntry {
    let flags = if prefix.address().is_ipv4() {
        0
    } else {
        IPCACHE_IPV6
    };
    IpcacheEntry { flags, ..entry }
}

/// A prefix as the map keeps it, in its address's own family.
fn prefix_of(prefix: &IpcachePrefix) -> Option<Prefix> {
    let address = prefix.address.ip();
    let offset = if address.is_ipv4() { 96 } else { 0 };
    let length = u8::try_from(prefix.prefix_len.checked_sub(offset)?).ok()?;
    Prefix::new(address, length).ok()
}
