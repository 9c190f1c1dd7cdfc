//! Named sets of prefixes.

use std::sync::Arc;

use palisade_abi::Prefix;
use palisade_identity::LabelSet;

use crate::span::Location;

/// A `CiliumCIDRGroup`: prefixes that rules name together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CidrGroup {
    /// The name.
    pub name: Arc<str>,
    /// Where the document starts.
    pub location: Location,
    /// The labels that identities of its prefixes carry: `cidrgroup:` and its name, and the labels
    /// of the resource with the source `cidrgroup`.
    pub labels: LabelSet,
    /// The prefixes.
    pub prefixes: Vec<Prefix>,
}
