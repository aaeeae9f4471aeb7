//! `ja4sensor export-profiles` and `ja4sensor seed`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::{Source, say_migrated, stdout};
use crate::cli::failure::Failure;
use crate::detect::profile::{self, Row};
use crate::output::storage::DatabaseReader;
use crate::output::storage::import::import_profiles;

/// What an SQLite database begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Print the pairs of behaviour profiles.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportProfiles {
    #[command(flatten)]
    source: Source,
}

impl ExportProfiles {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let rows = self.source.open()?.profiles().map_err(Failure::run)?;
        let mut out = stdout()?;
        profile::export(rows, &mut out.held).map_err(Failure::run)?;
        out.finish()?;
        Ok(())
    }
}

/// Take over behaviour profiles of other sensors.
#[derive(Debug, Args)]
pub(in crate::cli) struct Seed {
    /// The database that takes them; it is made if there is none. No sensor may be writing to it
    #[arg(long, value_name = "FILE")]
    db: PathBuf,

    /// Databases of other sensors, or files that export-profiles has printed; - is standard input
    #[arg(required = true, value_name = "FROM")]
    from: Vec<PathBuf>,
}

impl Seed {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        // All of them first: a file that cannot be read leaves the database as it is.
        let mut rows = Vec::new();
        for path in &self.from {
            rows.append(&mut read(path)?);
        }
        let found = rows.len();
        let changed = import_profiles(&self.db, rows).map_err(Failure::run)?;
        say_migrated(&self.db, &changed);
        eprintln!("{}: {} of {found} pairs were new or changed", self.db.display(), changed.rows);
        Ok(())
    }
}

/// The pairs of a database, or of a file of JSON lines.
fn read(path: &Path) -> Result<Vec<Row>, Failure> {
    let failed = |error| Failure::run(anyhow!("{error:#}").context(format!("cannot read {}", path.display())));
    if path == Path::new("-") {
        return profile::import(BufReader::new(std::io::stdin())).map_err(failed);
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut begin = Vec::new();
    Read::by_ref(&mut file).take(SQLITE.len() as u64).read_to_end(&mut begin).map_err(failed)?;
    if begin == SQLITE {
        return DatabaseReader::open(path, None).and_then(|reader| reader.profiles()).map_err(Failure::run);
    }
    let rest = std::io::Cursor::new(begin).chain(file);
    profile::import(BufReader::new(rest)).map_err(failed)
}
