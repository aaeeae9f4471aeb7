//! The pipeline after the shards of a run or a replay: the engine and its outputs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::cli::attach_socket::{self, OwnSocket};
use crate::cli::delivery_log::{self, DeliveryLog};
use crate::cli::failure::Failure;
use crate::config::{Config, LoadedFiles};
use crate::detect::first_seen::FirstSeenSettings;
use crate::detect::rules::GroupLimits;
use crate::encode::{EncodeContext, Filter, Format, Formatter};
use crate::enrich::remote::Remote;
use crate::model::{CounterGroup, CounterSet, Time};
use crate::output::alert::{AlertSinks, SinkStats};
use crate::output::attach::{AttachServer, ViewSource};
use crate::output::files::EventFiles;
use crate::output::packet_file::PacketFile;
use crate::output::storage::{
    DatabaseReader, RunEnd, SavedStateLimits, SensorRun, WriteOp, Writer, WriterHandle, WriterStatus,
};
use crate::runtime::drops::add_drops;
use crate::runtime::engine::outputs::EngineOutputs;
use crate::runtime::engine::{self, Engine, SavedState};
use crate::runtime::sensor_stats::{ATTACH, FILES, PACKET_FILE, SINKS, STORAGE};
use crate::system::clock::wall_clock;
use crate::system::shutdown::ShutdownDeadline;
use crate::system::shutdown_watch::Shutdown;
use crate::units::Counted;

/// Time at the end in which queued alerts are still delivered.
const SINK_GRACE: Duration = Duration::from_secs(5);

/// The outputs of the engine, held by the control plane.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    storage: Option<(WriterHandle, Writer)>,
    alerts: Option<Arc<AlertSinks>>,
    attach: Option<Arc<AttachServer>>,
    attach_report: Option<String>,
    files: Arc<EventFiles>,
    packet_file: Option<Arc<PacketFile>>,
    log: Option<DeliveryLog>,
}

/// The differences between a run and a replay.
pub(super) struct PipelineMode {
    /// Settings of first-seen.
    pub(super) first_seen: FirstSeenSettings,
    /// Limits of the groups of threshold rules.
    pub(super) rule_groups: GroupLimits,
    /// The capture files of a replay, which waits for its outputs; `None` for a live sensor, which never waits.
    pub(super) files: Option<Vec<String>>,
    /// The shutdown that ends the process.
    pub(super) shutdown: Shutdown,
}

