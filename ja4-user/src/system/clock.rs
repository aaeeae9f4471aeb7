//! The system's clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::model::Time;

/// Returns the time of the wall clock.
pub(crate) fn wall_clock() -> Time {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Time(0), |now| Time(Duration::from(now).as_nanos() as u64))
}

/// Returns the boot clock in nanoseconds.
pub(crate) fn boot_clock() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| Duration::from(now).as_nanos() as u64)
}
