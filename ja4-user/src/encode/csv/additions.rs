//! The columns that the engine fills: `label` to `alerts`, and the end of the line.

use super::{number, text};
use crate::model::{ConnectionRecord, FingerprintRecord, KnownBad, Label};

/// What is empty without a label, without anything bad.
const NO_LABEL: &[u8] = b",,,,";
const NO_KNOWN_BAD: &[u8] = b",,,";
/// What a fingerprint leaves empty: `is_new` to `alerts`.
const NO_RECORD: &[u8] = b",,,,,,,,,";
/// `label` to `alerts`.
pub(super) const NO_ADDITIONS: &[u8] = b",,,,,,,,,,,,,,,,,,,,,";
/// `rule` to `suppressed`, less the line's last comma.
const NO_ALERT: &[u8] = b",,,,,,,\n";

/// Between the descriptions of one `alerts` field.
const ALERT_SEPARATOR: &str = "; ";

/// Of a fingerprint, to the end of its line.
pub(in super::super) fn fingerprint(seen: &FingerprintRecord, out: &mut Vec<u8>) {
    label(seen.label.as_deref(), out);
    out.extend_from_slice(NO_LABEL);
    known_bad(seen.known_bad.as_deref(), out);
    flag(seen.first_seen, out);
    out.extend_from_slice(NO_RECORD);
    out.extend_from_slice(NO_ALERT);
}

/// Of a connection, to the end of its line.
pub(in super::super) fn connection(record: &ConnectionRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(NO_LABEL);
    label(record.app.as_deref(), out);
    known_bad(record.known_bad.as_deref(), out);
    flag(false, out);
    flag(record.is_new, out);
    text(record.os(), out);
    let [client, server] = record.hops;
    number(client, out);
    number(server, out);
    number(record.mss, out);
    text(record.tunnel().map(|tunnel| tunnel.name), out);
    text(record.ssh.map(|session| session.name()), out);
    text(record.primary().map(|seen| &*seen.value), out);
    text(Some(&record.fired.join(ALERT_SEPARATOR)), out);
    out.extend_from_slice(NO_ALERT);
}

/// Of an event of which nothing more is known, to the end of its line.
pub(in super::super) fn nothing(out: &mut Vec<u8>) {
    out.extend_from_slice(NO_ADDITIONS);
    out.extend_from_slice(NO_ALERT);
}

fn label(of: Option<&Label>, out: &mut Vec<u8>) {
    let Some(of) = of else {
        return out.extend_from_slice(NO_LABEL);
    };
    text(Some(&of.name), out);
    text(Some(&of.source), out);
    text(of.category.as_deref(), out);
    number(of.confidence, out);
}

fn known_bad(of: Option<&KnownBad>, out: &mut Vec<u8>) {
    let Some(of) = of else {
        return out.extend_from_slice(NO_KNOWN_BAD);
    };
    text(Some(&of.pattern), out);
    text(Some(&of.category), out);
    number(Some(of.confidence), out);
}

fn flag(holds: bool, out: &mut Vec<u8>) {
    text(holds.then_some("true"), out);
}
