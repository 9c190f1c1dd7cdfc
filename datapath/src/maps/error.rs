use std::io;
use std::path::PathBuf;

use palisade_abi::Identity;
use thiserror::Error as ThisError;

use super::Map;

/// Why a map could not be made, taken, read or written.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused to make the map.
    #[error("map {map} could not be created")]
    Create {
        /// The map.
        map: Map,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A map was given that the programs cannot use in this place.
    #[error("map {map} has {field} {found}, but {expected} is needed")]
    Shape {
        /// The map.
        map: Map,
        /// What differs.
        field: &'static str,
        /// What it is.
        found: u32,
        /// What it must be.
        expected: u32,
    },
    /// A map was given under another name; the programs find theirs by name.
    #[error("map {map} is named {found}")]
    Name {
        /// The map.
        map: Map,
        /// Its name.
        found: String,
    },
    /// The map could not be mapped into this process.
    #[error("map {map} could not be mapped")]
    Mapping {
        /// The map.
        map: Map,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The map could not be pinned or a pin could not be opened.
    #[error("the pin {} could not be used", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The map could not be read.
    #[error("map {map} could not be read")]
    Read {
        /// The map.
        map: Map,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The map could not be written.
    #[error("map {map} could not be written")]
    Write {
        /// The map.
        map: Map,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The map holds as much as it was made for.
    #[error("map {map} is full at {entries} entries")]
    Full {
        /// The map.
        map: Map,
        /// What it was made for.
        entries: u32,
    },
    /// An index past the end of a table.
    #[error("index {index} lies past the end of map {map}")]
    PastEnd {
        /// The map.
        map: Map,
        /// The index.
        index: u64,
    },
    /// An identity that has no place in the identity pages.
    #[error("identity {identity} is too large for the identity pages")]
    Identity {
        /// The identity.
        identity: Identity,
    },
}
