//! Connections.

use std::ops::ControlFlow;

use rusqlite::{Connection, params_from_iter};

use super::filter::HistoryFilter;
use super::stored::{CONNECTION, ColumnReader, StoredConnection};
use super::{DatabaseReader, QueryOutcome};
use crate::model::Method;
use crate::output::storage::StorageError;
use crate::output::storage::columns::MAX_FINGERPRINTS;
use crate::output::storage::sql::Sql;

impl DatabaseReader {
    /// Visits the connections that match a filter, with the values of their fingerprints, ordered by their end.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn connections(
        &self,
        filter: &HistoryFilter,
        mut each: impl FnMut(StoredConnection) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        self.limited(|database| {
            let mut values = database.prepare(
                "SELECT v.method, v.value FROM fingerprint f CROSS JOIN fingerprint_value v ON v.id = f.value
                 WHERE f.id >= ?1 AND f.id < ?2 ORDER BY f.id",
            )?;
            let mut fingerprints: Vec<(Method, String)> = Vec::new();
            walk(database, filter, &CONNECTION, |row| {
                let mut connection = StoredConnection::read(row)?;
                let mut rows =
                    values.query([connection.id * MAX_FINGERPRINTS, (connection.id + 1) * MAX_FINGERPRINTS])?;
                fingerprints.clear();
                while let Some(row) = rows.next()? {
                    let mut columns = ColumnReader::from(row, 0);
                    fingerprints.extend(columns.method()?.zip(columns.text()?));
                }
                connection.add_fingerprints(fingerprints.iter().map(|(method, value)| (*method, &**value)));
                Ok(each(connection))
            })
        })
    }
}

/// Visits connections `c`, ordered by their end, up to the limit of the filter.
pub(super) fn walk(
    database: &Connection,
    filter: &HistoryFilter,
    columns: &str,
    mut each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<QueryOutcome> {
    let sql = select(filter, columns);
    let mut select = database.prepare(&sql.text)?;
    let rows = select.query(params_from_iter(sql.values))?;
    let mut outcome = QueryOutcome::default();
    let _flow = outcome.visit(rows, filter.limit, |row| Ok(Some(each(row)?)))?;
    Ok(outcome)
}

/// Builds the statement. A filter with a value uses the index of values, which selects few connections. Other filters use
/// the index by time: the duration classes, each in the order of the index, are merged.
fn select(filter: &HistoryFilter, columns: &str) -> Sql {
    let mut sql = Sql::default();
    if filter.value.is_some() {
        sql.add(
            &format!(
                "SELECT {columns}, c.\"end\" AS at FROM (SELECT DISTINCT f.id / {MAX_FINGERPRINTS} AS id
                    FROM fingerprint_value v CROSS JOIN fingerprint f ON f.value = v.id WHERE "
            ),
            [],
        );
        filter.value_conditions(&mut sql);
        sql.add(") hit CROSS JOIN connection c ON c.id = hit.id WHERE ", []);
        filter.overlap(&mut sql);
    } else {
        for class in HistoryFilter::duration_classes() {
            let union = if class == 0 { "" } else { " UNION ALL " };
            sql.add(
                &format!(
                    "{union}SELECT {columns}, c.\"end\" AS at FROM connection c INDEXED BY connection_by_end WHERE "
                ),
                [],
            );
            filter.duration_class(class, &mut sql);
            if filter.method.is_some() {
                filter.has_fingerprint(&mut sql);
            }
        }
    }
    sql.add(&format!(" ORDER BY at {} LIMIT ?", filter.order()), [filter.row_limit().into()]);
    sql
}
