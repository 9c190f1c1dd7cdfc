//! Addresses and prefixes as the maps keep them.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A 16-byte address in network order; IPv4 is IPv4-mapped (`::ffff:a.b.c.d`).
#[derive(
    Clone, Copy, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, Ord, PartialEq, PartialOrd,
)]
#[repr(C)]
pub struct Address([u8; 16]);

impl Address {
    /// All zero: nobody's address.
    pub const UNSPECIFIED: Self = Self([0; 16]);

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
    pub const fn is_ipv4(self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
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

    /// The last address of the prefix.
    pub fn last(self) -> Address {
        let host_bits = u128::MAX
            .checked_shr(u32::from(self.mapped_length))
            .unwrap_or(0);
        Address((self.bits() | host_bits).to_be_bytes())
    }

    /// Whether every address of `inner` is in this prefix. IPv4 and IPv6 are apart: `::/0` holds no
    /// IPv4 address.
    pub fn covers(self, inner: Self) -> bool {
        let alike = (self.bits() ^ inner.bits()).leading_zeros();
        self.mapped_length <= inner.mapped_length
            && alike >= u32::from(self.mapped_length)
            && self.address.is_ipv4() == inner.address.is_ipv4()
    }

    const fn bits(self) -> u128 {
        u128::from_be_bytes(self.address.0)
    }
}

/// A text that is no prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum PrefixParseError {
    /// What stands before the `/` is no address.
    #[error("a prefix begins with an IPv4 or IPv6 address")]
    Address,
    /// What stands after the `/` is no number.
    #[error("the length of a prefix is a number")]
    Length,
    /// The length exceeds the address family.
    #[error(transparent)]
    TooLong(#[from] PrefixError),
}

impl FromStr for Prefix {
    type Err = PrefixParseError;

    /// Reads `address/length`, or an address for the prefix of its full length.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixParseError::Address)?;
        let Some(length) = length else {
            return Ok(Self::exact(address));
        };
        // The standard parser takes a sign, which no prefix has.
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = Some(length)
            .filter(|_| digits)
            .and_then(|text| text.parse().ok());
        Ok(Self::new(address, length.ok_or(PrefixParseError::Length)?)?)
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
    fn a_prefix_covers_what_lies_inside_its_own_family() {
        let covers = |outer: &str, inner: &str| {
            let outer: Prefix = outer.parse().unwrap();
            outer.covers(inner.parse().unwrap())
        };
        assert!(covers("10.0.0.0/8", "10.1.0.0/16"));
        assert!(covers("10.0.0.0/8", "10.0.0.0/8"));
        assert!(covers("0.0.0.0/0", "192.0.2.1"));
        assert!(covers("::/0", "fd00::1"));
        assert!(!covers("10.1.0.0/16", "10.0.0.0/8"));
        assert!(!covers("10.0.0.0/8", "11.0.0.0/8"));
        assert!(!covers("::/0", "10.0.0.1"));
        assert!(!covers("0.0.0.0/0", "::/0"));
    }

    #[test]
    fn the_last_address_has_all_host_bits() {
        let last = |text: &str| text.parse::<Prefix>().unwrap().last().to_string();
        assert_eq!(last("10.0.0.0/8"), "10.255.255.255");
        assert_eq!(last("10.0.0.7"), "10.0.0.7");
        assert_eq!(last("::/0"), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }

    #[test]
    fn a_text_that_is_no_prefix_says_why() {
        let error = |text: &str| text.parse::<Prefix>().unwrap_err();
        assert_eq!(error("ten/8"), PrefixParseError::Address);
        assert_eq!(error("10.0.0.0/+8"), PrefixParseError::Length);
        assert_eq!(error("10.0.0.0/"), PrefixParseError::Length);
        assert!(matches!(error("10.0.0.0/33"), PrefixParseError::TooLong(_)));
    }

    #[test]
    fn a_prefix_longer_than_its_family_is_refused() {
        assert!(Prefix::new("10.0.0.0".parse().unwrap(), 33).is_err());
    }
}
