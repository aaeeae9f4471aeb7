//! `ja4sensor first-seen`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{RowFormat, Source, csv, json, network, report_migration, stdout, table};
use crate::cli::failure::Failure;
use crate::model::Method;
use crate::output::storage::FirstSeenRow;
use crate::output::storage::delete::delete_first_seen;
use crate::output::storage::first_seen_filter::FirstSeenFilter;
use crate::units::Counted;

#[derive(Debug, Args)]
pub(in crate::cli) struct FirstSeenCommand {
    #[command(subcommand)]
    action: FirstSeenAction,
}

#[derive(Debug, Subcommand)]
enum FirstSeenAction {
    /// List first-seen values, most recently seen first
    List(ListFirstSeen),
    /// Delete first-seen values, which are new again when they are next seen
    Delete(DeleteFirstSeen),
}

#[derive(Debug, Args)]
struct FirstSeenFlags {
    /// Only this value; * matches any text
    #[arg(long, value_name = "VALUE")]
    value: Option<String>,

    /// Only this method
    #[arg(long = "type", value_name = "METHOD")]
    method: Option<Method>,

    /// Only values of this host or network
    #[arg(long, value_name = "IP|CIDR", value_parser = network)]
    host: Option<IpNet>,
}

#[derive(Debug, Args)]
struct ListFirstSeen {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    filter: FirstSeenFlags,

    /// Format of the rows
    #[arg(long, value_enum, default_value = "table")]
    format: RowFormat,
}

#[derive(Debug, Args)]
struct DeleteFirstSeen {
    /// Database; no sensor may be writing to it
    #[arg(long, value_name = "FILE")]
    db: PathBuf,

    #[command(flatten)]
    filter: FirstSeenFlags,

    /// Delete all values
    #[arg(long)]
    all: bool,
}

impl FirstSeenCommand {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        match self.action {
            FirstSeenAction::List(list) => list.run(),
            FirstSeenAction::Delete(delete) => delete.run(),
        }
    }
}

impl From<FirstSeenFlags> for FirstSeenFilter {
    fn from(FirstSeenFlags { value, method, host }: FirstSeenFlags) -> Self {
        Self { value, method, host }
    }
}

impl ListFirstSeen {
    fn run(self) -> Result<(), Failure> {
        let filter = FirstSeenFilter::from(self.filter);
        let rows = self.source.open()?.first_seen(&filter).map_err(Failure::run)?;
        let mut out = stdout()?;
        match self.format {
            RowFormat::Json => {}
            RowFormat::Csv => out.buffer.extend_from_slice(csv::FIRST_SEEN.as_bytes()),
            RowFormat::Table => table::first_seen_header(&mut out.buffer),
        }
        let write: fn(&FirstSeenRow, &mut Vec<u8>) = match self.format {
            RowFormat::Json => json::first_seen,
            RowFormat::Csv => csv::first_seen,
            RowFormat::Table => table::first_seen,
        };
        for row in &rows {
            write(row, &mut out.buffer);
            if !out.line() {
                break;
            }
        }
        out.finish()?;
        Ok(())
    }
}

impl DeleteFirstSeen {
    fn run(self) -> Result<(), Failure> {
        let FirstSeenFlags { value, method, host } = &self.filter;
        let is_selective = value.is_some() || method.is_some() || host.is_some();
        if is_selective == self.all {
            return Err(Failure::usage(anyhow!("name values by --value, --type or --host, or all by --all")));
        }
        let deleted = delete_first_seen(&self.db, &self.filter.into()).map_err(Failure::run)?;
        report_migration(&self.db, &deleted);
        eprintln!("{}: {} deleted", self.db.display(), Counted(deleted.rows, "first-seen value"));
        Ok(())
    }
}
