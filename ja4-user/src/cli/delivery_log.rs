//! Logs delivery problems to standard error: an alert sink begins to fail or recovers, the database file was replaced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::output::alert::{AlertSinks, SinkStats};
use crate::output::storage::WriterHandle;
use crate::units::Counted;

/// Interval at which the counters are read.
const INTERVAL: Duration = Duration::from_millis(500);

/// Shortest time between two lines that report the failure of one sink, so that an unreliable sink does not flood the
/// log.
const COOLDOWN: Duration = Duration::from_secs(60);

/// A thread that reads the counters of sinks and database, and logs what has changed. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct DeliveryLog {
    sinks: Arc<Mutex<SinkStates>>,
    _end: Sender<()>,
}

/// What was logged about each sink.
#[derive(Debug, Default)]
struct SinkStates(HashMap<String, SinkState>);

#[derive(Debug, Default)]
struct SinkState {
    /// When the sink began to fail, and its lost alerts at that time; `None`: it works.
    failing: Option<(Instant, u64)>,
    /// When its failure was last logged.
    logged: Option<Instant>,
    /// Its failure was logged, its recovery not yet.
    is_open: bool,
}

/// Alerts that a sink could not deliver.
const fn lost(sink: &SinkStats) -> u64 {
    sink.queue_full + sink.failed + sink.abandoned
}

impl SinkStates {
    /// Lines about changes since the last call.
    fn changes(&mut self, sinks: &[SinkStats], now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for sink in sinks {
            let name = &sink.name;
            let state = self.0.entry(name.clone()).or_default();
            match &sink.last_error {
                Some(error) => {
                    state.failing.get_or_insert((now, lost(sink)));
                    let is_due = state.logged.is_none_or(|logged| now.duration_since(logged) >= COOLDOWN);
                    if !state.is_open && is_due {
                        (state.is_open, state.logged) = (true, Some(now));
                        lines.push(format!("alert sink {name} cannot deliver: {error}"));
                    }
                }
                None => {
                    let failed = state.failing.take();
                    if let Some((since, before)) = failed.filter(|_| mem::take(&mut state.is_open)) {
                        let (seconds, lost) = (now.duration_since(since).as_secs(), lost(sink).saturating_sub(before));
                        lines.push(format!(
                            "alert sink {name} delivers again after {seconds} s; {} lost",
                            Counted(lost, "alert")
                        ));
                    }
                }
            }
        }
        lines
    }
}

/// A line about the alerts that a sink has lost by its end, if any.
fn loss(sink: &SinkStats) -> Option<String> {
    let SinkStats { name, offered, queue_full, failed, abandoned, last_error, .. } = sink;
    let error = last_error.as_ref().map(|error| format!("; last error: {error}")).unwrap_or_default();
    let lost = lost(sink);
    (lost > 0).then(|| {
        format!(
            "alert sink {name} lost {lost} of {}: {queue_full} queue full, {failed} delivery failed, {abandoned} not \
             delivered before the end{error}",
            Counted(*offered, "alert")
        )
    })
}

impl DeliveryLog {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(alerts: Option<Arc<AlertSinks>>, storage: Option<WriterHandle>) -> io::Result<Self> {
        let sinks = Arc::new(Mutex::new(SinkStates::default()));
        let (end, ended) = bounded::<()>(0);
        let states = Arc::clone(&sinks);
        thread::Builder::new().name("delivery-log".to_owned()).spawn(move || {
            let mut replaced = 0;
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Some(alerts) = &alerts {
                    log(&changes(&states, &alerts.stats()));
                }
                if let Some(status) =
                    storage.as_ref().map(WriterHandle::status).filter(|now| now.file_replaced > replaced)
                {
                    replaced = status.file_replaced;
                    log(&["the database file or its log was deleted or replaced".to_owned()]);
                }
            }
        })?;
        Ok(Self { sinks, _end: end })
    }

    /// Logs the changes up to the end of the sinks, and the alerts that they have lost.
    pub(super) fn finish(self, last: &[SinkStats]) {
        log(&changes(&self.sinks, last));
        log(&last.iter().filter_map(loss).collect::<Vec<_>>());
    }
}

/// Returns the lines, so that the lock is released before they are written: the reader of standard error may block.
fn changes(states: &Mutex<SinkStates>, sinks: &[SinkStats]) -> Vec<String> {
    states.lock().unwrap_or_else(PoisonError::into_inner).changes(sinks, Instant::now())
}

fn log(lines: &[String]) {
    for line in lines {
        eprintln!("ja4sensor: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(error: Option<&str>, failed: u64) -> [SinkStats; 1] {
        [SinkStats {
            name: "hook".to_owned(),
            offered: 10,
            failed,
            last_error: error.map(str::to_owned),
            ..SinkStats::default()
        }]
    }

    #[test]
    fn the_start_and_the_end_of_a_failure_are_logged_once() {
        let mut states = SinkStates::default();
        let start = Instant::now();
        let mut at = |seconds, sinks: &[SinkStats]| states.changes(sinks, start + Duration::from_secs(seconds));
        assert!(at(0, &sink(None, 1)).is_empty());
        assert_eq!(at(1, &sink(Some("refused"), 1)), ["alert sink hook cannot deliver: refused"]);
        assert!(at(2, &sink(Some("too slow"), 2)).is_empty());
        assert_eq!(at(9, &sink(None, 3)), ["alert sink hook delivers again after 8 s; 2 alerts lost"]);
        assert!(at(10, &sink(None, 3)).is_empty());
        // A sink that fails now and then is logged once a minute.
        assert!(at(11, &sink(Some("refused"), 3)).is_empty());
        assert!(at(12, &sink(None, 3)).is_empty());
        assert!(at(60, &sink(Some("refused"), 3)).is_empty());
        assert_eq!(at(61, &sink(Some("refused"), 4)), ["alert sink hook cannot deliver: refused"]);
        assert_eq!(at(70, &sink(None, 5)), ["alert sink hook delivers again after 10 s; 2 alerts lost"]);
    }

    #[test]
    fn the_end_reports_alerts_that_are_lost() {
        let [lossless] = sink(None, 0);
        assert_eq!(loss(&lossless), None);
        let [mut lossy] = sink(Some("refused"), 2);
        (lossy.queue_full, lossy.abandoned) = (3, 1);
        let line = "alert sink hook lost 6 of 10 alerts: 3 queue full, 2 delivery failed, \
                    1 not delivered before the end; last error: refused";
        assert_eq!(loss(&lossy).as_deref(), Some(line));
    }
}
