//! The one clock of the agent: monotonic, as the kernel's events have it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The time since boot, without the time that the machine slept.
pub(super) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// The wall-clock time of the boot, to turn the kernel's times into times of day.
pub(super) fn boot() -> Duration {
    let wall = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
    wall.saturating_sub(now())
}
