//! Alert sinks: webhooks, syslog, CEF, files and the journal of systemd.
//!
//! Each sink has its own queue and thread, so that an unreachable receiver delays neither other sinks nor the engine.
//! [`AlertSinks::send`] does no I/O, takes no lock and never waits. Alerts that a full queue rejects are counted.

mod config;
mod counters;
mod format;
mod line;
mod rate_limit;
mod retry;
mod transport;
mod worker;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};

pub use self::config::{
    AlertsSettings, CefSettings, FileSettings, HttpMethod, JournaldSettings, Secret, Sink, SinkError, SinkSettings,
    SyslogMessage, SyslogSettings, SyslogTransport, WebhookFormat, WebhookSettings, check_sinks,
};
pub use self::counters::SinkStats;
use self::counters::{SinkCounters, count};
pub use self::line::AlertLine;
use self::worker::{SinkControl, SinkWorker};
use crate::encode::EncodeContext;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Time in which a sink removed by a reload delivers its queue.
const REMOVED_GRACE: Duration = Duration::from_secs(10);

/// The running sinks.
#[derive(Debug)]
pub struct AlertSinks {
    context: Arc<EncodeContext>,
    sinks: ArcSwap<Vec<Arc<SinkHandle>>>,
    /// Held while the list of sinks is replaced.
    reloading: Mutex<()>,
    deadline: ShutdownDeadline,
}

/// The handle of a sink. The thread of the sink ends when the handle is dropped.
#[derive(Debug)]
struct SinkHandle {
    sink: Arc<Sink>,
    queue: Sender<Arc<AlertLine>>,
    waited: Mutex<QueueWait>,
    counters: Arc<SinkCounters>,
    control: Arc<SinkControl>,
    /// Dropped to end the worker.
    ending: Mutex<Option<Sender<()>>>,
    /// Carries no messages; disconnected when the thread ends.
    ended: Receiver<()>,
}

/// The time that a replay has waited for room in a queue.
#[derive(Debug, Default)]
struct QueueWait {
    /// Time waited since the sink last delivered an alert.
    spent: Duration,
    /// Alerts delivered by then.
    sent: u64,
    /// The time limit was exhausted without room in the queue.
    exhausted: bool,
}

impl AlertSinks {
    /// Starts the thread of each sink. `context` has the names of the sensor and of the interfaces.
    ///
    /// # Errors
    /// If a thread cannot be started, or TLS cannot be set up.
    pub fn start(sinks: Vec<Sink>, context: Arc<EncodeContext>) -> io::Result<Self> {
        let handles = sinks.into_iter().map(|sink| start(sink, &context, Arc::default()));
        let handles = handles.collect::<io::Result<Vec<_>>>()?;
        let deadline = ShutdownDeadline::default();
        Ok(Self { context, sinks: ArcSwap::from_pointee(handles), reloading: Mutex::new(()), deadline })
    }

    /// Sets the deadline of the shutdown.
    #[must_use]
    pub(crate) fn with_deadline(self, deadline: ShutdownDeadline) -> Self {
        Self { deadline, ..self }
    }

    /// Enqueues an alert for every sink that accepts its severity.
    pub fn send(&self, line: &Arc<AlertLine>) {
        for handle in self.sinks.load().iter() {
            if !handle.try_offer(line) {
                count(&handle.counters.queue_full);
            }
        }
    }

    /// Enqueues an alert and waits for room in full queues, for a replay. Sinks with room get the alert first; the wait for
    /// the others is shared. A sink that delivers nothing delays the replay by `timeout` in total; after that, it is not
    /// waited for. A shutdown ends the wait.
    pub fn send_waiting(&self, line: &Arc<AlertLine>, timeout: Duration) {
        let sinks = self.sinks.load();
        let full: Vec<&SinkHandle> =
            sinks.iter().filter(|handle| !handle.try_offer(line)).map(|handle| &**handle).collect();
        let began = Instant::now();
        for handle in full {
            handle.wait_for_room(line, began, timeout, &self.deadline);
        }
    }

    /// Returns the counters of the sinks, in the order of the configuration.
    #[must_use]
    pub fn stats(&self) -> Vec<SinkStats> {
        self.sinks.load().iter().map(|handle| handle.counters.stats(&handle.sink.name)).collect()
    }

