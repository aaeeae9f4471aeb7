//! Text from the wire in alert messages: bounded, on one line, without control characters.

use std::fmt::Write as _;

use crate::encode::escape;
use crate::model::{Alert, InterfaceNames, Severity};

/// Longest value in syslog, CEF and Slack, bytes. A dozen values with every byte escaped stay below 8 KiB, the size at
/// which syslog receivers truncate a message.
pub(super) const MAX_VALUE: usize = 256;

/// Longest reason, bytes: it may name all values of a handshake.
pub(super) const MAX_REASON: usize = 1024;

/// Longest raw form, bytes: that of a browser's JA4 has about 400.
pub(super) const MAX_RAW: usize = 1024;

/// Most values of a group that are included: rules group by one or two.
pub(super) const MAX_GROUP: usize = 8;

/// Returns at most `limit` bytes of text on one line, without control characters.
pub(super) fn visible(text: &str, limit: usize) -> String {
    let mut shown = Vec::new();
    // No character takes less than a byte, so this truncates no text within the limit.
    escape::terminal(text, limit, &mut shown);
    let mut shown = String::from_utf8(shown).unwrap_or_default();
    if shown.len() > limit {
        let mut end = limit.saturating_sub('…'.len_utf8());
        while !shown.is_char_boundary(end) {
            end -= 1;
        }
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Describes the alert in a sentence: `high known_bad: ja4 … is Sliver, 10.0.0.1:51234 -> 10.0.0.2:443`.
pub(super) fn sentence(alert: &Alert) -> String {
    let mut text = format!("{} {}: ", alert.severity, visible(&alert.rule, MAX_VALUE));
    text.push_str(&visible(&alert.reason, MAX_REASON));
    // Writing to a String does not fail.
    if let Some(flow) = &alert.flow {
        let [client, server] = [flow.client, flow.server].map(std::net::SocketAddr::from);
        let _ = write!(text, ", {client} -> {server}");
    }
    for (name, value) in alert.group.iter().take(MAX_GROUP) {
        let _ = write!(text, ", {}={}", visible(name, MAX_VALUE), visible(value, MAX_VALUE));
    }
    if alert.suppressed > 0 {
        let _ = write!(text, ", and {} like it", alert.suppressed);
    }
    text
}

/// Returns the severity of syslog (RFC 5424, section 6.2.1), which is also the PRIORITY of journald.
pub(super) const fn syslog_severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
    }
}

/// Calls `field` with name, value and longest value in bytes of every field of the alert.
pub(super) fn fields(
    alert: &Alert,
    raw: Option<&str>,
    interfaces: &InterfaceNames,
    mut field: impl FnMut(&str, &str, usize),
) {
    field("rule", &alert.rule, MAX_VALUE);
    field("severity", alert.severity.name(), MAX_VALUE);
    field("description", &alert.description, MAX_VALUE);
    field("reason", &alert.reason, MAX_REASON);
    if let Some(category) = &alert.category {
        field("category", category, MAX_VALUE);
    }
    if let Some(confidence) = alert.confidence {
        field("confidence", &confidence.to_string(), MAX_VALUE);
    }
    field("suppressed", &alert.suppressed.to_string(), MAX_VALUE);
    if let Some(name) = alert.interface.and_then(|index| interfaces.get(index)) {
        field("in_iface", name, MAX_VALUE);
    }
    if let Some(flow) = &alert.flow {
        field("flow_id", &flow.id.to_string(), MAX_VALUE);
        field("community_id", &String::from_utf8_lossy(flow.community.as_bytes()), MAX_VALUE);
        field("src_ip", &flow.client.0.to_string(), MAX_VALUE);
        field("src_port", &flow.client.1.to_string(), MAX_VALUE);
        field("dest_ip", &flow.server.0.to_string(), MAX_VALUE);
        field("dest_port", &flow.server.1.to_string(), MAX_VALUE);
        field("proto", &flow.proto.to_string(), MAX_VALUE);
    }
    for (name, value) in alert.group.iter().take(MAX_GROUP) {
        field(&format!("group_{name}"), value, MAX_VALUE);
    }
    if let Some((method, value)) = &alert.fingerprint {
        field("fingerprint_type", method.name(), MAX_VALUE);
        field("fingerprint", value, MAX_VALUE);
    }
    if let Some(raw) = raw {
        field("raw", raw, MAX_RAW);
    }
}
