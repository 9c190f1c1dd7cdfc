//! Endpoints of this node. Twin of `bpf/abi/endpoint.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{EndpointId, Identity, PolicyId};

/// Value of map `endpoints_v1`: one per address of an endpoint. Key: [`crate::Address`].
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
#[repr(C)]
pub struct EndpointRecord {
    /// The interface of the endpoint's host-side veth, in the node's namespace.
    pub ifindex: u32,
    /// The endpoint's security identity.
    pub identity: u32,
    /// The endpoint's number, an index of map `policy_of_v1`.
    pub id: u16,
    /// The endpoint's own link address.
    pub mac: [u8; 6],
    /// The link address of the host-side veth: what the endpoint sees as its gateway.
    pub node_mac: [u8; 6],
    /// Always 0.
    pub pad: [u8; 2],
}

impl EndpointRecord {
    /// The endpoint's number.
    pub const fn endpoint(&self) -> EndpointId {
        EndpointId::new(self.id)
    }

    /// The endpoint's security identity.
    pub const fn identity(&self) -> Identity {
        Identity::new(self.identity)
    }
}

/// One word of map `policy_of_v1`, indexed by endpoint number: both policies, switched at once.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct PolicyPair {
    /// The policy for traffic to the endpoint.
    pub ingress: u32,
    /// The policy for traffic from the endpoint.
    pub egress: u32,
}

impl PolicyPair {
    /// The two policies of an endpoint.
    pub const fn new(ingress: PolicyId, egress: PolicyId) -> Self {
        Self {
            ingress: ingress.get(),
            egress: egress.get(),
        }
    }
}