    /// Replaces the sinks. An unchanged sink keeps its queue and reopens its file; a changed sink of the same name keeps its
    /// counters. Removed sinks deliver their queues for up to ten seconds.
    ///
    /// # Errors
    /// As for [`start`](Self::start); the sinks are unchanged then.
    pub fn reload(&self, sinks: Vec<Sink>) -> io::Result<()> {
        let _locked = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.sinks.load_full();
        let mut new = Vec::new();
        for sink in sinks {
            let same = old.iter().find(|handle| handle.sink.name == sink.name);
            match same {
                Some(handle) if *handle.sink == sink => new.push(Arc::clone(handle)),
                _ => {
                    let counters = same.map(|handle| Arc::clone(&handle.counters)).unwrap_or_default();
                    new.push(start(sink, &self.context, counters)?);
                }
            }
        }
        for handle in &new {
            handle.control.reopen.store(true, Ordering::Release);
        }
        for handle in old.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(old, new))) {
            handle.end(Instant::now() + REMOVED_GRACE);
        }
        self.sinks.store(Arc::new(new));
        Ok(())
    }

    /// Reopens the files of file sinks after log rotation. A sink also detects by itself that its file was moved.
    pub fn reopen(&self) {
        for handle in self.sinks.load().iter() {
            handle.control.reopen.store(true, Ordering::Release);
        }
    }

    /// Ends all sinks. They deliver their queues concurrently for up to `limit` or the deadline of the shutdown. Returns the
    /// last counters; undelivered alerts count as abandoned.
    #[must_use]
    pub fn stop(&self, limit: Duration) -> Vec<SinkStats> {
        let deadline = Instant::now() + self.deadline.at_most(ShutdownPhase::Sinks, limit);
        let handles = self.sinks.swap(Arc::default());
        let ended: Vec<_> = handles
            .iter()
            .map(|handle| {
                handle.end(deadline);
                (handle.sink.name.clone(), Arc::clone(&handle.counters), handle.ended.clone())
            })
            .collect();
        // Drops the senders of the queues, which ends the workers.
        drop(handles);
        let mut stats = Vec::new();
        for (name, counters, ended) in ended {
            // A thread that blocks in a delivery or in name resolution is not waited for.
            let _ended = ended.recv_deadline(deadline);
            let mut last = counters.stats(&name);
            last.abandoned += std::mem::take(&mut last.waiting);
            stats.push(last);
        }
        stats
    }
}

impl SinkHandle {
    /// Enqueues an alert. Returns false if the queue is full.
    fn try_offer(&self, line: &Arc<AlertLine>) -> bool {
        count(&self.counters.offered);
        if line.alert.severity < self.sink.min_severity {
            count(&self.counters.below_severity);
            return true;
        }
        self.queue.try_send(Arc::clone(line)).is_ok()
    }

    /// Enqueues an alert after the queue was full, within the rest of `timeout`.
    fn wait_for_room(&self, line: &Arc<AlertLine>, began: Instant, timeout: Duration, deadline: &ShutdownDeadline) {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.counters.sent.load(Ordering::Acquire);
        if sent != waited.sent && !waited.exhausted {
            *waited = QueueWait { sent, ..QueueWait::default() };
        }
        let left = if waited.exhausted { Duration::ZERO } else { timeout.saturating_sub(waited.spent) };
        let start = Instant::now();
        let until = Some(began + left);
        if deadline.send_until(ShutdownPhase::Signal, until, &self.queue, Arc::clone(line)).is_ok() {
            waited.spent += start.elapsed();
        } else {
            waited.exhausted = true;
            count(&self.counters.queue_full);
        }
    }

    /// Ends the worker at `deadline` at the latest.
    fn end(&self, deadline: Instant) {
        let _first = self.control.deadline.set(deadline);
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn start(sink: Sink, context: &EncodeContext, counters: Arc<SinkCounters>) -> io::Result<Arc<SinkHandle>> {
    let sink = Arc::new(sink);
    let (queue, alerts) = bounded(sink.queue);
    let (ending, end) = bounded(0);
    let (alive, ended) = bounded::<()>(0);
    let control = Arc::new(SinkControl::default());
    let worker = SinkWorker::new(Arc::clone(&sink), context, Arc::clone(&counters), Arc::clone(&control), end)
        .map_err(|reason| io::Error::other(format!("alert sink {}: {reason}", sink.name)))?;
    // The kernel shows 15 characters.
    let thread = thread::Builder::new().name(format!("sink-{:.10}", sink.name));
    thread.spawn(move || {
        worker.run(&alerts);
        drop(alive);
    })?;
    Ok(Arc::new(SinkHandle {
        sink,
        queue,
        waited: Mutex::default(),
        counters,
        control,
        ending: Mutex::new(Some(ending)),
        ended,
    }))
}
