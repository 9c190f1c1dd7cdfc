use std::fmt;
use std::net::IpAddr;

use palisade_abi::{Identity, Prefix};

use super::{Origin, ResourceId};
use crate::label_set::LabelSet;

/// What one resource says of a prefix.
///
/// ```
/// use palisade_identity::{Claim, EncryptionKey, LabelSet};
///
/// let node = Claim::labels(LabelSet::parse(["reserved:remote-node"])?)
///     .with_tunnel("192.0.2.7".parse()?)
///     .with_key(EncryptionKey::new(3));
/// assert_eq!(node.to_string(), "labels reserved:remote-node, tunnel 192.0.2.7, key 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claim {
    pub(super) who: Who,
    pub(super) tunnel: Option<IpAddr>,
    pub(super) key: Option<EncryptionKey>,
    pub(super) flags: Option<EntryFlags>,
    pub(super) before: Option<Identity>,
}

/// Who the addresses are, as a claim has it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Who {
    /// These labels and no others.
    Exactly(LabelSet),
    /// The identity with this number, which somebody else gave out.
    Identity(Identity),
    /// These labels and those that others add.
    Labels(LabelSet),
    /// Nothing is said of it.
    #[default]
    Unsaid,
}

/// The key that traffic to a prefix is encrypted with: an SPI of IPsec, or WireGuard.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EncryptionKey(u8);

/// How traffic to a prefix is sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct EntryFlags(u8);

/// What becomes of a claim, for [`Layers::apply`](super::Layers::apply).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The prefix that it is about.
    pub prefix: Prefix,
    /// Who says it.
    pub origin: Origin,
    /// The resource that it is said for.
    pub resource: ResourceId,
    /// What is said from now on; `None` takes back what was said.
    pub claim: Option<Claim>,
}

impl Change {
    /// Something is said of a prefix, in place of what the same origin said for the same resource.
    pub const fn new(prefix: Prefix, origin: Origin, resource: ResourceId, claim: Claim) -> Self {
        Self {
            prefix,
            origin,
            resource,
            claim: Some(claim),
        }
    }

    /// What was said is taken back.
    pub const fn withdraw(prefix: Prefix, origin: Origin, resource: ResourceId) -> Self {
        Self {
            prefix,
            origin,
            resource,
            claim: None,
        }
    }
}

impl Claim {
    /// The addresses have these labels, besides those that others say they have.
    pub fn labels(labels: LabelSet) -> Self {
        Self {
            who: Who::Labels(labels),
            ..Self::default()
        }
    }

    /// The addresses have these labels, whatever others say.
    pub fn exactly(labels: LabelSet) -> Self {
        Self {
            who: Who::Exactly(labels),
            ..Self::default()
        }
    }

    /// The addresses have an identity that somebody else gave out: an endpoint's.
    pub fn identity(identity: Identity) -> Self {
        Self {
            who: Who::Identity(identity),
            ..Self::default()
        }
    }

    /// Packets go through a tunnel to this node.
    pub fn with_tunnel(self, node: IpAddr) -> Self {
        Self {
            tunnel: Some(node),
            ..self
        }
    }

    /// Packets are encrypted.
    pub fn with_key(self, key: EncryptionKey) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// Packets are sent so.
    pub fn with_flags(self, flags: EntryFlags) -> Self {
        Self {
            flags: Some(flags),
            ..self
        }
    }

    /// If an identity has to be made for the prefix, this number is the first choice: the one it
    /// had before a restart.
    pub fn with_number_before(self, before: Identity) -> Self {
        Self {
            before: Some(before),
            ..self
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match &self.who {
            Who::Exactly(labels) => parts.push(format!("exactly the labels {labels}")),
            Who::Identity(identity) => parts.push(format!("identity {identity}")),
            Who::Labels(labels) => parts.push(format!("labels {labels}")),
            Who::Unsaid => {}
        }
        parts.extend(self.tunnel.map(|node| format!("tunnel {node}")));
        parts.extend(self.key.map(|key| format!("key {}", key.get())));
        parts.extend(self.flags.map(|flags| format!("flags {flags}")));
        parts.extend(self.before.map(|before| format!("formerly {before}")));
        f.write_str(&parts.join(", "))
    }
}

impl EncryptionKey {
    /// WireGuard, which has one key for each node and no number of its own.
    pub const WIREGUARD: Self = Self(255);

    /// The key with this number; 0 stands for no encryption.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl EntryFlags {
    /// Nothing out of the ordinary.
    pub const NONE: Self = Self(0);
    /// Packets are not sent through a tunnel, although others of the node are.
    pub const SKIP_TUNNEL: Self = Self(1);
    /// The addresses are in another cluster.
    pub const REMOTE_CLUSTER: Self = Self(8);

    /// These flags and others.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of some flags are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits, those of Cilium's map.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for EntryFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (Self::SKIP_TUNNEL, "skip-tunnel"),
            (Self::REMOTE_CLUSTER, "remote-cluster"),
        ];
        let set = named.into_iter().filter(|(flag, _)| self.has(*flag));
        let names: Vec<&str> = set.map(|(_, name)| name).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join("+"))
    }
}
