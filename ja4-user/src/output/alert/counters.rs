//! The counters of a sink.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::encode::escape;
use crate::model::CounterGroup;

/// Longest error that is kept, in characters: the receiver may send more.
const MAX_ERROR: usize = 200;

/// The counters of a sink, shared with its thread.
#[derive(Debug, Default)]
pub(super) struct SinkCounters {
    pub(super) offered: AtomicU64,
    pub(super) below_severity: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) rate_limited: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) retries: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl SinkCounters {
    /// Records an error, until a delivery succeeds.
    pub(super) fn record_error(&self, error: &str) {
        let mut shown = Vec::new();
        escape::terminal(error, MAX_ERROR, &mut shown);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8(shown).ok();
    }

    /// Counts a delivered alert.
    pub(super) fn delivered(&self) {
        count(&self.sent);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn stats(&self, name: &str) -> SinkStats {
        // Outcomes are read before offers, so that no alert is counted twice.
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let [sent, failed, abandoned, rate_limited] =
            [&self.sent, &self.failed, &self.abandoned, &self.rate_limited].map(read);
        let [below_severity, queue_full, retries, offered] =
            [&self.below_severity, &self.queue_full, &self.retries, &self.offered].map(read);
        let done = [sent, failed, abandoned, rate_limited, below_severity, queue_full].into_iter().sum();
        SinkStats {
            name: name.to_owned(),
            offered,
            below_severity,
            queue_full,
            rate_limited,
            sent,
            failed,
            abandoned,
            waiting: offered.saturating_sub(done),
            retries,
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::AcqRel);
}

/// Counters of a sink, by outcome of the alerts:
/// `offered = below_severity + queue_full + rate_limited + sent + failed + abandoned + waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// Name of the sink.
    pub name: String,
    /// Alerts offered to the sink.
    pub offered: u64,
    /// Alerts below the minimum severity.
    pub below_severity: u64,
    /// Alerts dropped because the queue was full.
    pub queue_full: u64,
    /// Alerts dropped by the rate limit.
    pub rate_limited: u64,
    /// Alerts sent. Receivers of UDP and TCP syslog do not acknowledge them.
    pub sent: u64,
    /// Alerts dropped after a permanent error or the last retry.
    pub failed: u64,
    /// Alerts not delivered before the end of the sensor or the removal of the sink.
    pub abandoned: u64,
    /// Alerts queued or in delivery.
    pub waiting: u64,
    /// Retries.
    pub retries: u64,
    /// The last error; `None` once a later alert was delivered.
    pub last_error: Option<String>,
}

impl SinkStats {
    /// Returns the counters for a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let mut group = CounterGroup::default();
        group
            .count("offered", self.offered)
            .count("below_severity", self.below_severity)
            .count("queue_full", self.queue_full)
            .count("rate_limited", self.rate_limited)
            .count("sent", self.sent)
            .count("failed", self.failed)
            .count("abandoned", self.abandoned)
            .count("waiting", self.waiting)
            .count("retries", self.retries)
            .count("failing", u64::from(self.last_error.is_some()));
        if let Some(error) = &self.last_error {
            group.text("error", error.clone());
        }
        group
    }
}
