//! `ja4sensor query`.

use std::ops::ControlFlow;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::{FilterFlags, LineWriter, RowFormat, Runs, Source, report_more, stdout, table};
use crate::cli::failure::Failure;
use crate::encode::Formatter;
use crate::model::field::place;
use crate::output::storage::reader::{FingerprintWithConnection, QueryOutcome};
use crate::output::storage::{DatabaseReader, HistoryFilter, StorageError};

/// Query a database.
#[derive(Debug, Args)]
pub(in crate::cli) struct Query {
    /// Kind of rows
    #[arg(value_enum, default_value_t, value_name = "WHAT")]
    kind: QueryKind,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    filter: FilterFlags,

    /// Maximum number of rows, the newest ones; 0: all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u64,

    /// Format of the rows
    #[arg(long, value_enum, default_value = "table")]
    format: RowFormat,
}

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
        let limit = (self.limit > 0).then_some(self.limit);
        let filter = self.filter.filter(limit, false)?;
        let reader = self.source.open()?;
        let runs = Runs::load(&reader).map_err(Failure::run)?;
        let mut out = stdout()?;
        let mut formatter = Formatter::new(self.format.into(), Arc::default());
        header(self.kind, self.format, &formatter, &mut out.buffer);
        let outcome = rows(self.kind, self.format, &reader, &filter, &runs, &mut formatter, &mut out);
        // Rows before an error are written.
        out.finish()?;
        if outcome.map_err(Failure::run)?.more {
            report_more(&self.source.db, limit);
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
