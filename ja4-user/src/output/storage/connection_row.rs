//! The row of a connection, column by column.

use rusqlite::{CachedStatement, ToSql};

use super::columns::{self, Octets, SPAN_OPEN, integer};
use super::rows::{json_list, tag};
use crate::encode::attributes_json;
use crate::model::{ConnectionRecord, EndReason, FlowIdentity};

/// Takes the place of the row that the first fingerprint has made.
pub(super) const INSERT: &str = "INSERT OR REPLACE INTO connection VALUES (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
    ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46)";

/// A connection that has ended, or goes on and is told all the same.
pub(super) struct ConnectionRow<'a> {
    /// Its number.
    pub(super) id: i64,
    /// The run that saw it.
    pub(super) run: i64,
    pub(super) record: &'a ConnectionRecord,
    /// Number of its primary fingerprint's value.
    pub(super) primary: Option<i64>,
}

impl ConnectionRow<'_> {
    /// Writes the row; `json` is a buffer.
    pub(super) fn insert(&self, statement: &mut CachedStatement<'_>, json: &mut Vec<u8>) -> rusqlite::Result<()> {
        let Self { id, run, record, primary } = self;
        let FlowIdentity { id: flow, client, server, proto, vlan: [outer, inner], .. } = record.identity;
        let attributes = &record.attributes;
        let (app, bad) = (record.app.as_deref(), record.known_bad.as_deref());
        let [to_server, to_client] = record.packets.map(integer);
        let [bytes_to_server, bytes_to_client] = record.bytes.map(integer);
        let [client_hops, server_hops] = record.hops;
        let fired = (!record.fired.is_empty())
            .then(|| json_list(&record.fired.iter().map(|fired| &**fired).collect::<Vec<_>>()));
        json.clear();
        attributes_json(record, json);
        let known = *json != b"{}";
        let known = if known { std::str::from_utf8(json).ok() } else { None };
        let span = if record.ended.is_some() { columns::span(record.start, record.last) } else { SPAN_OPEN };
        let (latency, tunnel) = (record.latency(), record.tunnel());
        let columns: [&dyn ToSql; 46] = [
            id,
            run,
            &integer(flow),
            &record.interface,
            &Octets::of(client.0),
            &client.1,
            &Octets::of(server.0),
            &server.1,
            &proto,
            &tag(outer),
            &tag(inner),
            &columns::time(record.start),
            &columns::time(record.last),
            &span,
            &to_server,
            &to_client,
            &bytes_to_server,
            &bytes_to_client,
            &record.ended.map(EndReason::name),
            &record.protocol(),
            &attributes.tls.as_ref().and_then(|tls| tls.sni.as_deref()),
            &attributes.http.as_ref().and_then(|http| http.host.as_deref()),
            &app.map(|app| &*app.name),
            &app.map(|app| &*app.source),
            &app.and_then(|app| app.category.as_deref()),
            &app.and_then(|app| app.confidence),
            &bad.map(|bad| &*bad.pattern),
            &bad.map(|bad| &*bad.category),
            &bad.map(|bad| bad.confidence),
            &bad.map(|bad| &*bad.note),
            &latency.client.map(integer),
            &latency.server.map(integer),
            &latency.client_application.map(integer),
            &latency.server_application.map(integer),
            &client_hops,
            &server_hops,
            &record.mss,
            &tunnel.map(|tunnel| tunnel.name),
            &tunnel.map(|tunnel| tunnel.confidence),
            &tunnel.map(|tunnel| tunnel.mtu),
            &record.os(),
            &record.ssh.map(|session| session.name()),
            &record.is_new,
            primary,
            &fired,
            &known,
        ];
        statement.execute(&columns[..])?;
        Ok(())
    }
}
