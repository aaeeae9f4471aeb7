//! Write operations to rows: the content of one transaction.

use rusqlite::{CachedStatement, Connection, params};

use super::columns::{self, EACH, Octets, SPAN_OPEN, integer, json_list, tag};
use super::connection_row::{self, ConnectionRow};
use super::fingerprint_rows::FingerprintRows;
use super::live::{Connections, Live};
use super::trim;
use super::value_ids::{ValueIds, ValueTable};
use super::write_op::{FirstSeenRow, OWN, RunEnd, WriteOp};
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
    connections: Connections,
    values: ValueIds,
    /// Connections that this batch opens and does not end.
    open: Vec<Option<Open>>,
    /// Fingerprints of this batch.
    events: FingerprintRows,
    /// The newest time written.
    newest: Time,
    /// Whether the sensor started without the saved state of the database.
    late: bool,
    json: Vec<u8>,
}

/// A new connection.
struct Open {
    id: i64,
    flow: FlowIdentity,
    interface: u32,
    start: Time,
    last: Time,
}

const OPEN: &str = "INSERT INTO connection (id, run, flow_id, interface, src_ip, src_port, dest_ip, dest_port, proto,
    vlan, vlan_inner, start, \"end\", duration_class, pkts_toserver, pkts_toclient, bytes_toserver, bytes_toclient, first_seen)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, 0, 0, 0, 0)";

/// Statements of frequent rows.
struct Statements<'a> {
    open: CachedStatement<'a>,
    connection: CachedStatement<'a>,
    values: ValueTable<'a>,
}

