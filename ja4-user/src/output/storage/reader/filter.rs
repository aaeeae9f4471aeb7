//! The filter of a query, and its SQL.

use ipnet::IpNet;
use rusqlite::types::Value;

use crate::model::{Method, Severity, Time};
use crate::output::storage::columns::{SPAN_LONG, SPAN_OPEN, SPANS, bounds, integer};
use crate::output::storage::rows::severity;
use crate::output::storage::sql::{Sql, like};

/// Longest time from the last packet of a connection to its alerts: rules evaluate ends, and an idle connection ends late.
/// Nanoseconds.
const LATE: i64 = 600 * 1_000_000_000;

/// A filter for rows. `None` matches everything.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Connections that end at this time or later; fingerprints and alerts since this time.
    pub since: Option<Time>,
    /// Connections that begin before this time; fingerprints and alerts before it.
    pub until: Option<Time>,
    /// Client or server is in this network.
    pub host: Option<IpNet>,
    /// Value; `*` matches any text.
    pub value: Option<String>,
    /// A value of this method.
    pub method: Option<Method>,
    /// Server name, case-insensitive; `*` matches any text.
    pub sni: Option<String>,
    /// Application, case-insensitive; `*` matches any text.
    pub app: Option<String>,
    /// Lowest severity of an alert.
    pub severity: Option<Severity>,
    /// Maximum number of rows.
    pub limit: Option<u64>,
    /// Whether the oldest rows come first.
    pub oldest_first: bool,
}

impl HistoryFilter {
    /// Returns the time window as integers of SQLite.
    pub(super) fn window(&self) -> (i64, i64) {
        let since = self.since.map_or(i64::MIN, |since| integer(since.0));
        (since, self.until.map_or(i64::MAX, |until| integer(until.0)))
    }

    /// `ASC` or `DESC`.
    pub(super) const fn order(&self) -> &'static str {
        if self.oldest_first { "ASC" } else { "DESC" }
    }

    /// Returns the limit plus one, which shows whether there are more rows.
    pub(super) fn rows_wanted(&self) -> i64 {
        self.limit.map_or(-1, |limit| integer(limit.saturating_add(1)))
    }

    /// Returns the selected methods.
    fn methods(&self) -> Vec<Method> {
        self.method.map_or_else(|| Method::ALL.to_vec(), |method| vec![method])
    }

    /// Connections `c` of a duration class that overlap the window: a short range of the index, as they end in the window or
    /// later by less than the longest duration of the class.
    pub(super) fn of_span(&self, span: i64, sql: &mut Sql) {
        let (since, until) = self.window();
        sql.add("c.duration_class = ? AND c.start < ?", [span.into(), until.into()]);
        if span != SPAN_OPEN {
            sql.add(" AND c.\"end\" >= ?", [since.into()]);
        }
        if let Some(longest) = usize::try_from(span).ok().and_then(|span| SPANS.get(span)) {
            sql.add(" AND c.\"end\" < ?", [until.saturating_add(integer(*longest)).into()]);
        }
        self.of_connection(sql);
    }

    /// Connections `c` that overlap the window, in any class.
    pub(super) fn overlap(&self, sql: &mut Sql) {
        let (since, until) = self.window();
        sql.add(
            "c.start < ? AND (c.\"end\" >= ? OR c.duration_class = ?)",
            [until.into(), since.into(), SPAN_OPEN.into()],
        );
        self.of_connection(sql);
    }

    /// All classes.
    pub(super) fn spans() -> std::ops::RangeInclusive<i64> {
        0..=SPAN_LONG.max(SPAN_OPEN)
    }

    /// Conditions on a connection `c`, except time and values.
    fn of_connection(&self, sql: &mut Sql) {
        if let Some(network) = self.host {
            host(network, "c", sql);
        }
        for (column, wanted) in [("c.tls_sni", &self.sni), ("c.app_name", &self.app)] {
            if let Some(wanted) = wanted {
                sql.add(" AND ", []);
                like(&format!("lower({column})"), &wanted.to_ascii_lowercase(), sql);
            }
        }
        if let Some(least) = self.severity {
            sql.add(" AND EXISTS (SELECT 1 FROM alert a WHERE a.severity >= ? AND ", [severity(least).into()]);
            of_its_connection(sql);
            sql.add(")", []);
        }
    }

    /// Conditions on values `v`.
    pub(super) fn of_value(&self, sql: &mut Sql) {
        let numbers: Vec<String> = self.methods().into_iter().map(|method| method.id().to_string()).collect();
        sql.add(&format!("v.method IN ({})", numbers.join(",")), []);
        if let Some(wanted) = &self.value {
            sql.add(" AND ", []);
            like("v.value", wanted, sql);
        }
    }
}

/// Alert `a` is of connection `c`: other connections may have the same flow at other times.
pub(super) fn of_its_connection(sql: &mut Sql) {
    sql.add(
        "a.flow_id = c.flow_id AND a.time >= c.start AND (c.duration_class = ? OR a.time <= c.\"end\" + ?)",
        [SPAN_OPEN.into(), LATE.into()],
    );
}

/// A column of addresses within a network; one family has four bytes, the other sixteen.
pub(super) fn host(network: IpNet, table: &str, sql: &mut Sql) {
    let (first, last) = bounds(network);
    let (first, last) = (first.as_slice(), last.as_slice());
    let length = first.len();
    let one = |end: &str| format!("length({table}.{end}) = {length} AND {table}.{end} BETWEEN ? AND ?");
    let values = [first.to_vec(), last.to_vec(), first.to_vec(), last.to_vec()].map(Value::Blob);
    sql.add(&format!(" AND ({} OR {})", one("src_ip"), one("dest_ip")), values);
}
