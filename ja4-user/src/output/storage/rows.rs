//! Write operations to rows: the content of one transaction.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, params};

use super::columns::{self, CLASS_OPEN, MAX_FINGERPRINTS, Octets, integer, json_list};
use super::connection_row::{self, ConnectionRow};
use super::fingerprint_rows::FingerprintRows;
use super::open_connection_rows::{OpenConnectionRow, OpenConnectionRows};
use super::trim;
use super::value_ids::{ValueIds, ValueTable};
use super::write_op::{FirstSeenRow, OWN, RunEnd, SeenAt, WriteOp};
use crate::detect::profile::ProfileRow;
use crate::model::{Alert, ConnectionRecord, FingerprintRecord, FlowIdentity, Severity, Time};

/// Rows that a transaction has written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowsWritten {
    pub(super) connections: u64,
    pub(super) fingerprints: u64,
    pub(super) alerts: u64,
    pub(super) knowledge: u64,
}

/// Writes rows.
pub(super) struct RowWriter {
    run: i64,
    connections: OpenConnectionRows,
    values: ValueIds,
    /// Connections that this batch opens; `None`: the batch also ends or updates it.
    new_connections: Vec<Option<NewConnection>>,
    /// Fingerprints of this batch.
    fingerprints: FingerprintRows,
    /// The newest time written.
    newest: Time,
    /// Whether the sensor started without the saved state of the database.
    late: bool,
    json: Vec<u8>,
}

/// The first row of a connection, written at its first fingerprint.
struct NewConnection {
    id: i64,
    flow: FlowIdentity,
    interface: u32,
    start: Time,
    last: Time,
}

/// Inserts the first row of a connection.
const INSERT_NEW: &str = "INSERT INTO connection (id, run, flow_id, interface, src_ip, src_port, dest_ip, dest_port, proto,
    vlan, vlan_inner, start, \"end\", duration_class, pkts_toserver, pkts_toclient, bytes_toserver, bytes_toclient, first_seen)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, 0, 0, 0, 0)";

/// Inserts or merges a profile pair.
static INSERT_PROFILE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO profile (source, pair, key, value, count, first, last)
         VALUES (iif(?1 = '{OWN}', (SELECT id FROM sensor), ?1), ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET count = max(count, excluded.count), first = min(first, excluded.first),
            last = max(last, excluded.last)"
    )
});

/// Statements of frequent rows.
struct Statements<'a> {
    new_connection: CachedStatement<'a>,
    connection: CachedStatement<'a>,
    values: ValueTable<'a>,
}

impl RowWriter {
    /// Creates the writer of a run. Connection ids start at `next_id`; `newest` is the newest time in the database. `late`: the
    /// sensor started without the saved state of the database.
    pub(super) fn new(run: i64, next_id: i64, newest: Time, late: bool) -> Self {
        Self {
            run,
            connections: OpenConnectionRows::new(next_id),
            values: ValueIds::new(),
            new_connections: Vec::new(),
            fingerprints: FingerprintRows::default(),
            newest,
            late,
            json: Vec::new(),
        }
    }

    /// Returns the newest time written.
    pub(super) fn newest(&self) -> Time {
        self.newest
    }

    /// Clears the cached ids of values.
    pub(super) fn clear_values(&mut self) {
        self.values.clear();
    }

