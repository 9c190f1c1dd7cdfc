//! One probe on its way: a socket inside the sender's namespace, and what comes back.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect,
    getsockname, recv, send, socket,
};
use palisade_fqdn::wire::Rcode;
use palisade_testkit::Namespace;

use crate::dns;
use crate::error::Error;
use crate::flows::{Flow, Flows, Tuple};
use crate::probe::Kind;

/// What is sent and must come back.
const PAYLOAD: &[u8] = b"palisade demo";
/// How long a probe may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two looks at the socket and at the agent's flows.
const LOOK: Duration = Duration::from_millis(1);

/// What became of a probe.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// What was sent came back.
    Echoed,
    /// The agent showed this drop of it.
    Dropped(Box<Flow>),
    /// The name server, or the proxy before it, would not say.
    Refused,
    /// Neither, for as long as the demo's patience lasts.
    Lost,
}

enum Shot {
    Tcp { stream: TcpStream, sent: bool },
    Udp(UdpSocket),
    Dns(UdpSocket),
    Ping { socket: OwnedFd, echo_type: u8 },
}

/// Sends a probe and waits for what becomes of it.
pub(crate) fn fire(
    from: &Namespace,
    to: IpAddr,
    kind: Kind,
    flows: &Flows,
) -> Result<Outcome, Error> {
    let since = flows.count();
    let opened = from.run(|| open(to, kind))?;
    let (mut shot, tuple) = opened.map_err(Error::io("a probe's socket"))?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(outcome) = shot.answer() {
            return Ok(outcome);
        }
        if let Some(flow) = flows.drop_since(since, |flow| tuple.is_of(flow)) {
            return Ok(Outcome::Dropped(Box::new(flow)));
        }
        thread::sleep(LOOK);
    }
    Ok(Outcome::Lost)
}

/// Opens a socket and sends. What cannot be sent at once shows as a probe that is lost.
fn open(to: IpAddr, kind: Kind) -> io::Result<(Shot, Tuple)> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match kind {
        Kind::Tcp(port) => {
            let (socket, local) = begin_tcp((any, 0).into(), (to, port).into())?;
            let stream = TcpStream::from(socket);
            Ok((
                Shot::Tcp {
                    stream,
                    sent: false,
                },
                Tuple::new("TCP", local, (to, port).into()),
            ))
        }
        Kind::Udp(port) => {
            let (socket, tuple) = begin_udp(any, (to, port).into())?;
            socket.send(PAYLOAD)?;
            Ok((Shot::Udp(socket), tuple))
        }
        Kind::Dns(name) => {
            let (socket, tuple) = begin_udp(any, (to, 53).into())?;
            socket.send(&dns::question(name))?;
            // The proxy asks in the client's stead, from a port of its own.
            Ok((Shot::Dns(socket), tuple.whatever_port()))
        }
        Kind::Ping => ping(any, to),
    }
}

fn begin_tcp(any: SocketAddr, to: SocketAddr) -> io::Result<(OwnedFd, SocketAddr)> {
    let stream = socket(family(to), SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
    bind(stream.as_raw_fd(), &SockaddrStorage::from(any))?;
    match connect(stream.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let local = local_address(&stream)?;
    Ok((stream, local))
}

fn begin_udp(any: IpAddr, to: SocketAddr) -> io::Result<(UdpSocket, Tuple)> {
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    let tuple = Tuple::new("UDP", socket.local_addr()?, to);
    Ok((socket, tuple))
}

/// An echo request. Its identifier is the port of the kernel's own kind of socket for it.
fn ping(any: IpAddr, to: IpAddr) -> io::Result<(Shot, Tuple)> {
    let (protocol, echo_type, name) = match to {
        IpAddr::V4(_) => (SockProtocol::Icmp, 8, "ICMP"),
        IpAddr::V6(_) => (SockProtocol::IcmpV6, 128, "ICMPv6"),
    };
    let flags = SockFlag::SOCK_NONBLOCK;
    let socket = socket(family((to, 0).into()), SockType::Datagram, flags, protocol)?;
    bind(
        socket.as_raw_fd(),
        &SockaddrStorage::from(SocketAddr::from((any, 0))),
    )?;
    connect(
        socket.as_raw_fd(),
        &SockaddrStorage::from(SocketAddr::from((to, 0))),
    )?;
    let local = local_address(&socket)?;
    let mut message = vec![echo_type, 0, 0, 0, 0, 0, 0, 1];
    message.extend(PAYLOAD);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let tuple = Tuple::new(name, local, (to, u16::from(echo_type)).into());
    Ok((Shot::Ping { socket, echo_type }, tuple))
}

fn family(to: SocketAddr) -> AddressFamily {
    match to {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    let v6 = || {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
    };
    v4.or_else(v6)
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

impl Shot {
    /// What came back, if anything did by now.
    fn answer(&mut self) -> Option<Outcome> {
        let mut buffer = [0; 1500];
        match self {
            Self::Tcp { stream, sent } => {
                if !*sent {
                    *sent = stream.write_all(PAYLOAD).is_ok();
                }
                let length = stream.read(&mut buffer).ok()?;
                echoed(buffer.get(..length)?)
            }
            Self::Udp(socket) => {
                let length = socket.recv(&mut buffer).ok()?;
                echoed(buffer.get(..length)?)
            }
            Self::Dns(socket) => {
                let length = socket.recv(&mut buffer).ok()?;
                match dns::read(buffer.get(..length)?)?.code {
                    Rcode::NOERROR => Some(Outcome::Echoed),
                    Rcode::REFUSED => Some(Outcome::Refused),
                    // The server could not be reached: the drop tells why.
                    _ => None,
                }
            }
            Self::Ping { socket, echo_type } => {
                let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok()?;
                let answer = buffer.get(..length)?;
                let is_reply = answer.first().is_some_and(|found| found != echo_type);
                is_reply.then(|| echoed(answer.get(8..)?)).flatten()
            }
        }
    }
}

fn echoed(received: &[u8]) -> Option<Outcome> {
    (received == PAYLOAD).then_some(Outcome::Echoed)
}
