//! What the loader and the programs share while they run. Twin of `bpf/abi/state.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::IDENTITY_PAGES;

/// The value of map `state_v1`, whose name stays: its second word tells what the others are like.
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
#[repr(C)]
pub struct DatapathState {
    /// Under which verdicts are cached; bumped after the last write of a change.
    pub generation: u32,
    /// [`DatapathState::LAYOUT`] of the loader that made the maps; 0 until all of them stand.
    pub layout: u32,
    /// A bit for each identity page that may stand, the loader's own note: before 6.8 the kernel
    /// waits for a grace period each time that a slot of a map of maps is looked at from user space.
    pub pages: [u32; Self::PAGE_WORDS],
}

impl DatapathState {
    /// The version of the layouts in this crate.
    pub const LAYOUT: u32 = 6;
    /// Words that hold a bit for each identity page.
    pub const PAGE_WORDS: usize = IDENTITY_PAGES as usize / 32;
}
