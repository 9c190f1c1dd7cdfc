//! The programs of the building blocks, over tables that are filled.

use std::error::Error;
use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, OpenObject, ProgramInput, ProgramMut};
use palisade_abi::{
    Cookie, Direction, EndpointId, Identity, Line, PeerClass, PeerClasses, PolicyId, PolicyPair,
    PortClass, PortIndex, Protocol, RowId, Slot, Table, TableSizes, Verdict, VerdictIndex, Write,
};
use palisade_datapath::{Map, Maps};

use crate::skel::{BlocksSkel, BlocksSkelBuilder};

/// What the tables hold: the shape that layouts were compared with.
pub(crate) const POLICIES: u32 = 200;
pub(crate) const PEER_CLASSES: u32 = 1_000;
pub(crate) const ROWS: u32 = 4_000;
pub(crate) const PORT_CLASSES: u16 = 512;
const VERDICTS: u32 = 4_096;
/// The first identity of a page that the tables know, and of one of which they know a single one.
pub(crate) const KNOWN: u32 = 0x0100_0000;
pub(crate) const UNKNOWN: u32 = 0x0101_0001;
/// As many as a page holds, but for its first.
pub(crate) const IDENTITIES: u32 = 65_535;
/// How many lookups a run makes.
pub(crate) const LOOKUPS: f64 = 16.0;

pub(crate) const SIZES: TableSizes = TableSizes {
    policies: 1_024,
    row_slots: 1 << 18,
    rows: 8_192,
    cell_slots: 1 << 22,
    verdicts: 8_192,
    endpoints: 16,
    ipcache: 16,
    conntrack: 1_024,
    events: 4_096,
};

/// Loads the programs over a set of maps.
pub(crate) fn load<'o>(
    maps: &Maps,
    storage: &'o mut MaybeUninit<OpenObject>,
) -> Result<BlocksSkel<'o>, Box<dyn Error>> {
    let mut open = BlocksSkelBuilder::default().open(storage)?;
    let data = open.maps.rodata_data.as_mut().ok_or("no configuration")?;
    let sizes = maps.sizes();
    data.config.policies = sizes.policies;
    data.config.row_slots = sizes.row_slots;
    data.config.rows = sizes.rows;
    data.config.cell_slots = sizes.cell_slots;
    data.config.verdicts = sizes.verdicts;
    for mut slot in open.open_object_mut().maps_mut() {
        if let Some(map) = Map::ALL.iter().find(|map| slot.name() == map.name()) {
            slot.reuse_fd(maps.fd(*map))?;
        }
    }
    Ok(open.load()?)
}

/// Fills the decision tables: every policy and row has a line without gaps.
pub(crate) fn fill(maps: &mut Maps) -> Result<(), palisade_datapath::maps::Error> {
    for index in 1..=VERDICTS {
        let verdict = Verdict::allow(Cookie::new(index));
        maps.apply(&Write::Verdict(verdict_index(index), verdict))?;
    }
    let width = u32::from(PORT_CLASSES) + 1;
    for row in 1..=ROWS {
        let base = 1 + (row - 1) * width;
        for class in 0..width {
            let index = verdict_index(1 + row.wrapping_mul(31).wrapping_add(class) % VERDICTS);
            maps.apply(&Write::CellSlot(base + class, Slot::cell(base, index)))?;
        }
        maps.apply(&Write::RowLine(RowId::new(row), Line { base, default: 0 }))?;
    }
    let width = PEER_CLASSES + 1;
    for policy in 1..=POLICIES {
        let base = 1 + (policy - 1) * width;
        for class in 0..width {
            let row = RowId::new(1 + (policy * 7_919 + class * 104_729) % ROWS);
            maps.apply(&Write::RowSlot(base + class, Slot::row(base, row)))?;
        }
        let id = PolicyId::new(policy);
        maps.apply(&Write::PolicyLine(id, Line { base, default: 0 }))?;
        let pair = PolicyPair::new(PolicyId::default(), id);
        let endpoint = EndpointId::new(u16::try_from(policy).unwrap_or_default());
        maps.apply(&Write::PolicyOf(endpoint, pair))?;
    }
    for class in 1..=PORT_CLASSES {
        let index = PortIndex::new(Protocol::TCP, class);
        maps.apply(&Write::PortClass(index, PortClass::new(class)))?;
    }
    for offset in 0..=IDENTITIES + 1 {
        let class = PeerClass::new(1 + offset % PEER_CLASSES);
        let classes = PeerClasses::new(class, class);
        maps.apply(&Write::PeerClasses(Identity::new(KNOWN + offset), classes))?;
    }
    Ok(())
}

fn verdict_index(index: u32) -> VerdictIndex {
    VerdictIndex::new(u16::try_from(index).unwrap_or_default())
}

/// Puts entries of Cilium's kind into the prefix map: one for each of some identities, with a port,
/// and one for any identity.
pub(crate) fn add_prefixes(
    skel: &BlocksSkel<'_>,
    offsets: impl Iterator<Item = u32>,
) -> Result<(), libbpf_rs::Error> {
    let any = prefix_key(PREFIX_OF_ANY_PORT, 0);
    let keys = offsets.map(|offset| prefix_key(PREFIX_OF_PORT, KNOWN + offset));
    for key in keys.chain([any]) {
        skel.maps.prefixes.update(&key, &[1; 12], MapFlags::ANY)?;
    }
    Ok(())
}

/// Bits of a key: identity, direction, protocol, and with them the port.
const PREFIX_OF_ANY_PORT: u32 = 48;
const PREFIX_OF_PORT: u32 = 64;

/// A `struct prefix_key` about TCP and port 80.
fn prefix_key(length: u32, identity: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    key.extend(length.to_ne_bytes());
    key.extend(identity.to_ne_bytes());
    key.extend([Direction::Egress as u8, 6]);
    key.extend(80_u16.to_be_bytes());
    key
}

/// The mean time of a run, in nanoseconds, over as many runs with one packet.
pub(crate) fn time(program: &ProgramMut<'_>, runs: u32) -> Result<f64, libbpf_rs::Error> {
    let packet = [0; 64];
    let output = program.test_run(ProgramInput {
        data_in: Some(&packet),
        repeat: runs,
        ..ProgramInput::default()
    })?;
    Ok(output.duration.as_secs_f64() * 1e9)
}
