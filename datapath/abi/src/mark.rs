//! The packet mark (D4). Twin of `bpf/abi/mark.h`.
//!
//! Kind in 0x0f00; the identity's low 16 bits in the high half, its bits 16 to 23 in the low byte;
//! 0xf000 belongs to others (kube-proxy).

use crate::Identity;

/// What a mark vouches for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u32)]
#[non_exhaustive]
pub enum MarkKind {
    /// To the proxy: routed to this host by the loader's rule.
    ToProxy = 0x0200,
    /// Into a tunnel to another node, or out of one with the identity that it carried.
    Overlay = 0x0400,
    /// From the proxy to the client it answers; no identity.
    ProxyReturn = 0x0a00,
    /// From the proxy to the server, in the name of the client whose identity it carries.
    ProxyForward = 0x0b00,
    /// Made by a program: an ICMP error or a reset to the sender of what it dropped.
    Answer = 0x0c00,
    /// From an endpoint of this node, whose identity it carries.
    Identity = 0x0f00,
}

/// A packet mark.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Mark(u32);

impl Mark {
    /// The bits that hold the kind.
    pub const KIND_MASK: u32 = 0x0f00;
    /// Every bit that is ours: kind and identity, without 0xf000.
    pub const MASK: u32 = 0xffff_0fff;

    /// A mark of a kind that carries no identity.
    pub const fn new(kind: MarkKind) -> Self {
        Self(kind as u32)
    }

    /// A mark that carries an identity of up to 24 bits.
    pub const fn with_identity(kind: MarkKind, identity: Identity) -> Self {
        let id = identity.get();
        Self(kind as u32 | (id & 0xffff) << 16 | (id >> 16) & 0xff)
    }

    /// The bits to set.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The identity that the mark carries.
    pub const fn identity(self) -> Identity {
        Identity::new(self.0 >> 16 | (self.0 & 0xff) << 16)
    }
}
