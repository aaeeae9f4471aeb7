//! An alert as the bytes that a receiver reads.
//!
//! Names and values come from the wire. Each format first has them [`visible`]: one line, nothing that
//! steers a terminal, bounded; then escapes what has a meaning of its own in it.

mod cef;
mod slack;
mod syslog;

use std::sync::Arc;

use self::cef::Cef;
use self::syslog::Syslog;
pub(super) use self::syslog::{Content, Header};
use super::AlertLine;
use crate::encode::{Context, Format, Formatter, escape};

/// Longest value in syslog, CEF and Slack, bytes. A dozen of them, each byte escaped, stay below the
/// 8 KiB at which receivers of syslog cut a message.
const MAX_VALUE: usize = 256;

/// Longest reason there, bytes: it may name all values that a handshake shows.
const MAX_REASON: usize = 1024;

/// Longest raw form there, bytes: that of a browser's JA4 has about 400.
const MAX_RAW: usize = 1024;

/// Most values of a group that are told: rules group by one or two.
const MAX_GROUP: usize = 8;

/// How a sink writes alerts.
#[derive(Debug)]
pub(super) struct Form {
    /// Whether raw forms are written.
    raw: bool,
    kind: FormKind,
}

#[derive(Debug)]
enum FormKind {
    Json(Box<Formatter>),
    Slack,
    Syslog(Box<Syslog>),
    Cef(Cef),
}

impl Form {
    /// JSON, as the `alert` events of the output.
    pub(super) fn json(raw: bool, context: &Context) -> Self {
        let context = Context { filter: crate::encode::Filter::default(), ..context.clone() };
        Self { raw, kind: FormKind::Json(Box::new(Formatter::new(Format::Json, Arc::new(context)))) }
    }

    /// What Slack and those like it take.
    pub(super) fn slack(raw: bool) -> Self {
        Self { raw, kind: FormKind::Slack }
    }

    /// A message of syslog.
    pub(super) fn syslog(raw: bool, header: Header, content: Content, context: &Context) -> Self {
        Self { raw, kind: FormKind::Syslog(Box::new(Syslog::new(header, content, context))) }
    }

    /// CEF by itself.
    pub(super) fn cef(raw: bool, context: &Context) -> Self {
        Self { raw, kind: FormKind::Cef(Cef::new(context)) }
    }

    /// Appends an alert: one line, without its end.
    pub(super) fn write(&mut self, line: &AlertLine, out: &mut Vec<u8>) {
        let raw = line.raw.as_deref().filter(|_| self.raw);
        match &mut self.kind {
            FormKind::Json(formatter) => {
                formatter.alert(&line.alert, raw, out);
                if out.last() == Some(&b'\n') {
                    out.pop();
                }
            }
            FormKind::Slack => slack::write(&line.alert, raw, out),
            FormKind::Syslog(syslog) => syslog.write(&line.alert, raw, out),
            FormKind::Cef(cef) => cef.write(&line.alert, raw, out),
        }
    }
}

/// At most `limit` bytes of text that is one line and steers nothing.
fn visible(text: &str, limit: usize) -> String {
    let mut shown = Vec::new();
    // No character takes less than a byte, so this cuts nothing that fits.
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

/// The alert in a sentence: `high known_bad: ja4 … is Sliver, 10.0.0.1:51234 -> 10.0.0.2:443`.
fn sentence(alert: &crate::model::Alert) -> String {
    use std::fmt::Write as _;

    let mut text = format!("{} {}: ", alert.severity, visible(&alert.rule, MAX_VALUE));
    text.push_str(&visible(&alert.reason, MAX_REASON));
    // Writing to a string does not fail.
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

#[cfg(test)]
mod tests;
