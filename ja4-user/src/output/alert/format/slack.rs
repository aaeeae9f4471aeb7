//! The body of Slack's incoming webhooks, and of compatible servers.

use super::text::{MAX_RAW, sentence, visible};
use crate::encode::escape;
use crate::model::Alert;

/// Appends a JSON object. Markup and link previews are disabled.
pub(super) fn write(alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
    let mut text = sentence(alert);
    // Most reasons name the value; none names the raw form.
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

/// Escapes the three characters that start mentions and links in Slack's text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
