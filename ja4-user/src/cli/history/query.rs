//! `ja4sensor query`.

use std::ffi::OsString;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use crossbeam_channel::{RecvTimeoutError, bounded};

use super::{FilterFlags, LineWriter, RowFormat, Runs, TimeLimit, operand, report_more, split_database, stdout, table};
use crate::cli::failure::Failure;
use crate::encode::Formatter;
use crate::model::field::place;
use crate::output::storage::reader::{
    FingerprintWithConnection, FollowPosition, QueryOutcome, StoredAlert, StoredConnection, StoredFingerprint,
};
use crate::output::storage::{DatabaseReader, HistoryFilter, StorageError};
use crate::system::shutdown_watch::Shutdown;

/// The usage: a database named by `--db` leaves out FILE.
const USAGE: &str = "ja4sensor query [OPTIONS] <FILE> [WHAT]\n       ja4sensor query [OPTIONS] --db <FILE> [WHAT]";

/// Query a database.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(in crate::cli) struct Query {
    /// Database; left out if --db names it
    #[arg(value_name = "FILE")]
    first: Option<OsString>,

    /// Kind of rows: connections, fingerprints or alerts [default: connections]
    #[arg(value_name = "WHAT")]
    second: Option<OsString>,

    /// Database, in place of FILE
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,

    #[command(flatten)]
    limits: TimeLimit,

    #[command(flatten, next_help_heading = "Filter")]
    filter: FilterFlags,

    /// Maximum number of rows, the newest ones; 0: all
    #[arg(long, help_heading = "Output", value_name = "N", default_value_t = 1000)]
    limit: u64,

    /// Write only rows that are stored from now on, until interrupted. A connection is written when it is first stored,
    /// and again when it has ended
    #[arg(long, help_heading = "Output", conflicts_with = "limit")]
    follow: bool,

    /// Raw forms of fingerprints in the table too; JSON and CSV have all that are stored
    #[arg(long, help_heading = "Output")]
    raw: bool,

    /// Format of the rows
    #[arg(long, help_heading = "Output", value_enum, default_value = "table")]
    format: RowFormat,
}

/// Interval at which new rows are read.
const POLL: Duration = Duration::from_millis(250);

/// The kinds of rows, for an error.
const KINDS: &str = "expected connections, fingerprints or alerts";

/// Kind of rows.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum QueryKind {
    /// Connections that overlap the time window, the latest end first
    #[default]
    Connections,
    /// Fingerprints; with --value the newest first, else by connection
    Fingerprints,
    /// Alerts, the newest first
    Alerts,
}

impl Query {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let (database, operands) = split_database(self.db, [self.first, self.second])?;
        if operands.len() > 1 {
            return Err(Failure::usage(anyhow!("FILE and --db both name a database; name one")));
        }
        let parse = |text: &str| QueryKind::from_str(text, false).map_err(|_| KINDS.to_owned());
        let kind = operands.first().map(|text| operand("WHAT", text, parse)).transpose()?.unwrap_or_default();
        let limit = (self.limit > 0).then_some(self.limit);
        let filter = self.filter.filter(limit, false)?;
        let reader = self.limits.open(&database)?;
        let runs = Runs::load(&reader).map_err(Failure::run)?;
        let formatter = Formatter::new(self.format.into(), Arc::default());
        let mut rows = QueryWriter { kind, format: self.format, raw: self.raw, runs, formatter, out: stdout()? };
        header(kind, self.format, &rows.formatter, &mut rows.out.buffer);
        if self.follow {
            return follow(&reader, &filter, rows);
        }
        let outcome = rows.all(&reader, &filter);
        // Rows before an error are written.
        rows.out.finish()?;
        if outcome.map_err(Failure::run)?.more {
            report_more(&database, limit);
        }
        Ok(())
    }
}