/// Starts the outputs, and creates an engine with the saved state of the database.
pub(super) fn start(
    config: &Config,
    loaded: LoadedFiles,
    context: &Arc<EncodeContext>,
    mode: PipelineMode,
) -> Result<(Arc<Engine>, Outputs), Failure> {
    let PipelineMode { first_seen, rule_groups, files, shutdown } = mode;
    let is_replay = files.is_some();
    let mut engine_outputs = EngineOutputs::new(is_replay);
    let mut outputs = Outputs::default();
    let (mut saved, mut restored) = (SavedState::default(), None);
    if let Some(path) = &config.storage.path {
        let run = SensorRun {
            started: wall_clock(),
            sensor: context.sensor.clone(),
            interfaces: Arc::clone(&context.interfaces),
            files: files.unwrap_or_default(),
        };
        let options = config.storage.options();
        let options = if is_replay { options.for_replay() } else { options };
        let deadline = shutdown.deadline().clone();
        let (handle, mut writer) = Writer::start_until(path, options, &run, deadline).map_err(Failure::run)?;
        let unwritten = handle.clone();
        shutdown.on_overdue(move || {
            let status = unwritten.status();
            let lost = status.lost() + status.rows_waiting;
            (lost > 0).then(|| Counted(lost, "database row").to_string())
        });
        if let Some(migrated) = writer.migrated {
            tracing::info!("{}: {migrated}", path.display());
        }
        let limits = SavedStateLimits::of(&first_seen, &loaded.content.profiles);
        let read = DatabaseReader::open(path, None).and_then(|reader| SavedState::read(&reader, &limits));
        match (read, writer.open_error.take()) {
            (Err(error), None) => return Err(Failure::run(error)),
            (read, open_error) => {
                // A replay reports lost rows at its end.
                if let Some(why) = open_error.filter(|_| !is_replay) {
                    let why = why.one_line();
                    tracing::warn!("{why}; the sensor continues, counts lost rows and retries");
                }
                let is_restored = read.is_ok();
                saved = read.unwrap_or_default();
                if !is_replay {
                    restored =
                        Some(restore_later(path, limits, writer.opened.clone(), is_restored).map_err(Failure::run)?);
                }
            }
        }
        engine_outputs = engine_outputs.with_storage(handle.clone());
        outputs.storage = Some((handle, writer));
    }
    if !loaded.sinks.is_empty() || !is_replay {
        let sinks = AlertSinks::start(loaded.sinks, Arc::clone(context)).map_err(Failure::run)?;
        let sinks = Arc::new(sinks.with_deadline(shutdown.deadline().clone()));
        let unsent = Arc::clone(&sinks);
        shutdown.on_overdue(move || {
            let waiting: u64 = unsent.stats().iter().map(|sink| sink.waiting).sum();
            (waiting > 0).then(|| format!("{} in sink queues", Counted(waiting, "alert")))
        });
        engine_outputs = engine_outputs.with_alerts(Arc::clone(&sinks));
        outputs.alerts = Some(sinks);
    }
    if !is_replay {
        let OwnSocket { server, report } = attach_socket::serve(config)?;
        outputs.attach = server.map(Arc::new);
        outputs.attach_report = report;
        if let Some(server) = &outputs.attach {
            engine_outputs = engine_outputs.with_attach(Arc::clone(server));
        }
    }
    let files = EventFiles::start(&config.output.files, context, shutdown.deadline());
    outputs.files = Arc::new(files.map_err(Failure::run)?);
    engine_outputs = engine_outputs.with_files(Arc::clone(&outputs.files));
    let packet_file = PacketFile::start(&config.output.pcap, &context.interfaces, shutdown.deadline());
    outputs.packet_file = packet_file.map_err(Failure::run)?.map(Arc::new);
    let storage = outputs.storage.as_ref().map(|(handle, _)| handle.clone());
    let log =
        DeliveryLog::start(outputs.alerts.clone(), Arc::clone(&outputs.files), outputs.packet_file.clone(), storage);
    outputs.log = Some(log.map_err(Failure::run)?);
    let remote = &config.lookup.remote;
    let remote = remote.enabled.then(|| Remote::start(remote.clone())).transpose().map_err(Failure::usage)?;
    let settings = engine::EngineSettings {
        format: config.output.stdout_format(),
        locals: config.network.local.clone(),
        first_seen,
        rule_groups,
    };
    let engine = Engine::new(&settings, loaded.content, saved, remote, context, engine_outputs);
    Ok((Arc::new(engine.with_restored(restored)), outputs))
}

/// Starts the thread that reads the saved state of a database that is opened while the sensor runs: it could not be opened
/// at the start, or its file was replaced. `is_restored`: the engine has the saved state since the start.
fn restore_later(
    path: &Path,
    limits: SavedStateLimits,
    opened: Receiver<Sender<()>>,
    mut is_restored: bool,
) -> io::Result<Receiver<SavedState>> {
    let path = path.to_owned();
    let (sender, restored) = bounded(1);
    let read = move || {
        for reading in opened {
            let file = path.display();
            match DatabaseReader::open(&path, None).and_then(|reader| SavedState::read(&reader, &limits)) {
                Ok(saved) => {
                    if is_restored {
                        tracing::warn!("{file}: reopened; the saved state is written to it");
                    } else {
                        tracing::info!("{file}: opened; its saved state is restored");
                    }
                    is_restored = true;
                    if sender.send(saved).is_err() {
                        // The sensor has ended.
                        return;
                    }
                }
                Err(error) => tracing::warn!("{error}; its saved state is restored at the next start"),
            }
            drop(reading);
        }
    };
    thread::Builder::new().name("restore".to_owned()).spawn(read)?;
    Ok(restored)
}

impl Outputs {
    /// The alert sinks, if any.
    pub(super) fn alerts(&self) -> Option<&Arc<AlertSinks>> {
        self.alerts.as_ref()
    }

    /// The event files.
    pub(super) const fn files(&self) -> &Arc<EventFiles> {
        &self.files
    }

