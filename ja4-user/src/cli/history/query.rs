//! `ja4sensor query`.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::{FilterFlags, LineWriter, RowFormat, Runs, TimeLimit, operand, report_more, split_database, stdout, table};
use crate::cli::failure::Failure;
use crate::encode::Formatter;
use crate::model::field::place;
use crate::output::storage::reader::{FingerprintWithConnection, QueryOutcome};
use crate::output::storage::{DatabaseReader, HistoryFilter, StorageError};

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

    /// Format of the rows
    #[arg(long, help_heading = "Output", value_enum, default_value = "table")]
    format: RowFormat,
}

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
        let mut out = stdout()?;
        let mut formatter = Formatter::new(self.format.into(), Arc::default());
        header(kind, self.format, &formatter, &mut out.buffer);
        let outcome = rows(kind, self.format, &reader, &filter, &runs, &mut formatter, &mut out);
        // Rows before an error are written.
        out.finish()?;
        if outcome.map_err(Failure::run)?.more {
            report_more(&database, limit);
        }
        Ok(())
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

fn rows(
    kind: QueryKind,
    format: RowFormat,
    reader: &DatabaseReader,
    filter: &HistoryFilter,
    runs: &Runs,
    formatter: &mut Formatter,
    out: &mut LineWriter<std::fs::File>,
) -> Result<QueryOutcome, StorageError> {
    let is_table = matches!(format, RowFormat::Table);
    match kind {
        QueryKind::Connections => reader.connections(filter, |mut row| {
            runs.name(&mut row);
            if is_table {
                table::connection(&row, &mut out.buffer);
            } else {
                formatter.row(place::CONNECTION, row.last, &row, &mut out.buffer);
            }
            end_row(out)
        }),
        QueryKind::Fingerprints => reader.fingerprints(filter, |connection, fingerprint| {
            if is_table {
                table::fingerprint(connection, &fingerprint, &mut out.buffer);
            } else {
                let mut connection = connection.clone();
                runs.name(&mut connection);
                let row = FingerprintWithConnection { connection: &connection, fingerprint: &fingerprint };
                formatter.row(place::FINGERPRINT, fingerprint.time, &row, &mut out.buffer);
            }
            end_row(out)
        }),
        QueryKind::Alerts => reader.alerts(filter, |row| {
            if is_table {
                table::alert(&row.alert, &mut out.buffer);
            } else {
                formatter.row(place::ALERT, row.alert.time, &runs.alert(&row), &mut out.buffer);
            }
            end_row(out)
        }),
    }
}

/// Ends a row. Breaks if the output cannot be written.
fn end_row<W: std::io::Write>(out: &mut LineWriter<W>) -> ControlFlow<()> {
    if out.line() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
