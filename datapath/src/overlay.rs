//! The device that takes packets to other nodes through tunnels (VXLAN), identities with them.
//!
//! One device serves every node: which tunnel a packet takes says the ipcache, by
//! [`IpcacheEntry::behind`](crate::abi::IpcacheEntry::behind). Where it is used,
//! [`DatapathConfig::overlay`](crate::abi::DatapathConfig) names it and
//! [`Datapath::attach_overlay`](crate::Datapath::attach_overlay) gives it its programs.
//!
//! Endpoints of other nodes need no route on this node for what endpoints send; the host's own packets
//! take a route to this device.

use std::net::IpAddr;

use crate::netlink::{Device, Error, Netlink, set_sysctl};

/// The name of the device.
pub const DEVICE: &str = "palisade_vxlan";
/// The UDP port that nodes use if they are not told another: Linux's own, and Cilium's.
pub const PORT: u16 = 8472;

/// The longest packet of an endpoint that goes through a tunnel over a network of this MTU whole.
///
/// `node` is an address of a node, whose family decides how long the outer headers are.
pub const fn mtu(network: u32, node: IpAddr) -> u32 {
    let outer = match node {
        IpAddr::V4(_) => 50,
        IpAddr::V6(_) => 70,
    };
    network.saturating_sub(outer)
}

/// Makes the device in the calling thread's namespace, which must be that of `netlink`, and sets it
/// up; one that is there stays.
///
/// # Errors
/// What the kernel said: EEXIST if another device has the port.
pub fn add(netlink: &mut Netlink, port: u16, mtu: u32) -> Result<Option<Device>, Error> {
    netlink.add_vxlan(DEVICE, port, mtu)?;
    let device = netlink.device(DEVICE)?;
    if let Some(device) = &device {
        // Other nodes speak through it too, who have a route past it.
        set_sysctl(&format!("ipv4/conf/{DEVICE}/rp_filter"), "0")?;
        netlink.set_up(device.ifindex)?;
    }
    Ok(device)
}

/// Removes the device; whether it was there.
///
/// # Errors
/// What the kernel said.
pub fn remove(netlink: &mut Netlink) -> Result<bool, Error> {
    match netlink.device(DEVICE)? {
        Some(device) => netlink.delete_device(device.ifindex),
        None => Ok(false),
    }
}
