//! The learning period of first-seen values.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::Time;
use crate::units::HumanDuration;

/// Start of a period that has not begun.
const UNKNOWN: u64 = u64::MAX;

/// A period, in event time, in which every value is known.
///
/// It begins with the earliest event. All parts of the first-seen history share it.
#[derive(Debug)]
pub struct LearningPeriod {
    started: AtomicU64,
    length: u64,
}

impl LearningPeriod {
    /// A period that began at a stored time, if there is one.
    #[must_use]
    pub fn new(length: HumanDuration, started: Option<Time>) -> Self {
        Self { started: AtomicU64::new(started.map_or(UNKNOWN, |time| time.0)), length: length.nanoseconds() }
    }

    /// Begins the period with an event, unless it began earlier. Returns whether the event is in the period.
    ///
    /// A stored time in the future is of another clock, or of other packets: an earlier event begins a new period.
    #[inline]
    pub fn begin(&self, event: Time) -> bool {
        if event.0 < self.started.load(Ordering::Relaxed) {
            self.started.fetch_min(event.0, Ordering::Relaxed);
        }
        self.contains(event)
    }

    /// The start of the period, to be stored for the next run.
    #[must_use]
    pub fn started(&self) -> Option<Time> {
        Some(self.started.load(Ordering::Relaxed)).filter(|time| *time != UNKNOWN).map(Time)
    }

    /// Whether a time is in the period.
    #[must_use]
    pub fn contains(&self, at: Time) -> bool {
        self.started().is_some_and(|start| at.0.saturating_sub(start.0) < self.length)
    }

    /// The rest of the period; 0: it is over.
    #[must_use]
    pub fn left(&self, now: Time) -> HumanDuration {
        let elapsed = self.started().map_or(0, |start| now.0.saturating_sub(start.0));
        HumanDuration(Duration::from_nanos(self.length.saturating_sub(elapsed)))
    }
}
