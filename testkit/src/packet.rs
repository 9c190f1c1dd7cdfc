//! Frames for programs to be run with: right lengths and checksums unless a test asks otherwise.
//!
//! ```
//! use palisade_testkit::packet::{Packet, TCP_SYN};
//!
//! let frame = Packet::tcp("10.0.0.1:1025".parse()?, "10.0.0.2:80".parse()?, TCP_SYN).bytes();
//! assert_eq!(frame.len(), 14 + 20 + 20);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A link address.
pub type Mac = [u8; 6];

/// TCP's FIN flag.
pub const TCP_FIN: u8 = 0x01;
/// TCP's SYN flag.
pub const TCP_SYN: u8 = 0x02;
/// TCP's RST flag.
pub const TCP_RST: u8 = 0x04;
/// TCP's ACK flag.
pub const TCP_ACK: u8 = 0x10;

/// Length of a link header.
pub const LINK_HEADER: usize = 14;
/// `ETH_P_IP`.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// `ETH_P_ARP`.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// `ETH_P_IPV6`.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;

/// An IP packet in a frame, to be changed field by field and then written out.
///
/// Both addresses must be of one family; an IPv4 address beside an IPv6 one is written mapped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// The sender's link address.
    pub source_mac: Mac,
    /// The receiver's link address.
    pub destination_mac: Mac,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IP protocol of the body.
    pub protocol: u8,
    /// Extension headers of IPv6, each of 8 bytes, before the body.
    pub extensions: Vec<u8>,
    /// Makes it a fragment: the raw offset field with its flags.
    pub fragment: Option<u16>,
    /// Header and payload of the transport, checksum not yet filled in.
    pub body: Vec<u8>,
    /// Where in the body the checksum goes.
    checksum: Option<usize>,
}

impl Packet {
    /// A packet of any protocol; no checksum is filled in.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Self {
        Self {
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, 2],
            source,
            destination,
            ttl: 64,
            protocol,
            extensions: Vec::new(),
            fragment: None,
            body: body.to_vec(),
            checksum: None,
        }
    }

    /// A TCP segment without payload.
    pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: u8) -> Self {
        let mut body = ports(source, destination);
        body.extend([
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            5 << 4,
            flags,
            0xff,
            0xff,
            0,
            0,
            0,
            0,
        ]);
        Self::new(source.ip(), destination.ip(), TCP, &body).with_checksum_at(16)
    }

    /// A UDP datagram.
    pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Self {
        let mut body = ports(source, destination);
        body.extend(length(8 + payload.len()).to_be_bytes());
        body.extend([0, 0]);
        body.extend(payload);
        Self::new(source.ip(), destination.ip(), UDP, &body).with_checksum_at(6)
    }

    /// An echo request.
    pub fn echo_request(source: IpAddr, destination: IpAddr, id: u16) -> Self {
        let kind = if source.is_ipv4() { 8 } else { 128 };
        Self::echo(source, destination, kind, id)
    }

    /// An echo reply.
    pub fn echo_reply(source: IpAddr, destination: IpAddr, id: u16) -> Self {
        let kind = if source.is_ipv4() { 0 } else { 129 };
        Self::echo(source, destination, kind, id)
    }

    /// An ICMP message of the family of the addresses; `rest` follows type, code and checksum.
    pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Self {
        let mut body = vec![kind, code, 0, 0];
        body.extend(rest);
        let protocol = if source.is_ipv4() { ICMP } else { ICMPV6 };
        Self::new(source, destination, protocol, &body).with_checksum_at(2)
    }

    /// "Port unreachable" about another packet, which it quotes.
    pub fn unreachable(source: IpAddr, about: &Self) -> Self {
        let (kind, code) = if source.is_ipv4() { (3, 3) } else { (1, 4) };
        let mut rest = vec![0; 4];
        rest.extend(about.bytes().get(LINK_HEADER..).unwrap_or_default());
        Self::icmp(source, about.source, kind, code, &rest)
    }

    /// A neighbour solicitation for a target; `from` is the asker's link address, if it tells it.
    pub fn neighbour_solicit(source: IpAddr, target: Ipv6Addr, from: Option<Mac>) -> Self {
        let [.., a, b, c] = target.octets();
        let [s1, s2, s3] = [a, b, c].map(u16::from);
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | s1, s2 << 8 | s3);
        let mut packet = Self::neighbour(source, group.into(), 135, target);
        if let Some(mac) = from {
            packet.body.extend([1, 1]);
            packet.body.extend(mac);
        }
        packet
    }

    /// A neighbour advertisement of a target.
    pub fn neighbour_advert(source: IpAddr, destination: IpAddr, target: Ipv6Addr) -> Self {
        Self::neighbour(source, destination, 136, target)
    }

    /// The same packet with other link addresses.
    #[must_use]
    pub fn between(mut self, source: Mac, destination: Mac) -> Self {
        self.source_mac = source;
        self.destination_mac = destination;
        self
    }

    /// The same packet with another TTL or hop limit.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same packet behind extension headers of these numbers (IPv6).
    #[must_use]
    pub fn behind(mut self, extensions: &[u8]) -> Self {
        self.extensions = extensions.to_vec();
        self
    }

    /// The same packet as a fragment, with this raw offset field.
    #[must_use]
    pub fn fragment(mut self, offset: u16) -> Self {
        self.fragment = Some(offset);
        self
    }

    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.ipv4(source, destination),
            (source, destination) => self.ipv6(mapped(source), mapped(destination)),
        }
    }

    fn echo(source: IpAddr, destination: IpAddr, kind: u8, id: u16) -> Self {
        let [high, low] = id.to_be_bytes();
        Self::icmp(source, destination, kind, 0, &[high, low, 0, 1])
    }

    fn neighbour(source: IpAddr, destination: IpAddr, kind: u8, target: Ipv6Addr) -> Self {
        let mut rest = vec![0; 4];
        rest.extend(target.octets());
        Self::icmp(source, destination, kind, 0, &rest).ttl(255)
    }

    fn with_checksum_at(mut self, offset: usize) -> Self {
        self.checksum = Some(offset);
        self
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut header = vec![0x45, 0];
        header.extend(length(20 + self.body.len()).to_be_bytes());
        header.extend([0, 1]);
        header.extend(self.fragment.unwrap_or_default().to_be_bytes());
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(source.octets());
        header.extend(destination.octets());
        let sum = checksum(&header);
        put(&mut header, 10, sum);
        // ICMP for IPv4 alone is summed without a pseudo header.
        let pseudo = match self.protocol {
            ICMP => Vec::new(),
            _ => self.pseudo(&source.octets(), &destination.octets()),
        };
        self.frame(ETHERTYPE_IPV4, &header, &pseudo)
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut kinds = self.extensions.clone();
        kinds.extend(self.fragment.map(|_| FRAGMENT));
        let mut next = kinds.iter().copied().chain([self.protocol]);
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(length(8 * kinds.len() + self.body.len()).to_be_bytes());
        header.extend([next.next().unwrap_or(self.protocol), self.ttl]);
        header.extend(source.octets());
        header.extend(destination.octets());
        for kind in &kinds {
            let [high, low] = match *kind {
                FRAGMENT => self.fragment.unwrap_or_default().to_be_bytes(),
                // Padding: one option of 4 bytes.
                _ => [1, 4],
            };
            let follower = next.next().unwrap_or(self.protocol);
            header.extend([follower, 0, high, low, 0, 0, 0, 0]);
        }
        let pseudo = self.pseudo(&source.octets(), &destination.octets());
        self.frame(ETHERTYPE_IPV6, &header, &pseudo)
    }

    /// What the transport's checksum covers beside header and payload.
    fn pseudo(&self, source: &[u8], destination: &[u8]) -> Vec<u8> {
        let mut pseudo = [source, destination].concat();
        pseudo.extend([0, self.protocol]);
        pseudo.extend(length(self.body.len()).to_be_bytes());
        pseudo
    }

    fn frame(&self, ethertype: u16, header: &[u8], pseudo: &[u8]) -> Vec<u8> {
        let mut body = self.body.clone();
        if let Some(offset) = self.checksum {
            let sum = checksum(&[pseudo, &body].concat());
            put(&mut body, offset, sum);
        }
        let payload = [header, &body].concat();
        frame(self.source_mac, self.destination_mac, ethertype, &payload)
    }
}

