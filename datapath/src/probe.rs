//! What the kernel can do, found by trying.

use crate::sys;

/// Features that programs or loader choose by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Features {
    /// Links of tcx hooks (6.6); filters of clsact stand in.
    pub tcx: bool,
}

impl Features {
    /// Asks the kernel; changes nothing.
    pub fn probe() -> Self {
        Self {
            tcx: sys::has_tcx(),
        }
    }
}
