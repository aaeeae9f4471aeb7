//! Migrations from versions 1 and 2.
//!
//! Version 1 had columns of any type, so a row may have any content. A row that cannot be migrated is kept in `unmigrated`
//! with the reason.

use std::net::IpAddr;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value as Json};

use super::columns::{self, MAX_FINGERPRINTS, Octets};
use super::rows::severity;
use super::version::Migrated;
use crate::model::{EndReason, Method, Severity, Side, Time};

/// Latest valid time: 2100-01-01, nanoseconds since the Unix epoch. A larger number is not a time, or has another unit.
const MAX_TIME: u64 = 4_102_444_800_000_000_000;

/// Why a row was not migrated.
enum MigrationError {
    /// The content of the row is invalid.
    Row(String),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrationError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Creates the current tables, migrates all rows and drops the old tables.
pub(super) fn from_v1(database: &Connection, version_2: &str, migrated: &mut Migrated) -> rusqlite::Result<()> {
    // Both versions have this name. Flow and time determine the connection of a fingerprint.
    database.execute_batch("ALTER TABLE first_seen RENAME TO first_seen_v1")?;
    database.execute_batch(version_2)?;
    database.execute_batch(
        "CREATE TEMP TABLE migrated_connection (flow INTEGER, start INTEGER, last INTEGER, id INTEGER);
         CREATE INDEX temp.migrated_connection_by_flow ON migrated_connection (flow, start);",
    )?;
    table(database, "runs", migrated, run)?;
    table(database, "connections", migrated, connection)?;
    table(database, "fingerprints", migrated, fingerprint)?;
    table(database, "first_seen_v1", migrated, first_seen)?;
    table(database, "alerts", migrated, alert)?;
    database.execute_batch(
        "UPDATE sensor SET learning_since = (SELECT min(first) FROM first_seen);
         DROP TABLE temp.migrated_connection;
         DROP TABLE runs; DROP TABLE connections; DROP TABLE fingerprints; DROP TABLE first_seen_v1; DROP TABLE alerts;",
    )
}

/// Migrates the rows of one table.
fn table(
    database: &Connection,
    name: &str,
    migrated: &mut Migrated,
    migrate_row: fn(&Connection, &Version1Row<'_, '_>) -> Result<(), MigrationError>,
) -> rusqlite::Result<()> {
    let mut old = database.prepare(&format!("SELECT * FROM {name} ORDER BY rowid"))?;
    let names: Vec<String> = old.column_names().map(str::to_owned).collect();
    let mut rows = old.query([])?;
    while let Some(row) = rows.next()? {
        let row = Version1Row { names: &names, row };
        match migrate_row(database, &row) {
            Ok(()) => migrated.rows += 1,
            Err(MigrationError::Row(reason)) => {
                let mut insert = database.prepare_cached(
                    "INSERT INTO unmigrated (from_version, source, reason, content) VALUES (1, ?1, ?2, ?3)",
                )?;
                let source = name.trim_end_matches("_v1");
                insert.execute(params![source, reason, row.content()])?;
                migrated.set_aside += 1;
            }
            Err(MigrationError::Database(error)) => return Err(error),
        }
    }
    Ok(())
}

/// A row of unverified content.
struct Version1Row<'a, 'r> {
    names: &'a [String],
    row: &'a Row<'r>,
}

impl Version1Row<'_, '_> {
    fn value(&self, name: &str) -> Result<ValueRef<'_>, MigrationError> {
        self.row.get_ref(name).map_err(|_| MigrationError::Row(format!("{name} is missing")))
    }