impl RowWriter {
    /// Creates the writer of a run. Connection ids start at `next`; `newest` is the newest time in the database. `late`: the
    /// sensor started without the saved state of the database.
    pub(super) fn new(run: i64, next: i64, newest: Time, late: bool) -> Self {
        Self {
            run,
            connections: Connections::from(next),
            values: ValueIds::new(),
            open: Vec::new(),
            events: FingerprintRows::default(),
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

    /// Writes operations within a transaction of the caller, which then calls `committed` or `rolled_back`.
    ///
    /// # Errors
    /// If SQLite fails; the caller rolls the transaction back.
    pub(super) fn write<'a>(
        &mut self,
        database: &Connection,
        items: impl Iterator<Item = &'a WriteOp>,
    ) -> rusqlite::Result<RowsWritten> {
        self.open.clear();
        self.events.clear();
        let mut written = RowsWritten::default();
        let mut statements = Statements {
            open: database.prepare_cached(OPEN)?,
            connection: database.prepare_cached(&connection_row::INSERT)?,
            values: ValueTable::of(database)?,
        };
        for item in items {
            match item {
                WriteOp::Fingerprint { flow, interface, seen } => {
                    self.fingerprint(&mut statements, flow, *interface, seen)?;
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
                WriteOp::FirstSeen(seen) => {
                    self.first_seen(database, &mut statements.values, seen)?;
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
                WriteOp::Profile(pair) => {
                    profile(database, pair)?;
                    written.knowledge += 1;
                }
                WriteOp::RunEnd(RunEnd { ended, counters }) => {
                    let mut end = database
                        .prepare_cached("UPDATE sensor_run SET ended = ?2, counters = ?3, clean = 1 WHERE id = ?1")?;
                    end.execute(params![self.run, columns::time(*ended), counters])?;
                }
            }
        }
        for open in self.open.drain(..).flatten() {
            open.insert(&mut statements.open, self.run)?;
        }
        self.events.insert(database)?;
        Ok(written)
    }

    /// The transaction was committed.
    pub(super) fn committed(&mut self) {
        self.connections.committed();
    }

    /// The transaction was rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.connections.rolled_back();
        self.values.clear();
    }

    fn fingerprint(
        &mut self,
        statements: &mut Statements<'_>,
        flow: &FlowIdentity,
        interface: u32,
        seen: &FingerprintRecord,
    ) -> rusqlite::Result<()> {
        // A connection with the maximum of fingerprints gets a new row.
        let known = self.connections.find(flow.id).filter(|live| i64::from(live.fingerprints) + 1 < EACH);
        let mut live = match known {
            Some(live) => live,
            None => {
                let id = self.connections.number();
                let place = self.open.len() as u32; // a batch is far shorter
                self.open.push(Some(Open { id, flow: *flow, interface, start: seen.time, last: seen.time }));
                Live { id, fingerprints: 0, place }
            }
        };
        if let Some(Some(open)) = self.asked_for(live) {
            open.last = open.last.max(seen.time);
        }
        live.fingerprints += 1;
        self.connections.keep(flow.id, live);
        self.event(statements, live, seen)
    }

    /// Returns the connection, if this batch opens it.
    fn asked_for(&mut self, live: Live) -> Option<&mut Option<Open>> {
        let open = self.open.get_mut(live.place as usize);
        open.filter(|open| open.as_ref().is_some_and(|open| open.id == live.id))
    }

    /// Adds the row of the newest fingerprint of a connection.
    fn event(&mut self, statements: &mut Statements<'_>, live: Live, seen: &FingerprintRecord) -> rusqlite::Result<()> {
        self.newest = self.newest.max(seen.time);
        let value = self.values.of_seen(&mut statements.values, seen)?;
        self.events.add(live.id, live.fingerprints, value, seen);
        Ok(())
    }

    /// Writes a connection, and its fingerprints if none were written before. Returns the number of fingerprints.
    fn connection(&mut self, statements: &mut Statements<'_>, record: &ConnectionRecord) -> rusqlite::Result<u64> {
        let mut fingerprints = 0;
        let live = match self.connections.take(record.identity.id) {
            Some(live) => {
                if let Some(open) = self.asked_for(live) {
                    *open = None;
                }
                live
            }
            None => {
                let id = self.connections.number();
                let mut live = Live { id, fingerprints: 0, place: u32::MAX };
                for seen in &record.history {
                    live.fingerprints += 1;
                    self.event(statements, live, seen)?;
                    fingerprints += 1;
                }
                live
            }
        };
        if record.ended.is_none() {
            // It is open, and its row exists.
            self.connections.keep(record.identity.id, Live { place: u32::MAX, ..live });
        }
        self.newest = self.newest.max(record.last);
        let primary = match record.primary() {
            Some(seen) => Some(self.values.of_seen(&mut statements.values, seen)?),
            None => None,
        };
        let Self { json, run, .. } = self;
        ConnectionRow { id: live.id, run: *run, record, primary }.insert(&mut statements.connection, json)?;
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
            flow.and_then(|flow| tag(flow.vlan[0])),
            flow.and_then(|flow| tag(flow.vlan[1])),
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
        seen: &FirstSeenRow,
    ) -> rusqlite::Result<()> {
        let value = self.values.of(values, seen.method, &seen.value)?;
        let host = seen.host.map(Octets::of);
        let mut insert = database.prepare_cached(
            "INSERT INTO first_seen (value, host, first, last, count, approved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
                count = max(count, excluded.count), approved = max(approved, excluded.approved)",
        )?;
        insert.execute(params![
            value,
            host.as_ref().map_or(&[][..], Octets::as_slice),
            columns::time(seen.first),
            columns::time(seen.last),
            integer(seen.count),
            seen.approved,
        ])?;
        Ok(())
    }
}

fn profile(database: &Connection, row: &ProfileRow) -> rusqlite::Result<()> {
    let mut insert = database.prepare_cached(
        "INSERT INTO profile (source, pair, key, value, count, first, last)
         VALUES (iif(?1 = ?8, (SELECT id FROM sensor), ?1), ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET count = max(count, excluded.count), first = min(first, excluded.first),
            last = max(last, excluded.last)",
    )?;
    insert.execute(params![
        &*row.source,
        row.pair.name(),
        &*row.key,
        &*row.value,
        integer(row.count),
        columns::time(row.first),
        columns::time(row.last),
        OWN,
    ])?;
    Ok(())
}

impl Open {
    fn insert(&self, statement: &mut CachedStatement<'_>, run: i64) -> rusqlite::Result<()> {
        let FlowIdentity { id, client, server, proto, vlan: [outer, inner], .. } = self.flow;
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
            tag(outer),
            tag(inner),
            columns::time(self.start),
            columns::time(self.last),
            SPAN_OPEN,
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
