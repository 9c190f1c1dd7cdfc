//! The tables in memory.

use std::collections::BTreeMap;
use std::iter::{self, Peekable};
use std::slice;

use palisade_abi::{
    Address, Cookie, Direction, EndpointId, EndpointRecord, IDENTITY_PAGE_LEN, IDENTITY_PAGES,
    Identity, IpcacheEntry, Line, PORT_INDEXES, PeerClass, PeerClasses, PolicyId, PolicyPair,
    PortClass, PortIndex, Prefix, ROW_BLOCK, ROW_BLOCKS, ROW_WIDE, RowId, Slot, Table, TableSizes,
    Verdict, VerdictIndex, Write,
};
use thiserror::Error;

use super::paged::Paged;

/// The contents of every table that the kernel has, in memory.
///
/// [`Image::lookup`] does exactly what the programs do; the other methods are its single loads, so
/// that a test can step a reader between any two writes. An empty image denies everything.
#[derive(Clone, Debug)]
pub struct Image {
    sizes: TableSizes,
    port_classes: Paged<u16>,
    peer_classes: Paged<PeerClasses>,
    policy_lines: Paged<Line>,
    row_slots: Paged<Slot>,
    row_lines: Paged<Line>,
    cell_slots: Paged<Slot>,
    verdicts: Paged<Verdict>,
    policies_of: Paged<PolicyPair>,
    endpoints: BTreeMap<Address, EndpointRecord>,
    ipcache: BTreeMap<Prefix, IpcacheEntry>,
    generation: u32,
}

/// A write outside its table.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{write:?} is outside its table of {size}")]
pub struct OutsideTable {
    /// The write that was refused.
    pub write: Write,
    /// The elements of its table.
    pub size: u32,
}

impl Image {
    /// Empty tables of these sizes.
    pub const fn new(sizes: TableSizes) -> Self {
        Self {
            sizes,
            port_classes: Paged::new(),
            peer_classes: Paged::new(),
            policy_lines: Paged::new(),
            row_slots: Paged::new(),
            row_lines: Paged::new(),
            cell_slots: Paged::new(),
            verdicts: Paged::new(),
            policies_of: Paged::new(),
            endpoints: BTreeMap::new(),
            ipcache: BTreeMap::new(),
            generation: 0,
        }
    }

    /// What the programs decide for traffic of `direction` with the peer `identity`.
    pub fn lookup(
        &self,
        policies: PolicyPair,
        direction: Direction,
        identity: Identity,
        port: PortIndex,
    ) -> Verdict {
        let policy = match direction {
            Direction::Ingress => policies.ingress,
            Direction::Egress => policies.egress,
        };
        let port = self.port_class(port);
        let peer = self.peer_class(identity, direction);
        let line = self.policy_line(PolicyId::new(policy));
        let row = line_value(line, peer.get(), |at| self.row_slot(at));
        let cell = self.cell(self.row_line(RowId::new(row)), u32::from(port.get()));
        self.verdict(VerdictIndex::new(cell))
    }

    /// What a row holds for a port class.
    fn cell(&self, line: Line, class: u32) -> u16 {
        let mut place = class;
        if line.default & ROW_WIDE != 0 {
            let at = line.base.checked_add(class / ROW_BLOCK);
            let block = at.map(|at| self.cell_slot(at)).unwrap_or_default();
            if block.owner == line.base && block.speaks_for(class) {
                return low_half(block.value);
            }
            place += ROW_BLOCKS;
        }
        low_half(line_value(line, place, |at| self.cell_slot(at)))
    }

    /// The two policies of an endpoint.
    pub fn policies_of(&self, endpoint: EndpointId) -> PolicyPair {
        self.policies_of.get(u32::from(endpoint.get()))
    }

    /// The class of a port.
    pub fn port_class(&self, port: PortIndex) -> PortClass {
        PortClass::new(self.port_classes.get(port.get()))
    }

    /// The classes of an identity.
    pub fn peer_classes(&self, identity: Identity) -> PeerClasses {
        self.peer_classes.get(identity.get())
    }

    /// The class of an identity for the policies of one direction.
    pub fn peer_class(&self, identity: Identity, direction: Direction) -> PeerClass {
        PeerClass::new(class(self.peer_classes(identity), direction))
    }

    /// The line of a policy.
    pub fn policy_line(&self, policy: PolicyId) -> Line {
        self.policy_lines.get(policy.get())
    }

    /// A slot of the policies' lines.
    pub fn row_slot(&self, at: u32) -> Slot {
        self.row_slots.get(at)
    }

    /// The line of a row.
    pub fn row_line(&self, row: RowId) -> Line {
        self.row_lines.get(row.get())
    }

    /// A slot of the rows' lines.
    pub fn cell_slot(&self, at: u32) -> Slot {
        self.cell_slots.get(at)
    }

    /// A verdict record.
    pub fn verdict(&self, index: VerdictIndex) -> Verdict {
        self.verdicts.get(u32::from(index.get()))
    }

    /// The record of the endpoint that has an address.
    pub fn endpoint(&self, address: Address) -> Option<&EndpointRecord> {
        self.endpoints.get(&address)
    }

    /// The records of endpoints by address.
    pub const fn endpoints(&self) -> &BTreeMap<Address, EndpointRecord> {
        &self.endpoints
    }

    /// The entries of the ipcache.
    pub const fn ipcache(&self) -> &BTreeMap<Prefix, IpcacheEntry> {
        &self.ipcache
    }

    /// How often the generation was bumped.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The sizes of the tables.
    pub const fn sizes(&self) -> TableSizes {
        self.sizes
    }

