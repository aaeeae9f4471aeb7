//! Taking over what another sensor has learnt of pairs.

use std::path::Path;

use rusqlite::{TransactionBehavior, params};

use super::columns::integer;
use super::version::Changed;
use super::{StorageError, columns, lock, schema};
use crate::detect::profile::Row;

/// Memory for pages, KiB.
const CACHE: u32 = 64 << 10;

/// Merges rows into a database: of a row of the same source and pair the larger count stays, the earlier first
/// and the later last time. So the same rows may come any number of times. How many rows were new or changed.
///
/// A sensor that runs would not know of it, and write over it: so none may be writing.
///
/// # Errors
/// If the file cannot be used, or another process writes to it. Then nothing has changed.
pub fn import_profiles(path: &Path, rows: impl IntoIterator<Item = Row>) -> Result<Changed, StorageError> {
    schema::create(path)?;
    let (_lock, mut database, migrated) = lock::open(path, CACHE)?;
    let merge = || {
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut changed = 0;
        let mut insert = change.prepare(
            "INSERT INTO profile (source, pair, anchor, companion, count, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET count = max(count, excluded.count), first = min(first, excluded.first),
                last = max(last, excluded.last)
             WHERE excluded.count > count OR excluded.first < first OR excluded.last > last",
        )?;
        for row in rows {
            changed += insert.execute(params![
                &*row.source,
                row.pair.name(),
                &*row.anchor,
                &*row.companion,
                integer(row.count),
                columns::time(row.first),
                columns::time(row.last),
            ])? as u64;
        }
        drop(insert);
        change.commit()?;
        Ok(changed)
    };
    let rows = merge().map_err(|source| schema::explain(path, source))?;
    Ok(Changed { rows, migrated })
}
