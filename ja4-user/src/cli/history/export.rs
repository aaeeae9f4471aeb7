//! `ja4sensor export`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::{DatabaseFile, FilterFlags, LineWriter, Runs, TimeLimit, stdout};
use crate::capture::StopFlag;
use crate::cli::failure::Failure;
use crate::encode::{Format, Formatter};
use crate::model::field::place;
use crate::output::storage::reader::FingerprintWithConnection;
use crate::output::storage::{DatabaseReader, HistoryFilter, StorageError};
use crate::system::shutdown_watch::Shutdown;

/// Mode of a new file: only its owner reads it.
const MODE: u32 = 0o600;

/// Write connections to a file, ordered by their end.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// File to create; - is standard output
    #[arg(short, long, help_heading = "Output", value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    database: DatabaseFile,

    #[command(flatten)]
    limits: TimeLimit,

    #[command(flatten, next_help_heading = "Filter")]
    filter: FilterFlags,

    /// Format of the file
    #[arg(long, help_heading = "Output", value_enum, default_value_t)]
    format: ExportFormat,
}

/// Format of an exported file.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ExportFormat {
    /// One JSON object per connection, with its fingerprints
    #[default]
    Json,
    /// One line per fingerprint
    Csv,
}

impl Export {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let filter = self.filter.filter(None, true)?;
        // An export has no time limit by default.
        let reader = self.limits.open_for(0, self.database.path())?;
        let to_stdout = self.output == Path::new("-");
        let out = if to_stdout { stdout()? } else { LineWriter::new(create(&self.output)?) };
        let stop = StopFlag::default();
        let stops = stop.clone();
        Shutdown::watch(move || stops.set()).map_err(Failure::run)?;
        let written = write(self.format, &reader, &filter, out, &stop).and_then(|(file, written)| {
            if !to_stdout {
                file.sync_all().map_err(Failure::run)?;
            }
            Ok(written)
        });
        if written.is_err() && !to_stdout {
            // An incomplete file is removed.
            let _removed = fs::remove_file(&self.output);
        }
        let (connections, fingerprints) = written?;
        tracing::info!("{}: {connections} connections with {fingerprints} fingerprints", self.output.display());
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(anyhow!("{} exists and is not overwritten; name another file", path.display()))
        }
        _ => Failure::run(anyhow!(error).context(format!("cannot write {}", path.display()))),
    })
}

/// Writes all connections. Returns the numbers of connections and fingerprints.
fn write(
    format: ExportFormat,
    reader: &DatabaseReader,
    filter: &HistoryFilter,
    mut out: LineWriter<File>,
    stop: &StopFlag,
) -> Result<(File, (u64, u64)), Failure> {
    let runs = Runs::load(reader).map_err(Failure::run)?;
    let (is_csv, encoding) = match format {
        ExportFormat::Json => (false, Format::Json),
        ExportFormat::Csv => (true, Format::Csv),
    };
    let mut formatter = Formatter::new(encoding, Arc::default());
    formatter.header(&mut out.buffer);
    let mut fingerprints = 0;
    let outcome = reader.timelines(filter, |mut connection, timeline| {
        fingerprints += timeline.len() as u64;
        runs.name(&mut connection);
        let rows =
            timeline.iter().map(|fingerprint| FingerprintWithConnection { connection: &connection, fingerprint });
        if is_csv {
            rows.for_each(|row| formatter.row(place::FINGERPRINT, row.fingerprint.time, &row, &mut out.buffer));
        } else {
            let rows = rows.map(|row| (row.fingerprint.time, row));
            formatter.row_with_fingerprints(connection.last, &connection, rows, &mut out.buffer);
        }
        if out.line() && !stop.is_set() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let outcome = outcome.map_err(|error: StorageError| Failure::run(error))?;
    if stop.is_set() {
        return Err(Failure::interrupted(anyhow!("ended by a signal; nothing was exported")));
    }
    Ok((out.finish()?, (outcome.rows, fingerprints)))
}
