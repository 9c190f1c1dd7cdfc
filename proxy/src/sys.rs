//! Many datagrams with one system call, which no safe interface offers for buffers that are kept.
//!
//! The two calls are the only unsafe code; addresses and control messages are put together and
//! taken apart as plain bytes.
#![expect(
    unsafe_code,
    reason = "recvmmsg and sendmmsg take tables of raw pointers"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use nix::libc;

/// Room for datagrams that were received together.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    ends: Vec<Ends>,
    lengths: Vec<Lengths>,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) message: &'a [u8],
    /// Who sent it; `None` for a family that is neither IPv4 nor IPv6.
    pub(crate) source: Option<SocketAddr>,
    /// What it was meant for, where the socket was asked to tell.
    pub(crate) destination: Option<SocketAddr>,
}

/// A datagram to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<M> {
    pub(crate) message: M,
    /// Where it goes; `None` out of a connected socket.
    pub(crate) target: Option<SocketAddr>,
    /// From which of this machine's addresses, which a wildcard socket needs.
    pub(crate) source: Option<IpAddr>,
}

/// Aligned as the kernel wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Ends {
    address: [u8; ADDRESS_ROOM],
    control: [u8; CONTROL_ROOM],
}

impl Ends {
    const NONE: Self = Self {
        address: [0; ADDRESS_ROOM],
        control: [0; CONTROL_ROOM],
    };
}

#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    message: usize,
    address: usize,
    control: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * ROOM],
            ends: vec![Ends::NONE; BATCH],
            lengths: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what has arrived at a socket, up to [`BATCH`], without waiting, in place of what was
    /// there.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.lengths.clear();
        let mut parts = [NO_PART; BATCH];
        let mut headers = [no_header(); BATCH];
        let places = self.bytes.chunks_exact_mut(ROOM).zip(&mut self.ends);
        for ((bytes, ends), (part, header)) in places.zip(parts.iter_mut().zip(&mut headers)) {
            part.iov_base = bytes.as_mut_ptr().cast();
            part.iov_len = bytes.len();
            header.msg_hdr.msg_iov = ptr::from_mut(part);
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ends.address.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = ADDRESS_LENGTH;
            header.msg_hdr.msg_control = ends.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of_val(&ends.control);
        }
        // SAFETY: every header points to a part, an address and a control buffer of its own, which
        // are as long as it says and outlive the call; the count is that of the headers.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                COUNT,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let lengths = headers.iter().take(count).map(|header| Lengths {
            message: usize::try_from(header.msg_len).unwrap_or(usize::MAX),
            address: usize::try_from(header.msg_hdr.msg_namelen).unwrap_or(usize::MAX),
            control: header.msg_hdr.msg_controllen,
        });
        self.lengths.extend(lengths);
        Ok(count)
    }

    /// A datagram of those that were received last.
    pub(crate) fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let lengths = self.lengths.get(index)?;
        let start = index * ROOM;
        let message = self.bytes.get(start..start + lengths.message.min(ROOM))?;
        let ends = self.ends.get(index)?;
        Some(Datagram {
            message,
            source: read_address(ends.address.get(..lengths.address)?),
            destination: read_destination(ends.control.get(..lengths.control)?),
        })
    }
}

/// Sends datagrams out of one socket without waiting. Says how many have left: an error is that of
/// the first one that has not.
pub(crate) fn send<M: AsRef<[u8]>>(
    socket: &UdpSocket,
    parcels: &[Parcel<M>],
) -> (usize, Option<io::Error>) {
    let mut sent = 0;
    while let Some(rest) = parcels.get(sent..).filter(|rest| !rest.is_empty()) {
        match send_some(socket, rest) {
            Ok(count) if count > 0 => sent += count,
            Ok(_) => return (sent, Some(io::ErrorKind::WouldBlock.into())),
            Err(error) => return (sent, Some(error)),
        }
    }
    (sent, None)
}

fn send_some<M: AsRef<[u8]>>(socket: &UdpSocket, parcels: &[Parcel<M>]) -> io::Result<usize> {
    let mut ends = [Ends::NONE; BATCH];
    let mut parts = [NO_PART; BATCH];
    let mut headers = [no_header(); BATCH];
    let mut count = 0;
    let places = ends.iter_mut().zip(parts.iter_mut().zip(&mut headers));
    for (parcel, (ends, (part, header))) in parcels.iter().zip(places) {
        let message = parcel.message.as_ref();
        // The kernel only reads what is sent.
        part.iov_base = message.as_ptr().cast_mut().cast();
        part.iov_len = message.len();
        header.msg_hdr.msg_iov = ptr::from_mut(part);
        header.msg_hdr.msg_iovlen = 1;
        if let Some(target) = parcel.target {
            let length = write_address(target, &mut ends.address);
            header.msg_hdr.msg_name = ends.address.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = length;
        }
        if let Some(source) = parcel.source {
            let length = write_source(source, &mut ends.control);
            header.msg_hdr.msg_control = ends.control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = length;
        }
        count += 1;
    }
    // SAFETY: the first `count` headers point to parts, addresses and control messages that are as
    // long as they say and outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn no_header() -> libc::mmsghdr {
    // SAFETY: all zeros are a header that points nowhere: null pointers and lengths of zero.
    unsafe { std::mem::zeroed() }
}