/// A frame of any type.
pub fn frame(source: Mac, destination: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An ARP message of IPv4 over Ethernet: 1 asks, 2 answers.
pub fn arp(operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut payload = vec![0, 1, 8, 0, 6, 4];
    payload.extend(operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        payload.extend(mac);
        payload.extend(address.octets());
    }
    frame(sender.0, [0xff; 6], ETHERTYPE_ARP, &payload)
}

/// The checksum of the Internet protocols; over bytes that hold their own right checksum it is 0.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn ports(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    [source, destination]
        .map(|end| end.port().to_be_bytes())
        .concat()
}

fn put(bytes: &mut [u8], offset: usize, number: u16) {
    if let Some(place) = bytes.get_mut(offset..offset + 2) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// A length field; what does not fit is written as the largest.
fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_verify_to_zero() {
        let frame = Packet::udp(
            "10.0.0.1:1000".parse().unwrap(),
            "10.0.0.2:53".parse().unwrap(),
            b"odd",
        )
        .bytes();
        assert_eq!(checksum(&frame[14..34]), 0, "IPv4 header");
        let pseudo = [&frame[26..34], &[0, UDP, 0, 11]].concat();
        assert_eq!(checksum(&[&pseudo, &frame[34..]].concat()), 0, "UDP");
    }

    #[test]
    fn extension_headers_form_a_chain_to_the_body() {
        let packet = Packet::tcp(
            "[fd00::1]:1000".parse().unwrap(),
            "[fd00::2]:80".parse().unwrap(),
            TCP_SYN,
        );
        let frame = packet.behind(&[0, 60]).bytes();
        assert_eq!((frame[20], frame[54], frame[62]), (0, 60, TCP));
        assert_eq!(frame.len(), 14 + 40 + 16 + 20);
    }
}
