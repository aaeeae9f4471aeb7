//! `ja4sensor first-seen`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::{Source, csv, json, network, say_migrated, stdout, table};
use crate::cli::failure::Failure;
use crate::encode::Format;
use crate::model::Method;
use crate::output::storage::FirstSeenRow;
use crate::output::storage::delete::delete_first_seen;
use crate::output::storage::first_seen_filter::FirstSeenFilter;
use crate::units::Counted;

#[derive(Debug, Args)]
pub(in crate::cli) struct FirstSeenCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List first-seen values, most recently seen first
    List(List),
    /// Delete first-seen values, which are new again when they are next seen
    Delete(DeleteCommand),
}

#[derive(Debug, Args)]
struct Which {
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
struct List {
    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    which: Which,

    /// Format of the rows
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Args)]
struct DeleteCommand {
    /// Database; no sensor may be writing to it
    #[arg(long, value_name = "FILE")]
    db: PathBuf,

    #[command(flatten)]
    which: Which,

    /// Delete all values
    #[arg(long)]
    all: bool,
}

impl FirstSeenCommand {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Delete(delete) => delete.run(),
        }
    }
}

impl From<Which> for FirstSeenFilter {
    fn from(Which { value, method, host }: Which) -> Self {
        Self { value, method, host }
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let which = FirstSeenFilter::from(self.which);
        let known = self.source.open()?.first_seen(&which).map_err(Failure::run)?;
        let mut out = stdout()?;
        match self.format {
            Format::Json => {}
            Format::Csv => out.held.extend_from_slice(csv::FIRST_SEEN.as_bytes()),
            Format::Table => table::first_seens(&mut out.held),
        }
        let write: fn(&FirstSeenRow, &mut Vec<u8>) = match self.format {
            Format::Json => json::first_seen,
            Format::Csv => csv::first_seen,
            Format::Table => table::first_seen,
        };
        for one in &known {
            write(one, &mut out.held);
            if !out.line() {
                break;
            }
        }
        out.finish()?;
        Ok(())
    }
}

impl DeleteCommand {
    fn run(self) -> Result<(), Failure> {
        let Which { value, method, host } = &self.which;
        let named = value.is_some() || method.is_some() || host.is_some();
        if named == self.all {
            return Err(Failure::usage(anyhow!("name values by --value, --type or --host, or all by --all")));
        }
        let deleted = delete_first_seen(&self.db, &self.which.into()).map_err(Failure::run)?;
        say_migrated(&self.db, &deleted);
        eprintln!("{}: {} deleted", self.db.display(), Counted(deleted.rows, "first-seen value"));
        Ok(())
    }
}
