//! Rows of the `fingerprint` table. Most rows are of this table, so a statement inserts several.

use rusqlite::{CachedStatement, Connection};

use super::columns::{self, MAX_FINGERPRINTS, integer};
use super::write_op::SeenAt;
use crate::model::FingerprintRecord;

/// Rows of one statement, which share its fixed cost.
const ROWS_PER_STATEMENT: usize = 16;

/// Columns of a row.
const COLUMNS: usize = 7;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct FingerprintRow {
    id: i64,
    value: i64,
    time: i64,
    packet: Option<i64>,
    side: i64,
    count: u32,
    first_seen: bool,
}

/// Rows of a transaction, inserted at its end in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct FingerprintRows {
    rows: Vec<FingerprintRow>,
}

impl FingerprintRows {
    /// Drops the rows of a failed transaction.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Adds the row of fingerprint `n` of a connection. `n` is below [`MAX_FINGERPRINTS`].
    pub(super) fn add(&mut self, connection: i64, n: u32, value: i64, seen: &FingerprintRecord, at: SeenAt) {
        self.rows.push(FingerprintRow {
            id: connection * MAX_FINGERPRINTS + i64::from(n),
            value,
            time: columns::time(at.time),
            packet: at.packet.map(integer),
            side: columns::side(seen.side()),
            count: at.count,
            first_seen: seen.is_first_seen(),
        });
    }

    /// Inserts all rows.
    pub(super) fn insert(&mut self, database: &Connection) -> rusqlite::Result<()> {
        self.rows.sort_unstable_by_key(|row| row.id);
        let (chunks, rest) = self.rows.as_chunks::<ROWS_PER_STATEMENT>();
        if !chunks.is_empty() {
            let mut many = database.prepare_cached(&statement(ROWS_PER_STATEMENT))?;
            for chunk in chunks {
                execute(&mut many, chunk)?;
            }
        }
        if !rest.is_empty() {
            let mut one = database.prepare_cached(&statement(1))?;
            for row in rest {
                execute(&mut one, std::slice::from_ref(row))?;
            }
        }
        self.rows.clear();
        Ok(())
    }
}

fn statement(rows: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(","));
    let columns = "id, value, time, packet, side, count, first_seen";
    // The transaction is rolled back if a row fails, so the statement needs no journal of its own (OR FAIL). A table with
    // a rowid would have one regardless.
    format!("INSERT OR FAIL INTO fingerprint ({columns}) VALUES {}", vec![row; rows].join(","))
}

fn execute(statement: &mut CachedStatement<'_>, rows: &[FingerprintRow]) -> rusqlite::Result<()> {
    for (place, row) in rows.iter().enumerate() {
        let first = place * COLUMNS;
        let numbers = [row.id, row.value, row.time];
        for (column, number) in numbers.into_iter().enumerate() {
            statement.raw_bind_parameter(first + column + 1, number)?;
        }
        statement.raw_bind_parameter(first + 4, row.packet)?;
        statement.raw_bind_parameter(first + 5, row.side)?;
        statement.raw_bind_parameter(first + 6, row.count)?;
        statement.raw_bind_parameter(first + 7, row.first_seen)?;
    }
    statement.raw_execute()?;
    Ok(())
}
