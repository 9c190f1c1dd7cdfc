//! What the loader and the programs share while they run. Twin of `bpf/abi/state.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The value of map `state_v1`.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct DatapathState {
    /// Under which verdicts are cached; bumped after the last write of a change.
    pub generation: u32,
    /// [`DatapathState::LAYOUT`] of the loader that made the maps; 0 until all of them stand.
    pub layout: u32,
}

impl DatapathState {
    /// The version of the layouts in this crate.
    pub const LAYOUT: u32 = 1;
}
