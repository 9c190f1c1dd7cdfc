//! Finding a port that is free for everything a proxy listens on.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use nix::errno::Errno;
use palisade_abi::{Mark, MarkKind, Port, Protocol};
use thiserror::Error;

use crate::config::{Config, Mode};
use crate::socket::{self, Kind};

/// Why a proxy cannot listen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// A socket could not be opened or bound.
    ///
    /// A transparent proxy needs `CAP_NET_ADMIN`.
    #[error("cannot listen on {address}, protocol {protocol}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// UDP or TCP.
        protocol: Protocol,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The configuration names no address to listen on.
    #[error("there is no address to listen on")]
    NoAddress,
    /// No port was free for UDP and TCP on all addresses.
    #[error("none of {tries} ports was free for UDP and TCP on all addresses")]
    NoFreePort {
        /// How many were tried.
        tries: usize,
    },
    /// The kernel refused something that every process may have.
    #[error("cannot open {what}")]
    Resource {
        /// What was to be opened.
        what: &'static str,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
}

/// All sockets of one port.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) port: Port,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: Vec<TcpListener>,
}

impl Listeners {
    pub(crate) fn bind(config: &Config) -> Result<Self, BindError> {
        let kind = match config.mode {
            Mode::Forward { .. } => Kind::Plain,
            Mode::Transparent => Kind::Transparent(Mark::new(MarkKind::ProxyReturn)),
        };
        match config.port {
            Some(port) => Self::bind_port(config, kind, port),
            None => Self::bind_any(config, kind),
        }
    }

    fn bind_any(config: &Config, kind: Kind) -> Result<Self, BindError> {
        let first = *config.listen.first().ok_or(BindError::NoAddress)?;
        for _ in 0..TRIES {
            let port = offered_port(first, kind)?;
            match Self::bind_port(config, kind, port) {
                Err(BindError::Listen { source, .. })
                    if source.kind() == io::ErrorKind::AddrInUse => {}
                other => return other,
            }
        }
        Err(BindError::NoFreePort { tries: TRIES })
    }

    fn bind_port(config: &Config, kind: Kind, port: Port) -> Result<Self, BindError> {
        let mut listeners = Self {
            port,
            addresses: vec![],
            udp: vec![],
            tcp: vec![],
        };
        for ip in &config.listen {
            let address = SocketAddr::new(*ip, port.get());
            let failed = |protocol| {
                move |source| BindError::Listen {
                    address,
                    protocol,
                    source,
                }
            };
            let udp = match socket::udp_listener(address, kind) {
                Err(error) if is_switched_off(address, &error) && config.listen.len() > 1 => {
                    continue;
                }
                udp => udp.map_err(failed(Protocol::UDP))?,
            };
            let tcp = socket::tcp_listener(address, kind).map_err(failed(Protocol::TCP))?;
            listeners.addresses.push(address);
            listeners.udp.push(udp);
            listeners.tcp.push(tcp);
        }
        if listeners.addresses.is_empty() {
            return Err(BindError::NoAddress);
        }
        Ok(listeners)
    }
}

/// Whether the address is missing because the node does without IPv6: every other one has `::1`.
fn is_switched_off(address: SocketAddr, error: &io::Error) -> bool {
    let missing = matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT)
    );
    missing && address.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// A port that the kernel holds free at this moment, at least for UDP on one address.
fn offered_port(ip: IpAddr, kind: Kind) -> Result<Port, BindError> {
    let address = SocketAddr::new(ip, 0);
    let failed = |source| BindError::Listen {
        address,
        protocol: Protocol::UDP,
        source,
    };
    let socket = socket::udp_listener(address, kind).map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Port::new(bound.port()).map_err(|_| BindError::NoFreePort { tries: 1 })
}

const TRIES: usize = 64;
