//! The system's clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::model::Time;

/// Nanoseconds since the Unix epoch.
pub fn wall_clock() -> Time {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Time(0), |now| Time(Duration::from(now).as_nanos() as u64))
}

/// Nanoseconds of the boot clock.
pub fn boot_clock() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| Duration::from(now).as_nanos() as u64)
}
