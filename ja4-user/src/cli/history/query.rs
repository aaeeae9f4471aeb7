//! `ja4sensor query`.

use std::ops::ControlFlow;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::{Out, Runs, Source, Wanted, say_more, stdout, table};
use crate::cli::failure::Failure;
use crate::encode::{Format, Formatter};
use crate::model::field::place;
use crate::output::storage::reader::{FingerprintWithConnection, QueryOutcome};
use crate::output::storage::{DatabaseReader, HistoryFilter, StorageError};

/// Query a database.
#[derive(Debug, Args)]
pub(in crate::cli) struct Query {
    /// Kind of rows
    #[arg(value_enum, default_value_t)]
    what: What,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    wanted: Wanted,

    /// Maximum number of rows, the newest ones; 0: all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u64,

    /// Format of the rows
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Kind of rows.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum What {
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
        let filter = self.wanted.filter(limit, false)?;
        let reader = self.source.open()?;
        let runs = Runs::load(&reader).map_err(Failure::run)?;
        let mut out = stdout()?;
        let mut formatter = Formatter::new(self.format, Arc::default());
        header(self.what, self.format, &formatter, &mut out.held);
        let found = rows(self.what, self.format, &reader, &filter, &runs, &mut formatter, &mut out);
        // Rows before an error are written.
        out.finish()?;
        if found.map_err(Failure::run)?.more {
            say_more(&self.source.db, limit);
        }
        Ok(())
    }
}

fn header(what: What, format: Format, formatter: &Formatter, out: &mut Vec<u8>) {
    match (format, what) {
        (Format::Json | Format::Csv, _) => formatter.header(out),
        (Format::Table, What::Connections) => table::connections(out),
        (Format::Table, What::Fingerprints) => table::fingerprints(out),
        (Format::Table, What::Alerts) => table::alerts(out),
    }
}

fn rows(
    what: What,
    format: Format,
    reader: &DatabaseReader,
    filter: &HistoryFilter,
    runs: &Runs,
    formatter: &mut Formatter,
    out: &mut Out<std::fs::File>,
) -> Result<QueryOutcome, StorageError> {
    let is_table = matches!(format, Format::Table);
    match what {
        What::Connections => reader.connections(filter, |mut row| {
            runs.name(&mut row);
            if is_table {
                table::connection(&row, &mut out.held);
            } else {
                formatter.row(place::CONNECTION, row.last, &row, &mut out.held);
            }
            next(out)
        }),
        What::Fingerprints => reader.fingerprints(filter, |connection, fingerprint| {
            if is_table {
                table::fingerprint(connection, &fingerprint, &mut out.held);
            } else {
                let mut connection = connection.clone();
                runs.name(&mut connection);
                let row = FingerprintWithConnection { connection: &connection, fingerprint: &fingerprint };
                formatter.row(place::FINGERPRINT, fingerprint.time, &row, &mut out.held);
            }
            next(out)
        }),
        What::Alerts => reader.alerts(filter, |row| {
            if is_table {
                table::alert(&row.alert, &mut out.held);
            } else {
                formatter.row(place::ALERT, row.alert.time, &runs.alert(&row), &mut out.held);
            }
            next(out)
        }),
    }
}

/// Whether to visit another row.
fn next<W: std::io::Write>(out: &mut Out<W>) -> ControlFlow<()> {
    if out.line() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
