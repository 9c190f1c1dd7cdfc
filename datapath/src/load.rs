//! Programs into the kernel.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libbpf_rs::ErrorKind;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use palisade_abi::{Address, DatapathConfig};
use thiserror::Error as ThisError;

use crate::maps::{Map, Maps};
use crate::program::Program;
use crate::skel::endpoint::EndpointSkelBuilder;
use crate::skel::host::HostSkelBuilder;
use crate::skel::overlay::OverlaySkelBuilder;
use crate::skel::{endpoint, host, overlay};
use crate::sys;

/// The configuration as an object's own type has it.
macro_rules! programs_config {
    ($object:ident, $config:expr) => {{
        let config: &DatapathConfig = $config;
        // Words that already stand in network order.
        let address = |address: Address| $object::types::address {
            words: zerocopy::transmute!(address),
        };
        $object::types::datapath_config {
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
            host_endpoint: config.host_endpoint,
            masquerade: config.masquerade,
            nat_port_low: config.nat_port_low,
            nat_port_high: config.nat_port_high,
            overlay: config.overlay,
            overlay_port: config.overlay_port,
        }
    }};
}

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

/// The programs of a node.
///
/// Minimum kernel version: 5.15.
#[derive(Debug)]
pub struct Programs {
    /// For packets that the endpoint sends: the ingress hook of the host-side veth.
    pub from_container: Program,
    /// For packets to the endpoint: the egress hook of the host-side veth.
    pub to_container: Program,
    /// For packets from other machines: the ingress hook of a device that leads to them.
    pub from_network: Program,
    /// For packets to other machines: the egress hook of a device that leads to them.
    pub to_network: Program,
    /// For packets out of tunnels: the ingress hook of the overlay's device.
    pub from_overlay: Program,
    /// For packets into tunnels: the egress hook of the overlay's device.
    pub to_overlay: Program,
}

impl Programs {
    /// Loads the programs over a set of maps.
    ///
    /// The table sizes of `config` are those of the maps, whatever it says.
    ///
    /// # Errors
    /// [`Error::Verifier`] with the end of the log, [`Error::Load`] or [`Error::Open`].
    pub fn load(maps: &Maps, config: &DatapathConfig) -> Result<Self, Error> {
        let config = sized(maps, config);
        let [from_container, to_container] = load_endpoint(maps, &config)?;
        let [from_network, to_network] = load_host(maps, &config)?;
        let [from_overlay, to_overlay] = load_overlay(maps, &config)?;
        Ok(Self {
            from_container,
            to_container,
            from_network,
            to_network,
            from_overlay,
            to_overlay,
        })
    }

    /// Every program.
    pub fn all(&self) -> [&Program; 6] {
        [
            &self.from_container,
            &self.to_container,
            &self.from_network,
            &self.to_network,
            &self.from_overlay,
            &self.to_overlay,
        ]
    }
}

fn load_endpoint(maps: &Maps, config: &DatapathConfig) -> Result<[Program; 2], Error> {
    let mut storage = MaybeUninit::uninit();
    let open = EndpointSkelBuilder::default().open(&mut storage);
    let mut open = open.map_err(opening("open"))?;
    let data = open.maps.rodata_data.as_mut().ok_or_else(unconfigured)?;
    data.config = programs_config!(endpoint, config);
    reuse(&mut open, maps)?;
    let loaded = sys::load(open).map_err(refused)?;
    Ok([
        take("from_container", &loaded.progs.from_container)?,
        take("to_container", &loaded.progs.to_container)?,
    ])
}

fn load_host(maps: &Maps, config: &DatapathConfig) -> Result<[Program; 2], Error> {
    let mut storage = MaybeUninit::uninit();
    let open = HostSkelBuilder::default().open(&mut storage);
    let mut open = open.map_err(opening("open"))?;
    let data = open.maps.rodata_data.as_mut().ok_or_else(unconfigured)?;
    data.config = programs_config!(host, config);
    reuse(&mut open, maps)?;
    let loaded = sys::load(open).map_err(refused)?;
    Ok([
        take("from_network", &loaded.progs.from_network)?,
        take("to_network", &loaded.progs.to_network)?,
    ])
}

fn load_overlay(maps: &Maps, config: &DatapathConfig) -> Result<[Program; 2], Error> {
    let mut storage = MaybeUninit::uninit();
    let open = OverlaySkelBuilder::default().open(&mut storage);
    let mut open = open.map_err(opening("open"))?;
    let data = open.maps.rodata_data.as_mut().ok_or_else(unconfigured)?;
    data.config = programs_config!(overlay, config);
    reuse(&mut open, maps)?;
    let loaded = sys::load(open).map_err(refused)?;
    Ok([
        take("from_overlay", &loaded.progs.from_overlay)?,
        take("to_overlay", &loaded.progs.to_overlay)?,
    ])
}

fn take(name: &'static str, program: &impl AsFd) -> Result<Program, Error> {
    let fd = program.as_fd().try_clone_to_owned();
    let fd = fd.map_err(|source| Error::Open {
        step: "take the programs",
        source,
    })?;
    Ok(Program::new(name, fd))
}

fn unconfigured() -> Error {
    Error::Open {
        step: "configure",
        source: io::ErrorKind::NotFound.into(),
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

/// Every map is made by us, so that it is the same whether the programs are there or not.
fn reuse<'o>(open: &mut impl OpenSkel<'o>, maps: &Maps) -> Result<(), Error> {
    for mut slot in open.open_object_mut().maps_mut() {
        let known = Map::ALL.iter().find(|map| slot.name() == map.name());
        if let Some(map) = known {
            slot.reuse_fd(maps.fd(*map)).map_err(opening(map.name()))?;
        }
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
