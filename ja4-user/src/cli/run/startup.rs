//! The start of a live sensor: what is prepared before anything is attached, and the threads.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::anyhow;
use crossbeam_channel::bounded;
use ja4_common::filter_config::{FilterConfig, MAX_IDLE_EPOCHS};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::args::RunCommand;
use super::error::kernel_failure;
use super::interfaces::{InterfaceWatch, SelectedInterfaces};
use super::reload::{ReloadThread, Reloader};
use super::sensor::LiveSensor;
use super::start::Steps;
use super::threads::pin;
use super::{queries, web};
use crate::api::{HttpServer, SnapshotRequest};
use crate::capture::CaptureSettings;
use crate::capture::attach::Policy;
use crate::capture::ebpf::{Kernel, KernelSettings, MAX_SHARDS};
use crate::capture::object;
use crate::cli::failure::Failure;
use crate::cli::pipeline::{self, Outputs, PipelineMode};
use crate::config::{Config, LoadedFiles};
use crate::encode::EncodeContext;
use crate::output::line_queue::LineQueue;
use crate::output::stdout::StdoutWriter;
use crate::runtime::engine::{Engine, Finished};
use crate::runtime::live::LiveShard;
use crate::runtime::memory_plan::MemoryPlan;
use crate::runtime::overload::{self, OverloadController};
use crate::runtime::run_state::{RunState, ShardStatus};
use crate::runtime::{connection_query, engine_thread, handoff};
use crate::shard::{ShardBuffers, ShardLimits};
use crate::system::clock::{boot_clock, wall_clock};
use crate::system::memory;
use crate::system::notify::Notifier;
use crate::system::privilege;
use crate::system::shutdown_watch::Shutdown;
use crate::units::HumanDuration;

/// Requests in the queue of the engine's thread.
const REQUESTS: usize = 256;

/// Idle time of a flow in the filter if bulk packets are not counted: long enough for a pause between requests.
const UNCOUNTED: HumanDuration = HumanDuration::seconds(30);

/// The configuration of a sensor to start.
pub(super) struct SensorSetup {
    pub(super) config: Config,
    run: Arc<RunCommand>,
    plan: MemoryPlan,
}

/// A sensor with loaded programs that are not attached yet.
pub(super) struct PreparedSensor {
    pub(super) setup: SensorSetup,
    pub(super) interfaces: SelectedInterfaces,
    pub(super) server: Option<HttpServer>,
    pub(super) context: Arc<EncodeContext>,
    pub(super) pipeline_parts: (Arc<Engine>, Outputs),
    pub(super) kernel: Kernel,
    pub(super) filter_config: FilterConfig,
    pub(super) overload: OverloadController,
    pub(super) policy: Policy,
}

impl SensorSetup {
    pub(super) fn new(config: Config, run: Arc<RunCommand>) -> Self {
        let plan = memory_plan(&config);
        Self { config, run, plan }
    }

    /// Opens the database and loads the programs; attaches nothing.
    pub(super) fn prepare(
        self,
        mut loaded: LoadedFiles,
        shutdown: &Shutdown,
        steps: &Steps,
    ) -> Result<PreparedSensor, Failure> {
        let interfaces = self.find_interfaces()?;
        privilege::require_capabilities().map_err(Failure::system)?;
        let server = web::bind(&self.config.http)?;
        let context = Arc::new(self.config.output.context());
        let mode = PipelineMode {
            first_seen: self.plan.first_seen.clone(),
            rule_groups: self.plan.rule_groups,
            files: None,
            shutdown: shutdown.clone(),
        };
        loaded.content.profiles.max_keys = self.plan.profile_keys;
        steps.begin("opening the database and the alert sinks");
        let pipeline_parts = pipeline::start(&self.config, loaded, &context, mode)?;
        let settings = self.settings();
        let CaptureSettings { hook, direction, .. } = self.config.capture;
        let policy = Policy { hook, direction, ..Policy::default() };
        steps.begin("loading BPF programs");
        let mut kernel = Kernel::load(object::bytes(), &settings).map_err(kernel_failure)?;
        kernel.set_clock(boot_clock()).map_err(kernel_failure)?;
        let limits = overload::ceilings(self.config.capture.rate_limit, settings.ring_bytes);
        kernel.set_limits(&limits).map_err(kernel_failure)?;
        interfaces.load_programs(&mut kernel, policy)?;
        Ok(PreparedSensor {
            setup: self,
            interfaces,
            server,
            context,
            pipeline_parts,
            kernel,
            filter_config: settings.filter_config,
            overload: OverloadController::new(limits, settings.ring_bytes),
            policy,
        })
    }

    fn find_interfaces(&self) -> Result<SelectedInterfaces, Failure> {
        let interfaces = &self.config.capture.interfaces;
        if interfaces.is_empty() {
            let none = "no interface given; name one with -i, such as eth0 or any, or in capture.interfaces of the file given with --config";
            return Err(Failure::usage(anyhow!(none)));
        }
        SelectedInterfaces::find(interfaces)
    }

    fn settings(&self) -> KernelSettings {
        let CaptureSettings { accounting, idle_timeout, .. } = self.config.capture;
        let mut filter_config = FilterConfig::new(seed());
        filter_config.shards = shard_count(&self.config.capture);
        filter_config.accounting = u32::from(accounting);
        filter_config.tunnel_ports = self.config.tunnels.ports();
        filter_config.capture_filter = self.config.capture.capture_filter();
        // MAX_IDLE_EPOCHS epochs outlast an idle flow.
        let idle = if accounting { idle_timeout } else { UNCOUNTED }.nanoseconds();
        filter_config.epoch_shift = (idle / u64::from(MAX_IDLE_EPOCHS - 2)).next_power_of_two().trailing_zeros();
        KernelSettings { filter_config, ring_bytes: self.plan.ring_bytes, flows: self.plan.connections }
    }

