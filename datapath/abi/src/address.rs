//! Addresses and prefixes as the maps keep them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A 16-byte address in network order; IPv4 is IPv4-mapped (`::ffff:a.b.c.d`).
#[derive(
    Clone, Copy, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, Ord, PartialEq, PartialOrd,
)]
#[repr(C)]
pub struct Address([u8; 16]);

impl Address {
    /// Wraps the bytes that a map or an event carries.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes that a map key carries.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The address in the family it belongs to.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }

    /// Whether this is an IPv4-mapped address.
    pub fn is_ipv4(self) -> bool {
        self.ip().is_ipv4()
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.to_ipv6_mapped().octets())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self(address.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A prefix longer than its address family allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[error("a prefix of {address} cannot be {length} bits long")]
pub struct PrefixError {
    /// The address of the prefix.
    pub address: IpAddr,
    /// The length that was asked for.
    pub length: u8,
}

/// An address prefix with its host bits cleared.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    address: Address,
    mapped_length: u8,
}

impl Prefix {
    /// A prefix of `length` bits in the family of `address`; host bits are cleared.
    ///
    /// # Errors
    /// [`PrefixError`] if `length` exceeds 32 (IPv4) or 128 (IPv6).
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let (max, offset) = if address.is_ipv4() {
            (32, 96)
        } else {
            (128, 0)
        };
        if length > max {
            return Err(PrefixError { address, length });
        }
        let mapped_length = length + offset;
        let bits = u128::from_be_bytes(*Address::from(address).as_bytes());
        let mask = u128::MAX
            .checked_shl(128 - u32::from(mapped_length))
            .unwrap_or(0);
        Ok(Self {
            address: Address((bits & mask).to_be_bytes()),
            mapped_length,
        })
    }

    /// The prefix that holds just this address.
    pub fn exact(address: IpAddr) -> Self {
        Self {
            address: address.into(),
            mapped_length: 128,
        }
    }

    /// The first address of the prefix.
    pub const fn address(self) -> Address {
        self.address
    }

    /// The length in the address's own family: up to 32 for IPv4, up to 128 for IPv6.
    pub fn length(self) -> u8 {
        if self.address.is_ipv4() {
            self.mapped_length - 96
        } else {
            self.mapped_length
        }
    }

    /// The length in the 128-bit mapped space that the maps use.
    pub const fn mapped_length(self) -> u8 {
        self.mapped_length
    }

    /// Whether the prefix holds exactly one address.
    pub const fn is_exact(self) -> bool {
        self.mapped_length == 128
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_prefix_clears_its_host_bits() {
        let prefix = Prefix::new("10.1.2.3".parse().unwrap(), 8).unwrap();
        assert_eq!(prefix.to_string(), "10.0.0.0/8");
        assert_eq!(prefix.mapped_length(), 104);
        let all = Prefix::new("fd00::1".parse().unwrap(), 0).unwrap();
        assert_eq!(all.to_string(), "::/0");
    }

    #[test]
    fn a_prefix_longer_than_its_family_is_refused() {
        assert!(Prefix::new("10.0.0.0".parse().unwrap(), 33).is_err());
    }
}
