use palisade_abi::Identity;
use thiserror::Error;

use crate::label_set::LabelSet;

/// Why a number could not be given out.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum AllocateError {
    /// Every number is in use or withheld.
    #[error("all {count} identities are in use, none is left for {labels}")]
    Exhausted {
        /// Numbers in the range.
        count: u64,
        /// The labels that got none.
        labels: LabelSet,
    },
    /// The labels ask for a number of the whole cluster's, which no node gives out alone.
    #[error("labels `{labels}` ask for an identity of the whole cluster's")]
    Global {
        /// The labels that got none.
        labels: LabelSet,
    },
    /// The number to restore belongs to other labels.
    #[error("identity {identity} belongs to {holder}, not to {labels}")]
    IdentityTaken {
        /// The number.
        identity: Identity,
        /// The labels that have it.
        holder: LabelSet,
        /// The labels that were to have it.
        labels: LabelSet,
    },
    /// The labels to restore have another number.
    #[error("{labels} have identity {current}, not {identity}")]
    LabelsTaken {
        /// The labels.
        labels: LabelSet,
        /// The number that they have.
        current: Identity,
        /// The number that they were to have.
        identity: Identity,
    },
    /// The number to restore is not the allocator's to give.
    #[error("identity {identity} is outside {first} to {last}")]
    OutOfRange {
        /// The number.
        identity: Identity,
        /// The first number of the range.
        first: Identity,
        /// The last number of the range.
        last: Identity,
    },
}
