//! How packets marked for the proxy stay on this host: a rule and a local route for each family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::AddressFamily;
use palisade_abi::{Mark, MarkKind, Prefix};

use crate::netlink::{Error, Netlink, Route, Rule};

/// The table that holds the local default routes.
pub const TABLE: u32 = 2004;
/// The priority of the rules: before the main table's.
pub const PRIORITY: u32 = 9;

/// Sets rules and routes in the namespace of `netlink`; what is there stays.
///
/// # Errors
/// What the kernel said.
pub fn add(netlink: &mut Netlink) -> Result<(), Error> {
    let loopback = loopback(netlink)?;
    for (family, any) in FAMILIES {
        netlink.set_route(&local_default(loopback, any))?;
        netlink.add_rule(&rule(family))?;
    }
    Ok(())
}

/// Removes what [`add`] has set; what is gone already is no error.
///
/// # Errors
/// What the kernel said.
pub fn remove(netlink: &mut Netlink) -> Result<(), Error> {
    let loopback = loopback(netlink)?;
    for (family, any) in FAMILIES {
        netlink.delete_rule(&rule(family))?;
        netlink.delete_route(&local_default(loopback, any))?;
    }
    Ok(())
}

const FAMILIES: [(AddressFamily, IpAddr); 2] = [
    (AddressFamily::Inet, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    (AddressFamily::Inet6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
];

fn rule(family: AddressFamily) -> Rule {
    Rule {
        family,
        priority: PRIORITY,
        mark: MarkKind::ToProxy as u32,
        mask: Mark::KIND_MASK,
        table: TABLE,
    }
}

fn local_default(loopback: u32, any: IpAddr) -> Route {
    Route {
        table: TABLE,
        is_local: true,
        ..Route::on_link(all(any), loopback)
    }
}

/// The prefix that holds every address of the family.
fn all(any: IpAddr) -> Prefix {
    Prefix::new(any, 0).unwrap_or_else(|_| Prefix::exact(any))
}

/// Loopback has number 1 in every namespace, unless somebody has made it otherwise.
fn loopback(netlink: &mut Netlink) -> Result<u32, Error> {
    let loopback = netlink.device("lo")?;
    Ok(loopback.map_or(1, |device| device.ifindex))
}
