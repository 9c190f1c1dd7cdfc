use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;

/// Why an event was not taken. The node, and so what is in force, is as before it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Two endpoints would have one address.
    #[error("address {address} of endpoint {name} belongs to {owner}")]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// Who wants it.
        name: Arc<str>,
        /// Who has it.
        owner: Arc<str>,
    },
    /// No number is left for a set of labels.
    #[error("no identity for new labels")]
    Identities(#[from] palisade_identity::AllocateError),
    /// A map is full that the node counts by itself.
    #[error("{map} needs {needed} entries and has {size}")]
    Full {
        /// Which one.
        map: &'static str,
        /// How many entries it would have.
        needed: usize,
        /// How many it can have.
        size: u32,
    },
    /// A checkpoint with labels that cannot be read.
    #[error("the checkpoint's labels of identity {identity} cannot be read")]
    Checkpoint {
        /// The number that they belong to.
        identity: palisade_identity::Identity,
        /// What is wrong with them.
        source: palisade_identity::LabelSetError,
    },
    /// Every endpoint number is in use.
    #[error("a node has at most 65535 endpoints")]
    TooManyEndpoints,
    /// The decision tables cannot hold the policies.
    #[error("the policies do not fit the decision tables")]
    Tables(#[from] palisade_policy::tables::Error),
    /// What a restart found does not fit the configured sizes.
    #[error("what was found in the tables does not fit them")]
    Found(#[from] palisade_policy::tables::OutsideTable),
    /// No endpoint has this name.
    #[error("there is no endpoint {name}")]
    UnknownEndpoint {
        /// The name.
        name: Arc<str>,
    },
}
