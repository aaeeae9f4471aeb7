//! Taking back what was learnt as seen.

use std::path::Path;

use rusqlite::params_from_iter;

use super::first_seen_filter::FirstSeenFilter;
use super::version::Changed;
use super::{StorageError, lock, schema};

/// Memory for pages, KiB: this changes few of them.
const CACHE: u32 = 8 << 10;

/// Forgets, and says how much. A sensor that runs keeps what it knows in memory and would write it again:
/// so none may be writing.
///
/// # Errors
/// If the file cannot be used, or another process writes to it.
pub fn delete_first_seen(path: &Path, which: &FirstSeenFilter) -> Result<Changed, StorageError> {
    if let Err(source) = std::fs::metadata(path) {
        return Err(StorageError::Open { path: path.to_owned(), source });
    }
    let (_lock, database, migrated) = lock::open(path, CACHE)?;
    let condition = which.condition();
    let delete = format!(
        "DELETE FROM first_seen WHERE (value, host) IN (
            SELECT s.value, s.host FROM first_seen s JOIN fingerprint_value v ON v.id = s.value WHERE {})",
        condition.text
    );
    let forgotten = database.execute(&delete, params_from_iter(condition.values));
    let rows = forgotten.map_err(|source| schema::explain(path, source))? as u64;
    Ok(Changed { rows, migrated })
}
