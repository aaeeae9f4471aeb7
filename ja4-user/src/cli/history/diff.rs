//! `ja4sensor diff`.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{RowFormat, TimeLimit, csv, json, operand, split_database, stdout, table};
use crate::cli::failure::Failure;
use crate::model::Method;
use crate::output::storage::DiffOptions;
use crate::output::storage::reader::times::window;

/// The usage: a database named by `--db` leaves out FILE.
const USAGE: &str = "ja4sensor diff [OPTIONS] <FILE> <A> <B>\n       ja4sensor diff [OPTIONS] --db <FILE> <A> <B>";

/// Compare two time windows: new, gone, spiked and dropped values.
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub(in crate::cli) struct Diff {
    /// Database; left out if --db names it
    #[arg(value_name = "FILE", allow_hyphen_values = true)]
    first: Option<OsString>,

    /// The first window: SINCE..UNTIL, such as 2d..1d or 2026-11-22..2026-11-23
    #[arg(value_name = "A", allow_hyphen_values = true)]
    second: Option<OsString>,

    /// The second window
    #[arg(value_name = "B", allow_hyphen_values = true)]
    third: Option<OsString>,

    /// Database, in place of FILE
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,

    #[command(flatten)]
    limits: TimeLimit,

    /// Factor between the rates of the windows that is a spike or a drop
    #[arg(long, help_heading = "Filter", value_name = "FACTOR", default_value_t = 3.0)]
    factor: f64,

    /// Minimum count of a spike or drop, in the window with more
    #[arg(long, help_heading = "Filter", value_name = "N", default_value_t = 10)]
    minimum: u64,

    /// Only these methods, with commas [default: all except ja4l and ja4ls, because their values seldom repeat]
    #[arg(long = "type", help_heading = "Filter", value_name = "METHODS", value_delimiter = ',')]
    methods: Vec<Method>,

    /// Format of the rows
    #[arg(long, help_heading = "Output", value_enum, default_value = "table")]
    format: RowFormat,
}

impl Diff {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        if !(self.factor.is_finite() && self.factor >= 1.0) {
            return Err(Failure::usage(anyhow!("--factor has to be 1 or more")));
        }
        let (database, operands) = split_database(self.db, [self.first, self.second, self.third])?;
        let [a, b] = &*operands else {
            return Err(Failure::usage(anyhow!("expected one database and two windows: FILE A B, or --db FILE A B")));
        };
        let windows = [operand("A", a, window)?, operand("B", b, window)?];
        let defaults = DiffOptions::default();
        let methods = if self.methods.is_empty() { defaults.methods } else { self.methods };
        let options = DiffOptions { factor: self.factor, minimum: self.minimum, methods };
        let diff = self.limits.open(&database)?.diff(windows, &options).map_err(Failure::run)?;
        for (name, total) in ["first", "second"].iter().zip(diff.totals) {
            if total == 0 {
                tracing::info!("nothing was seen in the {name} window");
            }
        }
        let mut out = stdout()?;
        match self.format {
            RowFormat::Json => {}
            RowFormat::Csv => out.buffer.extend_from_slice(csv::DIFFERENCES.as_bytes()),
            RowFormat::Table => table::difference_header(&mut out.buffer),
        }
        for difference in &diff.differences {
            match self.format {
                RowFormat::Json => json::difference(difference, &mut out.buffer),
                RowFormat::Csv => csv::difference(difference, &mut out.buffer),
                RowFormat::Table => table::difference(difference, &mut out.buffer),
            }
            if !out.line() {
                break;
            }
        }
        out.finish()?;
        Ok(())
    }
}
