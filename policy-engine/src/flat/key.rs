//! What an entry matches: an identity, a protocol and a prefix of its ports.

use std::fmt;
use std::ops::RangeInclusive;

use palisade_abi::{Direction, Identity, Protocol};

/// Bits that every key has: identity and direction.
const STATIC_BITS: u8 = 40;

/// A protocol and a prefix of its ports, or everything.
///
/// The order puts what covers before what it covers, and right after it all that it covers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PortPrefix {
    /// 0 for every protocol.
    protocol: u8,
    port: u16,
    /// How many bits of the port count.
    length: u8,
}

impl PortPrefix {
    /// Every packet of every protocol.
    pub const ALL: Self = Self {
        protocol: 0,
        port: 0,
        length: 0,
    };

    /// The ports whose first `length` bits are those of `port`. A longer length counts as 16.
    pub fn new(protocol: Protocol, port: u16, length: u8) -> Self {
        let length = length.min(16);
        Self {
            protocol: protocol.get(),
            port: port & mask(length),
            length,
        }
    }

    /// One port.
    pub const fn exact(protocol: Protocol, port: u16) -> Self {
        Self {
            protocol: protocol.get(),
            port,
            length: 16,
        }
    }

    /// The fewest prefixes that make up a range.
    pub fn cover(protocol: Protocol, ports: &RangeInclusive<u16>) -> Vec<Self> {
        let (mut first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
        let mut all = Vec::new();
        while first <= last {
            let mut bits = first.trailing_zeros().min(16);
            while first + (1 << bits) - 1 > last {
                bits -= 1;
            }
            let length = u8::try_from(16 - bits).unwrap_or_default();
            all.push(Self::new(
                protocol,
                u16::try_from(first).unwrap_or_default(),
                length,
            ));
            first += 1 << bits;
        }
        all
    }

    /// The protocol; `None` for every one.
    pub fn protocol(self) -> Option<Protocol> {
        (self.protocol != 0).then(|| Protocol::new(self.protocol))
    }

    /// The first port.
    pub const fn port(self) -> u16 {
        self.port
    }

    /// How many bits of the port count, 0 to 16.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether everything that `other` matches is matched.
    pub const fn covers(self, other: Self) -> bool {
        self.protocol == 0
            || self.protocol == other.protocol
                && self.length <= other.length
                && self.port == other.port & mask(self.length)
    }

    /// The bits that count of protocol and port, 0 to 24.
    pub const fn bits(self) -> u8 {
        if self.protocol == 0 {
            0
        } else {
            8 + self.length
        }
    }

    /// What covers one port, the longest prefix first.
    pub(super) fn covering(protocol: Protocol, port: u16) -> impl Iterator<Item = Self> {
        let prefixes = (0..=16).rev();
        let prefixes = prefixes.map(move |length| Self::new(protocol, port, length));
        prefixes.chain([Self::ALL])
    }
}

impl fmt::Display for PortPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol(), self.length) {
            (None, _) => f.write_str("all"),
            (Some(protocol), 0) => write!(f, "{protocol}"),
            (Some(protocol), 16) => write!(f, "{}/{protocol}", self.port),
            (Some(protocol), length) => {
                let last = self.port | !mask(length);
                write!(f, "{}-{last}/{protocol}", self.port)
            }
        }
    }
}

const fn mask(length: u8) -> u16 {
    match length {
        0 => 0,
        length => u16::MAX << (16 - length),
    }
}

/// The key of an entry in a policy map.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// The direction.
    pub direction: Direction,
    /// The protocol and ports.
    pub ports: PortPrefix,
    /// The other side; [`Identity::UNKNOWN`] for everybody.
    pub identity: Identity,
}

impl Key {
    /// Bytes of a key.
    pub const LEN: usize = 12;

    /// How many bits count, the identity and direction included.
    pub const fn prefix_length(self) -> u8 {
        STATIC_BITS + self.ports.bits()
    }

    /// The key as the map of an endpoint (`cilium_policy_v2_N`, an LPM trie) has it:
    /// prefix length and identity in the order of this machine, direction, protocol, and the port
    /// in network order.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [l0, l1, l2, l3] = u32::from(self.prefix_length()).to_ne_bytes();
        let [i0, i1, i2, i3] = self.identity.get().to_ne_bytes();
        let [p0, p1] = self.ports.port.to_be_bytes();
        let direction = match self.direction {
            Direction::Ingress => 0,
            Direction::Egress => 1,
        };
        let protocol = self.ports.protocol;
        [l0, l1, l2, l3, i0, i1, i2, i3, direction, protocol, p0, p1]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.direction, self.identity, self.ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_the_fewest_prefixes() {
        let count = |ports| PortPrefix::cover(Protocol::TCP, &ports).len();
        assert_eq!(count(80..=80), 1);
        assert_eq!(count(0..=65_535), 1);
        assert_eq!(count(1..=65_535), 16);
        assert_eq!(count(1..=65_534), 30);
    }
}
