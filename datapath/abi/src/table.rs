//! The one way in which tables change.

use crate::{
    Address, EndpointId, EndpointRecord, Identity, IpcacheEntry, Line, PeerClasses, PolicyId,
    PolicyPair, PortClass, PortIndex, Prefix, RowId, Slot, Verdict, VerdictIndex,
};

/// One write: a single bpf call or one aligned mapped store. Readers see it whole or not at all.
///
/// A plan is a sequence of writes; it is applied in order, and a reader between any two of them
/// sees the old answer or the new one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Write {
    /// The class of one (protocol, port).
    PortClass(PortIndex, PortClass),
    /// The classes of one identity.
    PeerClasses(Identity, PeerClasses),
    /// A policy's line.
    PolicyLine(PolicyId, Line),
    /// A slot of the policies' lines.
    RowSlot(u32, Slot),
    /// A row's line.
    RowLine(RowId, Line),
    /// A slot of the rows' lines.
    CellSlot(u32, Slot),
    /// A verdict record.
    Verdict(VerdictIndex, Verdict),
    /// The two policies of an endpoint.
    PolicyOf(EndpointId, PolicyPair),
    /// The endpoint behind an address; `None` removes it.
    Endpoint(Address, Option<EndpointRecord>),
    /// The identity of a prefix; `None` removes it.
    Ipcache(Prefix, Option<IpcacheEntry>),
    /// Bumps the generation, so that cached verdicts are decided again. Not counted as a map write.
    Generation,
    /// Waits until no program reads what earlier writes replaced. Not counted as a map write.
    Grace,
}

impl Write {
    /// Whether this is a map write, and not a generation bump or a wait.
    pub const fn is_map_write(&self) -> bool {
        !matches!(self, Self::Generation | Self::Grace)
    }
}

/// Tables that writes are applied to: in memory (`palisade-policy`) or BPF maps
/// (`palisade-datapath`).
pub trait Table {
    /// Why a write could not be applied.
    type Error;

    /// Applies one write.
    ///
    /// # Errors
    /// What kept the write from being applied; the tables are as before it.
    fn apply(&mut self, write: &Write) -> Result<(), Self::Error>;

    /// Applies a plan in order.
    ///
    /// # Errors
    /// The error of the first write that fails; the writes before it are in force.
    fn apply_all(&mut self, writes: &[Write]) -> Result<(), Self::Error> {
        writes.iter().try_for_each(|write| self.apply(write))
    }
}
