//! What has become of the alerts of a sink.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::encode::escape;
use crate::model::CounterGroup;

/// Characters of an error that are kept: more than any of ours has, but a receiver may say more.
const MAX_ERROR: usize = 200;

/// Counters of one sink.
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
    /// Keeps an error, until something goes well.
    pub(super) fn error(&self, error: &str) {
        let mut shown = Vec::new();
        escape::terminal(error, MAX_ERROR, &mut shown);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = String::from_utf8(shown).ok();
    }

    /// Counts an alert that arrived.
    pub(super) fn went_well(&self) {
        count(&self.sent);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn stats(&self, name: &str) -> SinkStats {
        // What an alert becomes is read before what it was, so that none is seen twice.
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

/// What has become of the alerts that a sink was offered:
/// `offered = below_severity + queue_full + rate_limited + sent + failed + abandoned + waiting`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// Name of the sink.
    pub name: String,
    /// Alerts that there were.
    pub offered: u64,
    /// Less severe than the sink takes.
    pub below_severity: u64,
    /// Lost: the queue was full.
    pub queue_full: u64,
    /// Lost: more than the sink's rate.
    pub rate_limited: u64,
    /// Handed to the receiver. Over UDP, and TCP syslog, no receiver acknowledges them.
    pub sent: u64,
    /// Lost: refused, or tried as often as they may be.
    pub failed: u64,
    /// Lost: the sensor ended, or the sink was taken away, before they went.
    pub abandoned: u64,
    /// In the queue, or on their way.
    pub waiting: u64,
    /// Tries after the first.
    pub retries: u64,
    /// What went wrong last; `None` once an alert has arrived since.
    pub last_error: Option<String>,
}

impl SinkStats {
    /// As a group of a `stats` event.
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
