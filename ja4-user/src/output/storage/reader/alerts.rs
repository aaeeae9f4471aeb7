//! Alerts.

use std::ops::ControlFlow;
use std::sync::Arc;

use arcstr::ArcStr;
use rusqlite::{Row, params_from_iter};

use super::filter::{HistoryFilter, host, of_its_connection};
use super::stored::{Columns, StoredAlert};
use super::{DatabaseReader, QueryOutcome, is_enough};
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
            let mut rows = select.query(params_from_iter(sql.values))?;
            let mut found = QueryOutcome::default();
            while let Some(row) = rows.next()? {
                if filter.limit.is_some_and(|limit| found.rows >= limit) {
                    found.more = true;
                    break;
                }
                found.rows += 1;
                if is_enough(each(read(row)?)) {
                    break;
                }
            }
            Ok(found)
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
    if let Some(least) = filter.severity {
        sql.add(" AND a.severity >= ?", [severity(least).into()]);
    }
    if let Some(network) = filter.host {
        host(network, "a", &mut sql);
    }
    if let Some(method) = filter.method {
        sql.add(" AND a.method = ?", [i64::from(method.id()).into()]);
    }
    if let Some(wanted) = &filter.value {
        sql.add(" AND ", []);
        like("a.value", wanted, &mut sql);
    }
    let wanted: Vec<_> = [("c.tls_sni", &filter.sni), ("c.app_name", &filter.app)]
        .into_iter()
        .filter_map(|(column, wanted)| Some((column, wanted.as_ref()?.to_ascii_lowercase())))
        .collect();
    if !wanted.is_empty() {
        sql.add(" AND a.id IN (SELECT a.id FROM connection c CROSS JOIN alert a INDEXED BY alert_by_flow WHERE ", []);
        of_its_connection(&mut sql);
        for (column, wanted) in wanted {
            sql.add(" AND ", []);
            like(&format!("lower({column})"), &wanted, &mut sql);
        }
        sql.add(")", []);
    }
    sql.add(&format!(" ORDER BY a.time {} LIMIT ?", filter.order()), [filter.rows_wanted().into()]);
    sql
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredAlert> {
    let mut of = Columns::from(row, 0);
    let (run, time, packet) = (of.id()?, of.time()?, of.number()?);
    let (rule, description) = (of.text()?.unwrap_or_default(), of.text()?.unwrap_or_default());
    let level = of.id()?;
    let level = Severity::ALL.into_iter().find(|one| Some(severity(*one)) == level).unwrap_or(Severity::Low);
    let grouped: Vec<(String, String)> =
        of.text()?.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default();
    let reason = of.text()?.unwrap_or_default();
    let interface = of.number()?.and_then(|interface| u32::try_from(interface).ok());
    let fingerprint = of.method()?.zip(of.text()?.map(ArcStr::from));
    let (category, confidence, suppressed) = (of.text()?, of.number()?, of.count()?);
    let flow_id = of.number()?;
    let flow = of.flow_if_known(flow_id)?;
    let alert = Alert {
        time,
        packet,
        rule: rule.into(),
        description: description.into(),
        severity: level,
        group: grouped.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
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
