//! Syslog messages (RFC 5424).

use std::sync::Arc;

use super::cef::CefFormat;
use super::text::{fields, sentence, syslog_severity, visible};
use crate::encode::EncodeContext;
use crate::encode::clock::Clock;
use crate::model::{Alert, InterfaceNames};

/// The constant header fields of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct SyslogHeader {
    /// Facility, 0 to 23 (section 6.2.1).
    pub(in super::super) facility: u8,
    /// Private enterprise number after the `@` in the name of the structured data (section 7.2.2).
    pub(in super::super) enterprise: u32,
}

/// The content after the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SyslogContent {
    /// Structured data and a sentence.
    Text,
    /// Structured data and CEF.
    Cef,
    /// CEF alone.
    BareCef,
}

/// Writes alerts as syslog messages.
#[derive(Debug)]
pub(super) struct SyslogFormat {
    header: SyslogHeader,
    content: SyslogContent,
    clock: Clock,
    /// ` HOSTNAME APP-NAME PROCID `
    origin: Vec<u8>,
    interfaces: Arc<InterfaceNames>,
    cef: CefFormat,
}

/// Longest HOSTNAME, MSGID and SD-NAME (section 6).
const MAX_HOSTNAME: usize = 255;
const MAX_MSGID: usize = 32;
const MAX_SD_NAME: usize = 32;

impl SyslogFormat {
    pub(super) fn new(header: SyslogHeader, content: SyslogContent, context: &EncodeContext) -> Self {
        let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = context.sensor.clone().or_else(kernel).unwrap_or_default();
        let mut origin = vec![b' '];
        word(host.trim_end(), MAX_HOSTNAME, &mut origin);
        origin.extend_from_slice(format!(" ja4sensor {} ", std::process::id()).as_bytes());
        Self {
            header,
            content,
            clock: Clock::new(),
            origin,
            interfaces: Arc::clone(&context.interfaces),
            cef: CefFormat::new(context),
        }
    }

    /// Appends one message, without framing.
    pub(super) fn write(&mut self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        let severity = u32::from(syslog_severity(alert.severity));
        out.extend_from_slice(format!("<{}>1 ", u32::from(self.header.facility) * 8 + severity).as_bytes());
        self.clock.timestamp(alert.time, out);
        // A message has at most microseconds (section 6.2.3); the clock writes nanoseconds.
        out.truncate(out.len().saturating_sub("789Z".len()));
        out.push(b'Z');
        out.extend_from_slice(&self.origin);
        word(&alert.rule, MAX_MSGID, out);
        out.push(b' ');
        match self.content {
            SyslogContent::Text | SyslogContent::Cef => self.data(alert, raw, out),
            SyslogContent::BareCef => out.push(b'-'),
        }
        out.push(b' ');
        match self.content {
            SyslogContent::Text => out.extend_from_slice(sentence(alert).as_bytes()),
            SyslogContent::Cef | SyslogContent::BareCef => self.cef.write(alert, raw, out),
        }
    }

    /// Appends the structured data.
    fn data(&self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("[ja4sensor@{}", self.header.enterprise).as_bytes());
        fields(alert, raw, &self.interfaces, |name, value, limit| parameter(name, value, limit, out));
        out.push(b']');
    }
}

/// Appends a parameter of structured data (section 6.3.3).
fn parameter(name: &str, value: &str, limit: usize, out: &mut Vec<u8>) {
    out.push(b' ');
    // A subset of SD-NAME; the names of rule fields consist of these characters.
    let plain =
        |byte: u8| if matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.') { byte } else { b'_' };
    out.extend(name.bytes().take(MAX_SD_NAME).map(plain));
    out.extend_from_slice(b"=\"");
    for byte in visible(value, limit).bytes() {
        if matches!(byte, b'"' | b'\\' | b']') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Appends a header field: printable ASCII, other characters as `_`; `-` if it is empty.
fn word(text: &str, limit: usize, out: &mut Vec<u8>) {
    if text.is_empty() {
        return out.push(b'-');
    }
    out.extend(text.bytes().take(limit).map(|byte| if byte.is_ascii_graphic() { byte } else { b'_' }));
}
