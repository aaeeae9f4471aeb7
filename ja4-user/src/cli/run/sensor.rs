//! The control plane of a running sensor.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use crossbeam_channel::{Sender, bounded};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};

use super::args::RunLimits;
use super::error::kernel_failure;
use super::interfaces::{self, InterfaceWatch};
use super::reload::ReloadThread;
use super::signals::{ControlRequest, ControlSignals};
use super::web::HttpTask;
use crate::api::{Liveness, SensorSnapshot, SnapshotRequest};
use crate::capture::attachment_set::AttachmentStats;
use crate::capture::ebpf::Kernel;
use crate::cli::failure::Failure;
use crate::cli::pipeline::{self, Outputs};
use crate::encode::EncodeContext;
use crate::model::{AddCounters, CounterGroup, CounterSet};
use crate::output::line_queue::LineQueue;
use crate::output::stdout::{StdoutError, StdoutWriter, is_closed};
use crate::runtime::engine::Finished;
use crate::runtime::engine::line_formatters::LineFormatters;
use crate::runtime::message::EngineMessage;
use crate::runtime::overload::{OverloadController, ShardLoad};
use crate::runtime::run_state::{RingStats, RunState, ShardStatus};
use crate::runtime::sensor_stats::{InterfaceModes, SensorStats, ShardTotals};
use crate::shard::{FilterStats, ShardStats};
use crate::system::clock::{boot_clock, wall_clock};
use crate::system::notify::Notifier;
use crate::system::shutdown::ShutdownPhase;
use crate::system::shutdown_watch::Shutdown;

/// Interval at which the coarse clock of the kernel half is set.
const COARSE_CLOCK: Duration = Duration::from_millis(100);

/// The error message after a panic in a thread.
const DEFECT: &str = "a thread panicked; this is a bug";

/// A running sensor.
pub(super) struct LiveSensor {
    pub(super) kernel: Kernel,
    pub(super) overload: OverloadController,
    pub(super) shared: Arc<RunState>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) statuses: Vec<Arc<Mutex<ShardStatus>>>,
    pub(super) engine: Sender<EngineMessage>,
    pub(super) engine_thread: Option<JoinHandle<()>>,
    /// Queue of standard output.
    pub(super) lines: LineQueue,
    pub(super) writer: StdoutWriter,
    /// Resolves when standard output is closed.
    pub(super) gone: tokio::sync::oneshot::Receiver<()>,
    /// Encoders and buffers of the statistics.
    pub(super) formatters: LineFormatters,
    pub(super) finished: Finished,
    pub(super) context: Arc<EncodeContext>,
    pub(super) outputs: Outputs,
    pub(super) shutdown: Shutdown,
    /// Reloads the configuration; `None` once the sensor stops.
    pub(super) reloads: Option<ReloadThread>,
    pub(super) notifier: Notifier,
    /// The last watchdog ping was omitted.
    pub(super) stalled: bool,
    pub(super) started: Instant,
    /// The HTTP server, and its snapshot requests.
    pub(super) web: Option<HttpTask>,
    pub(super) requests: mpsc::Receiver<SnapshotRequest>,
}

