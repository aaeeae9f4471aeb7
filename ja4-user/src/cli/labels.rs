//! `ja4sensor labels`: label databases.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::examples::{self, section};
use super::failure::Failure;
use super::lookup::{LookupFormat, print};
use super::settings::{refused, warn};
use crate::enrich::{ImportedLabels, LabelDatabaseBuilder};
use crate::units::Counted;

#[derive(Debug, Args)]
pub(super) struct LabelsCommand {
    #[command(subcommand)]
    action: LabelsAction,
}

#[derive(Debug, Subcommand)]
enum LabelsAction {
    /// Count values, prefixes and names by fingerprint type, and invalid rows
    #[command(after_long_help = section(examples::LABELS_INFO))]
    Info {
        /// Label databases: ja4plus-mapping.csv or TOML
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        /// Output format
        #[arg(long, value_enum, default_value_t)]
        format: LookupFormat,
    },
    /// Convert a label database to TOML
    #[command(after_long_help = section(examples::LABELS_IMPORT))]
    Import {
        /// Label database: ja4plus-mapping.csv or TOML
        file: PathBuf,

        /// Output file, which must not exist
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
}

impl LabelsCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.action {
            LabelsAction::Info { files, format } => info(&files, format),
            LabelsAction::Import { file, output } => import(&file, &output),
        }
    }
}

fn info(files: &[PathBuf], format: LookupFormat) -> Result<(), Failure> {
    let mut failed = None;
    for path in files {
        let mut builder = LabelDatabaseBuilder::new();
        match builder.add(path) {
            Ok(imported) => {
                warn(&imported.warnings);
                let info = FileSummary::new(path, &builder, &imported);
                print(&match format {
                    LookupFormat::Table => info.table(),
                    LookupFormat::Json => serde_json::to_string(&info).map_err(Failure::run)? + "\n",
                })?;
            }
            // All errors but the last are printed here; the last becomes the error of the command.
            Err(error) => {
                if let Some(earlier) = failed.replace(refused(error)) {
                    tracing::error!("{earlier}");
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn import(file: &Path, output: &Path) -> Result<(), Failure> {
    let mut builder = LabelDatabaseBuilder::new();
    let imported = builder.add(file).map_err(refused)?;
    warn(&imported.warnings);
    let opened = OpenOptions::new().write(true).create_new(true).open(output);
    let mut out = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(anyhow!("cannot create {}: file exists; name another file", output.display()))
        }
        _ => Failure::run(anyhow!(error).context(format!("cannot create {}", output.display()))),
    })?;
    if let Err(error) = out.write_all(builder.to_toml().as_bytes()).and_then(|()| out.sync_all()) {
        // A partial database could be taken for a complete one.
        let _ = fs::remove_file(output);
        return Err(Failure::run(anyhow!(error).context(format!("cannot write {}", output.display()))));
    }
    print(&format!("{}: {}\n", output.display(), Counted(imported.entries as u64, "row")))
}

/// The content of a label database.
#[derive(Serialize)]
struct FileSummary {
    file: String,
    rows: usize,
    bad_rows: usize,
    types: Vec<MethodSummary>,
}

#[derive(Serialize)]
struct MethodSummary {
    #[serde(rename = "type")]
    method: &'static str,
    values: usize,
    prefixes: usize,
    owners: usize,
    shared: usize,
}

impl FileSummary {
    fn new(path: &Path, builder: &LabelDatabaseBuilder, imported: &ImportedLabels) -> Self {
        let types = builder.summary().into_iter().map(|of| MethodSummary {
            method: of.method.name(),
            values: of.values,
            prefixes: of.prefixes,
            owners: of.owners,
            shared: of.shared,
        });
        let types = types.collect();
        Self { file: path.display().to_string(), rows: imported.entries, bad_rows: imported.skipped, types }
    }

    fn table(&self) -> String {
        let Self { file, rows, bad_rows, types } = self;
        let mut out = format!("{file}: {}, {bad_rows} invalid\n", Counted(*rows as u64, "row"));
        // Writing to a String does not fail.
        let mut row = |cells: [&str; 5]| {
            let [method, values, prefixes, owners, shared] = cells;
            let _ = writeln!(out, "  {method:<8}{values:>8}{prefixes:>10}{owners:>8}{shared:>8}");
        };
        row(["type", "values", "prefixes", "owners", "shared"]);
        for MethodSummary { method, values, prefixes, owners, shared } in types {
            let [values, prefixes, owners, shared] = [values, prefixes, owners, shared].map(usize::to_string);
            row([method, &values, &prefixes, &owners, &shared]);
        }
        out
    }
}
