//! Points in time in eight bytes.

use std::time::Duration;

/// A time since the caller's epoch, in nanoseconds: good for 584 years.
///
/// In two halves, the upper one first, so that it needs no more than the alignment of a number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Moment([u32; 2]);

impl Moment {
    pub(super) const NEVER: Self = Self([u32::MAX; 2]);

    pub(super) const fn from_nanos(nanos: u64) -> Self {
        Self([(nanos >> 32) as u32, (nanos & 0xffff_ffff) as u32])
    }

    pub(super) const fn nanos(self) -> u64 {
        let [high, low] = self.0;
        (high as u64) << 32 | low as u64
    }

    pub(super) const fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

impl From<Duration> for Moment {
    fn from(time: Duration) -> Self {
        Self::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}
