//! Accepted durations of windows and cooldowns, and the tolerance for late events.

use std::ops::RangeInclusive;

use crate::units::HumanDuration;

/// Longest window or cooldown: 7 days.
const LONGEST: HumanDuration = HumanDuration::seconds(7 * 86_400);

/// The window in which a rule counts.
pub(crate) const WINDOW: RangeInclusive<HumanDuration> = HumanDuration::milliseconds(1)..=LONGEST;

/// How long a group is suppressed after an alert. Without a cooldown, every firing would be an alert.
pub(crate) const COOLDOWN: RangeInclusive<HumanDuration> = HumanDuration::seconds(1)..=LONGEST;

/// How much older than the newest event of its kind an event may be, nanoseconds: shards are not synchronised. An older
/// event means that a clock was set back, or that the newest time was wrong.
pub(crate) const MAX_SHARD_SKEW: u64 = 60_000_000_000;
