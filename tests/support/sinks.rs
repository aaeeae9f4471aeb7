//! Alert sinks in the format of the configuration file.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns an array of JSON objects as `[[alerts.sink]]` tables.
pub fn sinks_toml(sinks: &Value) -> String {
    let mut out = String::new();
    for sink in sinks.as_array().into_iter().flatten() {
        out.push_str("[[alerts.sink]]\n");
        for (key, value) in sink.as_object().into_iter().flatten() {
            // Writing to a String does not fail.
            let _ = writeln!(out, "{key} = {}", inline(value));
        }
    }
    out
}

/// Converts a JSON value to TOML. Strings, numbers and booleans are unchanged; objects become inline tables.
fn inline(value: &Value) -> String {
    match value.as_object() {
        Some(table) => {
            let keys: Vec<_> = table.iter().map(|(key, value)| format!("\"{key}\" = {}", inline(value))).collect();
            format!("{{ {} }}", keys.join(", "))
        }
        None => value.to_string(),
    }
}
