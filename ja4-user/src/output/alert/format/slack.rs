//! The body that Slack's incoming webhooks take, and those of servers that speak like it.

use super::text::{MAX_RAW, sentence, visible};
use crate::encode::escape;
use crate::model::Alert;

/// Appends a JSON object. Its text is no markup, and no link in it is followed by the server.
pub(super) fn write(alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
    let mut text = sentence(alert);
    // Most reasons name the value; the raw form is in none.
    let named = |value: &str| raw.is_none() && alert.reason.contains(value);
    if let Some((method, value)) = alert.fingerprint.as_ref().filter(|(_, value)| !named(value)) {
        text.push_str(", ");
        text.push_str(method.name());
        text.push(' ');
        text.push_str(&visible(raw.unwrap_or(value), MAX_RAW));
    }
    out.extend_from_slice(br#"{"text":""#);
    escape::json(&escaped(&text), out);
    out.extend_from_slice(br#"","mrkdwn":false,"link_names":false,"unfurl_links":false,"unfurl_media":false}"#);
}

/// The three characters by which Slack's text calls people and hides links.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
