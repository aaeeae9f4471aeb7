//! ArcSight's Common Event Format, version 0.

use std::net::IpAddr;
use std::sync::Arc;

use super::text::{MAX_GROUP, MAX_RAW, MAX_REASON, MAX_VALUE, visible};
use crate::encode::EncodeContext;
use crate::model::{Alert, InterfaceNames, Severity};

/// Writes alerts as CEF.
#[derive(Debug)]
pub(super) struct CefFormat {
    sensor: Option<String>,
    interfaces: Arc<InterfaceNames>,
}

impl CefFormat {
    pub(super) fn new(context: &EncodeContext) -> Self {
        Self { sensor: context.sensor.clone(), interfaces: Arc::clone(&context.interfaces) }
    }

    /// Appends one line, without the line end.
    pub(super) fn write(&self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CEF:0|ja4sensor|ja4sensor|");
        header(env!("CARGO_PKG_VERSION"), out);
        header(&alert.rule, out);
        header(&alert.description, out);
        // CEF severities range from 0 to 10, the highest.
        header(
            match alert.severity {
                Severity::Low => "3",
                Severity::Medium => "5",
                Severity::High => "8",
                Severity::Critical => "10",
            },
            out,
        );
        let mut field = |key: &str, value: &str| {
            let limit = if key == "msg" { MAX_REASON } else { MAX_VALUE };
            extension(key, value, limit, out);
        };
        field("rt", &(alert.time.0 / 1_000_000).to_string());
        field("act", "allowed");
        if let Some(flow) = &alert.flow {
            for ((address, port), keys) in
                [(flow.client, ["src", "c6a2", "spt"]), (flow.server, ["dst", "c6a3", "dpt"])]
            {
                let [v4, v6, of_port] = keys;
                match address {
                    IpAddr::V4(address) => field(v4, &address.to_string()),
                    IpAddr::V6(address) => {
                        field(v6, &address.to_string());
                        let label = if v4 == "src" { "Source IPv6 Address" } else { "Destination IPv6 Address" };
                        field(&format!("{v6}Label"), label);
                    }
                }
                field(of_port, &port.to_string());
            }
            match flow.proto {
                6 => field("proto", "TCP"),
                17 => field("proto", "UDP"),
                other => field("proto", &other.to_string()),
            }
            field("externalId", &flow.id.to_string());
        }
        if let Some(name) = alert.interface.and_then(|index| self.interfaces.get(index)) {
            field("deviceInboundInterface", name);
        }
        if let Some(sensor) = &self.sensor {
            field("dvchost", sensor);
        }
        if let Some(category) = &alert.category {
            field("cat", category);
        }
        if let Some((method, value)) = &alert.fingerprint {
            field("cs1Label", method.name());
            field("cs1", value);
        }
        if !alert.group.is_empty() {
            let group = alert.group.iter().take(MAX_GROUP).map(|(name, value)| format!("{name}={value}"));
            field("cs2Label", "group");
            field("cs2", &group.collect::<Vec<_>>().join(" "));
        }
        if let Some(confidence) = alert.confidence {
            field("cn1Label", "confidence");
            field("cn1", &confidence.to_string());
        }
        field("cnt", &alert.suppressed.saturating_add(1).to_string());
        field("msg", &alert.reason);
        if let Some(raw) = raw {
            extension("cs3Label", "raw", MAX_VALUE, out);
            extension("cs3", raw, MAX_RAW, out);
        }
        if out.last() == Some(&b' ') {
            out.pop();
        }
    }
}

/// Appends a header field and its separator.
fn header(text: &str, out: &mut Vec<u8>) {
    escaped(&visible(text, MAX_VALUE), [b'\\', b'|'], out);
    out.push(b'|');
}

/// Appends an extension field and a space.
fn extension(key: &str, value: &str, limit: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    escaped(&visible(value, limit), [b'\\', b'='], out);
    out.push(b' ');
}

fn escaped(text: &str, special: [u8; 2], out: &mut Vec<u8>) {
    for byte in text.bytes() {
        if special.contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}
