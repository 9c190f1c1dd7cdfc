//! Programs into the kernel.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libbpf_rs::ErrorKind;
use libbpf_rs::skel::SkelBuilder;
use palisade_abi::{Address, DatapathConfig};
use thiserror::Error as ThisError;

use crate::maps::{Map, Maps};
use crate::program::Program;
use crate::skel::{EndpointSkel, EndpointSkelBuilder, OpenEndpointSkel, types};
use crate::sys;

/// Why the programs could not be loaded.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The object could not be prepared.
    #[error("the programs could not be prepared: {step}")]
    Open {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The verifier refused a program.
    #[error("the kernel refuses program {program}; the end of the verifier's log:\n{log}")]
    Verifier {
        /// The program.
        program: String,
        /// The last lines of the verifier's log.
        log: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused the programs before it looked at one.
    #[error("the programs could not be loaded")]
    Load {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// The two programs of an endpoint's host-side veth.
///
/// Minimum kernel version: 5.15.
#[derive(Debug)]
pub struct Programs {
    /// For packets that the endpoint sends: the ingress hook of the host-side veth.
    pub from_container: Program,
    /// For packets to the endpoint: the egress hook of the host-side veth.
    pub to_container: Program,
}

impl Programs {
    /// Loads the programs over a set of maps.
    ///
    /// The table sizes of `config` are those of the maps, whatever it says.
    ///
    /// # Errors
    /// [`Error::Verifier`] with the end of the log, [`Error::Load`] or [`Error::Open`].
    pub fn load(maps: &Maps, config: &DatapathConfig) -> Result<Self, Error> {
        let mut storage = MaybeUninit::uninit();
        let open = EndpointSkelBuilder::default().open(&mut storage);
        let mut open = open.map_err(opening("open"))?;
        configure(&mut open, &sized(maps, config))?;
        reuse(&mut open, maps)?;
        let loaded = sys::load(open).map_err(refused)?;
        Self::take(&loaded).map_err(|source| Error::Open {
            step: "take the programs",
            source,
        })
    }

    fn take(loaded: &EndpointSkel<'_>) -> io::Result<Self> {
        let from = loaded.progs.from_container.as_fd().try_clone_to_owned()?;
        let to = loaded.progs.to_container.as_fd().try_clone_to_owned()?;
        Ok(Self {
            from_container: Program::new("from_container", from),
            to_container: Program::new("to_container", to),
        })
    }
}

fn sized(maps: &Maps, config: &DatapathConfig) -> DatapathConfig {
    let sizes = maps.sizes();
    DatapathConfig {
        policies: sizes.policies,
        row_slots: sizes.row_slots,
        rows: sizes.rows,
        cell_slots: sizes.cell_slots,
        verdicts: sizes.verdicts,
        ..*config
    }
}

fn configure(open: &mut OpenEndpointSkel<'_>, config: &DatapathConfig) -> Result<(), Error> {
    let data = open.maps.rodata_data.as_mut().ok_or_else(|| Error::Open {
        step: "configure",
        source: io::ErrorKind::NotFound.into(),
    })?;
    data.config = types::datapath_config {
        policies: config.policies,
        row_slots: config.row_slots,
        rows: config.rows,
        cell_slots: config.cell_slots,
        verdicts: config.verdicts,
        mode: config.mode,
        world_ipv4: config.world_ipv4,
        world_ipv6: config.world_ipv6,
        tcp_timeout: config.tcp_timeout,
        syn_timeout: config.syn_timeout,
        close_timeout: config.close_timeout,
        other_timeout: config.other_timeout,
        redirect_peer: config.redirect_peer,
        deny_answer: config.deny_answer,
        node_ipv4: address(config.node_ipv4),
        node_ipv6: address(config.node_ipv6),
    };
    Ok(())
}

/// An address as the programs have it: words that already stand in network order.
fn address(address: Address) -> types::address {
    types::address {
        words: zerocopy::transmute!(address),
    }
}

/// Every map is made by us, so that it is the same whether the programs are there or not.
fn reuse(open: &mut OpenEndpointSkel<'_>, maps: &Maps) -> Result<(), Error> {
    let slots = &mut open.maps;
    for (slot, map) in [
        (&mut slots.endpoints_v1, Map::Endpoints),
        (&mut slots.policy_of_v1, Map::PolicyOf),
        (&mut slots.ipcache_v1, Map::Ipcache),
        (&mut slots.ipcache_cidr_v1, Map::IpcacheCidr),
        (&mut slots.id_pages_v1, Map::IdentityPages),
        (&mut slots.port_class_v1, Map::PortClass),
        (&mut slots.policy_line_v1, Map::PolicyLine),
        (&mut slots.row_slot_v1, Map::RowSlot),
        (&mut slots.row_line_v1, Map::RowLine),
        (&mut slots.cell_slot_v1, Map::CellSlot),
        (&mut slots.verdict_v1, Map::Verdict),
        (&mut slots.conntrack_v1, Map::Conntrack),
        (&mut slots.fragments_v1, Map::Fragments),
        (&mut slots.events_v1, Map::Events),
        (&mut slots.counters_v1, Map::Counters),
        (&mut slots.state_v1, Map::State),
    ] {
        slot.reuse_fd(maps.fd(map)).map_err(opening(map.name()))?;
    }
    Ok(())
}

fn opening(step: &'static str) -> impl FnOnce(libbpf_rs::Error) -> Error {
    move |error| Error::Open {
        step,
        source: io_error(&error),
    }
}

/// Lines of the verifier's log that an error carries: the last ones say what was refused.
const LOG_LINES: usize = 40;

fn refused(failure: sys::LoadFailure) -> Error {
    let source = io_error(&failure.error);
    match failure.logs.into_iter().next_back() {
        Some((program, log)) => {
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(LOG_LINES)..);
            Error::Verifier {
                program,
                log: tail.unwrap_or_default().join("\n"),
                source,
            }
        }
        None => Error::Load { source },
    }
}

/// libbpf-rs hides the number of an error, but not its kind and text.
fn io_error(error: &libbpf_rs::Error) -> io::Error {
    let kind = match error.kind() {
        ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        ErrorKind::NotFound => io::ErrorKind::NotFound,
        ErrorKind::OutOfMemory => io::ErrorKind::OutOfMemory,
        ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}
