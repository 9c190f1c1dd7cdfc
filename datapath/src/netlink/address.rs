use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use palisade_abi::Prefix;

use super::{Error, Netlink};

/// A route of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route {
    /// Where it leads to.
    pub destination: Prefix,
    /// The next hop, if the destination is not on the link; taken to be on it.
    pub gateway: Option<IpAddr>,
    /// The device it leads out of.
    pub ifindex: u32,
    /// The table.
    pub table: u32,
    /// Whether the destination counts as this host itself.
    pub is_local: bool,
}

impl Route {
    /// A route of the main table to a destination on the link.
    pub fn on_link(destination: Prefix, ifindex: u32) -> Self {
        Self {
            destination,
            gateway: None,
            ifindex,
            table: RouteHeader::RT_TABLE_MAIN.into(),
            is_local: false,
        }
    }

    /// A route of the main table by way of a gateway.
    pub fn by_way_of(gateway: IpAddr, destination: Prefix, ifindex: u32) -> Self {
        Self {
            gateway: Some(gateway),
            ..Self::on_link(destination, ifindex)
        }
    }
}

impl Netlink {
    /// Gives a device an address, usable at once; whether it did not have it yet.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn add_address(
        &mut self,
        ifindex: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> Result<bool, Error> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix_length;
        message.header.index = ifindex;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![
            AddressAttribute::Address(address),
            AddressAttribute::Local(address),
        ];
        self.change(
            &format!("give device {ifindex} the address {address}/{prefix_length}"),
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
            &[Errno::EEXIST],
        )
    }

    /// The addresses of a device with their prefix lengths.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Socket`] or [`Error::Answer`].
    pub fn addresses(&mut self, ifindex: u32) -> Result<Vec<(IpAddr, u8)>, Error> {
        let all = self.all_addresses()?;
        let here = all.into_iter().filter(|(index, ..)| *index == ifindex);
        Ok(here.map(|(_, address, length)| (address, length)).collect())
    }

    /// Every address of the namespace: device, address, prefix length.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Socket`] or [`Error::Answer`].
    pub fn all_addresses(&mut self) -> Result<Vec<(u32, IpAddr, u8)>, Error> {
        let message = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.dump("list the addresses", message)?;
        Ok(answers.iter().filter_map(address).collect())
    }

    /// Sets a route, in place of another to the same destination.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn set_route(&mut self, route: &Route) -> Result<(), Error> {
        self.change(
            &format!("set the route to {}", route.destination),
            RouteNetlinkMessage::NewRoute(route_message(route)),
            NLM_F_CREATE | NLM_F_REPLACE,
            &[],
        )?;
        Ok(())
    }

    /// Removes a route; whether it was there.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn delete_route(&mut self, route: &Route) -> Result<bool, Error> {
        self.change(
            &format!("remove the route to {}", route.destination),
            RouteNetlinkMessage::DelRoute(route_message(route)),
            0,
            &[Errno::ESRCH, Errno::ENODEV],
        )
    }

    /// Fixes the link address of a neighbour, so that it is never asked for.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn set_neighbour(
        &mut self,
        ifindex: u32,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), Error> {
        let mut message = neighbour(ifindex, address);
        message.header.state = NeighbourState::Permanent;
        let link = NeighbourAttribute::LinkLayerAddress(mac.to_vec());
        message.attributes.push(link);
        self.change(
            &format!("set the neighbour {address} of device {ifindex}"),
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
            &[],
        )?;
        Ok(())
    }

    /// Removes a neighbour; whether it was there.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Socket`].
    pub fn delete_neighbour(&mut self, ifindex: u32, address: IpAddr) -> Result<bool, Error> {
        self.change(
            &format!("remove the neighbour {address} of device {ifindex}"),
            RouteNetlinkMessage::DelNeighbour(neighbour(ifindex, address)),
            0,
            &[Errno::ENOENT, Errno::ENODEV],
        )
    }
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn address(answer: &RouteNetlinkMessage) -> Option<(u32, IpAddr, u8)> {
    let RouteNetlinkMessage::NewAddress(message) = answer else {
        return None;
    };
    // On a point-to-point link `Address` is the other end's.
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    });
    Some((message.header.index, address?, message.header.prefix_len))
}

fn route_message(route: &Route) -> RouteMessage {
    let destination = route.destination.address().ip();
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = route.destination.length();
    // Tables past 255 are named by the attribute alone.
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.header.protocol = RouteProtocol::Static;
    (message.header.scope, message.header.kind) = match (route.is_local, route.gateway) {
        (true, _) => (RouteScope::Host, RouteType::Local),
        (false, None) => (RouteScope::Link, RouteType::Unicast),
        (false, Some(_)) => (RouteScope::Universe, RouteType::Unicast),
    };
    message.attributes = vec![
        RouteAttribute::Table(route.table),
        RouteAttribute::Oif(route.ifindex),
    ];
    if route.destination.length() > 0 {
        let destination = RouteAttribute::Destination(destination.into());
        message.attributes.push(destination);
    }
    if let Some(gateway) = route.gateway {
        message.header.flags = RouteFlags::Onlink;
        message
            .attributes
            .push(RouteAttribute::Gateway(gateway.into()));
    }
    message
}

fn neighbour(ifindex: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = ifindex;
    let destination = match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    };
    message.attributes = vec![NeighbourAttribute::Destination(destination)];
    message
}