impl LiveSensor {
    /// Sets the clocks, emits statistics and follows changes of interfaces until the run ends.
    pub(super) async fn control(
        &mut self,
        signals: &mut ControlSignals,
        watch: &mut InterfaceWatch,
        stats_interval: Duration,
        limits: RunLimits,
    ) -> Result<(), Failure> {
        let mut coarse = interval(COARSE_CLOCK);
        coarse.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut adapted = Instant::now();
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let period = if stats_interval.is_zero() { Duration::from_secs(1) } else { stats_interval };
        let mut stats = interval_at(Instant::now() + period, period);
        let alive = self.notifier.interval();
        let mut watchdog = interval(alive.unwrap_or(Duration::from_secs(1)));
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut over = pin!(sleep(limits.time.unwrap_or_default()));
        loop {
            tokio::select! {
                () = &mut over, if limits.time.is_some() => return Ok(()),
                request = signals.next() => match request {
                    ControlRequest::Shutdown => return Ok(()),
                    ControlRequest::Reload => self.reloads.iter().for_each(ReloadThread::request),
                },
                _ = &mut self.gone => return Ok(()),
                _ = coarse.tick() => {
                    self.kernel.set_clock(boot_clock()).map_err(kernel_failure)?;
                    self.kernel.flush_log();
                    self.adapt_limits(&mut adapted)?;
                    if limits.packets.is_some_and(|most| self.processed() >= most) {
                        return Ok(());
                    }
                }
                _ = second.tick() => {
                    let offset = wall_clock().0.wrapping_sub(boot_clock());
                    self.shared.clock_offset.store(offset, Ordering::Relaxed);
                }
                () = watch.changed() => interfaces::log(&watch.reconcile(&mut self.kernel)?),
                Some(request) = self.requests.recv() => {
                    // The client may have disconnected.
                    let _received = request.send(self.snapshot(watch)?);
                }
                _ = watchdog.tick(), if alive.is_some() => self.watchdog(),
                _ = stats.tick(), if !stats_interval.is_zero() => {
                    self.print_stats(watch)?;
                }
            }
        }
    }

    /// Adapts the limits of records to the load. `adapted`: when that was done last.
    fn adapt_limits(&mut self, adapted: &mut Instant) -> Result<(), Failure> {
        let lag_us = self.statuses.iter().map(|status| lock(status).ring.lag_us).max().unwrap_or_default();
        let load = ShardLoad { queued: self.queued_bytes()?, lag: Duration::from_micros(lag_us) };
        let counters = self.kernel.limit_counters().map_err(kernel_failure)?;
        if self.overload.step(load, counters, adapted.elapsed()) {
            self.kernel.set_limits(self.overload.limits()).map_err(kernel_failure)?;
        }
        *adapted = Instant::now();
        Ok(())
    }

    /// Packets that the shards have processed.
    fn processed(&self) -> u64 {
        self.statuses.iter().map(|status| lock(status).stats.packets).sum()
    }

    /// Bytes in the fullest ring.
    fn queued_bytes(&self) -> Result<u64, Failure> {
        let queued = self.kernel.queued(self.statuses.len() as u32).map_err(kernel_failure)?;
        Ok(queued.into_iter().max().unwrap_or_default())
    }

