//! Logs delivery problems to standard error: an alert sink or an event file begins to fail or recovers, the database file
//! was replaced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::output::alert::{AlertSinks, SinkStats};
use crate::output::files::{EventFileStats, EventFiles};
use crate::output::packet_file::{PacketFile, PacketFileStats};
use crate::output::storage::WriterHandle;
use crate::units::Counted;

/// Interval at which the counters are read.
const INTERVAL: Duration = Duration::from_millis(500);

/// Shortest time between two lines that report the failure of one sink, so that an unreliable sink does not flood the
/// log.
const COOLDOWN: Duration = Duration::from_secs(60);

/// A thread that reads the counters of sinks, files and database, and logs what has changed. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct DeliveryLog {
    states: Arc<Mutex<DeliveryStates>>,
    _end: Sender<()>,
}

/// What was logged about each sink and each event file.
#[derive(Debug, Default)]
struct DeliveryStates(HashMap<String, DeliveryState>);

#[derive(Debug, Default)]
struct DeliveryState {
    /// When it began to fail, and what it had lost at that time; `None`: it works.
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

/// The state of a sink or an event file.
struct DeliveryStatus {
    /// Kind and name, such as `alert sink soc`.
    name: String,
    /// What it delivers.
    unit: &'static str,
    lost: u64,
    error: Option<String>,
}

impl From<&SinkStats> for DeliveryStatus {
    fn from(sink: &SinkStats) -> Self {
        let name = format!("alert sink {}", sink.name);
        Self { name, unit: "alert", lost: lost(sink), error: sink.last_error.clone() }
    }
}

impl From<&EventFileStats> for DeliveryStatus {
    fn from(file: &EventFileStats) -> Self {
        let name = format!("event file {}", file.path);
        Self { name, unit: "line", lost: file.lost(), error: file.last_error.clone() }
    }
}

impl From<&PacketFileStats> for DeliveryStatus {
    fn from(file: &PacketFileStats) -> Self {
        let name = format!("packet file {}", file.path);
        Self { name, unit: "packet", lost: file.lost(), error: file.last_error.clone() }
    }
}

impl DeliveryStates {
    /// Lines about changes since the last call.
    fn changes(&mut self, deliveries: impl IntoIterator<Item = DeliveryStatus>, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for DeliveryStatus { name, unit, lost, error } in deliveries {
            let state = self.0.entry(name.clone()).or_default();
            match error {
                Some(error) => {
                    state.failing.get_or_insert((now, lost));
                    let is_due = state.logged.is_none_or(|logged| now.duration_since(logged) >= COOLDOWN);
                    if !state.is_open && is_due {
                        (state.is_open, state.logged) = (true, Some(now));
                        lines.push(format!("{name} cannot deliver: {error}"));
                    }
                }
                None => {
                    let failed = state.failing.take();
                    if let Some((since, before)) = failed.filter(|_| mem::take(&mut state.is_open)) {
                        let (seconds, lost) = (now.duration_since(since).as_secs(), lost.saturating_sub(before));
                        lines.push(format!("{name} delivers again after {seconds} s; {} lost", Counted(lost, unit)));
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

/// A line about the lines that an event file has lost by its end, if any.
pub(super) fn file_loss(file: &EventFileStats) -> Option<String> {
    let error = file.last_error.as_ref().map(|error| format!("; last error: {error}")).unwrap_or_default();
    let lost = Counted(file.lost(), "line");
    (file.lost() > 0).then(|| format!("event file {} lost {lost}{error}", file.path))
}

/// A line about the packets that are missing in the packet file at its end, if any.
pub(super) fn packet_file_loss(file: &PacketFileStats) -> Option<String> {
    let error = file.last_error.as_ref().map(|error| format!("; last error: {error}")).unwrap_or_default();
    let lost = Counted(file.lost(), "packet");
    (file.lost() > 0).then(|| format!("packet file {} lost {lost}{error}", file.path))
}

impl DeliveryLog {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(
        alerts: Option<Arc<AlertSinks>>,
        files: Arc<EventFiles>,
        packet_file: Option<Arc<PacketFile>>,
        storage: Option<WriterHandle>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Mutex::new(DeliveryStates::default()));
        let (end, ended) = bounded::<()>(0);
        let states = Arc::clone(&shared);
        thread::Builder::new().name("delivery-log".to_owned()).spawn(move || {
            let mut replaced = 0;
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let sinks = alerts.as_ref().map(|alerts| alerts.stats()).unwrap_or_default();
                let files = files.stats();
                let packet_file = packet_file.as_ref().map(|file| file.stats());
                log(&changes(
                    &states,
                    sinks
                        .iter()
                        .map(DeliveryStatus::from)
                        .chain(files.iter().map(DeliveryStatus::from))
                        .chain(packet_file.iter().map(DeliveryStatus::from)),
                ));
                if let Some(status) =
                    storage.as_ref().map(WriterHandle::status).filter(|now| now.file_replaced > replaced)
                {
                    replaced = status.file_replaced;
                    tracing::error!("the database file or its log was deleted or replaced");
                }
            }
        })?;
        Ok(Self { states: shared, _end: end })
    }

    /// Logs the changes up to the end of the sinks, and the alerts that they have lost.
    pub(super) fn finish(self, last: &[SinkStats]) {
        log(&changes(&self.states, last.iter().map(DeliveryStatus::from)));
        for loss in last.iter().filter_map(loss) {
            tracing::error!("{loss}");
        }
    }
}

/// Returns the lines, so that the lock is released before they are written: the reader of standard error may block.
fn changes(states: &Mutex<DeliveryStates>, deliveries: impl IntoIterator<Item = DeliveryStatus>) -> Vec<String> {
    states.lock().unwrap_or_else(PoisonError::into_inner).changes(deliveries, Instant::now())
}

fn log(lines: &[String]) {
    for line in lines {
        tracing::warn!("{line}");
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
        let mut states = DeliveryStates::default();
        let start = Instant::now();
        let mut at = |seconds, sinks: &[SinkStats]| {
            states.changes(sinks.iter().map(DeliveryStatus::from), start + Duration::from_secs(seconds))
        };
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
