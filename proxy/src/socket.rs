//! Sockets with the options that a transparent proxy needs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, sockopt,
};
use palisade_abi::Mark;

/// What tells a transparent socket from a plain one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// No privilege, no mark.
    Plain,
    /// May have a foreign address; what it sends carries the mark.
    Transparent(Mark),
}

/// Opens the socket that takes clients' datagrams.
pub(crate) fn udp_listener(address: SocketAddr, kind: Kind) -> io::Result<UdpSocket> {
    let fd = open(address, SockType::Datagram, kind)?;
    match address {
        SocketAddr::V4(_) => socket::setsockopt(&fd, sockopt::Ipv4OrigDstAddr, &true)?,
        SocketAddr::V6(_) => socket::setsockopt(&fd, sockopt::Ipv6OrigDstAddr, &true)?,
    }
    // A burst of one client must not push out the others' queries before they are looked at.
    // Beyond `rmem_max` only a privileged process gets what it asks for.
    socket::setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)
        .or_else(|_| socket::setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
    bind(&fd, address)?;
    Ok(fd.into())
}

/// Opens the socket that takes clients' connections; those inherit transparency and mark.
pub(crate) fn tcp_listener(address: SocketAddr, kind: Kind) -> io::Result<TcpListener> {
    let fd = open(address, SockType::Stream, kind)?;
    // Connections of a previous run that wait out their end must not keep the port.
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    bind(&fd, address)?;
    socket::listen(&fd, Backlog::new(256)?)?;
    Ok(fd.into())
}

/// Opens a socket from which answers leave in the name of `server`.
///
/// It is connected to nobody in particular: a server that runs on this very node has a socket of
/// the same address, and an unconnected one beside it would take its queries away. The kernel lets
/// a connected UDP socket send elsewhere.
pub(crate) fn udp_return(server: SocketAddr, mark: Mark) -> io::Result<UdpSocket> {
    let fd = open(server, SockType::Datagram, Kind::Transparent(mark))?;
    // Whatever the server on this node, if there is one, has chosen of the two.
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    socket::setsockopt(&fd, sockopt::ReusePort, &true)?;
    bind(&fd, server)?;
    let nobody = match server {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    connect(&fd, (nobody, DISCARD).into())?;
    Ok(fd.into())
}

/// Opens a socket to a server, from an address and a random port that the kernel picks.
///
/// It is connected, so that the kernel passes only datagrams that come from the server.
pub(crate) fn udp_upstream(server: SocketAddr, mark: Option<Mark>) -> io::Result<UdpSocket> {
    let fd = open_marked(server, SockType::Datagram, mark)?;
    connect(&fd, server)?;
    Ok(fd.into())
}

/// Begins a connection to a server; it stands once the socket is writable without an error.
pub(crate) fn tcp_upstream(server: SocketAddr, mark: Option<Mark>) -> io::Result<TcpStream> {
    let fd = open_marked(server, SockType::Stream, mark)?;
    match connect(&fd, server) {
        Err(Errno::EINPROGRESS) | Ok(()) => Ok(fd.into()),
        Err(error) => Err(error.into()),
    }
}

fn open(address: SocketAddr, sort: SockType, kind: Kind) -> Result<OwnedFd, Errno> {
    match kind {
        Kind::Plain => open_marked(address, sort, None),
        Kind::Transparent(mark) => {
            let fd = open_marked(address, sort, Some(mark))?;
            // The kernel takes the IPv4 option for IPv6 sockets as well.
            socket::setsockopt(&fd, sockopt::IpTransparent, &true)?;
            Ok(fd)
        }
    }
}

fn open_marked(address: SocketAddr, sort: SockType, mark: Option<Mark>) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(family, sort, flags, None)?;
    if address.is_ipv6() {
        // Every address family has its own listener, and no address two forms.
        socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    if let Some(mark) = mark {
        socket::setsockopt(&fd, sockopt::Mark, &mark.bits())?;
    }
    Ok(fd)
}

fn bind(fd: &OwnedFd, address: SocketAddr) -> Result<(), Errno> {
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))
}

fn connect(fd: &OwnedFd, address: SocketAddr) -> Result<(), Errno> {
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(address))
}

/// A port that nothing is sent from.
const DISCARD: u16 = 9;
const RECEIVE_BUFFER: usize = 4 << 20;
