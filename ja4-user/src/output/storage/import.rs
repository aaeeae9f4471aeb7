//! Import of behaviour profiles.

use std::path::Path;

use rusqlite::TransactionBehavior;

use super::version::Changed;
use super::{StorageError, columns, lock, schema};
use crate::detect::profile::ProfileRow;

/// Page cache, KiB.
const CACHE: u32 = 64 << 10;

/// Merges rows into a database. For the same source and pair, the larger count, the earlier first time and the later last
/// time are kept, so the import is idempotent. Returns the number of new or changed rows.
///
/// A running sensor would overwrite the import, so no sensor may be writing.
///
/// # Errors
/// If the file cannot be used, or another process writes to it. The database is unchanged then.
pub(crate) fn import_profiles(
    path: &Path,
    rows: impl IntoIterator<Item = ProfileRow>,
) -> Result<Changed, StorageError> {
    schema::create(path)?;
    let (_lock, mut database, migrated) = lock::open(path, CACHE)?;
    let merge = || {
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut changed = 0;
        let mut insert = change.prepare(
            "INSERT INTO profile (source, pair, key, value, count, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET count = max(count, excluded.count), first = min(first, excluded.first),
                last = max(last, excluded.last)
             WHERE excluded.count > count OR excluded.first < first OR excluded.last > last",
        )?;
        for row in rows {
            changed += insert.execute(columns::profile(&row))? as u64;
        }
        drop(insert);
        change.commit()?;
        Ok(changed)
    };
    let rows = merge().map_err(|source| schema::explain(path, source))?;
    Ok(Changed { rows, migrated })
}