/// Writes new rows until a signal, or until the reader of standard output is gone.
fn follow(reader: &DatabaseReader, filter: &HistoryFilter, mut rows: QueryWriter) -> Result<(), Failure> {
    let (stop, stopped) = bounded::<()>(0);
    Shutdown::watch(move || drop(stop)).map_err(Failure::run)?;
    let mut position = reader.follow().map_err(Failure::run)?;
    loop {
        rows.out.write();
        if rows.out.failed.is_some() || stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Disconnected) {
            return rows.out.finish().map(drop);
        }
        rows.runs = Runs::load(reader).map_err(Failure::run)?;
        rows.changes(reader, filter, &mut position).map_err(Failure::run)?;
    }
}

fn header(kind: QueryKind, format: RowFormat, formatter: &Formatter, out: &mut Vec<u8>) {
    match (format, kind) {
        (RowFormat::Json | RowFormat::Csv, _) => formatter.header(out),
        (RowFormat::Table, QueryKind::Connections) => table::connection_header(out),
        (RowFormat::Table, QueryKind::Fingerprints) => table::fingerprint_header(out),
        (RowFormat::Table, QueryKind::Alerts) => table::alert_header(out),
    }
}

/// Writes rows of one kind.
struct QueryWriter {
    kind: QueryKind,
    format: RowFormat,
    /// Whether the table has raw forms.
    raw: bool,
    runs: Runs,
    formatter: Formatter,
    out: LineWriter<File>,
}

impl QueryWriter {
    /// Writes all rows that match the filter.
    fn all(&mut self, reader: &DatabaseReader, filter: &HistoryFilter) -> Result<QueryOutcome, StorageError> {
        match self.kind {
            QueryKind::Connections => reader.connections(filter, |row| self.connection(row)),
            QueryKind::Fingerprints => {
                reader.fingerprints(filter, |of, fingerprint| self.fingerprint(of, &fingerprint))
            }
            QueryKind::Alerts => reader.alerts(filter, |row| self.alert(&row)),
        }
    }

    /// Writes the rows after the position.
    fn changes(
        &mut self,
        reader: &DatabaseReader,
        filter: &HistoryFilter,
        position: &mut FollowPosition,
    ) -> Result<QueryOutcome, StorageError> {
        match self.kind {
            QueryKind::Connections => reader.new_connections(filter, position, |row| self.connection(row)),
            QueryKind::Fingerprints => {
                reader.new_fingerprints(filter, position, |of, fingerprint| self.fingerprint(of, &fingerprint))
            }
            QueryKind::Alerts => reader.new_alerts(filter, position, |row| self.alert(&row)),
        }
    }

    fn connection(&mut self, mut row: StoredConnection) -> ControlFlow<()> {
        self.runs.name(&mut row);
        match self.format {
            RowFormat::Table => table::connection(&row, &mut self.out.buffer),
            _ => self.formatter.row(place::CONNECTION, row.last, &row, &mut self.out.buffer),
        }
        self.end_row()
    }

    fn fingerprint(&mut self, connection: &StoredConnection, fingerprint: &StoredFingerprint) -> ControlFlow<()> {
        if self.format == RowFormat::Table {
            table::fingerprint(connection, fingerprint, self.raw, &mut self.out.buffer);
        } else {
            let mut connection = connection.clone();
            self.runs.name(&mut connection);
            let row = FingerprintWithConnection { connection: &connection, fingerprint };
            self.formatter.row(place::FINGERPRINT, fingerprint.time, &row, &mut self.out.buffer);
        }
        self.end_row()
    }

    fn alert(&mut self, row: &StoredAlert) -> ControlFlow<()> {
        match self.format {
            RowFormat::Table => table::alert(&row.alert, &mut self.out.buffer),
            _ => self.formatter.row(place::ALERT, row.alert.time, &self.runs.alert(row), &mut self.out.buffer),
        }
        self.end_row()
    }

    /// Ends a row. Breaks if the output cannot be written.
    fn end_row(&mut self) -> ControlFlow<()> {
        if self.out.line() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