    /// The packet file, if any.
    pub(super) const fn packet_file(&self) -> Option<&Arc<PacketFile>> {
        self.packet_file.as_ref()
    }

    /// Lets attached readers, if there may be any, ask for views.
    pub(super) fn serve_views(&self, source: impl FnOnce() -> ViewSource) {
        if let Some(attach) = &self.attach {
            attach.serve_views(source());
        }
    }

    /// Logs where readers attach, or why they cannot.
    pub(super) fn log_attach(&self) {
        self.attach_report.iter().for_each(|report| tracing::info!("{report}"));
    }

    /// Whether an output other than standard output needs the results.
    pub(super) fn need_results(&self) -> bool {
        self.storage.is_some() || self.alerts.is_some() || self.files.len() > 0 || self.packet_file.is_some()
    }

    /// The status of the database writer, if any.
    pub(super) fn storage(&self) -> Option<WriterStatus> {
        self.storage.as_ref().map(|(handle, _)| handle.status())
    }

    /// Adds the counters of all outputs.
    pub(super) fn describe(&self, to: &mut CounterGroup) {
        if let Some((handle, _)) = &self.storage {
            handle.status().write_group(STORAGE, to);
        }
        if let Some(alerts) = &self.alerts {
            describe_sinks(&alerts.stats(), to);
        }
        describe_files(&self.files, to);
        if let Some(file) = &self.packet_file {
            file.stats().write_group(PACKET_FILE, to);
        }
        if let Some(attach) = &self.attach {
            attach.stats().write_group(ATTACH, to);
        }
        add_drops(to);
    }

    /// Ends all outputs after the engine has ended. `stats` are stored as the last counters of the run; the counters of the
    /// outputs are added to them. Returns a description of the rows that the database lost.
    pub(super) fn finish(self, context: &EncodeContext, at: Time, stats: &mut CounterGroup) -> Option<String> {
        let Self { storage, alerts, attach, files, packet_file, log, .. } = self;
        describe_files(&files, stats);
        // Attached readers, sinks and database finish concurrently.
        if let Some(attach) = &attach {
            attach.stats().write_group(ATTACH, stats);
            attach.end();
        }
        if let Some(alerts) = alerts {
            let last = alerts.stop(SINK_GRACE);
            describe_sinks(&last, stats);
            if let Some(log) = log {
                log.finish(&last);
            }
        }
        if let Some(file) = packet_file {
            file.finish();
            let last = file.stats();
            last.write_group(PACKET_FILE, stats);
            if let Some(loss) = delivery_log::packet_file_loss(&last) {
                tracing::error!("{loss}");
            }
        }
        let mut lost = None;
        if let Some((handle, writer)) = storage {
            handle.send(vec![WriteOp::RunEnd(RunEnd { ended: wall_clock(), counters: counters(context, at, stats) })]);
            let last = writer.finish();
            last.write_group(STORAGE, stats);
            lost = (last.lost() > 0).then(|| format!("the database is incomplete: {}", last.loss()));
        }
        drop(attach);
        add_drops(stats);
        lost
    }
}

/// Encodes the counters as a JSON object.
fn counters(context: &EncodeContext, at: Time, stats: &CounterGroup) -> String {
    let context = EncodeContext { filter: Filter::default(), ..context.clone() };
    let mut line = Vec::new();
    Formatter::new(Format::Json, Arc::new(context)).stats(at, stats, &mut line);
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

/// Adds the counters of the event files.
fn describe_files(files: &EventFiles, to: &mut CounterGroup) {
    if files.len() > 0 {
        let mut all = CounterGroup::default();
        for file in files.stats() {
            all.group(file.path.clone(), file.group());
        }
        to.group(FILES, all);
    }
}

/// Ends the event files after the last line, within the shutdown. Returns a line about those that lost lines.
pub(super) fn finish_files(files: &EventFiles, deadline: &ShutdownDeadline) -> Vec<String> {
    files.finish(deadline).iter().filter_map(delivery_log::file_loss).collect()
}

fn describe_sinks(sinks: &[SinkStats], to: &mut CounterGroup) {
    if sinks.is_empty() {
        return;
    }
    let mut all = CounterGroup::default();
    for sink in sinks {
        all.group(sink.name.clone(), sink.group());
    }
    to.group(SINKS, all);
}
