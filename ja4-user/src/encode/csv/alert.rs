//! Alerts as rows.

use super::super::filter::ALERT;
use super::additions::NO_ADDITIONS;
use super::{
    Csv, NO_CERTIFICATE, NO_CONNECTION, NO_DHCP, NO_FINGERPRINT, NO_HTTP, NO_QUIC, NO_SSH, NO_TLS, number, text,
};
use crate::model::{Alert, EventContext};

/// What an alert without a connection leaves empty behind `pcap_cnt`: `src_ip` to `proto`.
const NO_FLOW: &[u8] = b",,,,,";

impl Csv {
    /// Writes a whole line. `raw` is the raw form of the fingerprint.
    pub(in super::super) fn alert(&mut self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        match &alert.flow {
            Some(flow) => {
                // No run has this many interfaces.
                let interface = alert.interface.unwrap_or(u32::MAX);
                let cause = EventContext { time: alert.time, interface, hook: None, packet: alert.packet };
                self.head(ALERT, &cause, flow, out);
            }
            None => {
                self.clock.timestamp(alert.time, out);
                out.push(b',');
                text(Some(ALERT), out);
                // Interface, direction and the number of the flow.
                out.extend_from_slice(b",,,");
                number(alert.packet, out);
                out.extend_from_slice(NO_FLOW);
            }
        }
        match &alert.fingerprint {
            Some((method, value)) => {
                text(Some(method.name()), out);
                // Side and count.
                out.extend_from_slice(b",,");
                text(Some(value), out);
                text(raw, out);
                // The forms in original order.
                out.extend_from_slice(b",,");
            }
            None => out.extend_from_slice(NO_FINGERPRINT),
        }
        for empty in [NO_TLS, NO_CERTIFICATE, NO_QUIC, NO_HTTP, NO_SSH, NO_DHCP, NO_CONNECTION, NO_ADDITIONS] {
            out.extend_from_slice(empty);
        }
        text(Some(&alert.rule), out);
        text(Some(alert.severity.name()), out);
        text(Some(&alert.description), out);
        text(Some(&alert.reason), out);
        let group = alert.group.iter().map(|(name, value)| format!("{name}={value}"));
        text(Some(&group.collect::<Vec<_>>().join(";")), out);
        text(alert.category.as_deref(), out);
        number(alert.confidence, out);
        number(Some(alert.suppressed), out);
        out.pop();
        out.push(b'\n');
    }
}
