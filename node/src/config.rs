use std::time::Duration;

use palisade_abi::TableSizes;
use palisade_policy::Options;

/// What a node is and may use.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// How policies decide.
    pub options: Options,
    /// How large the tables are.
    pub sizes: TableSizes,
    /// What the node remembers of names.
    pub names: NameLimits,
}

impl Config {
    /// The defaults for policies that are read and decide under `options`.
    pub fn new(options: Options, sizes: TableSizes) -> Self {
        Self {
            options,
            sizes,
            names: NameLimits::default(),
        }
    }
}

/// What the node remembers of names.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NameLimits {
    /// The least time that an answer holds, however short its TTL.
    pub min_ttl: Duration,
    /// Addresses of one name.
    pub addresses_per_name: usize,
    /// Pairs of a name and an address.
    pub total: usize,
}

impl Default for NameLimits {
    fn default() -> Self {
        Self {
            min_ttl: Duration::ZERO,
            addresses_per_name: 1_000,
            total: 100_000,
        }
    }
}
