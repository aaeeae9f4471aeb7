//! Taking back what was learnt as seen.

use std::path::Path;

use ipnet::IpNet;
use rusqlite::params_from_iter;

use super::reader::Sql;
use super::schema::Changed;
use super::{StorageError, columns, lock, reader, schema};
use crate::model::Method;

/// Memory for pages, KiB: this changes few of them.
const CACHE: u32 = 8 << 10;

/// What is looked at, or forgotten. `None` leaves a thing open.
#[derive(Clone, Debug, Default)]
pub struct Forget {
    /// A value, of this text or with `*` for anything.
    pub value: Option<String>,
    /// Values of this method.
    pub method: Option<Method>,
    /// What hosts of this network have shown; what is known network-wide stays out of it.
    pub host: Option<IpNet>,
}

impl Forget {
    /// The condition on first-seen `s` and its value `v`.
    pub(super) fn condition(&self) -> Sql {
        let mut sql = Sql::default();
        sql.add("TRUE", []);
        if let Some(method) = self.method {
            sql.add(" AND v.method = ?", [columns::method_number(method).into()]);
        }
        if let Some(wanted) = &self.value {
            sql.add(" AND ", []);
            reader::like("v.value", wanted, &mut sql);
        }
        if let Some(network) = self.host {
            let (first, last) = columns::bounds(network);
            let (first, last) = (first.as_slice().to_vec(), last.as_slice().to_vec());
            sql.add(&format!(" AND length(s.host) = {} AND s.host BETWEEN ? AND ?", first.len()), []);
            sql.values.extend([first.into(), last.into()]);
        }
        sql
    }
}

/// Forgets, and says how much. A sensor that runs keeps what it knows in memory and would write it again:
/// so none may be writing.
///
/// # Errors
/// If the file cannot be used, or another process writes to it.
pub fn forget(path: &Path, which: &Forget) -> Result<Changed, StorageError> {
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
