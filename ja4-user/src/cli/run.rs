//! `ja4sensor run`: live traffic.
//!
//! The shards have threads of their own; here is the control plane: signals, clocks, statistics, the
//! watch over interfaces.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use clap::Args;
use crossbeam_channel::{Receiver, Sender, bounded};
use ja4_common::counter::Counters;
use ja4_common::knobs::{EPOCHS_KEPT, Knobs};
use ja4_common::select::Class;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::failure::Failure;
use super::output::{Output, is_gone};
use crate::capture::attach::{AttachError, Attachment, DirectionChoice, HookChoice, Policy};
use crate::capture::ebpf::{Kernel, KernelError, MAX_SHARDS, Settings};
use crate::capture::interface::Interface;
use crate::object;
use crate::shard::live::{Gauge, Shard, Shared, boot_clock, wall_clock};
use crate::shard::stats::CoreStats;
use crate::shard::{Engines, Limits, post, report};
use crate::sink::{Formatter, Group};

/// Chunks of lines, 64 KiB each, that may wait for the reader of standard output.
const QUEUE: usize = 256;

/// Between two settings of the kernel half's coarse clock.
const COARSE_CLOCK: Duration = Duration::from_millis(100);

/// Records of a class that may come at once, in seconds of its rate.
const BURST_SECONDS: u64 = 1;

/// Time that a flow outlasts its last packet of interest in the filter where bulk packets are not counted,
/// seconds: long enough for a pause between requests.
const UNCOUNTED_SECONDS: u64 = 30;

/// Fingerprint live traffic.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Interface to watch; may be given several times
    #[arg(short, long = "interface", required = true, value_name = "IFACE")]
    interfaces: Vec<String>,

    /// How to see packets that come in
    #[arg(long, value_enum, default_value_t)]
    hook: HookChoice,

    /// Which packets to see
    #[arg(long, value_enum, default_value_t)]
    direction: DirectionChoice,

    /// Shards, each with a thread and a ring [default: CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SHARDS)))]
    shards: Option<u32>,

    /// Size of each shard's ring, KiB; rounded up to a power of two
    #[arg(long, value_name = "KIB", default_value_t = 8192, value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    ring_size: u32,

    /// Most connections known at once
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    max_connections: u32,

    /// Seconds without a packet after which a connection has ended
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle_timeout: u32,

    /// Most records of each class per second and CPU, in place of the defaults; 0: no limit
    #[arg(long, value_name = "N")]
    governor_rate: Option<u32>,

    /// Do not count packets and bytes of connections: bulk packets cost less, and the filter forgets a
    /// connection after 30 seconds without a packet of interest
    #[arg(long)]
    no_accounting: bool,

    /// Seconds between two stats events; 0: only the last
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    stats_interval: u32,

    #[command(flatten)]
    output: Output,
}

