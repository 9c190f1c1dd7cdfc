//! Socket addresses and control messages as the kernel reads and writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::libc;

/// Reads a `sockaddr_in` or a `sockaddr_in6`.
pub(crate) fn read_address(bytes: &[u8]) -> Option<SocketAddr> {
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

/// Writes a `sockaddr_in` or a `sockaddr_in6`. Says how long it is.
pub(crate) fn write_address(address: SocketAddr, place: &mut [u8]) -> libc::socklen_t {
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
pub(crate) fn read_destination(mut control: &[u8]) -> Option<SocketAddr> {
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
pub(crate) fn write_source(source: IpAddr, place: &mut [u8]) -> usize {
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

/// Writes pieces one after the other. Says how many bytes they were.
fn write(place: &mut [u8], pieces: &[&[u8]]) -> usize {
    let bytes = pieces.iter().copied().flatten();
    let written = place.iter_mut().zip(bytes);
    written.map(|(to, from)| *to = *from).count()
}

/// Room for the address of either family, with some to spare.
pub(crate) const ADDRESS_ROOM: usize = 32;
/// A length and two numbers.
const CONTROL_HEADER: usize = size_of::<usize>() + 8;

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
}
