//! Alerts on their way to people: webhooks, syslog, CEF, files.
//!
//! Each sink has a queue and a thread of its own, so a dead one slows no other, and nobody who sends.
//! [`AlertSinks::send`] does no I/O, takes no lock and never waits; what a sink cannot take is lost and
//! counted.

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
    HttpMethod, Secret, Sink, SinkConfig, SinkError, SinkKind, SyslogMessage, SyslogTransport, WebhookFormat,
};
pub use self::counters::SinkStats;
use self::counters::{SinkCounters, count};
pub use self::line::AlertLine;
use self::worker::{SinkControl, SinkWorker};
use crate::encode::Context;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// How long a sink that a reload has taken away may go on with what it has.
const FAREWELL: Duration = Duration::from_secs(10);

/// The sinks that are at work.
#[derive(Debug)]
pub struct AlertSinks {
    context: Arc<Context>,
    sinks: ArcSwap<Vec<Arc<SinkHandle>>>,
    /// Held while the list is changed.
    reloading: Mutex<()>,
    deadline: ShutdownDeadline,
}

/// One sink, as seen from outside its thread. Its thread ends when this is gone.
#[derive(Debug)]
struct SinkHandle {
    sink: Arc<Sink>,
    queue: Sender<Arc<AlertLine>>,
    waited: Mutex<QueueWait>,
    counters: Arc<SinkCounters>,
    orders: Arc<SinkControl>,
    /// Kept so that the worker notices when it goes.
    ending: Mutex<Option<Sender<()>>>,
    /// Never holds anything; its other end goes with the thread.
    ended: Receiver<()>,
}

/// How long a replay has waited for room in a queue.
#[derive(Debug, Default)]
struct QueueWait {
    /// Since the sink last delivered an alert.
    spent: Duration,
    /// Alerts that it had delivered then.
    sent: u64,
    /// All that time was spent, and there was no room.
    in_vain: bool,
}

impl AlertSinks {
    /// Starts the thread of each sink. `context` gives the name of the sensor and of the interfaces.
    ///
    /// # Errors
    /// A thread cannot be started, or TLS cannot be set up.
    pub fn start(sinks: Vec<Sink>, context: Arc<Context>) -> io::Result<Self> {
        let handles = sinks.into_iter().map(|sink| start(sink, &context, Arc::default()));
        let handles = handles.collect::<io::Result<Vec<_>>>()?;
        let deadline = ShutdownDeadline::default();
        Ok(Self { context, sinks: ArcSwap::from_pointee(handles), reloading: Mutex::new(()), deadline })
    }

    /// The same sinks, bound by the shutdown's deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: ShutdownDeadline) -> Self {
        Self { deadline, ..self }
    }

    /// Hands an alert to every sink that takes its severity.
    pub fn send(&self, line: &Arc<AlertLine>) {
        for handle in self.sinks.load().iter() {
            if !handle.try_offer(line) {
                count(&handle.counters.queue_full);
            }
        }
    }

    /// The same, but waits for room in full queues: for a replay, whose time stands still meanwhile. Sinks that have
    /// room get the alert first, and one wait is for all others together. A sink that delivers nothing is waited for
    /// `patience` in all; once that was in vain, never again. A shutdown ends the wait.
    pub fn send_waiting(&self, line: &Arc<AlertLine>, patience: Duration) {
        let sinks = self.sinks.load();
        let full: Vec<&SinkHandle> =
            sinks.iter().filter(|handle| !handle.try_offer(line)).map(|handle| &**handle).collect();
        let began = Instant::now();
        for handle in full {
            handle.wait_for_room(line, began, patience, &self.deadline);
        }
    }

    /// What has become of the alerts, by sink in the order of the configuration.
    #[must_use]
    pub fn stats(&self) -> Vec<SinkStats> {
        self.sinks.load().iter().map(|handle| handle.counters.stats(&handle.sink.name)).collect()
    }

    /// Takes these sinks in place of those at work. A sink that has not changed goes on with its queue,
    /// and opens its file anew; one of the same name that has changed keeps its counters. What others still
    /// have they may send for ten seconds.
    ///
    /// # Errors
    /// As [`start`](Self::start); then nothing has changed.
    pub fn reload(&self, sinks: Vec<Sink>) -> io::Result<()> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
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
            handle.orders.reopen.store(true, Ordering::Release);
        }
        for handle in old.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(old, new))) {
            handle.end(Instant::now() + FAREWELL);
        }
        self.sinks.store(Arc::new(new));
        Ok(())
    }

    /// Opens files anew, for one who has just moved them away. They notice by themselves, too.
    pub fn reopen(&self) {
        for handle in self.sinks.load().iter() {
            handle.orders.reopen.store(true, Ordering::Release);
        }
    }

    /// Ends all sinks: what they still have they may send for `limit`, all at the same time, and no longer than a
    /// shutdown may take. Gives the last counters; what has not gone by then counts as abandoned.
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
        // The queues' senders: workers end when they are gone.
        drop(handles);
        let mut stats = Vec::new();
        for (name, counters, ended) in ended {
            // A thread that is stuck in the middle of a try, or in looking up a name, is left behind.
            let _ended = ended.recv_deadline(deadline);
            let mut last = counters.stats(&name);
            last.abandoned += std::mem::take(&mut last.waiting);
            stats.push(last);
        }
        stats
    }
}

impl SinkHandle {
    /// Hands over an alert; false if there is no room for it.
    fn try_offer(&self, line: &Arc<AlertLine>) -> bool {
        count(&self.counters.offered);
        if line.alert.severity < self.sink.min_severity {
            count(&self.counters.below_severity);
            return true;
        }
        self.queue.try_send(Arc::clone(line)).is_ok()
    }

    /// Hands over an alert that there was no room for, if there is within what is left of the `patience`.
    fn wait_for_room(&self, line: &Arc<AlertLine>, began: Instant, patience: Duration, deadline: &ShutdownDeadline) {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.counters.sent.load(Ordering::Acquire);
        if sent != waited.sent && !waited.in_vain {
            *waited = QueueWait { sent, ..QueueWait::default() };
        }
        let left = if waited.in_vain { Duration::ZERO } else { patience.saturating_sub(waited.spent) };
        let here = Instant::now();
        let until = Some(began + left);
        if deadline.send_until(ShutdownPhase::Signal, until, &self.queue, Arc::clone(line)).is_ok() {
            waited.spent += here.elapsed();
        } else {
            waited.in_vain = true;
            count(&self.counters.queue_full);
        }
    }

    /// Tells the worker that it ends at `deadline` at the latest.
    fn end(&self, deadline: Instant) {
        let _first = self.orders.deadline.set(deadline);
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn start(sink: Sink, context: &Context, counters: Arc<SinkCounters>) -> io::Result<Arc<SinkHandle>> {
    let sink = Arc::new(sink);
    let (queue, alerts) = bounded(sink.queue);
    let (ending, end) = bounded(0);
    let (alive, ended) = bounded::<()>(0);
    let orders = Arc::new(SinkControl::default());
    let worker = SinkWorker::new(Arc::clone(&sink), context, Arc::clone(&counters), Arc::clone(&orders), end)
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
        orders,
        ending: Mutex::new(Some(ending)),
        ended,
    }))
}