/// Writes pieces one after the other. Says how many bytes they were.
fn write(place: &mut [u8], pieces: &[&[u8]]) -> usize {
    let bytes = pieces.iter().copied().flatten();
    let written = place.iter_mut().zip(bytes);
    written.map(|(to, from)| *to = *from).count()
}

/// Reads a `sockaddr_in` or a `sockaddr_in6`.
fn read_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let address: [u8; 4] = *rest.first_chunk()?;
            Some((Ipv4Addr::from(address), port).into())
        }
        libc::AF_INET6 => {
            let (flow, rest) = rest.split_first_chunk()?;
            let (address, rest) = rest.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*rest.first_chunk()?);
            let (ip, flow) = (Ipv6Addr::from(*address), u32::from_ne_bytes(*flow));
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        _ => None,
    }
}

fn write_address(address: SocketAddr, place: &mut [u8]) -> libc::socklen_t {
    let port = address.port().to_be_bytes();
    let family = |family| u16::try_from(family).unwrap_or_default().to_ne_bytes();
    let length = match address {
        SocketAddr::V4(address) => {
            let (family, ip) = (family(libc::AF_INET), address.ip().octets());
            write(place, &[&family, &port, &ip, &[0; 8]])
        }
        SocketAddr::V6(address) => {
            let (family, ip) = (family(libc::AF_INET6), address.ip().octets());
            let (flow, scope) = (address.flowinfo(), address.scope_id());
            let (flow, scope) = (flow.to_ne_bytes(), scope.to_ne_bytes());
            write(place, &[&family, &port, &flow, &ip, &scope])
        }
    };
    libc::socklen_t::try_from(length).unwrap_or_default()
}

/// Finds the original destination among control messages.
fn read_destination(mut control: &[u8]) -> Option<SocketAddr> {
    loop {
        let (length, rest) = control.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        let data = rest.get(..length.checked_sub(CONTROL_HEADER)?)?;
        let found = (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind));
        if found == (libc::SOL_IP, libc::IP_ORIGDSTADDR)
            || found == (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR)
        {
            return read_address(data);
        }
        control = control.get(length.next_multiple_of(size_of::<usize>())..)?;
    }
}

/// A control message that chooses the address that a datagram leaves from.
fn write_source(source: IpAddr, place: &mut [u8]) -> usize {
    let header = |level: i32, kind: i32, data: usize| {
        let length = (CONTROL_HEADER + data).to_ne_bytes();
        (length, level.to_ne_bytes(), kind.to_ne_bytes())
    };
    let length = match source {
        // Interface, address to leave from, and one that only the kernel fills in.
        IpAddr::V4(ip) => {
            let (length, level, kind) = header(libc::SOL_IP, libc::IP_PKTINFO, 12);
            write(
                place,
                &[&length, &level, &kind, &[0; 4], &ip.octets(), &[0; 4]],
            )
        }
        IpAddr::V6(ip) => {
            let (length, level, kind) = header(libc::SOL_IPV6, libc::IPV6_PKTINFO, 20);
            write(place, &[&length, &level, &kind, &ip.octets(), &[0; 4]])
        }
    };
    length.next_multiple_of(size_of::<usize>())
}

/// Datagrams of one call.
pub(crate) const BATCH: usize = 32;
const COUNT: u32 = 32;
/// The longest datagram.
const ROOM: usize = 1 << 16;
const ADDRESS_ROOM: usize = 32;
const ADDRESS_LENGTH: libc::socklen_t = 32;
const CONTROL_ROOM: usize = 64;
/// A length and two numbers.
const CONTROL_HEADER: usize = size_of::<usize>() + 8;
const NO_PART: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};
const _: () = assert!(COUNT as usize == BATCH);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_were_written() {
        for text in ["192.0.2.1:53", "[2001:db8::1%7]:5353", "[::1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut bytes = [0; ADDRESS_ROOM];
            let length = write_address(address, &mut bytes);
            let length = usize::try_from(length).unwrap();
            assert_eq!(read_address(&bytes[..length]), Some(address));
        }
    }

    #[test]
    fn a_batch_arrives_whole_and_in_order() {
        let (from, to) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let parcels: Vec<Parcel<Vec<u8>>> = (0..40_u8)
            .map(|n| Parcel {
                message: vec![n; usize::from(n) * 9],
                target: to.local_addr().ok(),
                source: Some([127, 0, 0, 1].into()),
            })
            .collect();
        assert!(matches!(send(&from, &parcels), (40, None)));
        let mut inbox = Inbox::new();
        let mut seen = 0;
        for count in [32, 8] {
            assert_eq!(inbox.receive(&to).unwrap(), count);
            for index in 0..count {
                let datagram = inbox.get(index).unwrap();
                assert_eq!(datagram.message, parcels[seen].message);
                assert_eq!(datagram.source, from.local_addr().ok());
                seen += 1;
            }
            assert!(inbox.get(count).is_none());
        }
        let empty = inbox.receive(&to).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }
}