/// Records of a class per second and CPU: what a shard gets through, and none takes more than a part of
/// its time. A flood of one class costs records of this class.
const fn default_rate(class: Class) -> u64 {
    match class {
        Class::Syn | Class::SynAck | Class::Ack | Class::Latency | Class::End | Class::Ssh => 1_000_000,
        Class::Tls => 500_000,
        Class::Http => 250_000,
        // Keys have to be derived for each.
        Class::Quic => 200_000,
        Class::Dtls => 100_000,
        Class::Dhcp => 20_000,
        // They may be bulk traffic, and most of them are nothing in the end.
        Class::Fragment | Class::Nested => 20_000,
    }
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Failure::run)?.block_on(self.watch())
    }

    /// Starts everything, watches over it, and takes it down again.
    async fn watch(self) -> Result<(), Failure> {
        // Before anything is attached, so that no signal finds the programs without a master.
        let mut signals = Signals::new().map_err(Failure::run)?;
        let interfaces = self.find_interfaces()?;
        let settings = self.settings();
        let mut kernel = Kernel::load(object::bytes(), &settings).map_err(kernel_failure)?;
        kernel.set_clock(boot_clock()).map_err(kernel_failure)?;
        let policy = Policy { hook: self.hook, direction: self.direction, ..Policy::default() };
        let named = interfaces.iter().map(|interface| (interface.index, interface.name.clone())).unzip();
        let mut attachments = Vec::new();
        for interface in interfaces {
            let attachment = Attachment::new(&mut kernel, interface, policy).map_err(attach_failure)?;
            attachments.push(attachment);
        }
        let mut sensor = self.start(kernel, settings.knobs, named)?;
        for attachment in &attachments {
            eprintln!("{}", attachment.describe());
        }
        let ended = sensor.control(&mut signals, &mut attachments, self.stats_interval).await;
        sensor.stop(attachments, &mut signals).await?;
        ended
    }

    fn find_interfaces(&self) -> Result<Vec<Interface>, Failure> {
        let mut seen = HashSet::new();
        let names = self.interfaces.iter().filter(|name| seen.insert(name.as_str()));
        names.map(|name| Interface::find(name).map_err(Failure::usage)).collect()
    }

    fn shard_count(&self) -> u32 {
        let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
        self.shards.unwrap_or(cpus).min(MAX_SHARDS)
    }

    fn settings(&self) -> Settings {
        let mut knobs = Knobs::new(seed());
        knobs.shards = self.shard_count();
        knobs.accounting = u32::from(!self.no_accounting);
        knobs.governor = 1;
        knobs.rate = Class::ALL.map(|class| self.governor_rate.map_or(default_rate(class), u64::from));
        knobs.burst = knobs.rate.map(|rate| rate * BURST_SECONDS);
        // EPOCHS_KEPT epochs outlast an idle flow.
        let kept = if self.no_accounting { UNCOUNTED_SECONDS } else { self.idle_timeout.into() };
        let idle = kept * 1_000_000_000;
        knobs.epoch_shift = (idle / u64::from(EPOCHS_KEPT - 2)).next_power_of_two().trailing_zeros();
        Settings { knobs, ring_bytes: (self.ring_size * 1024).next_power_of_two(), flows: self.max_connections }
    }

    /// Starts the writer and the shards. Interfaces are `named` by index and name, each once.
    fn start(&self, mut kernel: Kernel, knobs: Knobs, named: (Vec<u32>, Vec<String>)) -> Result<Sensor, Failure> {
        let (interfaces, names) = named;
        let shared = Arc::new(Shared::default());
        shared.clock_offset.store(wall_clock().0.wrapping_sub(boot_clock()), Ordering::Relaxed);
        let context = Arc::new(self.output.context(names));
        let (lines, queue) = bounded(QUEUE);
        let (gone_sender, gone) = tokio::sync::oneshot::channel();
        let mut header = Vec::new();
        Formatter::new(self.output.format, Arc::clone(&context)).header(&mut header);
        let writer = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write_lines(&header, &queue, gone_sender))
            .map_err(Failure::run)?;
        let shards = knobs.shards;
        let ways = (0..shards).map(|_| post::route()).collect::<Result<Vec<_>, _>>().map_err(Failure::run)?;
        let (routes, inboxes): (Vec<_>, Vec<_>) = ways.into_iter().unzip();
        let mut threads = Vec::new();
        let mut gauges = Vec::new();
        for (index, inbox) in (0..shards).zip(inboxes) {
            let gauge = Arc::new(Mutex::new(Gauge::default()));
            gauges.push(Arc::clone(&gauge));
            let shard = Shard {
                ring: kernel.take_ring(index as usize).ok_or_else(|| Failure::run(anyhow!("ring {index} is taken")))?,
                knobs,
                index,
                routes: routes.clone(),
                inbox,
                flows: kernel.flows().map_err(kernel_failure)?,
                asleep: kernel.asleep(index).map_err(kernel_failure)?,
                interfaces: interfaces.clone(),
                limits: Limits {
                    connections: self.max_connections.div_ceil(shards) as usize,
                    idle: u64::from(self.idle_timeout) * 1_000_000_000,
                    reassembly: Limits::REASSEMBLY / shards as usize,
                    ssh_window: self.output.ssh_window,
                },
                engines: Engines::new(self.output.forms()),
                formatter: Formatter::new(self.output.format, Arc::clone(&context)),
                lines: lines.clone(),
                shared: Arc::clone(&shared),
                gauge,
            };
            let thread = thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || {
                    pin(index as usize);
                    shard.run();
                })
                .map_err(Failure::run)?;
            threads.push(thread);
        }
        let formatter = Formatter::new(self.output.format, context);
        Ok(Sensor { kernel, shared, threads, gauges, lines, writer, gone, formatter, started: Instant::now() })
    }
}

