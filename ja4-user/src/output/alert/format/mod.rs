//! Alert formats.
//!
//! Names and values come from the wire. Each format first makes them [`visible`](text::visible): one line, no control
//! characters, bounded. Then it escapes the characters that are special in the format.

mod cef;
mod journald;
mod slack;
mod syslog;
mod text;

use std::sync::Arc;

use self::cef::CefFormat;
use self::journald::JournaldFormat;
use self::syslog::SyslogFormat;
pub(super) use self::syslog::{SyslogContent, SyslogHeader};
use super::line::AlertLine;
use crate::encode::{EncodeContext, Format, Formatter};

/// The format of a sink.
#[derive(Debug)]
pub(super) struct AlertFormat {
    /// Whether raw forms are included.
    raw: bool,
    kind: FormatKind,
}

#[derive(Debug)]
enum FormatKind {
    Json(Box<Formatter>),
    Slack,
    Syslog(Box<SyslogFormat>),
    Cef(CefFormat),
    Journald(JournaldFormat),
}

impl AlertFormat {
    /// Creates the JSON format: the `alert` events of the output.
    pub(super) fn json(raw: bool, context: &EncodeContext) -> Self {
        let context = EncodeContext { filter: crate::encode::Filter::default(), ..context.clone() };
        Self { raw, kind: FormatKind::Json(Box::new(Formatter::new(Format::Json, Arc::new(context)))) }
    }

    /// Creates the format of Slack and compatible webhooks.
    pub(super) fn slack(raw: bool) -> Self {
        Self { raw, kind: FormatKind::Slack }
    }

    /// Creates a syslog format.
    pub(super) fn syslog(raw: bool, header: SyslogHeader, content: SyslogContent, context: &EncodeContext) -> Self {
        Self { raw, kind: FormatKind::Syslog(Box::new(SyslogFormat::new(header, content, context))) }
    }

    /// Creates the CEF format.
    pub(super) fn cef(raw: bool, context: &EncodeContext) -> Self {
        Self { raw, kind: FormatKind::Cef(CefFormat::new(context)) }
    }

    /// Creates the format of journald.
    pub(super) fn journald(raw: bool, context: &EncodeContext) -> Self {
        Self { raw, kind: FormatKind::Journald(JournaldFormat::new(context)) }
    }

    /// Appends an alert as one line without the line end; for journald, as the lines of an entry.
    pub(super) fn write(&mut self, line: &AlertLine, out: &mut Vec<u8>) {
        let raw = line.raw.as_deref().filter(|_| self.raw);
        match &mut self.kind {
            FormatKind::Json(formatter) => {
                formatter.alert(&line.alert, raw, out);
                if out.last() == Some(&b'\n') {
                    out.pop();
                }
            }
            FormatKind::Slack => slack::write(&line.alert, raw, out),
            FormatKind::Syslog(syslog) => syslog.write(&line.alert, raw, out),
            FormatKind::Cef(cef) => cef.write(&line.alert, raw, out),
            FormatKind::Journald(journald) => journald.write(&line.alert, raw, out),
        }
    }
}

#[cfg(test)]
mod tests;
