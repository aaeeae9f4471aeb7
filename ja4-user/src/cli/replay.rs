//! `ja4sensor replay`: capture files through the same filter and shards as live traffic.

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Error, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ja4_common::capture_filter::CaptureFilter;

use super::failure::Failure;
use super::flags::{ExpressionFlags, TunnelFlags, idle};
use super::log_flags::LogFlags;
use super::output::OutputFlags;
use super::pipeline::{self, Outputs, PipelineMode};
use super::settings::ConfigFlags;
use crate::capture::{CaptureFile, FilterExpression, ReadProgress, StopFlag, UnsupportedLinkNotice};
use crate::config::OpenedConfig;
use crate::detect::rules::GroupLimits;
use crate::model::{CounterSet, Time};
use crate::output::stdout::{ReplayOutput, is_closed};
use crate::runtime::engine::{Engine, Finished};
use crate::runtime::replay::{LANES, ReplayOptions, ReplayReport, replay};
use crate::runtime::sensor_stats::{SensorStats, ShardTotals};
use crate::shard::{FilterStats, ShardLimits};
use crate::system::shutdown::ShutdownDeadline;
use crate::system::shutdown_watch::Shutdown;
use crate::units::HumanDuration;

/// Size from which a file gets a progress bar, bytes: smaller files finish too soon.
const WORTH_A_BAR: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct ReplayCommand {
    /// Capture files, read in this order; - is standard input
    #[arg(required_unless_present = "read", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Capture file, in place of FILE (repeatable)
    #[arg(short, long, value_name = "FILE", conflicts_with = "files")]
    read: Vec<PathBuf>,

    /// Number of threads; the output does not depend on it [default: number of CPUs]
    #[arg(help_heading = "Limits", long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    shards: Option<u16>,

    /// Maximum number of tracked connections; the least recently used are evicted
    #[arg(help_heading = "Limits", long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,

    /// Idle time in capture time after which a connection ends, for example 120 (seconds) or 2m [default: none]
    #[arg(help_heading = "Limits", long, value_name = "TIME", value_parser = idle)]
    idle_timeout: Option<HumanDuration>,

    /// End after this number of packets of the files. Packets of an unsupported link type do not count
    #[arg(long, help_heading = "Limits", value_name = "N")]
    count: Option<NonZeroU64>,

    #[command(flatten, next_help_heading = "Capture")]
    filter: ExpressionFlags,

    #[command(flatten, next_help_heading = "Tunnels")]
    tunnels: TunnelFlags,

    #[command(flatten, next_help_heading = "Files")]
    settings: ConfigFlags,

    #[command(flatten, next_help_heading = "Output")]
    output: OutputFlags,

    #[command(flatten, next_help_heading = "Log")]
    log: LogFlags,
}

impl ReplayCommand {
    /// The options of the log.
    pub(super) const fn log(&self) -> &LogFlags {
        &self.log
    }

    pub(super) fn run(self) -> Result<(), Failure> {
        let OpenedConfig { config, loaded, .. } = self.settings.open(|config| {
            self.tunnels.apply(&mut config.tunnels);
            self.output.apply(&mut config.output);
        })?;
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let mut options = ReplayOptions {
            threads: self.shards.map_or(cpus, usize::from).min(LANES as usize),
            limits: ShardLimits {
                connections: self.max_connections as usize,
                idle: self.idle_timeout.map_or(u64::MAX, |time| time.nanoseconds()),
                reassembly: ShardLimits::REASSEMBLY,
                ssh_window: config.output.ssh_window,
            },
            tunnel_ports: config.tunnels.ports(),
            capture_filter: self.filter.filter.as_ref().map_or(CaptureFilter::NONE, FilterExpression::compiled),
            fingerprints: config.output.fingerprints(),
            context: Arc::new(config.output.context()),
            continue_without_output: false,
            stop: StopFlag::default(),
            max_packets: self.count.map_or(u64::MAX, NonZeroU64::get),
            packet_file: None,
        };
        let bar = Bar::default();
        let mut failures = Vec::new();
        let mut files = Vec::new();
        let paths = [self.files, self.read].concat();
        for path in &paths {
            match CaptureFile::open_until(path, options.stop.clone()) {
                Ok(file) => {
                    let bar = Arc::clone(&bar);
                    files.push(file.on_unsupported(Box::new(move |notice| warn(&bar, notice))));
                }
                Err(error) => failures.push(anyhow!(error)),
            }
        }
        if files.is_empty() {
            return end(failures, Failure::run);
        }
        let stop = options.stop.clone();
        let shutdown = Shutdown::watch(move || stop.set()).map_err(Failure::run)?;
        let names = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let mode = PipelineMode {
            first_seen: config.first_seen.clone(),
            rule_groups: GroupLimits::default(),
            files: Some(names),
            shutdown: shutdown.clone(),
        };
        let pipeline_parts = pipeline::start(&config, loaded, &options.context, mode)?;
        options.continue_without_output = pipeline_parts.1.need_results();
        options.packet_file = pipeline_parts.1.packet_file().cloned();
        let out = ReplayOutput::start(&shutdown).map_err(Failure::run)?;
        let on_progress = Box::new(|_, progress: ReadProgress| show(&mut lock(&bar), progress));
        let replayed = replay_to(files, &options, pipeline_parts, out, on_progress, shutdown.deadline());
        if let Some(bar) = lock(&bar).take() {
            bar.finish_and_clear();
        }
        let mut has_lost = false;
        let (write_error, stopped) = match replayed {
            Ok((report, losses)) => {
                failures.extend(report.errors.into_iter().map(Error::from));
                has_lost = !losses.is_empty();
                failures.extend(losses.into_iter().map(Error::msg));
                (report.write_error, report.stopped)
            }
            Err(error) => (Some(error), false),
        };
        if let Some(error) = write_error.filter(|error| !is_closed(error)) {
            has_lost = true;
            failures.push(anyhow!(error).context("cannot write the output"));
        }
        if stopped && !has_lost {
            failures.push(anyhow!("interrupted; results up to this point were written"));
            return end(failures, Failure::interrupted);
        }
        end(failures, Failure::run)
    }
}