    fn text(&self, name: &str) -> Result<Option<String>, MigrationError> {
        match self.value(name)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(MigrationError::Row(format!("{name} is not UTF-8"))),
            },
            _ => Err(MigrationError::Row(format!("{name} is no text"))),
        }
    }

    fn required(&self, name: &str) -> Result<String, MigrationError> {
        self.text(name)?.ok_or_else(|| MigrationError::Row(format!("{name} is missing")))
    }

    /// Returns a number of at most `max`, if it is present.
    fn optional(&self, name: &str, max: u64) -> Result<Option<i64>, MigrationError> {
        match self.value(name)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) if u64::try_from(number).is_ok_and(|number| number <= max) => Ok(Some(number)),
            ValueRef::Integer(number) => Err(MigrationError::Row(format!("{name} is out of range: {number}"))),
            _ => Err(MigrationError::Row(format!("{name} is no number"))),
        }
    }

    fn number(&self, name: &str, max: u64) -> Result<i64, MigrationError> {
        self.optional(name, max)?.ok_or_else(|| MigrationError::Row(format!("{name} is missing")))
    }

    fn time(&self, name: &str) -> Result<i64, MigrationError> {
        self.number(name, MAX_TIME)
    }

    fn method(&self) -> Result<Method, MigrationError> {
        let name = self.required("method")?;
        name.parse().map_err(|error: ja4::UnknownMethod| MigrationError::Row(error.to_string()))
    }

    fn address(&self, name: &str) -> Result<Octets, MigrationError> {
        let text = self.required(name)?;
        let parsed = text.parse::<IpAddr>();
        parsed.map(Octets::of).map_err(|_| MigrationError::Row(format!("{name} is no address")))
    }

    fn json(&self, name: &str, is_valid: fn(&Json) -> bool) -> Result<Option<String>, MigrationError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match serde_json::from_str::<Json>(&text) {
            Ok(parsed) if is_valid(&parsed) => Ok(Some(text)),
            Ok(_) => Err(MigrationError::Row(format!("{name} is JSON of another shape"))),
            Err(error) => Err(MigrationError::Row(format!("{name} is not JSON: {error}"))),
        }
    }

    /// Returns the whole row as JSON, with bytes as hex.
    fn content(&self) -> String {
        let mut object = Map::new();
        for (index, name) in self.names.iter().enumerate() {
            let value = match self.row.get::<_, Value>(index) {
                Ok(Value::Integer(number)) => number.into(),
                Ok(Value::Real(number)) => number.into(),
                Ok(Value::Text(text)) => text.into(),
                Ok(Value::Blob(bytes)) => hex(&bytes).into(),
                Ok(Value::Null) => Json::Null,
                // Text that is not UTF-8.
                Err(_) => self.row.get_ref(index).ok().and_then(columns::text).into(),
            };
            object.insert(name.clone(), value);
        }
        Json::Object(object).to_string()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(database: &Connection, row: &Version1Row<'_, '_>) -> Result<(), MigrationError> {
    let names = |list: &Json| list.as_array().is_some_and(|names| names.iter().all(Json::is_string));
    let sources = row.json("sources", names)?.unwrap_or_else(|| "[]".to_owned());
    let counters = row.json("counters", Json::is_object)?;
    let mut insert = database.prepare_cached(
        "INSERT INTO sensor_run (started, ended, clean, version, interfaces, files, counters)
         VALUES (?1, ?2, ?3, ?4, ?5, '[]', ?6)",
    )?;
    insert.execute(params![
        row.time("started")?,
        row.optional("ended", MAX_TIME)?,
        row.number("clean", 1)?,
        row.required("version")?,
        sources,
        counters,
    ])?;
    Ok(())
}

/// The number and the endpoints of a flow.
struct Version1Flow {
    id: i64,
    client: Octets,
    client_port: i64,
    server: Octets,
    server_port: i64,
    proto: i64,
}

impl Version1Flow {
    fn read(row: &Version1Row<'_, '_>) -> Result<Self, MigrationError> {
        Ok(Self {
            id: row.number("flow", 1 << 53)?,
            client: row.address("client")?,
            client_port: row.number("client_port", u16::MAX.into())?,
            server: row.address("server")?,
            server_port: row.number("server_port", u16::MAX.into())?,
            proto: row.number("proto", u8::MAX.into())?,
        })
    }

    /// Inserts a connection with the columns of version 1. Returns its id.
    fn insert(&self, database: &Connection, start: i64, last: i64, ended: &str) -> rusqlite::Result<i64> {
        let mut insert = database.prepare_cached(
            "INSERT INTO connection (flow_id, src_ip, src_port, dest_ip, dest_port, proto, start, \"end\", duration_class,
                pkts_toserver, pkts_toclient, bytes_toserver, bytes_toclient, state, first_seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, ?10, 0)",
        )?;
        let id = insert.insert(params![
            self.id,
            self.client.as_slice(),
            self.client_port,
            self.server.as_slice(),
            self.server_port,
            self.proto,
            start,
            last,
            columns::duration_class(Time(start.unsigned_abs()), Time(last.unsigned_abs())),
            ended,
        ])?;
        let mut insert = database.prepare_cached("INSERT INTO temp.migrated_connection VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute([self.id, start, last, id])?;
        Ok(id)
    }
}

fn connection(database: &Connection, row: &Version1Row<'_, '_>) -> Result<(), MigrationError> {
    let flow = Version1Flow::read(row)?;
    let (start, last) = (row.time("start")?, row.time("last")?);
    if start > last {
        return Err(MigrationError::Row("it ends before it starts".to_owned()));
    }
    let ended = row.required("ended")?;
    if !EndReason::ALL.iter().any(|reason| reason.name() == ended) {
        return Err(MigrationError::Row(format!("'{ended}' is no way to end")));
    }
    let names = ["packets_to_server", "packets_to_client", "bytes_to_server", "bytes_to_client"];
    let mut counts = [0; 4];
    for (count, name) in counts.iter_mut().zip(names) {
        *count = row.number(name, i64::MAX as u64)?;
    }
    let (sni, host, app) = (row.text("sni")?, row.text("http_host")?, row.text("app")?);
    let attributes = row.json("attributes", Json::is_object)?;
    let id = flow.insert(database, start, last, &ended)?;
    let mut update = database.prepare_cached(
        "UPDATE connection SET pkts_toserver = ?2, pkts_toclient = ?3, bytes_toserver = ?4,
            bytes_toclient = ?5, tls_sni = ?6, http_hostname = ?7, app_name = ?8, attributes = ?9
         WHERE id = ?1",
    )?;
    let [to_server, to_client, bytes_to_server, bytes_to_client] = counts;
    update.execute(params![id, to_server, to_client, bytes_to_server, bytes_to_client, sni, host, app, attributes])?;
    Ok(())
}

/// Returns the id of a value, which is inserted if it is missing.
fn value(database: &Connection, method: Method, value: &str, raw: Option<&str>) -> rusqlite::Result<i64> {
    let mut insert = database.prepare_cached(
        "INSERT INTO fingerprint_value (method, value, raw) VALUES (?1, ?2, ?3)
         ON CONFLICT (method, value) DO UPDATE SET raw = coalesce(raw, excluded.raw) RETURNING id",
    )?;
    insert.query_row(params![method.id(), value, raw], |row| row.get(0))
}

fn fingerprint(database: &Connection, row: &Version1Row<'_, '_>) -> Result<(), MigrationError> {
    let flow = Version1Flow::read(row)?;
    let time = row.time("time")?;
    let packet = row.optional("packet", i64::MAX as u64)?;
    let (method, text) = (row.method()?, row.required("value")?);
    let raw = row.text("raw")?;
    let count = row.number("count", u32::MAX.into())?;
    let value = value(database, method, &text, raw.as_deref())?;
    let mut find = database.prepare_cached(
        "SELECT id FROM temp.migrated_connection WHERE flow = ?1 AND start <= ?2 AND last >= ?2 LIMIT 1",
    )?;
    let found = find.query_row([flow.id, time], |row| row.get::<_, i64>(0)).optional()?;
    let connection = match found {
        Some(id) => id,
        // Its connection was not stored, or could not be migrated.
        None => flow.insert(database, time, time, EndReason::Open.name())?,
    };
    let side = match method {
        Method::Ja4s | Method::Ja4ts | Method::Ja4ls | Method::Ja4x => Side::Server,
        _ => Side::Client,
    };
    let mut insert = database.prepare_cached(
        "INSERT INTO fingerprint (id, value, time, packet, side, count, first_seen)
         VALUES ((SELECT coalesce(max(id), ?1) + 1 FROM fingerprint WHERE id > ?1 AND id < ?1 + ?7),
            ?2, ?3, ?4, ?5, ?6, 0)",
    )?;
    insert.execute(params![
        connection * MAX_FINGERPRINTS,
        value,
        time,
        packet,
        columns::side(side),
        count,
        MAX_FINGERPRINTS
    ])?;
    Ok(())
}

fn first_seen(database: &Connection, row: &Version1Row<'_, '_>) -> Result<(), MigrationError> {
    let (method, text) = (row.method()?, row.required("value")?);
    let host = match row.text("host")? {
        Some(_) => Some(row.address("host")?),
        None => None,
    };
    let (first, last) = (row.time("first")?, row.time("last")?);
    let count = row.number("count", i64::MAX as u64)?;
    let approved = row.number("approved", 1)?;
    let value = value(database, method, &text, None)?;
    let mut insert = database.prepare_cached(
        "INSERT INTO first_seen VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (value, host) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last),
            count = max(count, excluded.count), approved = max(approved, excluded.approved)",
    )?;
    let host = host.as_ref().map_or(&[][..], Octets::as_slice);
    insert.execute(params![value, host, first, last, count, approved])?;
    Ok(())
}

fn alert(database: &Connection, row: &Version1Row<'_, '_>) -> Result<(), MigrationError> {
    let level = row.required("severity")?;
    let level = level.parse::<Severity>().map_err(MigrationError::Row)?;
    let method = match row.text("method")? {
        Some(_) => Some(row.method()?.id()),
        None => None,
    };
    let rule = row.required("rule")?;
    // Alerts of version 1 had no endpoints. All connections of a flow have the same endpoints; the client may differ.
    let mut insert = database.prepare_cached(
        "INSERT INTO alert (time, packet, rule, description, severity, grouped, reason, flow_id, method, value, suppressed,
            src_ip, src_port, dest_ip, dest_port, proto)
         SELECT ?1, ?2, ?3, ?3, ?4, '[]', ?5, ?6, ?7, ?8, 0, src_ip, src_port, dest_ip, dest_port, proto
         FROM (SELECT 1) LEFT JOIN connection ON connection.id = (SELECT id FROM temp.migrated_connection
            WHERE flow = ?6 ORDER BY start <= ?1 AND last >= ?1 DESC, abs(start - ?1) LIMIT 1)",
    )?;
    insert.execute(params![
        row.time("time")?,
        row.optional("packet", i64::MAX as u64)?,
        rule,
        severity(level),
        row.required("reason")?,
        row.optional("flow", 1 << 53)?,
        method,
        row.text("value")?,
    ])?;
    Ok(())
}

