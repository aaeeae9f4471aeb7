//! Queries of the HTTP server and of attached readers, and what answers them: the engine, the control plane, the database.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::api::{EngineClient, QueryError, SnapshotRequest};
use crate::cli::history::difference_line;
use crate::encode::{Formatter, group_json};
use crate::model::field::place;
use crate::model::{ConnectionSelection, ConnectionSort, EngineQuery, QueryAnswer, RowSelection, SortKey, Time};
use crate::output::attach::{ViewError, ViewQuery, ViewSource};
use crate::output::storage::reader::times::time as parse_time;
use crate::output::storage::{DatabaseReader, DiffOptions, DiffWindow, HistoryFilter};
use crate::runtime::message::EngineMessage;

/// Connections of a time range that are read from the database, the latest ones.
const MAX_STORED: u64 = 10_000;

/// Connections that the sensor knows of a time range, in the order of the request.
const MAX_LIVE: usize = 4096;

/// Time limit of a query of the database.
const DATABASE_TIME: Duration = Duration::from_secs(10);

/// Sends the queries of the HTTP server.
pub(super) fn api_client(engine: Sender<EngineMessage>) -> EngineClient {
    Arc::new(move |query, reply| {
        engine.try_send(EngineMessage::Query(query, reply)).map_err(|error| QueryError::from_queue(error.is_full()))
    })
}

/// Answers the queries of attached readers, in their threads.
pub(super) fn view_source(
    engine: Sender<EngineMessage>,
    control: mpsc::Sender<SnapshotRequest>,
    database: Option<PathBuf>,
) -> ViewSource {
    let views = Views { engine, control, database };
    Arc::new(move |query| views.answer(query))
}

/// What answers the queries of attached readers.
struct Views {
    engine: Sender<EngineMessage>,
    control: mpsc::Sender<SnapshotRequest>,
    database: Option<PathBuf>,
}

impl Views {
    fn answer(&self, query: &ViewQuery) -> Result<QueryAnswer, ViewError> {
        match query {
            ViewQuery::Engine(query) => self.engine(query.clone()),
            ViewQuery::Summary => self.summary(),
            ViewQuery::History { since, until, rows } => {
                let time =
                    |text: &Option<String>| text.as_deref().map(parse_time).transpose().map_err(ViewError::Refused);
                self.history((time(since)?, time(until)?), rows)
            }
            ViewQuery::Diff { before, after, skip, most } => {
                let window = |[since, until]: &[String; 2]| {
                    let window = DiffWindow { since: parse_time(since)?, until: parse_time(until)? };
                    let is_empty = window.since >= window.until;
                    if is_empty {
                        Err(format!("the time range {since} to {until} ends before it begins"))
                    } else {
                        Ok(window)
                    }
                };
                let windows = [window(before), window(after)];
                let [Ok(before), Ok(after)] = windows else {
                    let reason = windows.into_iter().find_map(Result::err);
                    return Err(ViewError::Refused(reason.unwrap_or_default()));
                };
                let report = self.database()?.diff([before, after], &DiffOptions::default()).map_err(refused)?;
                let matched = report.differences.len();
                let rows = report.differences.iter().skip(*skip).take(*most).map(difference_line).collect();
                Ok(QueryAnswer { rows, matched, is_partial: false })
            }
        }
    }

    fn engine(&self, query: EngineQuery) -> Result<QueryAnswer, ViewError> {
        let (reply, replied) = oneshot::channel();
        let sent = self.engine.try_send(EngineMessage::Query(query, reply));
        sent.map_err(|error| if error.is_full() { ViewError::Busy } else { ViewError::Ended })?;
        replied.blocking_recv().map_err(|_| ViewError::Ended)
    }

