//! The log of the process on standard error, or in the journal of systemd.
//!
//! Messages are events of the crate `tracing`. Until [`start`] is called there is no log.

use std::fmt;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The root of the targets of this crate. Events of other crates are not logged.
const TARGET: &str = "ja4_user";

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `ja4sensor: message`: the commands that end with their answer.
    Plain,
    /// Time in UTC, level and message.
    Text {
        /// With colors for a terminal.
        color: bool,
    },
    /// One JSON object a line.
    Json,
    /// Entries of the journal of systemd.
    Journald,
}

/// Starts the log of the process, with messages of this level and above.
///
/// # Errors
/// If journald cannot be reached.
pub(crate) fn start(format: LogFormat, level: LevelFilter) -> anyhow::Result<()> {
    let filter = Targets::new().with_target(TARGET, level);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Plain => layer().with_writer(io::stderr).event_format(PlainLine).boxed(),
        LogFormat::Text { color } => layer().with_writer(io::stderr).with_ansi(color).with_target(false).boxed(),
        LogFormat::Json => layer()
            .with_writer(io::stderr)
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        LogFormat::Journald => tracing_journald::layer()
            .context("cannot log to journald; is systemd running? use --log-format text")?
            .with_syslog_identifier("ja4sensor".to_owned())
            .boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().context("the log has been started before")
}

/// Whether text on standard error may have colors: it is a terminal, and its user has not refused them
/// (<https://no-color.org>).
pub(crate) fn is_colored_terminal() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes `ja4sensor: message`, without time.
struct PlainLine;

impl<S, N> FormatEvent<S, N> for PlainLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = if *event.metadata().level() == Level::WARN { "warning: " } else { "" };
        write!(out, "ja4sensor: {level}")?;
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}