/// Columns that version 3 renames: table, name in version 2, name in version 3.
const RENAMED: [(&str, &str, &str); 44] = [
    ("connection", "flow", "flow_id"),
    ("connection", "client", "src_ip"),
    ("connection", "client_port", "src_port"),
    ("connection", "server", "dest_ip"),
    ("connection", "server_port", "dest_port"),
    ("connection", "last", "end"),
    ("connection", "span", "duration_class"),
    ("connection", "packets_to_server", "pkts_toserver"),
    ("connection", "packets_to_client", "pkts_toclient"),
    ("connection", "bytes_to_server", "bytes_toserver"),
    ("connection", "bytes_to_client", "bytes_toclient"),
    ("connection", "ended", "state"),
    ("connection", "protocol", "app_proto"),
    ("connection", "sni", "tls_sni"),
    ("connection", "http_host", "http_hostname"),
    ("connection", "app", "app_name"),
    ("connection", "bad", "known_bad_pattern"),
    ("connection", "bad_category", "known_bad_category"),
    ("connection", "bad_confidence", "known_bad_confidence"),
    ("connection", "bad_note", "known_bad_note"),
    ("connection", "client_us", "latency_client_us"),
    ("connection", "server_us", "latency_server_us"),
    ("connection", "client_application_us", "latency_client_application_us"),
    ("connection", "server_application_us", "latency_server_application_us"),
    ("connection", "client_hops", "hops_client"),
    ("connection", "server_hops", "hops_server"),
    ("connection", "tunnel", "tunnel_name"),
    ("connection", "is_new", "first_seen"),
    ("connection", "fired", "alerts"),
    ("fingerprint_value", "app", "label_name"),
    ("fingerprint_value", "app_source", "label_source"),
    ("fingerprint_value", "app_category", "label_category"),
    ("fingerprint_value", "app_confidence", "label_confidence"),
    ("fingerprint_value", "bad", "known_bad_pattern"),
    ("fingerprint_value", "bad_category", "known_bad_category"),
    ("fingerprint_value", "bad_confidence", "known_bad_confidence"),
    ("fingerprint_value", "bad_note", "known_bad_note"),
    ("alert", "flow", "flow_id"),
    ("alert", "client", "src_ip"),
    ("alert", "client_port", "src_port"),
    ("alert", "server", "dest_ip"),
    ("alert", "server_port", "dest_port"),
    ("profile", "anchor", "key"),
    ("profile", "companion", "value"),
];

/// Renames the columns of version 2 after the fields of the output.
pub(super) fn from_v2(database: &Connection) -> rusqlite::Result<()> {
    for (table, old, new) in RENAMED {
        database.execute_batch(&format!("ALTER TABLE {table} RENAME COLUMN \"{old}\" TO \"{new}\""))?;
    }
    Ok(())
}
