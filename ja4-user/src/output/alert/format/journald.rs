//! Entries of journald, in its native protocol: one `FIELD=value` per line
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>). `journalctl -t ja4sensor` lists them.

use std::sync::Arc;

use super::text::{self, sentence, visible};
use crate::encode::EncodeContext;
use crate::encode::clock::Clock;
use crate::model::{Alert, InterfaceNames};

/// Longest name of a field; journald ignores a field with a longer one.
const MAX_NAME: usize = 64;

/// Writes alerts as entries.
#[derive(Debug)]
pub(super) struct JournaldFormat {
    sensor: Option<String>,
    interfaces: Arc<InterfaceNames>,
    clock: Clock,
}

impl JournaldFormat {
    pub(super) fn new(context: &EncodeContext) -> Self {
        Self { sensor: context.sensor.clone(), interfaces: Arc::clone(&context.interfaces), clock: Clock::new() }
    }

    /// Appends one entry. The fields are those of syslog's structured data, with the prefix `JA4_`.
    pub(super) fn write(&mut self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        let header = format!(
            "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=ja4sensor\nJA4_TIMESTAMP=",
            sentence(alert),
            text::syslog_severity(alert.severity)
        );
        out.extend_from_slice(header.as_bytes());
        self.clock.timestamp(alert.time, out);
        out.push(b'\n');
        if let Some(sensor) = &self.sensor {
            field("sensor", sensor, text::MAX_VALUE, out);
        }
        text::fields(alert, raw, &self.interfaces, |name, value, limit| field(name, value, limit, out));
    }
}

/// Appends a field. A name has upper-case letters, digits and underscores; a visible value has no line end.
fn field(name: &str, value: &str, limit: usize, out: &mut Vec<u8>) {
    let upper = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
    out.extend(b"JA4_".iter().copied().chain(name.bytes().map(upper)).take(MAX_NAME));
    out.push(b'=');
    out.extend_from_slice(visible(value, limit).as_bytes());
    out.push(b'\n');
}
