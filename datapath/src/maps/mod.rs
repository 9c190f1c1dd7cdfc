//! The maps that the programs use, each behind a typed wrapper.
//!
//! A set of maps stands on its own: it can be written ([`palisade_abi::Table`]) and read without a
//! program being loaded.

mod counters;
mod error;
mod hash;
mod name;
mod pages;
mod words;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use libbpf_rs::MapInfo;
use palisade_abi::{
    Address, CtEntry, CtKey, EndpointRecord, FRAGMENTED_DATAGRAMS, FragmentEntry, FragmentKey,
    IpcacheEntry, IpcachePrefix, Line, NatEntry, NatKey, PolicyPair, Slot, TableSizes, Verdict,
};

pub use self::counters::Counters;
pub use self::error::Error;
pub use self::hash::Hash;
pub use self::name::Map;
pub use self::pages::IdentityPages;
use self::pages::Slots;
pub use self::words::{PortClasses, State, Words};
use crate::sys::{self, Shape};

/// All maps of one datapath.
#[derive(Debug)]
pub struct Maps {
    /// Addresses of this node's endpoints.
    pub endpoints: Hash<Address, EndpointRecord>,
    /// The two policies of each endpoint.
    pub policy_of: Words<PolicyPair>,
    /// Identities of exact addresses.
    pub ipcache: Hash<Address, IpcacheEntry>,
    /// Identities of prefixes.
    pub ipcache_cidr: Hash<IpcachePrefix, IpcacheEntry>,
    /// Peer classes of identities.
    pub identity_pages: IdentityPages,
    /// Port classes.
    pub port_class: PortClasses,
    /// Lines of policies.
    pub policy_line: Words<Line>,
    /// Slots of policies' lines.
    pub row_slot: Words<Slot>,
    /// Lines of rows.
    pub row_line: Words<Line>,
    /// Slots of rows' lines.
    pub cell_slot: Words<Slot>,
    /// Verdicts.
    pub verdict: Words<Verdict>,
    /// Connections.
    pub conntrack: Hash<CtKey, CtEntry>,
    /// Datagrams that arrive in parts.
    pub fragments: Hash<FragmentKey, FragmentEntry>,
    /// Endpoints that speak with the node's address.
    pub nat: Hash<NatKey, NatEntry>,
    /// Packets by what became of them.
    pub counters: Counters,
    /// The generation.
    pub state: State,
    events: OwnedFd,
    sizes: TableSizes,
}

impl Maps {
    /// Makes a set of its own, pinned nowhere; it goes with this value and the programs that use it.
    ///
    /// # Errors
    /// [`Error::Create`] or [`Error::Mapping`]; making maps takes root.
    pub fn create(sizes: TableSizes) -> Result<Self, Error> {
        Self::create_with(sizes, BTreeMap::new())
    }

    /// As [`Maps::create`], with some maps of the caller's own in place of new ones.
    ///
    /// A map must have the name, key size and value size of the one it replaces; a hash may be any
    /// kind of hash and hold any number of entries.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Shape`], [`Error::Create`] or [`Error::Mapping`].
    pub fn create_with(sizes: TableSizes, own: BTreeMap<Map, OwnedFd>) -> Result<Self, Error> {
        let slots = if own.contains_key(&Map::IdentityPages) {
            Slots::Any
        } else {
            Slots::Empty
        };
        let mut fds = own;
        for (map, fd) in &fds {
            check(*map, fd.as_fd(), &sizes, Strictness::Sizes)?;
        }
        for map in Map::ALL {
            if !fds.contains_key(map) {
                fds.insert(*map, create(*map, &sizes)?);
            }
        }
        let maps = Self::assemble(fds, sizes, slots)?;
        if maps.state.get().generation == 0 {
            maps.state.bump_generation();
        }
        Ok(maps)
    }

    /// Opens what [`Maps::pin`] has pinned, with its contents.
    ///
    /// # Errors
    /// [`Error::Pin`], [`Error::Shape`] or [`Error::Mapping`].
    pub fn open_pinned(folder: &Path, sizes: TableSizes) -> Result<Self, Error> {
        let mut fds = BTreeMap::new();
        for map in Map::ALL {
            let path = folder.join(map.name());
            let fd = sys::pinned(&path).map_err(|source| Error::Pin { path, source })?;
            check(*map, fd.as_fd(), &sizes, Strictness::Exact)?;
            fds.insert(*map, fd);
        }
        Self::assemble(fds, sizes, Slots::Noted)
    }

    /// Pins every map under its name in a folder of a BPF file system.
    ///
    /// # Errors
    /// [`Error::Pin`].
    pub fn pin(&self, folder: &Path) -> Result<(), Error> {
        for map in Map::ALL {
            let path = folder.join(map.name());
            sys::pin(self.fd(*map), &path).map_err(|source| Error::Pin { path, source })?;
        }
        Ok(())
    }

    /// The sizes that the maps were made with.
    pub fn sizes(&self) -> TableSizes {
        self.sizes
    }

