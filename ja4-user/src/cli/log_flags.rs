//! Options of the log, shared by `run` and `replay`.

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use super::failure::Failure;
use crate::system::log::{self, LogFormat, is_colored_terminal};

/// Options of the log.
#[derive(Debug, Args)]
pub(super) struct LogFlags {
    /// Format of the log on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    log_format: LogFormatChoice,

    /// Log errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Log every step of the start and of the end
    #[arg(short, long)]
    verbose: bool,

    /// Colors of the log in text format; auto: on a terminal, unless the variable NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    color: ColorChoice,
}

/// Format of the log.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormatChoice {
    /// Time in UTC, level and message
    #[default]
    Text,
    /// One JSON object a line: timestamp, level, message, target
    Json,
    /// Entries of the journal of systemd, with their priority
    Journald,
}

/// When text has colors.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

impl LogFlags {
    /// Starts the log.
    pub(super) fn start(&self) -> Result<(), Failure> {
        let color = match self.color {
            ColorChoice::Auto => is_colored_terminal(),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let format = match self.log_format {
            LogFormatChoice::Text => LogFormat::Text { color },
            LogFormatChoice::Json => LogFormat::Json,
            LogFormatChoice::Journald => LogFormat::Journald,
        };
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (_, true) => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        };
        log::start(format, level).map_err(Failure::system)
    }
}

/// Starts the log of a command that ends with its answer.
pub(super) fn start_plain() -> Result<(), Failure> {
    log::start(LogFormat::Plain, LevelFilter::INFO).map_err(Failure::run)
}
