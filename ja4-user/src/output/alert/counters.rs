//! The counters of a sink.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::encode::escape;
use crate::model::{LabelledMetric, counter_set};

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

/// Alerts by outcome.
const OUTCOMES: LabelledMetric =
    LabelledMetric { label: "outcome", metric: "sink_alerts", help: "Alerts of a sink, by outcome." };

counter_set! {
    /// Counters of a sink, by outcome of the alerts:
    /// `offered = below_severity + queue_full + rate_limited + sent + failed + abandoned + waiting`.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SinkStats as sink {
        /// Name of the sink.
        hidden name: String,
        /// Alerts offered to a sink.
        counter offered,
        /// Alerts below the minimum severity.
        counter below_severity in OUTCOMES,
        /// Alerts dropped because the queue was full.
        counter queue_full in OUTCOMES,
        /// Alerts dropped by the rate limit.
        counter rate_limited in OUTCOMES,
        /// Alerts sent. Receivers of UDP and TCP syslog do not acknowledge them.
        counter sent in OUTCOMES,
        /// Alerts dropped after a permanent error or the last retry.
        counter failed in OUTCOMES,
        /// Alerts not delivered before the end of the sensor or the removal of the sink.
        counter abandoned in OUTCOMES,
        /// Alerts queued or in delivery, by sink.
        gauge waiting,
        /// Delivery retries of a sink.
        counter retries,
        /// Whether the last delivery of a sink failed.
        gauge failing: bool = is_failing,
        text error = error,
        /// The last error; `None` once a later alert was delivered.
        hidden last_error: Option<String>,
    }
}

impl SinkStats {
    const fn is_failing(&self) -> bool {
        self.last_error.is_some()
    }

    fn error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}
