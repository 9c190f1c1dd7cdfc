//! How packets marked for the proxy stay on this host, a rule and a local route for each family; and
//! routes to the endpoints of other nodes.

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

/// Routes endpoints of another node by way of it, if it stands on a link of ours; whether it does.
///
/// For nodes without tunnels on networks whose routers do not know where endpoints are. A route that is
/// there to the same endpoints is replaced.
///
/// # Errors
/// What the kernel said.
pub fn add_node(netlink: &mut Netlink, node: IpAddr, endpoints: Prefix) -> Result<bool, Error> {
    let route = to_node(netlink, node, endpoints)?;
    route.map_or(Ok(()), |route| netlink.set_route(&route))?;
    Ok(route.is_some())
}

/// Removes what [`add_node`] has set; whether it was there.
///
/// # Errors
/// What the kernel said.
pub fn remove_node(netlink: &mut Netlink, node: IpAddr, endpoints: Prefix) -> Result<bool, Error> {
    match to_node(netlink, node, endpoints)? {
        Some(route) => netlink.delete_route(&route),
        None => Ok(false),
    }
}

fn to_node(netlink: &mut Netlink, node: IpAddr, endpoints: Prefix) -> Result<Option<Route>, Error> {
    if node.is_ipv4() != endpoints.address().is_ipv4() {
        return Ok(None);
    }
    let addresses = netlink.all_addresses()?;
    let on_link = addresses.into_iter().find(|(_, own, length)| {
        let link = Prefix::new(*own, *length);
        *own != node
            && own.is_ipv4() == node.is_ipv4()
            && link.is_ok_and(|link| link.covers(Prefix::exact(node)))
    });
    Ok(on_link.map(|(ifindex, ..)| Route::by_way_of(node, endpoints, ifindex)))
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
