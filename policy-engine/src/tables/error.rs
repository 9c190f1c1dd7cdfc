//! Why tables cannot be changed.

use std::fmt;

use thiserror::Error;

/// A table whose size is limited.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Limited {
    /// The slots of the rows' lines.
    CellSlots,
    /// The classes of identities, of one direction.
    PeerClasses,
    /// The policies.
    Policies,
    /// The classes of ports.
    PortClasses,
    /// The slots of the policies' lines.
    RowSlots,
    /// The rows.
    Rows,
    /// The verdict records.
    Verdicts,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CellSlots => "cell slots",
            Self::PeerClasses => "peer classes",
            Self::Policies => "policies",
            Self::PortClasses => "port classes",
            Self::RowSlots => "row slots",
            Self::Rows => "rows",
            Self::Verdicts => "verdicts",
        })
    }
}

/// Why tables cannot be changed. What was in force stays in force.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A table is full.
    #[error("the table of {table} is full: at least {needed} are needed, its size is {size}")]
    Full {
        /// The table.
        table: Limited,
        /// How many elements the change needs while old and new are both in force, at least.
        needed: u32,
        /// How many elements the table has.
        size: u32,
    },
}
