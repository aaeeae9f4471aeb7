//! Alerts.

use std::ops::ControlFlow;
use std::sync::Arc;

use arcstr::ArcStr;
use rusqlite::{Row, params_from_iter};

use super::filter::{HistoryFilter, alert_of_connection, endpoint_in};
use super::stored::{ColumnReader, StoredAlert};
use super::{DatabaseReader, QueryOutcome};
use crate::model::{Alert, Severity};
use crate::output::storage::StorageError;
use crate::output::storage::rows::severity;
use crate::output::storage::sql::{Sql, like};

const ALERT: &str = "a.run, a.time, a.packet, a.rule, a.description, a.severity, a.grouped, a.reason, a.interface, \
    a.method, a.value, a.category, a.confidence, a.suppressed, a.flow_id, a.src_ip, a.src_port, a.dest_ip, \
    a.dest_port, a.proto, a.vlan, a.vlan_inner";

impl DatabaseReader {
    /// Visits the alerts that match a filter, ordered by time. A server name or application in the filter applies to the
    /// connection of the alert.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn alerts(
        &self,
        filter: &HistoryFilter,
        mut each: impl FnMut(StoredAlert) -> ControlFlow<()>,
    ) -> Result<QueryOutcome, StorageError> {
        let sql = select(filter);
        self.limited(|database| {
            let mut select = database.prepare(&sql.text)?;
            let rows = select.query(params_from_iter(sql.values))?;
            let mut outcome = QueryOutcome::default();
            let _flow = outcome.visit(rows, filter.limit, |row| Ok(Some(each(read(row)?))))?;
            Ok(outcome)
        })
    }
}

fn select(filter: &HistoryFilter) -> Sql {
    let mut sql = Sql::default();
    let (since, until) = filter.window();
    sql.add(
        &format!("SELECT {ALERT} FROM alert a INDEXED BY alert_by_time WHERE a.time >= ? AND a.time < ?"),
        [since.into(), until.into()],
    );
    conditions(filter, &mut sql);
    sql.add(&format!(" ORDER BY a.time {} LIMIT ?", filter.order()), [filter.row_limit().into()]);
    sql
}

/// Selects the alerts with a higher id, in the order in which they were stored.
pub(super) fn select_after(filter: &HistoryFilter, id: i64) -> Sql {
    let mut sql = Sql::default();
    let (since, until) = filter.window();
    sql.add(
        &format!("SELECT {ALERT} FROM alert a WHERE a.id > ? AND a.time >= ? AND a.time < ?"),
        [id.into(), since.into(), until.into()],
    );
    conditions(filter, &mut sql);
    sql.add(" ORDER BY a.id", []);
    sql
}

/// Appends the conditions on an alert `a`, except its time.
fn conditions(filter: &HistoryFilter, sql: &mut Sql) {
    if let Some(lowest) = filter.severity {
        sql.add(" AND a.severity >= ?", [severity(lowest).into()]);
    }
    if let Some(network) = filter.host {
        endpoint_in(network, "a", sql);
    }
    if let Some(method) = filter.method {
        sql.add(" AND a.method = ?", [i64::from(method.id()).into()]);
    }
    if let Some(pattern) = &filter.value {
        sql.add(" AND ", []);
        like("a.value", pattern, sql);
    }
    let of_connection: Vec<_> = [("c.tls_sni", &filter.sni), ("c.app_name", &filter.app)]
        .into_iter()
        .filter_map(|(column, pattern)| Some((column, pattern.as_ref()?.to_ascii_lowercase())))
        .collect();
    if !of_connection.is_empty() {
        sql.add(" AND a.id IN (SELECT a.id FROM connection c CROSS JOIN alert a INDEXED BY alert_by_flow WHERE ", []);
        alert_of_connection(sql);
        for (column, pattern) in of_connection {
            sql.add(" AND ", []);
            like(&format!("lower({column})"), &pattern, sql);
        }
        sql.add(")", []);
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StoredAlert> {
    let mut columns = ColumnReader::from(row, 0);
    let (run, time, packet) = (columns.id()?, columns.time()?, columns.number()?);
    let (rule, description) = (columns.text()?.unwrap_or_default(), columns.text()?.unwrap_or_default());
    let level = columns.id()?;
    let level = Severity::ALL.into_iter().find(|known| Some(severity(*known)) == level).unwrap_or(Severity::Low);
    let group: Vec<(String, String)> =
        columns.text()?.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default();
    let reason = columns.text()?.unwrap_or_default();
    let interface = columns.number()?.and_then(|interface| u32::try_from(interface).ok());
    let fingerprint = columns.method()?.zip(columns.text()?.map(ArcStr::from));
    let (category, confidence, suppressed) = (columns.text()?, columns.number()?, columns.count()?);
    let flow_id = columns.number()?;
    let flow = columns.flow_if_known(flow_id)?;
    let alert = Alert {
        time,
        packet,
        rule: rule.into(),
        sid: None,
        description: description.into(),
        severity: level,
        group: group.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        reason,
        flow,
        interface,
        fingerprint,
        category: category.map(Arc::from),
        confidence: confidence.and_then(|confidence| u8::try_from(confidence).ok()),
        suppressed,
    };
    Ok(StoredAlert { run, flow_id, alert })
}
