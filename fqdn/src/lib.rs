//! DNS names, patterns, a wire view, a cache and the filter that decides a query.
#![forbid(unsafe_code)]

mod cache;
mod filter;
mod glob;
mod label_hash;
mod name;
mod pattern;
mod pattern_set;
#[cfg(feature = "serde")]
mod serialize;
mod trie;
pub mod wire;

pub use self::cache::{Answer, Cache, Changes, Limits, Live, Lookup, Record};
pub use self::filter::{Decision, Filter};
pub use self::name::{DnsName, Labels, NameError};
pub use self::pattern::{Level, MatchPattern, PatternError};
pub use self::pattern_set::{PatternId, PatternSet};
