//! Alerts, in EVE's shape: what any reader of `alert` knows, and under `ja4sensor` what is our own.

use super::additions::count;
use super::attributes::{object, text};
use super::{Json, LINE, end, number, string, time};
use crate::model::{Alert, Attributes, EventContext};

impl Json {
    /// Writes a whole line. `raw` is the raw form of the fingerprint.
    pub(in super::super) fn alert(&mut self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        out.reserve(LINE);
        time(&mut self.clock, alert.time, &self.alert, out);
        match &alert.flow {
            Some(flow) => {
                // No run has this many interfaces.
                let interface = alert.interface.unwrap_or(u32::MAX);
                let cause = EventContext { time: alert.time, interface, hook: None, packet: alert.packet };
                self.head(&cause, flow, &Attributes::default(), out);
            }
            None => {
                if let Some(packet) = alert.packet {
                    out.extend_from_slice(br#","pcap_cnt":"#);
                    number(packet, out);
                }
            }
        }
        out.push(b',');
        object(br#""alert":{"#, out, |out| body(alert, out));
        if let Some((method, value)) = &alert.fingerprint {
            object(br#""fingerprint":{"#, out, |out| {
                text(br#""type":""#, Some(method.name()), out);
                text(br#""value":""#, Some(value), out);
                text(br#""raw":""#, raw, out);
            });
        }
        end(out);
    }
}

fn body(alert: &Alert, out: &mut Vec<u8>) {
    text(br#""action":""#, Some("allowed"), out);
    text(br#""signature":""#, Some(&alert.description), out);
    text(br#""category":""#, alert.category.as_deref(), out);
    count(br#""severity":"#, Some(alert.severity.eve()), out);
    object(br#""ja4sensor":{"#, out, |out| {
        text(br#""rule":""#, Some(&alert.rule), out);
        text(br#""description":""#, Some(&alert.description), out);
        text(br#""severity":""#, Some(alert.severity.name()), out);
        text(br#""reason":""#, Some(&alert.reason), out);
        object(br#""group":{"#, out, |out| {
            for (name, value) in &alert.group {
                string(b"\"", name, out);
                text(br#"":""#, Some(value), out);
            }
        });
        count(br#""confidence":"#, alert.confidence, out);
        count(br#""suppressed":"#, Some(alert.suppressed), out);
    });
}