    /// Detaches the programs, lets the shards finish, and prints the last statistics, all within one deadline.
    pub(super) async fn stop(mut self, mut watch: InterfaceWatch) -> Result<(), Failure> {
        self.shutdown.begin();
        let deadline = self.shutdown.deadline().clone();
        self.reloads = None;
        // No HTTP request is processed from here on.
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
        let web = self.web.as_mut().and_then(HttpTask::end);
        let interfaces = (watch.modes(), watch.stats());
        watch.detach();
        self.shared.stop.store(true, Ordering::Release);
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().all(|thread| thread.join().is_ok()));
        let all_joined = joined.await.unwrap_or(false);
        if let Some(web) = web {
            let _ended = web.await;
        }
        // A reload in progress may still hold a sender, so a message ends the engine.
        let (engine, until) = (std::mem::replace(&mut self.engine, bounded(0).0), deadline.clone());
        let engine_thread = self.engine_thread.take();
        let joined = tokio::task::spawn_blocking(move || {
            let _sent = until.send(ShutdownPhase::Output, &engine, EngineMessage::End);
            drop(engine);
            engine_thread.is_none_or(|thread| thread.join().is_ok())
        });
        let all_joined = all_joined && joined.await.unwrap_or(false);
        tracing::debug!("shards and engine have ended");
        let mut stats = self.gather(interfaces)?;
        let Self { lines, writer, outputs, context, mut formatters, mut finished, .. } = self;
        let files = Arc::clone(outputs.files());
        let ended = tokio::task::spawn_blocking(move || {
            if let Some(loss) = outputs.finish(&context, wall_clock(), &mut stats) {
                tracing::error!("{loss}");
            }
            stats
        });
        let (now, stats) = (wall_clock(), ended.await.unwrap_or_default());
        tracing::debug!("database, alert sinks and attached readers have ended");
        formatters.each(&mut finished, |_| true, |formatter, text| formatter.stats(now, &stats, text));
        let written = tokio::task::spawn_blocking(move || {
            lines.send_waiting(ShutdownPhase::LastLine, &mut finished.text);
            files.send_waiting(ShutdownPhase::LastLine, &mut finished.files);
            drop(lines);
            let written = writer.finish(&deadline, ShutdownPhase::LastLine);
            for loss in pipeline::finish_files(&files, &deadline) {
                tracing::error!("{loss}");
            }
            written
        });
        match written.await {
            Ok(Err(StdoutError::Io(error))) if is_closed(&error) => {}
            Ok(Err(error)) => {
                let error = anyhow!(std::io::Error::from(error));
                return Err(Failure::run(error.context("cannot write the output")));
            }
            Ok(Ok(())) => {}
            Err(_) => return Err(Failure::run(anyhow!(DEFECT))),
        }
        if all_joined { Ok(()) } else { Err(Failure::run(anyhow!(DEFECT))) }
    }

    fn print_stats(&mut self, watch: &InterfaceWatch) -> Result<(), Failure> {
        let mut stats = self.gather((watch.modes(), watch.stats()))?;
        self.outputs.describe(&mut stats);
        let now = wall_clock();
        self.formatters.each(&mut self.finished, |_| true, |formatter, text| formatter.stats(now, &stats, text));
        self.formatters.send_to_readers();
        self.lines.send(&mut self.finished.text);
        self.outputs.files().send(&mut self.finished.files);
        Ok(())
    }

    /// Creates the snapshot for the HTTP server.
    fn snapshot(&mut self, watch: &InterfaceWatch) -> Result<SensorSnapshot, Failure> {
        let mut stats = self.gather((watch.modes(), watch.stats()))?;
        self.outputs.describe(&mut stats);
        Ok(SensorSnapshot {
            stats,
            liveness: self.liveness(),
            storage: self.outputs.storage(),
            unwatched: watch.unwatched(),
        })
    }

    /// The time since shards and engine last reported.
    fn liveness(&self) -> Liveness {
        let since = |reported: Option<std::time::Instant>| reported.unwrap_or(self.started.into_std()).elapsed();
        let shards = self.statuses.iter().map(|status| since(lock(status).reported));
        Liveness { shards: shards.collect(), engine: since(self.shared.engine_reported.load().as_deref().copied()) }
    }

    /// Pings the watchdog of the service manager, unless a thread is blocked: then the service manager restarts the sensor.
    fn watchdog(&mut self) {
        let stalled = self.liveness().stalled();
        if stalled.is_empty() {
            self.notifier.alive();
        } else if !self.stalled {
            tracing::error!("{}; watchdog ping omitted", stalled.join(", "));
        }
        self.stalled = !stalled.is_empty();
    }

    /// Collects all counters but those of the outputs.
    fn gather(&mut self, (modes, attachments): (InterfaceModes, AttachmentStats)) -> Result<CounterGroup, Failure> {
        let (mut shards, mut rings) = (ShardStats::default(), RingStats::default());
        for status in &self.statuses {
            let status = lock(status);
            shards.add(&status.stats);
            rings.add(&status.ring);
        }
        rings.queued_bytes = self.queued_bytes()?;
        let stats = SensorStats {
            uptime_ms: self.started.elapsed().as_millis() as u64,
            kernel: FilterStats::of_hooks(self.kernel.counters().map_err(kernel_failure)?),
            shards: ShardTotals { shards, rings: Some(rings) },
            engine: self.shared.engine.load_full(),
            output: Some(self.shared.output_stats()),
            interfaces: Some(modes),
            attachments: Some(attachments),
            http: self.web.as_ref().map(HttpTask::stats),
        };
        Ok(stats.group())
    }
}

fn lock(status: &Mutex<ShardStatus>) -> MutexGuard<'_, ShardStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
