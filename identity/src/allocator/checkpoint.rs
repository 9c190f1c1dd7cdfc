use palisade_abi::{Identity, Prefix};
use thiserror::Error;

use super::Allocated;

/// What a node writes down for its next start, as one value: whole label sets with their numbers,
/// and the prefixes that have them, under a schema number and a checksum.
///
/// Where and how it is stored is not said here. A checkpoint that was cut short or edited does not
/// open.
///
/// ```
/// use palisade_identity::{Allocator, Checkpoint, Contents, LabelSet, Range};
///
/// let mut allocator = Allocator::new(Range::LOCAL);
/// let prefix = "10.0.0.0/8".parse()?;
/// let (identity, _) = allocator.allocate(&LabelSet::of_prefix(prefix))?;
/// let contents = Contents {
///     identities: allocator.checkpoint(),
///     prefixes: vec![(prefix, identity)],
/// };
/// let sealed = Checkpoint::seal(contents.clone());
/// assert_eq!(sealed.open()?, contents);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Checkpoint {
    schema: u32,
    checksum: u64,
    #[cfg_attr(feature = "serde", serde(flatten))]
    contents: Contents,
}

/// What a [`Checkpoint`] holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Contents {
    /// The identities, in the order of their numbers.
    pub identities: Vec<Allocated>,
    /// The prefixes that have one of them.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::prefixes"))]
    pub prefixes: Vec<(Prefix, Identity)>,
}

/// Why a checkpoint does not open.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It was changed or cut short since it was sealed.
    #[error("checkpoint has checksum {actual:016x}, it was sealed with {sealed:016x}")]
    Checksum {
        /// The checksum in the checkpoint.
        sealed: u64,
        /// That of what it holds.
        actual: u64,
    },
    /// Another version wrote it.
    #[error("checkpoint has schema {found}, known is {}", Checkpoint::SCHEMA)]
    Schema {
        /// The schema in the checkpoint.
        found: u32,
    },
}

impl Checkpoint {
    /// The schema of the checkpoints that this version seals and opens.
    pub const SCHEMA: u32 = 1;

    /// Makes a checkpoint.
    pub fn seal(contents: Contents) -> Self {
        Self {
            schema: Self::SCHEMA,
            checksum: contents.checksum(),
            contents,
        }
    }

    /// What it holds, if it is whole.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(self) -> Result<Contents, CheckpointError> {
        if self.schema != Self::SCHEMA {
            return Err(CheckpointError::Schema { found: self.schema });
        }
        let actual = self.contents.checksum();
        if actual != self.checksum {
            return Err(CheckpointError::Checksum {
                sealed: self.checksum,
                actual,
            });
        }
        Ok(self.contents)
    }
}

impl Contents {
    /// FNV-1a over one line for each entry: against accidents, not against malice.
    fn checksum(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut line = |text: String| {
            for byte in text.bytes().chain([b'\n']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        };
        for one in &self.identities {
            let labels = one.labels.canonical_key();
            line(format!("{} {} {labels}", one.identity, one.references));
        }
        for (prefix, identity) in &self.prefixes {
            line(format!("{prefix} {identity}"));
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_set::LabelSet;

    fn contents() -> Contents {
        Contents {
            identities: vec![Allocated {
                identity: Identity::FIRST_LOCAL,
                labels: LabelSet::of_prefix("10.0.0.0/8".parse().unwrap()),
                references: 2,
            }],
            prefixes: vec![("10.0.0.0/8".parse().unwrap(), Identity::FIRST_LOCAL)],
        }
    }

    #[test]
    fn any_change_is_seen() {
        let changes: [fn(&mut Contents); 5] = [
            |contents| contents.identities.clear(),
            |contents| contents.prefixes.clear(),
            |contents| contents.identities[0].references = 1,
            |contents| contents.identities[0].labels = LabelSet::new(),
            |contents| contents.prefixes[0].1 = Identity::new(7),
        ];
        for change in changes {
            let mut checkpoint = Checkpoint::seal(contents());
            change(&mut checkpoint.contents);
            assert!(matches!(
                checkpoint.open(),
                Err(CheckpointError::Checksum { .. })
            ));
        }
    }

    #[test]
    fn another_schema_is_not_read() {
        let mut checkpoint = Checkpoint::seal(contents());
        checkpoint.schema = 2;
        assert_eq!(
            checkpoint.open().unwrap_err().to_string(),
            "checkpoint has schema 2, known is 1"
        );
    }
}
