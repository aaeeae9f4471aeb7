//! `ja4sensor first-seen`.

use anyhow::anyhow;
use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{DatabaseFile, RowFormat, TimeLimit, csv, json, network, report_migration, stdout, table};
use crate::cli::examples::{self, section};
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
    #[command(after_long_help = section(examples::FIRST_SEEN_LIST))]
    List(ListFirstSeen),
    /// Delete first-seen values, which are new again when they are next seen; no sensor may be writing to the database
    #[command(after_long_help = section(examples::FIRST_SEEN_DELETE))]
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
    database: DatabaseFile,

    #[command(flatten)]
    limits: TimeLimit,

    #[command(flatten, next_help_heading = "Filter")]
    filter: FirstSeenFlags,

    /// Format of the rows
    #[arg(long, help_heading = "Output", value_enum, default_value = "table")]
    format: RowFormat,
}

#[derive(Debug, Args)]
struct DeleteFirstSeen {
    #[command(flatten)]
    database: DatabaseFile,

    #[command(flatten, next_help_heading = "Filter")]
    filter: FirstSeenFlags,

    /// Delete all values
    #[arg(long, help_heading = "Filter")]
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
        let rows = self.limits.open(self.database.path())?.first_seen(&filter).map_err(Failure::run)?;
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
        let database = self.database.path();
        let deleted = delete_first_seen(database, &self.filter.into()).map_err(Failure::run)?;
        report_migration(database, &deleted);
        tracing::info!("{}: {} deleted", database.display(), Counted(deleted.rows, "first-seen value"));
        Ok(())
    }
}
