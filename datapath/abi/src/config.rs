//! What the loader fixes before a program is loaded. Twin of `bpf/abi/config.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Address;

/// Whether policy is enforced or only reported.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[repr(u32)]
pub enum Mode {
    /// What policy denies is dropped.
    #[default]
    Enforce = 0,
    /// What policy denies passes, with an event that says so.
    Audit = 1,
}

/// What the sender of a packet that policy denies is told.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[repr(u32)]
pub enum DenyAnswer {
    /// Nothing.
    #[default]
    Silent = 0,
    /// An ICMP error: prohibited by an administrator.
    Icmp = 1,
    /// TCP: a reset, so that a client gives up at once; else the ICMP error.
    Reset = 2,
}

/// Elements of each decision table and map; the loader refuses what the kernel cannot hold.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct TableSizes {
    /// Records of `policy_line_v1`.
    pub policies: u32,
    /// Slots of `row_slot_v1`.
    pub row_slots: u32,
    /// Records of `row_line_v1`.
    pub rows: u32,
    /// Slots of `cell_slot_v1`.
    pub cell_slots: u32,
    /// Records of `verdict_v1`, up to 65,536.
    pub verdicts: u32,
    /// Addresses of endpoints.
    pub endpoints: u32,
    /// Exact addresses of the ipcache, and as many prefixes.
    pub ipcache: u32,
    /// Connections; half as many may be of endpoints that speak with the node's address.
    pub conntrack: u32,
    /// Bytes of the event ring, a power of two of at least a page.
    pub events: u32,
}

impl TableSizes {
    /// Flows of endpoints that speak with the node's address.
    pub const fn nat(&self) -> u32 {
        if self.conntrack < 2 {
            return 1;
        }
        self.conntrack / 2
    }
}

impl Default for TableSizes {
    /// Sizes for a node of moderate size: about 50 MB in the kernel, most of it conntrack.
    fn default() -> Self {
        Self {
            policies: 16_384,
            row_slots: 1 << 20,
            rows: 1 << 18,
            cell_slots: 1 << 20,
            verdicts: 65_536,
            endpoints: 65_536,
            ipcache: 131_072,
            conntrack: 131_072,
            events: 4 << 20,
        }
    }
}

/// Below the ports that Linux gives its own sockets, so that neither takes the other's.
const NAT_PORTS: (u32, u32) = (1024, 32_767);

/// `const volatile struct datapath_config config`, the programs' read-only data.
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct DatapathConfig {
    /// Records of `policy_line_v1`.
    pub policies: u32,
    /// Slots of `row_slot_v1`.
    pub row_slots: u32,
    /// Records of `row_line_v1`.
    pub rows: u32,
    /// Slots of `cell_slot_v1`.
    pub cell_slots: u32,
    /// Records of `verdict_v1`.
    pub verdicts: u32,
    /// A [`Mode`].
    pub mode: u32,
    /// The identity of an IPv4 address that the ipcache does not know.
    pub world_ipv4: u32,
    /// The identity of an IPv6 address that the ipcache does not know.
    pub world_ipv6: u32,
    /// Seconds that an established TCP connection lives without a packet.
    pub tcp_timeout: u32,
    /// Seconds that a TCP connection lives before the first answer.
    pub syn_timeout: u32,
    /// Seconds that a closing TCP connection lives.
    pub close_timeout: u32,
    /// Seconds that any other flow lives without a packet.
    pub other_timeout: u32,
    /// 1 to deliver to local endpoints with `bpf_redirect_peer`, 0 to go through the stack.
    pub redirect_peer: u32,
    /// A [`DenyAnswer`].
    pub deny_answer: u32,
    /// The node's IPv4 address towards the network, by which it speaks; unspecified if it has none.
    pub node_ipv4: Address,
    /// The node's IPv6 address towards the network, by which it speaks; unspecified if it has none.
    pub node_ipv6: Address,
    /// The endpoint whose policies are the host's own; 0 while the host has none.
    pub host_endpoint: u32,
    /// 1 to let endpoints speak to the world with the node's address.
    pub masquerade: u32,
    /// The first of the node's ports that are given to flows of endpoints.
    pub nat_port_low: u32,
    /// The last of them.
    pub nat_port_high: u32,
    /// The device of the tunnels to other nodes; 0 if there are none.
    pub overlay: u32,
    /// The UDP port that nodes send them to.
    pub overlay_port: u32,
}

impl DatapathConfig {
    /// The configuration for tables of these sizes, with Cilium's conntrack timeouts.
    pub const fn new(sizes: TableSizes, mode: Mode) -> Self {
        Self {
            policies: sizes.policies,
            row_slots: sizes.row_slots,
            rows: sizes.rows,
            cell_slots: sizes.cell_slots,
            verdicts: sizes.verdicts,
            mode: mode as u32,
            world_ipv4: crate::Identity::WORLD_IPV4.get(),
            world_ipv6: crate::Identity::WORLD_IPV6.get(),
            tcp_timeout: 8_000,
            syn_timeout: 60,
            close_timeout: 10,
            other_timeout: 60,
            redirect_peer: 1,
            deny_answer: DenyAnswer::Silent as u32,
            node_ipv4: Address::UNSPECIFIED,
            node_ipv6: Address::UNSPECIFIED,
            host_endpoint: 0,
            masquerade: 0,
            nat_port_low: NAT_PORTS.0,
            nat_port_high: NAT_PORTS.1,
            overlay: 0,
            overlay_port: 0,
        }
    }
}
