//! `ja4sensor query`.

use std::ops::ControlFlow;

use clap::{Args, ValueEnum};

use super::{Out, Runs, Source, Wanted, csv, json, say_more, stdout, table};
use crate::cli::failure::Failure;
use crate::encode::Format;
use crate::output::storage::reader::QueryOutcome;
use crate::output::storage::{DatabaseReader, HistoryFilter, StorageError};

/// Ask a database what was seen.
#[derive(Debug, Args)]
pub(in crate::cli) struct Query {
    /// What to list
    #[arg(value_enum, default_value_t)]
    what: What,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    wanted: Wanted,

    /// Most rows, the newest ones; 0: all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u64,

    /// Format of the rows
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// What a query lists.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum What {
    /// Connections that overlap the time, the one that ended last first
    #[default]
    Connections,
    /// Fingerprints: of a value the newest first, else connection by connection
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
        header(self.what, self.format, &mut out.held);
        let found = rows(self.what, self.format, &reader, &filter, &runs, &mut out);
        // What was found stands, though it may not be all.
        out.finish()?;
        if found.map_err(Failure::run)?.more {
            say_more(&self.source.db, limit);
        }
        Ok(())
    }
}

fn header(what: What, format: Format, out: &mut Vec<u8>) {
    match (format, what) {
        (Format::Json, _) => {}
        (Format::Csv, What::Connections) => out.extend_from_slice(csv::CONNECTIONS.as_bytes()),
        (Format::Csv, What::Fingerprints) => out.extend_from_slice(csv::FINGERPRINTS.as_bytes()),
        (Format::Csv, What::Alerts) => out.extend_from_slice(csv::ALERTS.as_bytes()),
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
    out: &mut Out<std::fs::File>,
) -> Result<QueryOutcome, StorageError> {
    match what {
        What::Connections => reader.connections(filter, |row| {
            match format {
                Format::Json => json::connection(&row, None, runs, &mut out.held),
                Format::Csv => csv::connection(&row, runs, &mut out.held),
                Format::Table => table::connection(&row, &mut out.held),
            }
            next(out)
        }),
        What::Fingerprints => reader.fingerprints(filter, |row, seen| {
            match format {
                Format::Json => json::fingerprint(row, &seen, runs, &mut out.held),
                Format::Csv => csv::fingerprint(row, &seen, runs, &mut out.held),
                Format::Table => table::fingerprint(row, &seen, &mut out.held),
            }
            next(out)
        }),
        What::Alerts => reader.alerts(filter, |row| {
            match format {
                Format::Json => json::alert(&row, runs, &mut out.held),
                Format::Csv => csv::alert(&row, runs, &mut out.held),
                Format::Table => table::alert(&row.alert, &mut out.held),
            }
            next(out)
        }),
    }
}

/// Whether there is any use in another row.
fn next<W: std::io::Write>(out: &mut Out<W>) -> ControlFlow<()> {
    if out.line() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
