//! The interfaces of endpoints: found where somebody else makes them, made where nobody does.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_indextoname;
use nix::sched::{CloneFlags, setns};
use palisade_abi::Prefix;
use palisade_datapath::netlink::{self, Netlink, Route, Veth, set_sysctl};
use palisade_node::Link;
use thiserror::Error;

use crate::config::EndpointConfig;

/// What endpoints see as their gateways; nobody has these addresses, the programs answer for them.
const GATEWAYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
];
/// The name of an interface that the agent makes, inside the endpoint's namespace.
const INSIDE: &str = "eth0";

/// How long all interfaces together are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at an interface.
const PAUSE: Duration = Duration::from_millis(5);

/// Why an endpoint has no interface.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum InterfaceError {
    /// The namespace cannot be entered.
    #[error("cannot enter the network namespace {}", netns.display())]
    Enter {
        /// The file that should stand for it.
        netns: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The node has no interface of that name.
    #[error("there is no interface {name}")]
    Missing {
        /// The name.
        name: String,
    },
    /// The configuration says neither the namespace nor enough to do without.
    #[error("`netns` is missing")]
    NoNamespace,
    /// Nothing in the namespace has the endpoint's address.
    #[error("no interface in {} has {wanted}", netns.display())]
    NoAddress {
        /// The namespace.
        netns: PathBuf,
        /// What was looked for.
        wanted: String,
    },
    /// The kernel's network configuration.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

/// The interface of an endpoint as the datapath needs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Interface {
    pub(super) link: Link,
    pub(super) addresses: Vec<IpAddr>,
}

/// Makes the interface of an endpoint, or finds it if it is there. It is not up yet if it is new.
pub(super) fn prepare(
    netlink: &mut Netlink,
    config: &EndpointConfig,
) -> Result<Interface, InterfaceError> {
    let netns = config.netns.as_deref().ok_or(InterfaceError::NoNamespace)?;
    let name = host_name(config);
    if config.interface.is_none() && netlink.device(&name)?.is_none() {
        let file = open(netns)?;
        netlink.add_veth(&Veth {
            name: &name,
            peer: INSIDE,
            peer_namespace: file.as_fd(),
            mtu: None,
        })?;
    }
    let host = netlink.device(&name)?;
    let host = host.ok_or(InterfaceError::Missing { name })?;
    if config.interface.is_none() {
        inside(netns, |netlink| set_up_inside(netlink, config))?;
    }
    let (mac, addresses) = inside(netns, |netlink| find_inside(netlink, netns, config))?;
    Ok(Interface {
        link: Link {
            ifindex: host.ifindex,
            mac,
            node_mac: host.mac,
        },
        addresses,
    })
}

/// Sets an interface up that the agent made, and routes the endpoint's addresses to it.
///
/// Called when the programs are in place, so that nothing passes before.
pub(super) fn connect(
    netlink: &mut Netlink,
    config: &EndpointConfig,
    ifindex: u32,
) -> Result<(), InterfaceError> {
    if config.interface.is_some() {
        return Ok(());
    }
    let name = host_name(config);
    // The endpoint's packets come from addresses that its route leads back to.
    set_sysctl(&format!("ipv4/conf/{name}/rp_filter"), "0")?;
    set_sysctl(&format!("ipv6/conf/{name}/accept_dad"), "0")?;
    netlink.set_up(ifindex)?;
    for address in &config.addresses {
        netlink.set_route(&Route::on_link(Prefix::exact(*address), ifindex))?;
    }
    Ok(())
}