    /// The identities that have a class, in ascending order.
    pub fn classified(&self) -> impl Iterator<Item = (Identity, PeerClasses)> {
        self.peer_classes
            .iter()
            .map(|(identity, classes)| (Identity::new(identity), classes))
    }

    /// The endpoints that have a policy, in ascending order.
    pub fn enforced(&self) -> impl Iterator<Item = (EndpointId, PolicyPair)> {
        self.policies_of
            .iter()
            .filter_map(|(id, pair)| Some((EndpointId::new(u16::try_from(id).ok()?), pair)))
    }

    pub(super) fn row_slots(&self) -> impl Iterator<Item = (u32, Slot)> {
        self.row_slots.iter()
    }

    pub(super) fn cell_slots(&self) -> impl Iterator<Item = (u32, Slot)> {
        self.cell_slots.iter()
    }

    /// The ports whose class is not 0, in ascending order.
    pub(super) fn port_classes(&self) -> impl Iterator<Item = (u32, u16)> {
        self.port_classes.iter()
    }

    /// The highest cookie that some record names.
    pub(super) fn last_cookie(&self) -> Cookie {
        let cookies = self.verdicts.iter().map(|(_, verdict)| verdict.cookie());
        cookies.max().unwrap_or_default()
    }

    /// Applies writes that are known to be inside their tables.
    pub(super) fn store_all(&mut self, writes: &[Write]) {
        let mut writes = writes.iter().peekable();
        while let Some(write) = writes.next() {
            // Of these two there may be many side by side.
            match *write {
                Write::CellSlot(..) => {
                    let cell = |write: &Write| match *write {
                        Write::CellSlot(at, slot) => Some((at, slot)),
                        _ => None,
                    };
                    self.cell_slots.set_all(run(write, &mut writes, cell));
                }
                Write::PeerClasses(..) => {
                    let classes = |write: &Write| match *write {
                        Write::PeerClasses(identity, classes) => Some((identity.get(), classes)),
                        _ => None,
                    };
                    self.peer_classes.set_all(run(write, &mut writes, classes));
                }
                _ => self.store(write),
            }
        }
    }

    fn store(&mut self, write: &Write) {
        match *write {
            Write::PortClass(port, class) => self.port_classes.set(port.get(), class.get()),
            Write::PeerClasses(identity, classes) => {
                self.peer_classes.set(identity.get(), classes);
            }
            Write::PolicyLine(policy, line) => self.policy_lines.set(policy.get(), line),
            Write::RowSlot(at, slot) => self.row_slots.set(at, slot),
            Write::RowLine(row, line) => self.row_lines.set(row.get(), line),
            Write::CellSlot(at, slot) => self.cell_slots.set(at, slot),
            Write::Verdict(index, verdict) => self.verdicts.set(u32::from(index.get()), verdict),
            Write::PolicyOf(id, pair) => self.policies_of.set(u32::from(id.get()), pair),
            Write::Endpoint(address, record) => replace(&mut self.endpoints, address, record),
            Write::Ipcache(prefix, entry) => replace(&mut self.ipcache, prefix, entry),
            Write::Generation => self.generation = self.generation.wrapping_add(1),
            Write::Grace => {}
        }
    }

    /// The size of the table that a write goes to, and the place in it.
    fn place(&self, write: &Write) -> (u32, u32) {
        match *write {
            Write::PortClass(port, _) => (port.get(), PORT_INDEXES),
            Write::PeerClasses(identity, _) => (identity.get() / IDENTITY_PAGE_LEN, IDENTITY_PAGES),
            Write::PolicyLine(policy, _) => (policy.get(), self.sizes.policies),
            Write::RowSlot(at, _) => (at, self.sizes.row_slots),
            Write::RowLine(row, _) => (row.get(), self.sizes.rows),
            Write::CellSlot(at, _) => (at, self.sizes.cell_slots),
            Write::Verdict(index, _) => (u32::from(index.get()), self.sizes.verdicts),
            Write::PolicyOf(..)
            | Write::Endpoint(..)
            | Write::Ipcache(..)
            | Write::Generation
            | Write::Grace => (0, 1),
        }
    }
}

impl Table for Image {
    type Error = OutsideTable;

    fn apply(&mut self, write: &Write) -> Result<(), OutsideTable> {
        let (at, size) = self.place(write);
        if at >= size {
            return Err(OutsideTable {
                write: *write,
                size,
            });
        }
        self.store(write);
        Ok(())
    }
}

/// The class that the policies of one direction use.
pub(super) const fn class(classes: PeerClasses, direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => classes.ingress,
        Direction::Egress => classes.egress,
    }
}

/// What a line holds at a place, read as the programs read it.
fn line_value(line: Line, place: u32, slot: impl Fn(u32) -> Slot) -> u32 {
    line.base
        .checked_add(place)
        .map(slot)
        .filter(|slot| slot.owner == line.base)
        .map_or(line.default, |slot| slot.value)
}

/// A write and those of the same kind that follow, whatever they say.
fn run<'a, T>(
    first: &'a Write,
    rest: &mut Peekable<slice::Iter<'a, Write>>,
    of: impl Fn(&Write) -> Option<T>,
) -> impl Iterator<Item = T> {
    let mut next = of(first);
    iter::from_fn(move || {
        let now = next.take()?;
        next = rest.next_if(|write| of(write).is_some()).and_then(&of);
        Some(now)
    })
}

/// The verdict in what a row's line holds.
const fn low_half(value: u32) -> u16 {
    let [.., high, low] = value.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn replace<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    let _previous = match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