    /// Writes operations within a transaction of the caller, which then calls `commit` or `roll_back`.
    ///
    /// # Errors
    /// If SQLite fails; the caller rolls the transaction back.
    pub(super) fn write<'a>(
        &mut self,
        database: &Connection,
        operations: impl Iterator<Item = &'a WriteOp>,
    ) -> rusqlite::Result<RowsWritten> {
        self.new_connections.clear();
        self.fingerprints.clear();
        let mut written = RowsWritten::default();
        let mut statements = Statements {
            new_connection: database.prepare_cached(INSERT_NEW)?,
            connection: database.prepare_cached(&connection_row::INSERT)?,
            values: ValueTable::of(database)?,
        };
        for operation in operations {
            match operation {
                WriteOp::Fingerprint { flow, interface, seen, at } => {
                    self.fingerprint(&mut statements, flow, *interface, (seen, *at))?;
                    written.fingerprints += 1;
                }
                WriteOp::ConnectionEnd(record) => {
                    written.fingerprints += self.connection(&mut statements, record)?;
                    written.connections += 1;
                }
                WriteOp::ConnectionUpdate(record) => {
                    written.fingerprints += self.connection(&mut statements, record)?
                }
                WriteOp::Alert(alert) => {
                    self.alert(database, alert)?;
                    written.alerts += 1;
                }
                WriteOp::FirstSeen(row) => {
                    self.first_seen(database, &mut statements.values, row)?;
                    written.knowledge += 1;
                }
                WriteOp::ExpireFirstSeen { before } => {
                    database
                        .prepare_cached("DELETE FROM first_seen WHERE last < ?1")?
                        .execute([columns::time(*before)])?;
                }
                WriteOp::TrimSavedState(bounds) => trim::trim(database, bounds)?,
                WriteOp::LearningSince(since) => {
                    database
                        .prepare_cached("UPDATE sensor SET learning_since = ?1 WHERE learning_since IS NULL OR NOT ?2")?
                        .execute(params![columns::time(*since), self.late])?;
                }
                WriteOp::Profile(row) => {
                    profile(database, row)?;
                    written.knowledge += 1;
                }
                WriteOp::RunEnd(RunEnd { ended, counters }) => {
                    let mut end = database
                        .prepare_cached("UPDATE sensor_run SET ended = ?2, counters = ?3, clean = 1 WHERE id = ?1")?;
                    end.execute(params![self.run, columns::time(*ended), counters])?;
                }
            }
        }
        for connection in self.new_connections.drain(..).flatten() {
            connection.insert(&mut statements.new_connection, self.run)?;
        }
        self.fingerprints.insert(database)?;
        Ok(written)
    }

    /// Keeps the ids of the transaction, which was committed.
    pub(super) fn commit(&mut self) {
        self.connections.commit();
    }

    /// Discards the ids of the transaction, which was rolled back.
    pub(super) fn roll_back(&mut self) {
        self.connections.roll_back();
        self.values.clear();
    }

    fn fingerprint(
        &mut self,
        statements: &mut Statements<'_>,
        flow: &FlowIdentity,
        interface: u32,
        (fingerprint, at): (&FingerprintRecord, SeenAt),
    ) -> rusqlite::Result<()> {
        // A connection with the maximum of fingerprints gets a new row.
        let has_room = |connection: &OpenConnectionRow| i64::from(connection.fingerprints) + 1 < MAX_FINGERPRINTS;
        let mut connection = match self.connections.find(flow.id).filter(has_room) {
            Some(connection) => connection,
            None => {
                let id = self.connections.next_id();
                let batch_index = self.new_connections.len() as u32; // a batch is far shorter
                let (start, last) = (at.time, at.time);
                self.new_connections.push(Some(NewConnection { id, flow: *flow, interface, start, last }));
                OpenConnectionRow { id, fingerprints: 0, batch_index }
            }
        };
        if let Some(Some(new)) = self.new_in_batch(connection) {
            new.last = new.last.max(at.time);
        }
        connection.fingerprints += 1;
        self.connections.insert(flow.id, connection);
        self.fingerprint_row(statements, connection, (fingerprint, at))
    }

    /// Returns the connection, if this batch opens it.
    fn new_in_batch(&mut self, connection: OpenConnectionRow) -> Option<&mut Option<NewConnection>> {
        let new = self.new_connections.get_mut(connection.batch_index as usize);
        new.filter(|new| new.as_ref().is_some_and(|new| new.id == connection.id))
    }

    /// Adds the row of the newest fingerprint of a connection.
    fn fingerprint_row(
        &mut self,
        statements: &mut Statements<'_>,
        connection: OpenConnectionRow,
        (fingerprint, at): (&FingerprintRecord, SeenAt),
    ) -> rusqlite::Result<()> {
        self.newest = self.newest.max(at.time);
        let value = self.values.of_fingerprint(&mut statements.values, fingerprint)?;
        self.fingerprints.add(connection.id, connection.fingerprints, value, fingerprint, at);
        Ok(())
    }

    /// Writes a connection, and its fingerprints if none were written before. Returns the number of fingerprints.
    fn connection(&mut self, statements: &mut Statements<'_>, record: &ConnectionRecord) -> rusqlite::Result<u64> {
        let mut fingerprints = 0;
        let connection = match self.connections.remove(record.identity.id) {
            Some(connection) => {
                if let Some(new) = self.new_in_batch(connection) {
                    *new = None;
                }
                connection
            }
            None => {
                let id = self.connections.next_id();
                let mut connection = OpenConnectionRow { id, fingerprints: 0, batch_index: u32::MAX };
                for fingerprint in &record.history {
                    connection.fingerprints += 1;
                    let time = fingerprint.time(record.start);
                    let at = SeenAt { time, packet: None, count: fingerprint.count().into() };
                    self.fingerprint_row(statements, connection, (fingerprint, at))?;
                    fingerprints += 1;
                }
                connection
            }
        };
        if record.ended.is_none() {
            // It is open, and its row exists.
            self.connections.insert(record.identity.id, OpenConnectionRow { batch_index: u32::MAX, ..connection });
        }
        self.newest = self.newest.max(record.last);
        let primary = match record.primary() {
            Some(fingerprint) => Some(self.values.of_fingerprint(&mut statements.values, fingerprint)?),
            None => None,
        };
        let Self { json, run, .. } = self;
        ConnectionRow { id: connection.id, run: *run, record, primary }.insert(&mut statements.connection, json)?;
        Ok(fingerprints)
    }

    fn alert(&mut self, database: &Connection, alert: &Alert) -> rusqlite::Result<()> {
        self.newest = self.newest.max(alert.time);
        let mut insert = database.prepare_cached(
            "INSERT INTO alert (run, time, packet, rule, description, severity, grouped, reason, flow_id, interface,
                src_ip, src_port, dest_ip, dest_port, proto, vlan, vlan_inner, method, value, category,
                confidence, suppressed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        )?;
        let flow = alert.flow.as_ref();
        let (client, server) = (flow.map(|flow| Octets::of(flow.client.0)), flow.map(|flow| Octets::of(flow.server.0)));
        let group: Vec<[&str; 2]> = alert.group.iter().map(|(name, value)| [&**name, &**value]).collect();
        insert.execute(params![
            self.run,
            columns::time(alert.time),
            alert.packet.map(integer),
            &*alert.rule,
            &*alert.description,
            severity(alert.severity),
            json_list(&group),
            alert.reason,
            flow.map(|flow| integer(flow.id)),
            alert.interface,
            client,
            flow.map(|flow| flow.client.1),
            server,
            flow.map(|flow| flow.server.1),
            flow.map(|flow| flow.proto),
            flow.and_then(|flow| flow.vlan.iter().next()),
            flow.and_then(|flow| flow.vlan.iter().nth(1)),
            alert.fingerprint.as_ref().map(|(method, _)| method.id()),
            alert.fingerprint.as_ref().map(|(_, value)| &**value),
            alert.category.as_deref(),
            alert.confidence,
            integer(alert.suppressed),
        ])?;
        Ok(())
    }

    fn first_seen(
        &mut self,
        database: &Connection,
        values: &mut ValueTable<'_>,
        row: &FirstSeenRow,
    ) -> rusqlite::Result<()> {
        let FirstSeenRow { fact, approved } = row;
        let value = self.values.of(values, fact.method, &fact.value)?;
        let host = fact.host.map(Octets::of);
        let mut insert = database.prepare_cached(
            "INSERT INTO first_seen (value, host, first, last, count, approved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
                count = max(count, excluded.count), approved = max(approved, excluded.approved)",
        )?;
        insert.execute(params![
            value,
            host.as_ref().map_or(&[][..], Octets::as_slice),
            columns::time(fact.first),
            columns::time(fact.last),
            integer(fact.count),
            approved,
        ])?;
        Ok(())
    }
}

fn profile(database: &Connection, row: &ProfileRow) -> rusqlite::Result<()> {
    database.prepare_cached(&INSERT_PROFILE)?.execute(columns::profile(row))?;
    Ok(())
}

impl NewConnection {
    fn insert(&self, statement: &mut CachedStatement<'_>, run: i64) -> rusqlite::Result<()> {
        let FlowIdentity { id, client, server, proto, vlan, .. } = self.flow;
        statement.execute(params![
            self.id,
            run,
            integer(id),
            self.interface,
            Octets::of(client.0),
            client.1,
            Octets::of(server.0),
            server.1,
            proto,
            vlan.iter().next(),
            vlan.iter().nth(1),
            columns::time(self.start),
            columns::time(self.last),
            CLASS_OPEN,
        ])?;
        Ok(())
    }
}

/// Returns the number of a severity in the tables, the lowest first.
pub(super) const fn severity(severity: Severity) -> i64 {
    match severity {
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}