    /// The counters, and what the engine knows.
    fn summary(&self) -> Result<QueryAnswer, ViewError> {
        let (reply, replied) = oneshot::channel();
        self.control.try_send(reply).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ViewError::Busy,
            mpsc::error::TrySendError::Closed(_) => ViewError::Ended,
        })?;
        let stats = replied.blocking_recv().map_err(|_| ViewError::Ended)?.stats;
        let mut row = b"{\"stats\":".to_vec();
        group_json(&stats, &mut row);
        let QueryAnswer { rows, is_partial, .. } = self.engine(EngineQuery::Summary)?;
        for members in rows.iter().filter_map(|row| row.strip_prefix(b"{")) {
            row.push(b',');
            row.extend_from_slice(members);
        }
        Ok(QueryAnswer { rows: vec![row.into()], matched: 1, is_partial })
    }

    fn database(&self) -> Result<DatabaseReader, ViewError> {
        let missing = "the sensor has no database; start it with --db";
        let path = self.database.as_ref().ok_or_else(|| ViewError::Refused(missing.to_owned()))?;
        DatabaseReader::open(path, Some(DATABASE_TIME)).map_err(refused)
    }

    /// Connections of a time range. What the sensor knows of a connection replaces its row in the database.
    fn history(
        &self,
        (since, until): (Option<Time>, Option<Time>),
        selection: &RowSelection<ConnectionSort>,
    ) -> Result<QueryAnswer, ViewError> {
        let all = RowSelection { skip: 0, most: MAX_LIVE, ..selection.clone() };
        let live = self.engine(EngineQuery::Connections(ConnectionSelection { rows: all, with_ended: true }))?;
        let (mut keys, mut rows) = (HashSet::new(), Vec::new());
        for row in live.rows.iter().filter_map(|row| serde_json::from_slice::<Value>(row).ok()) {
            let start = text(&row, "/connection/start").and_then(|start| parse_time(start).ok());
            let end = text(&row, "/connection/end").and_then(|end| parse_time(end).ok());
            if since.is_none_or(|since| end >= Some(since)) && until.is_none_or(|until| start < Some(until)) {
                keys.insert(identity(&row));
                rows.push(row);
            }
        }
        let reader = self.database()?;
        let filter = HistoryFilter { since, until, limit: Some(MAX_STORED), ..HistoryFilter::default() };
        let (mut formatter, mut line) = (Formatter::new(crate::encode::Format::Json, Arc::default()), Vec::new());
        let outcome = reader.connections(&filter, |connection| {
            if selection.filter.as_ref().is_none_or(|filter| filter.matches(&connection)) {
                line.clear();
                formatter.row(place::CONNECTION, connection.last, &connection, &mut line);
                let row = serde_json::from_slice::<Value>(&line).ok();
                rows.extend(row.filter(|row| keys.insert(identity(row))));
            }
            ControlFlow::Continue(())
        });
        let is_partial = outcome.map_err(refused)?.more || live.is_partial || live.matched > live.rows.len();
        let matched = rows.len();
        let rows = rows.into_iter().map(|row| (sort_key(selection.sort, &row), row)).collect();
        Ok(QueryAnswer { rows: selection.cut(rows).map(|row| row.to_string().into()).collect(), matched, is_partial })
    }
}

fn refused(error: impl ToString) -> ViewError {
    ViewError::Refused(error.to_string())
}

fn text<'a>(row: &'a Value, path: &str) -> Option<&'a str> {
    row.pointer(path)?.as_str()
}

/// What identifies a connection: ports and addresses may be used again.
fn identity(row: &Value) -> (Option<u64>, Option<String>) {
    (row.pointer("/flow_id").and_then(Value::as_u64), text(row, "/connection/start").map(str::to_owned))
}

/// What a row of a connection is sorted by.
fn sort_key(sort: ConnectionSort, row: &Value) -> SortKey {
    let words = |paths: &[&str]| SortKey::text(paths.iter().find_map(|path| text(row, path)));
    let number = |path: &str| row.pointer(path).and_then(Value::as_u64);
    let sum = |first, second| SortKey::Number(number(first).unwrap_or(0).saturating_add(number(second).unwrap_or(0)));
    let address = |address: &str, port: &str| {
        let port = number(port).and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
        text(row, address)
            .and_then(|address| address.parse().ok())
            .map_or(SortKey::Absent, |address| SortKey::Address(address, port))
    };
    match sort {
        ConnectionSort::Last => words(&["/connection/end"]),
        ConnectionSort::Start => words(&["/connection/start"]),
        ConnectionSort::Packets => sum("/connection/pkts_toserver", "/connection/pkts_toclient"),
        ConnectionSort::Bytes => sum("/connection/bytes_toserver", "/connection/bytes_toclient"),
        ConnectionSort::Client => address("/src_ip", "/src_port"),
        ConnectionSort::Server => address("/dest_ip", "/dest_port"),
        ConnectionSort::Sni => words(&["/tls/sni", "/http/hostname", "/dhcp/hostname"]),
        ConnectionSort::App => words(&["/app/name"]),
        ConnectionSort::Value => words(&["/primary/value"]),
    }
}