/// Replays the files and ends the output with the statistics. The second value describes what database and
/// event files lost.
fn replay_to(
    files: Vec<CaptureFile>,
    options: &ReplayOptions,
    (engine, outputs): (Arc<Engine>, Outputs),
    out: ReplayOutput,
    on_progress: Box<dyn FnMut(usize, ReadProgress) + Send + '_>,
    deadline: &ShutdownDeadline,
) -> io::Result<(ReplayReport, Vec<String>)> {
    let (mut out, mut report) = replay(files, options, &engine, out, on_progress)?;
    let (start, end) = report.span.unwrap_or((Time(0), Time(0)));
    let mut stats = SensorStats {
        uptime_ms: end.0.saturating_sub(start.0) / 1_000_000,
        kernel: FilterStats { total: report.counters, hooks: None },
        shards: ShardTotals { shards: report.stats, rings: None },
        engine: Arc::new(report.engine.clone()),
        ..SensorStats::default()
    }
    .group();
    report.capture.write_group("capture", &mut stats);
    let files = Arc::clone(outputs.files());
    let mut losses: Vec<_> = outputs.finish(&options.context, end, &mut stats).into_iter().collect();
    let mut finished = Finished::default();
    engine.formatters().each(&mut finished, |_| true, |formatter, text| formatter.stats(end, &stats, text));
    engine.deliver_last(&mut finished);
    if report.write_error.is_none() {
        report.write_error = out.write_all(&finished.text).and_then(|()| out.finish()).err();
    }
    losses.extend(pipeline::finish_files(&files, deadline));
    // The process ends: to free the tables of the engine one entry at a time takes some percent of a replay.
    std::mem::forget(engine);
    Ok((report, losses))
}

/// Prints all errors but the last, which becomes the error of the command.
fn end(mut failures: Vec<Error>, with: fn(Error) -> Failure) -> Result<(), Failure> {
    let Some(last) = failures.pop() else {
        return Ok(());
    };
    for failure in failures {
        tracing::error!("{:#}", failure);
    }
    Err(with(last))
}

/// The progress bar, once there is one.
type Bar = Arc<Mutex<Option<ProgressBar>>>;

fn lock(bar: &Bar) -> MutexGuard<'_, Option<ProgressBar>> {
    bar.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line to standard error, above the progress bar.
fn warn(bar: &Bar, notice: &UnsupportedLinkNotice) {
    let print = || tracing::warn!("{notice}");
    match &*lock(bar) {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Advances the progress bar, which is shown if standard error is a terminal and the file is large.
fn show(bar: &mut Option<ProgressBar>, progress: ReadProgress) {
    let Some(total) = progress.total.filter(|total| *total >= WORTH_A_BAR) else {
        return;
    };
    if bar.is_none() && io::stderr().is_terminal() {
        let new = ProgressBar::new(total);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}").context("bar")
        {
            new.set_style(style);
        }
        *bar = Some(new);
    }
    if let Some(bar) = bar {
        bar.set_length(total);
        bar.set_position(progress.consumed);
    }
}
