//! Rows of a view, as JSON objects of the attach socket.
//!
//! Names and values come from the network. Every text that leaves this module is escaped, so that nothing of a row
//! can control the terminal.

use serde_json::Value;

use crate::encode::escape;

/// Returns text as it is displayed: without invisible and control characters.
pub(super) fn visible(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape::terminal(text, usize::MAX, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns the field with a path such as `tls.sni`.
pub(super) fn field<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(row, |value, key| value.get(key))
}

/// Returns a field for display: text, number or flag as they are, lists with commas.
pub(super) fn text(row: &Value, path: &str) -> Option<String> {
    field(row, path).and_then(scalar)
}

/// Returns the first of several fields that is present.
pub(super) fn first_text(row: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| text(row, path))
}

/// Returns a value for display; `None` for objects and null.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(visible(text)),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "yes" } else { "no" }.to_owned()),
        Value::Array(list) => Some(list.iter().filter_map(scalar).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Object(_) => None,
    }
}

/// Returns a number.
pub(super) fn number(row: &Value, path: &str) -> Option<u64> {
    field(row, path)?.as_u64()
}

/// Returns the sum of the numbers that are present; `None` if none is.
pub(super) fn sum(row: &Value, paths: &[&str]) -> Option<u64> {
    paths.iter().filter_map(|path| number(row, path)).reduce(u64::saturating_add)
}

/// Returns the elements of a list.
pub(super) fn list<'a>(row: &'a Value, path: &str) -> &'a [Value] {
    field(row, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a field is `true`, or an object or a list with content.
pub(super) fn holds(row: &Value, path: &str) -> bool {
    match field(row, path) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(object)) => !object.is_empty(),
        Some(Value::Number(number)) => number.as_u64() != Some(0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Null) | None => false,
    }
}

/// Returns every field below an object that is no object itself, with its path.
pub(super) fn leaves(value: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    add_leaves(value, "", &mut out);
    out
}

fn add_leaves(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { visible(key) } else { format!("{path}.{}", visible(key)) };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| add_leaves(value, &below(key), out)),
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (place, value) in list.iter().enumerate() {
                add_leaves(value, &below(&place.to_string()), out);
            }
        }
        value => out.extend(scalar(value).map(|text| (path.to_owned(), text))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_by_path() {
        let row = json!({"tls": {"sni": "a.example", "alpn": ["h2", "http/1.1"]}, "first_seen": true, "n": 3});
        assert_eq!(text(&row, "tls.sni").as_deref(), Some("a.example"));
        assert_eq!(text(&row, "tls.alpn").as_deref(), Some("h2, http/1.1"));
        assert_eq!(first_text(&row, &["http.hostname", "n"]).as_deref(), Some("3"));
        assert_eq!((text(&row, "tls"), text(&row, "tls.sni.x"), number(&row, "n")), (None, None, Some(3)));
        assert!(holds(&row, "first_seen") && holds(&row, "tls") && !holds(&row, "alerts"));
        assert_eq!(sum(&row, &["n", "n", "no"]), Some(6));
        assert_eq!(leaves(&row).len(), 4);
    }

    #[test]
    fn text_of_the_network_is_escaped() {
        let row = json!({"tls": {"sni": "a\u{1b}[2J\u{202e}b"}, "x\u{1b}": 1});
        assert_eq!(text(&row, "tls.sni").as_deref(), Some(r"a\u{1b}[2J\u{202e}b"));
        assert!(leaves(&row).iter().all(|(key, value)| !format!("{key}{value}").contains('\u{1b}')));
    }
}
