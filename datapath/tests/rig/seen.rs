//! A frame taken apart, with its checksums found right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_testkit::packet::checksum;

/// What a frame without extension headers carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seen {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// The first two words of the body: the ports, if it has some.
    pub ports: (u16, u16),
    pub body: Vec<u8>,
}

/// Reads a frame, whose lengths and checksums must be right.
pub fn read(frame: &[u8]) -> Seen {
    let seen = read_packet(&frame[14..]);
    let body = &seen.body;
    let is_fragment = frame[14] >> 4 == 4 && u16_at(frame, 20) & 0x3fff != 0;
    let without_sum = seen.protocol == 17 && u16_at(body, 6) == 0;
    if !is_fragment && !without_sum && matches!(seen.protocol, 1 | 6 | 17 | 58) {
        assert_eq!(
            checksum(&[pseudo(&seen), body.clone()].concat()),
            0,
            "{seen:?}"
        );
    }
    seen
}

/// Reads a packet as an ICMP error quotes it: what it says of lengths and transports is not checked.
pub fn read_packet(packet: &[u8]) -> Seen {
    if packet[0] >> 4 == 4 {
        assert_eq!(checksum(&packet[..20]), 0, "the header's sum: {packet:?}");
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
        return seen(
            address(12).into(),
            address(16).into(),
            packet[9],
            &packet[20..],
        );
    }
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
    seen(
        address(8).into(),
        address(24).into(),
        packet[6],
        &packet[40..],
    )
}

/// The packet that an ICMP error quotes.
pub fn quoted(error: &Seen) -> Seen {
    read_packet(&error.body[8..])
}

fn seen(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Seen {
    Seen {
        source,
        destination,
        protocol,
        ports: (u16_at(body, 0), u16_at(body, 2)),
        body: body.to_vec(),
    }
}

/// ICMP for IPv4 alone is summed without a pseudo header.
fn pseudo(seen: &Seen) -> Vec<u8> {
    let rest = u16::try_from(seen.body.len()).unwrap().to_be_bytes();
    let ends = match (seen.source, seen.destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) if seen.protocol == 1 => return Vec::new(),
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        mixed => panic!("{mixed:?}"),
    };
    [&ends[..], &[0, seen.protocol], &rest].concat()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
