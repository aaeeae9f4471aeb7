//! `ja4sensor profiles`: export and import of behaviour profiles.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{DatabaseFile, TimeLimit, report_migration, stdout};
use crate::cli::examples::{self, section};
use crate::cli::failure::Failure;
use crate::detect::profile::{self, ProfileRow};
use crate::output::storage::DatabaseReader;
use crate::output::storage::import::import_profiles;
use crate::units::Counted;

/// First bytes of an SQLite database.
const SQLITE: &[u8] = b"SQLite format 3\0";

#[derive(Debug, Args)]
pub(in crate::cli) struct ProfilesCommand {
    #[command(subcommand)]
    action: ProfilesAction,
}

#[derive(Debug, Subcommand)]
enum ProfilesAction {
    /// Export the behaviour profiles of a database as JSON lines
    #[command(after_long_help = section(examples::PROFILES_EXPORT))]
    Export(ProfilesExport),
    /// Import behaviour profiles from other sensors (idempotent)
    #[command(after_long_help = section(examples::PROFILES_IMPORT))]
    Import(ProfilesImport),
}

impl ProfilesCommand {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        match self.action {
            ProfilesAction::Export(export) => export.run(),
            ProfilesAction::Import(import) => import.run(),
        }
    }
}

#[derive(Debug, Args)]
struct ProfilesExport {
    #[command(flatten)]
    database: DatabaseFile,

    #[command(flatten)]
    limits: TimeLimit,
}

impl ProfilesExport {
    fn run(self) -> Result<(), Failure> {
        let rows = self.limits.open(self.database.path())?.profiles().map_err(Failure::run)?;
        let mut out = stdout()?;
        profile::export(rows, &mut out.buffer).map_err(Failure::run)?;
        out.finish()?;
        Ok(())
    }
}

#[derive(Debug, Args)]
struct ProfilesImport {
    /// Target database, created if it does not exist; no sensor may be writing to it
    #[arg(long, value_name = "FILE")]
    db: PathBuf,

    /// Databases of other sensors, or files written by `profiles export`; - is standard input
    #[arg(required = true, value_name = "FROM")]
    from: Vec<PathBuf>,
}

impl ProfilesImport {
    fn run(self) -> Result<(), Failure> {
        // All files are read first: a file that cannot be read leaves the database unchanged.
        let mut rows = Vec::new();
        for path in &self.from {
            rows.append(&mut read(path)?);
        }
        let total = rows.len();
        let changed = import_profiles(&self.db, rows).map_err(Failure::run)?;
        report_migration(&self.db, &changed);
        tracing::info!("{}: {} of {} new or changed", self.db.display(), changed.rows, Counted(total as u64, "pair"));
        Ok(())
    }
}

/// Reads the pairs of a database, or of a file of JSON lines.
fn read(path: &Path) -> Result<Vec<ProfileRow>, Failure> {
    let failed = |error| Failure::run(anyhow!("{error:#}").context(format!("cannot read {}", path.display())));
    if path == Path::new("-") {
        return profile::import(BufReader::new(std::io::stdin())).map_err(failed);
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(SQLITE.len() as u64).read_to_end(&mut start).map_err(failed)?;
    if start == SQLITE {
        return DatabaseReader::open(path, None).and_then(|reader| reader.profiles()).map_err(Failure::run);
    }
    let rest = std::io::Cursor::new(start).chain(file);
    profile::import(BufReader::new(rest)).map_err(failed)
}
