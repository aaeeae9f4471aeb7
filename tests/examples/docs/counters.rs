//! The counters of the `stats` event and of `/metrics`, from their declarations.

use std::fmt::Write as _;

use anyhow::Result;
use ja4_user::api::metrics::MetricTable;
use ja4_user::runtime::sensor_stats::declarations;

/// Returns a table with one row per number in the `stats` event.
pub(super) fn counters() -> Result<String> {
    let mut page = String::from("\n| key in `stats` | kind | metric | meaning |\n|---|---|---|---|\n");
    for row in MetricTable::new(declarations()).reference() {
        let kind = match (row.is_counter, row.unit) {
            (true, None) => "counter".to_owned(),
            (true, Some(unit)) => format!("counter, {unit}"),
            (false, None) => "gauge".to_owned(),
            (false, Some(unit)) => format!("gauge, {unit}"),
        };
        let metric = row.metric.map(|metric| format!("`{metric}`")).unwrap_or_default();
        let (path, help) = (row.path.replace('|', "\\|"), row.help.replace('|', "\\|"));
        writeln!(page, "| `{path}` | {kind} | {metric} | {help} |")?;
    }
    Ok(page)
}
