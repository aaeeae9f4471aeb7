//! The filter of a query, and its SQL.

use ipnet::IpNet;
use rusqlite::types::Value;

use crate::model::{Method, Severity, Time};
use crate::output::storage::columns::{CLASS_LIMITS, CLASS_LONG, CLASS_OPEN, MAX_FINGERPRINTS, bounds, integer};
use crate::output::storage::rows::severity;
use crate::output::storage::sql::{Sql, like};

/// Maximum time from the last packet of a connection to its alerts: rules evaluate ends, and an idle connection ends late.
/// Nanoseconds.
const MAX_ALERT_DELAY: i64 = 600 * 1_000_000_000;

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
    pub(super) fn row_limit(&self) -> i64 {
        self.limit.map_or(-1, |limit| integer(limit.saturating_add(1)))
    }

    /// Returns the selected methods.
    fn methods(&self) -> Vec<Method> {
        self.method.map_or_else(|| Method::ALL.to_vec(), |method| vec![method])
    }

    /// Appends the condition on connections `c` of a duration class that overlap the window. These are a short range of the index, because they end in the window or
    /// later by less than the longest duration of the class.
    pub(super) fn duration_class(&self, class: i64, sql: &mut Sql) {
        let (since, until) = self.window();
        sql.add("c.duration_class = ? AND c.start < ?", [class.into(), until.into()]);
        if class != CLASS_OPEN {
            sql.add(" AND c.\"end\" >= ?", [since.into()]);
        }
        if let Some(longest) = usize::try_from(class).ok().and_then(|class| CLASS_LIMITS.get(class)) {
            sql.add(" AND c.\"end\" < ?", [until.saturating_add(integer(*longest)).into()]);
        }
        self.connection_conditions(sql);
    }

    /// Appends the condition on connections `c` of any duration class that overlap the window.
    pub(super) fn overlap(&self, sql: &mut Sql) {
        let (since, until) = self.window();
        sql.add(
            "c.start < ? AND (c.\"end\" >= ? OR c.duration_class = ?)",
            [until.into(), since.into(), CLASS_OPEN.into()],
        );
        self.connection_conditions(sql);
    }

    /// Returns all duration classes.
    pub(super) fn duration_classes() -> std::ops::RangeInclusive<i64> {
        0..=CLASS_LONG.max(CLASS_OPEN)
    }

    /// Appends the conditions on a connection `c`, except time and values.
    fn connection_conditions(&self, sql: &mut Sql) {
        if let Some(network) = self.host {
            endpoint_in(network, "c", sql);
        }
        for (column, pattern) in [("c.tls_sni", &self.sni), ("c.app_name", &self.app)] {
            if let Some(pattern) = pattern {
                sql.add(" AND ", []);
                like(&format!("lower({column})"), &pattern.to_ascii_lowercase(), sql);
            }
        }
        if let Some(lowest) = self.severity {
            sql.add(" AND EXISTS (SELECT 1 FROM alert a WHERE a.severity >= ? AND ", [severity(lowest).into()]);
            alert_of_connection(sql);
            sql.add(")", []);
        }
    }

    /// Appends the condition that connections `c` have a fingerprint that matches.
    pub(super) fn has_fingerprint(&self, sql: &mut Sql) {
        sql.add(
            " AND EXISTS (SELECT 1 FROM fingerprint f CROSS JOIN fingerprint_value v ON v.id = f.value
                WHERE f.id >= c.id * ? AND f.id < (c.id + 1) * ? AND ",
            [MAX_FINGERPRINTS.into(), MAX_FINGERPRINTS.into()],
        );
        self.value_conditions(sql);
        sql.add(")", []);
    }

    /// Appends the conditions on values `v`.
    pub(super) fn value_conditions(&self, sql: &mut Sql) {
        let numbers: Vec<String> = self.methods().into_iter().map(|method| method.id().to_string()).collect();
        sql.add(&format!("v.method IN ({})", numbers.join(",")), []);
        if let Some(pattern) = &self.value {
            sql.add(" AND ", []);
            like("v.value", pattern, sql);
        }
    }
}

/// Appends the condition that alert `a` belongs to connection `c`: other connections may have the same flow at other times.
pub(super) fn alert_of_connection(sql: &mut Sql) {
    sql.add(
        "a.flow_id = c.flow_id AND a.time >= c.start AND (c.duration_class = ? OR a.time <= c.\"end\" + ?)",
        [CLASS_OPEN.into(), MAX_ALERT_DELAY.into()],
    );
}

/// Appends the condition that the client or the server is in a network. IPv4 addresses have four bytes, IPv6 addresses
/// sixteen.
pub(super) fn endpoint_in(network: IpNet, table: &str, sql: &mut Sql) {
    let (first, last) = bounds(network);
    let (first, last) = (first.as_slice(), last.as_slice());
    let length = first.len();
    let condition = |column: &str| format!("length({table}.{column}) = {length} AND {table}.{column} BETWEEN ? AND ?");
    let values = [first.to_vec(), last.to_vec(), first.to_vec(), last.to_vec()].map(Value::Blob);
    sql.add(&format!(" AND ({} OR {})", condition("src_ip"), condition("dest_ip")), values);
}