    /// Starts the threads.
    pub(super) fn start(
        &self,
        mut kernel: Kernel,
        (filter_config, overload): (FilterConfig, OverloadController),
        interfaces: &InterfaceWatch,
        context: Arc<EncodeContext>,
        ((engine, outputs), control, snapshots): (
            (Arc<Engine>, Outputs),
            mpsc::Sender<SnapshotRequest>,
            mpsc::Receiver<SnapshotRequest>,
        ),
        shutdown: Shutdown,
    ) -> Result<LiveSensor, Failure> {
        let shared = Arc::new(RunState::default());
        shared.clock_offset.store(wall_clock().0.wrapping_sub(boot_clock()), Ordering::Relaxed);
        let (gone_sender, gone) = tokio::sync::oneshot::channel();
        let mut header = Vec::new();
        engine.formatters().header(&mut header);
        let (lines, writer) = StdoutWriter::start(header, self.plan.chunks, Some(gone_sender)).map_err(Failure::run)?;
        shutdown.on_overdue(writer.on_overdue());
        let shards = filter_config.shards;
        let workers: Vec<_> = (0..shards).map(|_| Arc::new(Mutex::new(engine.worker(1)))).collect();
        let dropped = Arc::clone(&shared.lines_dropped);
        let lines = LineQueue::new(lines, dropped, shutdown.deadline().clone());
        let (requests, requested) = bounded(REQUESTS);
        let queues = (0..shards).map(|_| handoff::channel()).collect::<Result<Vec<_>, _>>().map_err(Failure::run)?;
        let (handoff, receivers): (Vec<_>, Vec<_>) = queues.into_iter().unzip();
        let (query_senders, queries): (Vec<_>, Vec<_>) =
            receivers.iter().map(|receiver| connection_query::channel(receiver.waker())).unzip();
        let engine_thread = thread::Builder::new()
            .name("engine".to_owned())
            .spawn({
                let (engine, workers) = (Arc::clone(&engine), workers.clone());
                let (lines, shared) = (lines.clone(), Arc::clone(&shared));
                move || engine_thread::run(&engine, &workers, &query_senders, &requested, &lines, &shared)
            })
            .map_err(Failure::run)?;
        let mut threads = Vec::new();
        let mut statuses = Vec::new();
        for (((index, handed_off), worker), queries) in (0..shards).zip(receivers).zip(workers).zip(queries) {
            let status = Arc::new(Mutex::new(ShardStatus::default()));
            statuses.push(Arc::clone(&status));
            let shard = LiveShard {
                ring: kernel
                    .take_ring(index as usize)
                    .ok_or_else(|| Failure::run(anyhow!("ring {index} is already in use")))?,
                filter_config,
                index,
                handoff: handoff.clone(),
                handed_off,
                flows: kernel.flows().map_err(kernel_failure)?,
                recent: kernel.recent().map_err(kernel_failure)?,
                asleep: kernel.asleep(index).map_err(kernel_failure)?,
                interfaces: interfaces.lookup(),
                limits: ShardLimits {
                    connections: self.plan.connections.div_ceil(shards) as usize,
                    idle: self.config.capture.idle_timeout.nanoseconds(),
                    reassembly: self.plan.reassembly / shards as usize,
                    ssh_window: self.config.output.ssh_window,
                },
                buffers: ShardBuffers::new(self.config.output.fingerprints()),
                queries,
                engine: Arc::clone(&engine),
                worker,
                lines: lines.clone(),
                packets: outputs.packet_file().map(|file| file.recorder(shards as usize, filter_config.seed, false)),
                shared: Arc::clone(&shared),
                status,
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
        let formatters = engine.formatters();
        let database = self.config.storage.path.clone();
        outputs.serve_views(|| queries::view_source(requests.clone(), control, database));
        let reload = Reloader::new(Arc::clone(&self.run), self.config.clone(), &outputs);
        let reloads = ReloadThread::start(reload, requests.clone()).map_err(Failure::run)?;
        Ok(LiveSensor {
            kernel,
            overload,
            shared,
            threads,
            statuses,
            engine: requests,
            engine_thread: Some(engine_thread),
            lines,
            writer,
            gone,
            formatters,
            finished: Finished::default(),
            context,
            outputs,
            shutdown,
            reloads: Some(reloads),
            notifier: Notifier::from_environment(),
            stalled: false,
            started: Instant::now(),
            web: None,
            requests: snapshots,
        })
    }
}

/// Returns the number of shards.
fn shard_count(capture: &CaptureSettings) -> u32 {
    let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    capture.shards.unwrap_or(cpus).min(MAX_SHARDS)
}

/// Returns the bounds of a run with this configuration on this machine.
pub(in crate::cli) fn memory_plan(config: &Config) -> MemoryPlan {
    let shards = shard_count(&config.capture);
    MemoryPlan::new(&config.capture, &config.first_seen, &config.profiles, shards, memory::limits())
}

/// Returns two unpredictable numbers, from the hasher seeds of the standard library.
fn seed() -> [u64; 2] {
    use std::hash::{BuildHasher, RandomState};
    [RandomState::new().hash_one(0), RandomState::new().hash_one(1)]
}
