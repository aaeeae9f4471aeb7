//! Deletion of first-seen values.

use std::path::Path;

use rusqlite::params_from_iter;

use super::first_seen_filter::FirstSeenFilter;
use super::version::Changed;
use super::{StorageError, lock, schema};

/// Page cache, KiB: few pages change.
const CACHE: u32 = 8 << 10;

/// Deletes first-seen values. Returns their number. A running sensor has them in memory and would write them again, so no
/// sensor may be writing.
///
/// # Errors
/// If the file cannot be used, or another process writes to it.
pub(crate) fn delete_first_seen(path: &Path, filter: &FirstSeenFilter) -> Result<Changed, StorageError> {
    if let Err(source) = std::fs::metadata(path) {
        return Err(StorageError::Open { path: path.to_owned(), source });
    }
    let (_lock, database, migrated) = lock::open(path, CACHE)?;
    let condition = filter.condition();
    let delete = format!(
        "DELETE FROM first_seen WHERE (value, host) IN (
            SELECT s.value, s.host FROM first_seen s JOIN fingerprint_value v ON v.id = s.value WHERE {})",
        condition.text
    );
    let deleted = database.execute(&delete, params_from_iter(condition.values));
    let rows = deleted.map_err(|source| schema::explain(path, source))? as u64;
    Ok(Changed { rows, migrated })
}