/// Waits until packets pass the interfaces that the agent made, for a moment at most.
///
/// The kernel lets a veth wait for up to a second if its two ends happen to have equal numbers.
pub(super) fn wait_until_running(
    netlink: &mut Netlink,
    configs: &[EndpointConfig],
) -> Result<(), InterfaceError> {
    let deadline = Instant::now() + PATIENCE;
    for config in configs.iter().filter(|config| config.interface.is_none()) {
        let name = host_name(config);
        while Instant::now() < deadline
            && netlink
                .device(&name)?
                .is_some_and(|device| !device.is_running)
        {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Removes an interface that the agent made; the other end and the routes go with it.
pub(super) fn remove(netlink: &mut Netlink, config: &EndpointConfig) -> Result<(), InterfaceError> {
    if config.interface.is_none()
        && let Some(device) = netlink.device(&host_name(config))?
    {
        netlink.delete_device(device.ifindex)?;
    }
    Ok(())
}

/// Lets the node forward between its interfaces, as it must where it makes them.
pub(super) fn forward() -> Result<(), InterfaceError> {
    set_sysctl("ipv4/ip_forward", "1")?;
    set_sysctl("ipv6/conf/all/forwarding", "1")?;
    Ok(())
}

/// The name of an interface of this namespace; its number if it has gone.
pub(super) fn name_of(index: u32) -> String {
    if_indextoname(index).map_or_else(
        |_| index.to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The host-side name: what the configuration says, or one that follows from the endpoint's name,
/// so that a later start finds the interface again.
pub(super) fn host_name(config: &EndpointConfig) -> String {
    match &config.interface {
        Some(name) => name.clone(),
        None => format!("pal{:08x}", fnv(config.name.as_bytes())),
    }
}

/// FNV-1a: the same on every start, and short enough for the 15 characters of a name.
fn fnv(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

fn set_up_inside(netlink: &mut Netlink, config: &EndpointConfig) -> Result<(), InterfaceError> {
    set_sysctl(&format!("ipv6/conf/{INSIDE}/accept_dad"), "0")?;
    let missing = || InterfaceError::Missing {
        name: INSIDE.into(),
    };
    let device = netlink.device(INSIDE)?.ok_or_else(missing)?;
    if let Some(loopback) = netlink.device("lo")? {
        netlink.set_up(loopback.ifindex)?;
    }
    netlink.set_up(device.ifindex)?;
    for address in &config.addresses {
        let whole = Prefix::exact(*address).length();
        netlink.add_address(device.ifindex, *address, whole)?;
    }
    for gateway in GATEWAYS {
        let same_family = |address: &&IpAddr| address.is_ipv4() == gateway.is_ipv4();
        if config.addresses.iter().find(same_family).is_none() {
            continue;
        }
        netlink.set_route(&Route::on_link(Prefix::exact(gateway), device.ifindex))?;
        if let Ok(all) = Prefix::new(gateway, 0) {
            netlink.set_route(&Route::by_way_of(gateway, all, device.ifindex))?;
        }
    }
    Ok(())
}

/// The link address of the endpoint's end, and its addresses.
fn find_inside(
    netlink: &mut Netlink,
    netns: &Path,
    config: &EndpointConfig,
) -> Result<([u8; 6], Vec<IpAddr>), InterfaceError> {
    let devices = netlink.devices()?;
    for device in devices.iter().filter(|device| device.name != "lo") {
        let has = netlink.addresses(device.ifindex)?;
        let has: Vec<IpAddr> = has
            .into_iter()
            .map(|(address, _)| address)
            .filter(is_global)
            .collect();
        let fits = match config.addresses.as_slice() {
            [] => !has.is_empty(),
            [first, ..] => has.contains(first),
        };
        if fits {
            let given = (!config.addresses.is_empty()).then(|| config.addresses.clone());
            return Ok((device.mac, given.unwrap_or(has)));
        }
    }
    let wanted = config.addresses.first();
    Err(InterfaceError::NoAddress {
        netns: netns.to_owned(),
        wanted: wanted.map_or("an address".into(), ToString::to_string),
    })
}

/// Whether an address means the same beyond its link.
fn is_global(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// Does something inside a namespace, which is not kept: it ends when its owner ends it.
fn inside<T: Send>(
    netns: &Path,
    work: impl FnOnce(&mut Netlink) -> Result<T, InterfaceError> + Send,
) -> Result<T, InterfaceError> {
    let file = open(netns)?;
    let enter = || {
        setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| InterfaceError::Enter {
            netns: netns.to_owned(),
            source: errno.into(),
        })?;
        work(&mut Netlink::open()?)
    };
    thread::scope(|scope| {
        let inside = scope.spawn(enter);
        inside
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn open(netns: &Path) -> Result<File, InterfaceError> {
    File::open(netns).map_err(|source| InterfaceError::Enter {
        netns: netns.to_owned(),
        source,
    })
}
