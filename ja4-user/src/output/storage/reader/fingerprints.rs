//! Fingerprints with their connections.

use std::ops::ControlFlow;

use rusqlite::{Connection, params_from_iter};

use super::connections::walk;
use super::filter::HistoryFilter;
use super::stored::{CONNECTION, FINGERPRINT, StoredConnection, StoredFingerprint, connection_columns};
use super::{DatabaseReader, QueryOutcome};
use crate::output::storage::StorageError;
use crate::output::storage::columns::MAX_FINGERPRINTS;
use crate::output::storage::sql::Sql;

impl DatabaseReader {
    /// Visits the fingerprints that match a filter: those of a value ordered by time, others by the end of their
    /// connection.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn fingerprints(
        &self,
        filter: &HistoryFilter,
        mut each: impl FnMut(&StoredConnection, StoredFingerprint) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        self.limited(|database| match &filter.value {
            Some(_) => by_value(database, filter, &mut each),
            None => by_connection(database, filter, &mut each),
        })
    }

    /// Visits connections with all of their fingerprints in order.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn timelines(
        &self,
        filter: &HistoryFilter,
        mut each: impl FnMut(StoredConnection, Vec<StoredFingerprint>) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        self.limited(|database| {
            let mut timeline = database.prepare(&format!(
                "SELECT {FINGERPRINT} FROM fingerprint f CROSS JOIN fingerprint_value v ON v.id = f.value
                 WHERE f.id >= ?1 AND f.id < ?2 ORDER BY f.id"
            ))?;
            walk(database, filter, &CONNECTION, |row| {
                let mut connection = StoredConnection::read(row)?;
                let mut fingerprints = Vec::new();
                let mut rows =
                    timeline.query([connection.id * MAX_FINGERPRINTS, (connection.id + 1) * MAX_FINGERPRINTS])?;
                while let Some(row) = rows.next()? {
                    fingerprints.extend(StoredFingerprint::read(row, 0)?);
                }
                connection.add_fingerprints(fingerprints.iter().map(|seen| (seen.method, &*seen.value)));
                Ok(each(connection, fingerprints))
            })
        })
    }
}

type FingerprintVisitor<'a> = &'a mut dyn FnMut(&StoredConnection, StoredFingerprint) -> ControlFlow<()>;

fn by_value(
    database: &Connection,
    filter: &HistoryFilter,
    each: FingerprintVisitor<'_>,
) -> rusqlite::Result<QueryOutcome> {
    let mut sql = Sql::default();
    let (since, until) = filter.window();
    sql.add(
        &format!(
            "SELECT {}, {FINGERPRINT} FROM fingerprint_value v
             CROSS JOIN fingerprint f ON f.value = v.id CROSS JOIN connection c ON c.id = f.id / {MAX_FINGERPRINTS}
             WHERE f.time >= ? AND f.time < ? AND ",
            *CONNECTION
        ),
        [since.into(), until.into()],
    );
    filter.value_conditions(&mut sql);
    sql.add(" AND ", []);
    // The time is that of the fingerprint.
    HistoryFilter { since: None, until: None, ..filter.clone() }.overlap(&mut sql);
    sql.add(&format!(" ORDER BY f.time {} LIMIT ?", filter.order()), [filter.row_limit().into()]);
    let mut select = database.prepare(&sql.text)?;
    let rows = select.query(params_from_iter(sql.values))?;
    let mut outcome = QueryOutcome::default();
    let _flow = outcome.visit(rows, filter.limit, |row| {
        let Some(fingerprint) = StoredFingerprint::read(row, connection_columns())? else {
            return Ok(None);
        };
        Ok(Some(each(&StoredConnection::read(row)?, fingerprint)))
    })?;
    Ok(outcome)
}

fn by_connection(
    database: &Connection,
    filter: &HistoryFilter,
    each: FingerprintVisitor<'_>,
) -> rusqlite::Result<QueryOutcome> {
    let mut sql = Sql::default();
    let (since, until) = filter.window();
    sql.add(
        &format!(
            "SELECT {FINGERPRINT} FROM fingerprint f CROSS JOIN fingerprint_value v ON v.id = f.value
             WHERE f.id >= ? AND f.id < ? AND f.time >= ? AND f.time < ? AND "
        ),
        [0.into(), 0.into(), since.into(), until.into()],
    );
    filter.value_conditions(&mut sql);
    sql.add(&format!(" ORDER BY f.id {}", filter.order()), []);
    let mut select = database.prepare(&sql.text)?;
    let mut values = sql.values;
    let mut outcome = QueryOutcome::default();
    let connections = HistoryFilter { limit: None, ..filter.clone() };
    walk(database, &connections, &CONNECTION, |row| {
        let connection = StoredConnection::read(row)?;
        for (bound, id) in values.iter_mut().zip([connection.id, connection.id + 1]) {
            *bound = (id * MAX_FINGERPRINTS).into();
        }
        let rows = select.query(params_from_iter(&values))?;
        outcome.visit(rows, filter.limit, |row| {
            let fingerprint = StoredFingerprint::read(row, 0)?;
            Ok(fingerprint.map(|fingerprint| each(&connection, fingerprint)))
        })
    })?;
    Ok(outcome)
}