/// A running sensor.
struct Sensor {
    kernel: Kernel,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    gauges: Vec<Arc<Mutex<Gauge>>>,
    lines: Sender<Bytes>,
    writer: JoinHandle<io::Result<()>>,
    gone: tokio::sync::oneshot::Receiver<()>,
    formatter: Formatter,
    started: Instant,
}

impl Sensor {
    /// Keeps the clocks, tells statistics and watches the interfaces until the run is to end.
    async fn control(
        &mut self,
        signals: &mut Signals,
        attachments: &mut Vec<Attachment>,
        stats_interval: u32,
    ) -> Result<(), Failure> {
        let mut coarse = interval(COARSE_CLOCK);
        coarse.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let period = Duration::from_secs(u64::from(stats_interval.max(1)));
        let mut stats = interval_at(Instant::now() + period, period);
        loop {
            tokio::select! {
                () = signals.next() => return Ok(()),
                _ = &mut self.gone => return Ok(()),
                _ = coarse.tick() => {
                    self.kernel.set_clock(boot_clock()).map_err(kernel_failure)?;
                    self.kernel.flush_log();
                }
                _ = second.tick() => {
                    let offset = wall_clock().0.wrapping_sub(boot_clock());
                    self.shared.clock_offset.store(offset, Ordering::Relaxed);
                    drop_vanished(attachments);
                    if attachments.is_empty() {
                        return Err(Failure::run(anyhow!("no interface is left to watch")));
                    }
                }
                _ = stats.tick(), if stats_interval > 0 => {
                    let line = self.stats(attachments)?;
                    if self.lines.try_send(line).is_err() {
                        self.shared.lines_dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Takes the programs off, lets the shards finish, tells the last statistics.
    async fn stop(mut self, attachments: Vec<Attachment>, signals: &mut Signals) -> Result<(), Failure> {
        let finish = async {
            let mut modes = Group::default();
            describe(&attachments, &mut modes);
            for attachment in attachments {
                if let Err(error) = attachment.detach() {
                    eprintln!("ja4sensor: {error}");
                }
            }
            self.shared.stop.store(true, Ordering::Release);
            let threads = std::mem::take(&mut self.threads);
            let joined = tokio::task::spawn_blocking(|| threads.into_iter().all(|thread| thread.join().is_ok()));
            let whole = joined.await.unwrap_or(false);
            let line = self.stats_with(modes)?;
            let Self { lines, writer, .. } = self;
            let written = tokio::task::spawn_blocking(move || {
                // The last line waits for its reader: nothing else is held up by it any more.
                let _queued = lines.send(line);
                drop(lines);
                writer.join()
            });
            match written.await {
                Ok(Ok(Err(error))) if !is_gone(&error) => {
                    Err(Failure::run(anyhow!(error).context("cannot write the output")))
                }
                Ok(Ok(_)) if whole => Ok(()),
                _ => Err(Failure::run(anyhow!("a thread ended before its time; this is a defect"))),
            }
        };
        tokio::select! {
            ended = finish => ended,
            // A second signal ends everything at once; the kernel takes the programs off.
            () = signals.next() => std::process::exit(130),
        }
    }

    fn stats(&mut self, attachments: &[Attachment]) -> Result<Bytes, Failure> {
        let mut modes = Group::default();
        describe(attachments, &mut modes);
        self.stats_with(modes)
    }

    fn stats_with(&mut self, interfaces: Group) -> Result<Bytes, Failure> {
        let [ingress, egress] = self.kernel.counters().map_err(kernel_failure)?;
        let mut both = Counters::default();
        both.add(&ingress);
        both.add(&egress);
        let mut kernel = report::filter(&both);
        kernel.group("ingress", report::filter(&ingress)).group("egress", report::filter(&egress));
        let mut sum = CoreStats::default();
        let (mut foreign, mut lag) = (0, 0);
        for gauge in &self.gauges {
            let gauge = gauge.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(&gauge.stats);
            foreign += gauge.foreign;
            lag = gauge.lag.max(lag);
        }
        let mut shards = report::shards(&sum);
        shards.count("foreign_records", foreign).count("lag_us", lag / 1000);
        let mut output = Group::default();
        output.count("lines_dropped", self.shared.lines_dropped.load(Ordering::Relaxed));
        let mut stats = Group::default();
        stats
            .count("uptime_ms", self.started.elapsed().as_millis() as u64)
            .group("kernel", kernel)
            .group("shards", shards)
            .group("output", output)
            .group("interfaces", interfaces);
        let mut line = Vec::new();
        self.formatter.stats(wall_clock(), &stats, &mut line);
        Ok(line.into())
    }
}

/// Says which interfaces have gone, and forgets them.
fn drop_vanished(attachments: &mut Vec<Attachment>) {
    attachments.retain(|attachment| {
        let there = attachment.interface.still_there();
        if !there {
            eprintln!("ja4sensor: {}: the interface has gone", attachment.interface.name);
        }
        there
    });
}

fn describe(attachments: &[Attachment], into: &mut Group) {
    for attachment in attachments {
        let mut modes = Group::default();
        modes.text("ingress", attachment.ingress_mode());
        if !attachment.ingress_reason().is_empty() {
            modes.text("reason", attachment.ingress_reason());
        }
        modes.text("egress", attachment.egress_mode());
        into.group(attachment.interface.name.clone(), modes);
    }
}

/// Writes chunks of lines until all their senders are gone.
fn write_lines(header: &[u8], queue: &Receiver<Bytes>, gone: tokio::sync::oneshot::Sender<()>) -> io::Result<()> {
    let write = || {
        let mut out = super::output::stdout()?;
        out.write_all(header)?;
        out.flush()?;
        for chunk in queue {
            out.write_all(&chunk)?;
            if queue.is_empty() {
                out.flush()?;
            }
        }
        out.flush()
    };
    let written: io::Result<()> = write();
    if written.is_err() {
        // Nobody may be listening any more: then the run is ending anyway.
        let _told = gone.send(());
    }
    written
}

/// Pins the calling thread to a CPU that it may use; where it may not, it runs anywhere.
fn pin(index: usize) {
    let Ok(allowed) = nix::sched::sched_getaffinity(Pid::from_raw(0)) else {
        return;
    };
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let Some(cpu) = cpus.get(index % cpus.len().max(1)) else {
        return;
    };
    let mut one = CpuSet::new();
    if one.set(*cpu).is_ok() {
        let _pinned = sched_setaffinity(Pid::from_raw(0), &one);
    }
}

/// Two numbers that nobody can guess: the standard library seeds each of its hashers so.
fn seed() -> [u64; 2] {
    use std::hash::{BuildHasher, RandomState};
    [RandomState::new().hash_one(0), RandomState::new().hash_one(1)]
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("cannot handle signals");
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    /// The next of either.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn kernel_failure(error: KernelError) -> Failure {
    match error {
        KernelError::NoBtf(_) | KernelError::NoRingBuffer(_) | KernelError::Privilege(_) | KernelError::Load(_) => {
            Failure::system(error)
        }
        _ => Failure::run(error),
    }
}

fn attach_failure(error: AttachError) -> Failure {
    match error {
        AttachError::Kernel(error) => kernel_failure(error),
        AttachError::NotEthernet { .. } => Failure::usage(error),
        _ => Failure::run(error),
    }
}
