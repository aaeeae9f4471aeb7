//! New rows of a database that a sensor writes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params_from_iter};

use super::alerts;
use super::filter::HistoryFilter;
use super::stored::{CONNECTION, FINGERPRINT, StoredAlert, StoredConnection, StoredFingerprint, connection_columns};
use super::{DatabaseReader, QueryOutcome};
use crate::output::storage::StorageError;
use crate::output::storage::columns::{CLASS_OPEN, MAX_FINGERPRINTS};
use crate::output::storage::sql::Sql;

/// What a follower has visited.
#[derive(Clone, Debug, Default)]
pub struct FollowPosition {
    /// Highest id of a connection and of an alert.
    connection: i64,
    alert: i64,
    /// Connections that were open at the last call, each with the id that its next fingerprint may have.
    open: BTreeMap<i64, i64>,
    /// Changes with every commit of another process.
    version: i64,
}

/// A connection that is new, or that was open at the last call.
struct ChangedConnection {
    id: i64,
    is_new: bool,
    is_open: bool,
    /// Lowest id of a fingerprint that was not visited.
    next: i64,
}

impl DatabaseReader {
    /// Returns the position after all rows that are stored.
    ///
    /// # Errors
    /// If the file is damaged, or the time limit is exceeded.
    pub fn follow(&self) -> Result<FollowPosition, StorageError> {
        self.limited(|database| {
            let mut position = FollowPosition {
                connection: highest(database, "connection")?,
                alert: highest(database, "alert")?,
                version: version(database)?,
                ..FollowPosition::default()
            };
            let mut open = database.prepare("SELECT id FROM connection WHERE duration_class = ?")?;
            let open: Vec<i64> = open.query_map([CLASS_OPEN], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for id in open {
                let next = next_fingerprint(database, id, id * MAX_FINGERPRINTS)?;
                position.open.insert(id, next);
            }
            Ok(position)
        })
    }

    /// Visits connections that match a filter: each when it is first stored, and again when it has ended.
    ///
    /// # Errors
    /// If the file is damaged, or the time limit is exceeded.
    pub fn new_connections(
        &self,
        filter: &HistoryFilter,
        position: &mut FollowPosition,
        mut each: impl FnMut(StoredConnection) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        self.new_rows(position, |database, position| {
            let sql = connection(filter);
            let mut select = database.prepare(&sql.text)?;
            visit_changed(database, position, |changed| {
                if !changed.is_new && changed.is_open {
                    return Ok(0);
                }
                let values = with_ids(&sql, [changed.id]);
                visit(&mut select, &values, |row| Ok(Some(each(StoredConnection::read(row)?))))
            })
        })
    }

    /// Visits new fingerprints that match a filter.
    ///
    /// # Errors
    /// If the file is damaged, or the time limit is exceeded.
    pub fn new_fingerprints(
        &self,
        filter: &HistoryFilter,
        position: &mut FollowPosition,
        mut each: impl FnMut(&StoredConnection, StoredFingerprint) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        self.new_rows(position, |database, position| {
            let sql = fingerprint(filter);
            let mut select = database.prepare(&sql.text)?;
            visit_changed(database, position, |changed| {
                let values = with_ids(&sql, [changed.id, changed.next, (changed.id + 1) * MAX_FINGERPRINTS]);
                visit(&mut select, &values, |row| {
                    let found = StoredFingerprint::read(row, connection_columns())?;
                    let connection = StoredConnection::read(row)?;
                    Ok(found.map(|fingerprint| each(&connection, fingerprint)))
                })
            })
        })
    }

    /// Visits new alerts that match a filter.
    ///
    /// # Errors
    /// If the file is damaged, or the time limit is exceeded.
    pub fn new_alerts(
        &self,
        filter: &HistoryFilter,
        position: &mut FollowPosition,
        mut each: impl FnMut(StoredAlert) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        self.new_rows(position, |database, position| {
            let sql = alerts::select_after(filter, position.alert);
            position.alert = highest(database, "alert")?.max(position.alert);
            let mut select = database.prepare(&sql.text)?;
            visit(&mut select, &sql.values, |row| Ok(Some(each(alerts::read(row)?))))
        })
    }

    /// Runs `work` if another process has committed since the last call. It returns the number of rows.
    fn new_rows(
        &self,
        position: &mut FollowPosition,
        work: impl FnOnce(&Connection, &mut FollowPosition) -> rusqlite::Result<u64>,
    ) -> Result<QueryOutcome, StorageError> {
        self.limited(|database| {
            let version = version(database)?;
            if version == position.version {
                return Ok(QueryOutcome::default());
            }
            position.version = version;
            Ok(QueryOutcome { rows: work(database, position)?, more: false })
        })
    }
}

/// `PRAGMA data_version`.
fn version(database: &Connection) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// The highest id of a table.
fn highest(database: &Connection, table: &str) -> rusqlite::Result<i64> {
    database.query_row(&format!("SELECT coalesce(max(id), 0) FROM {table}"), [], |row| row.get(0))
}

/// The id after the last fingerprint of a connection, at least `least`.
fn next_fingerprint(database: &Connection, connection: i64, least: i64) -> rusqlite::Result<i64> {
    let mut select = database.prepare_cached("SELECT max(id) FROM fingerprint WHERE id >= ? AND id < ?")?;
    let last: Option<i64> =
        select.query_row([least, (connection + 1) * MAX_FINGERPRINTS], |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.map_or(least, |last| last + 1))
}

/// Visits new connections and those that were open, and moves the position behind them. `each` returns the number of
/// rows.
fn visit_changed(
    database: &Connection,
    position: &mut FollowPosition,
    mut each: impl FnMut(&ChangedConnection) -> rusqlite::Result<u64>,
) -> rusqlite::Result<u64> {
    let mut class = database.prepare("SELECT duration_class FROM connection WHERE id = ?")?;
    let mut changed = Vec::new();
    for (id, next) in &position.open {
        // A row may have been deleted meanwhile.
        if let Some(class) = class.query_row([id], |row| row.get::<_, i64>(0)).optional()? {
            changed.push(ChangedConnection { id: *id, is_new: false, is_open: class == CLASS_OPEN, next: *next });
        }
    }
    let mut added = database.prepare("SELECT id, duration_class FROM connection WHERE id > ? ORDER BY id")?;
    let mut rows = added.query([position.connection])?;
    while let Some(row) = rows.next()? {
        let (id, class): (i64, i64) = (row.get(0)?, row.get(1)?);
        changed.push(ChangedConnection { id, is_new: true, is_open: class == CLASS_OPEN, next: id * MAX_FINGERPRINTS });
    }
    position.open.clear();
    let mut visited = 0;
    for connection in &changed {
        visited += each(connection)?;
        position.connection = position.connection.max(connection.id);
        if connection.is_open {
            position.open.insert(connection.id, next_fingerprint(database, connection.id, connection.next)?);
        }
    }
    Ok(visited)
}

/// Visits the rows of a statement. Returns their number.
fn visit(
    select: &mut Statement<'_>,
    values: &[rusqlite::types::Value],
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<ControlFlow<()>>>,
) -> rusqlite::Result<u64> {
    let rows = select.query(params_from_iter(values))?;
    let mut outcome = QueryOutcome::default();
    let _flow = outcome.visit(rows, None, each)?;
    Ok(outcome.rows)
}

/// Returns the values of a statement, after these ids.
fn with_ids<const N: usize>(sql: &Sql, ids: [i64; N]) -> Vec<rusqlite::types::Value> {
    ids.into_iter().map(Into::into).chain(sql.values.iter().cloned()).collect()
}

/// Selects a connection by its id, if it matches. The id is the first value.
fn connection(filter: &HistoryFilter) -> Sql {
    let mut sql = Sql::default();
    sql.add(&format!("SELECT {} FROM connection c WHERE c.id = ? AND ", *CONNECTION), []);
    filter.overlap(&mut sql);
    if filter.method.is_some() || filter.value.is_some() {
        filter.has_fingerprint(&mut sql);
    }
    sql
}

/// Selects fingerprints of a connection that match. The first values are its id, and the range of theirs.
fn fingerprint(filter: &HistoryFilter) -> Sql {
    let mut sql = Sql::default();
    let (since, until) = filter.window();
    sql.add(
        &format!(
            "SELECT {}, {FINGERPRINT} FROM connection c CROSS JOIN fingerprint f
             CROSS JOIN fingerprint_value v ON v.id = f.value
             WHERE c.id = ? AND f.id >= ? AND f.id < ? AND f.time >= ? AND f.time < ? AND ",
            *CONNECTION
        ),
        [since.into(), until.into()],
    );
    filter.value_conditions(&mut sql);
    sql.add(" AND ", []);
    // The time is that of the fingerprint.
    HistoryFilter { since: None, until: None, ..filter.clone() }.overlap(&mut sql);
    sql.add(" ORDER BY f.id", []);
    sql
}