    /// The descriptor of a map.
    pub fn fd(&self, map: Map) -> BorrowedFd<'_> {
        match map {
            Map::Endpoints => self.endpoints.as_fd(),
            Map::PolicyOf => self.policy_of.as_fd(),
            Map::Ipcache => self.ipcache.as_fd(),
            Map::IpcacheCidr => self.ipcache_cidr.as_fd(),
            Map::IdentityPages => self.identity_pages.as_fd(),
            Map::PortClass => self.port_class.as_fd(),
            Map::PolicyLine => self.policy_line.as_fd(),
            Map::RowSlot => self.row_slot.as_fd(),
            Map::RowLine => self.row_line.as_fd(),
            Map::CellSlot => self.cell_slot.as_fd(),
            Map::Verdict => self.verdict.as_fd(),
            Map::Conntrack => self.conntrack.as_fd(),
            Map::Fragments => self.fragments.as_fd(),
            Map::Nat => self.nat.as_fd(),
            Map::Events => self.events.as_fd(),
            Map::Counters => self.counters.as_fd(),
            Map::State => self.state.as_fd(),
        }
    }

    fn assemble(
        mut fds: BTreeMap<Map, OwnedFd>,
        sizes: TableSizes,
        slots: Slots,
    ) -> Result<Self, Error> {
        let mut take = |map| {
            fds.remove(&map).ok_or_else(|| Error::Create {
                map,
                source: std::io::ErrorKind::NotFound.into(),
            })
        };
        let state = State::new(take(Map::State)?)?;
        Ok(Self {
            endpoints: Hash::new(Map::Endpoints, take(Map::Endpoints)?, sizes.endpoints),
            policy_of: Words::new(Map::PolicyOf, take(Map::PolicyOf)?, 1 << 16)?,
            ipcache: Hash::new(Map::Ipcache, take(Map::Ipcache)?, sizes.ipcache),
            ipcache_cidr: Hash::new(Map::IpcacheCidr, take(Map::IpcacheCidr)?, sizes.ipcache),
            identity_pages: IdentityPages::new(take(Map::IdentityPages)?, slots, &state)?,
            port_class: PortClasses::new(take(Map::PortClass)?)?,
            policy_line: Words::new(Map::PolicyLine, take(Map::PolicyLine)?, sizes.policies)?,
            row_slot: Words::new(Map::RowSlot, take(Map::RowSlot)?, sizes.row_slots)?,
            row_line: Words::new(Map::RowLine, take(Map::RowLine)?, sizes.rows)?,
            cell_slot: Words::new(Map::CellSlot, take(Map::CellSlot)?, sizes.cell_slots)?,
            verdict: Words::new(Map::Verdict, take(Map::Verdict)?, sizes.verdicts)?,
            conntrack: Hash::new(Map::Conntrack, take(Map::Conntrack)?, sizes.conntrack),
            fragments: Hash::new(Map::Fragments, take(Map::Fragments)?, FRAGMENTED_DATAGRAMS),
            nat: Hash::new(Map::Nat, take(Map::Nat)?, sizes.nat()),
            counters: Counters::new(take(Map::Counters)?)?,
            state,
            events: take(Map::Events)?,
            sizes,
        })
    }
}

fn create(map: Map, sizes: &TableSizes) -> Result<OwnedFd, Error> {
    let shape = map.shape(sizes);
    let template = match map {
        Map::IdentityPages => Some(IdentityPages::create_page()?),
        _ => None,
    };
    let inner = template.as_ref().map(AsFd::as_fd);
    sys::map_create(map.name(), &shape, inner).map_err(|source| Error::Create { map, source })
}

/// How closely a map must be like the one that would be made.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Strictness {
    /// In every respect.
    Exact,
    /// In what programs and wrappers rely on.
    Sizes,
}

fn check(
    map: Map,
    fd: BorrowedFd<'_>,
    sizes: &TableSizes,
    strictness: Strictness,
) -> Result<(), Error> {
    let info = MapInfo::new(fd).map_err(|_| Error::Read {
        map,
        source: std::io::ErrorKind::InvalidInput.into(),
    })?;
    let name = info.name().unwrap_or_default();
    if name != map.name() {
        return Err(Error::Name {
            map,
            found: name.into(),
        });
    }
    let Shape {
        kind,
        key_size,
        value_size,
        max_entries,
        flags,
    } = map.shape(sizes);
    let is_hash = matches!(
        map,
        Map::Endpoints | Map::Ipcache | Map::Conntrack | Map::Fragments | Map::Nat
    );
    let exact = strictness == Strictness::Exact || !is_hash;
    let fields = [
        ("type", info.info.type_, kind, exact),
        ("key size", info.info.key_size, key_size, true),
        ("value size", info.info.value_size, value_size, true),
        ("entries", info.info.max_entries, max_entries, exact),
        ("flags", info.info.map_flags, flags, exact),
    ];
    match fields.iter().find(|field| field.3 && field.1 != field.2) {
        Some(&(field, found, expected, _)) => Err(Error::Shape {
            map,
            field,
            found,
            expected,
        }),
        None => Ok(()),
    }
}
