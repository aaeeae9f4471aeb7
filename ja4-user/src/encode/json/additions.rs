//! The fields that the engine adds to a line of a shard. Each leaves a comma behind it.

use super::attributes::{object, text};
use super::{number, string};
use crate::encode::clock::Clock;
use crate::model::{ConnectionRecord, FingerprintRecord, KnownBad, Label, Tunnel};

/// What is known of a fingerprint.
pub(in super::super) fn fingerprint(seen: &FingerprintRecord, out: &mut Vec<u8>) {
    if let Some(of) = &seen.label {
        label(br#""label":{"#, of, out);
    }
    flag(br#""first_seen":true,"#, seen.first_seen, out);
    if let Some(of) = &seen.known_bad {
        known_bad(of, out);
    }
}

/// What is known of a connection.
pub(in super::super) fn connection(record: &ConnectionRecord, out: &mut Vec<u8>) {
    if let Some(of) = &record.app {
        label(br#""app":{"#, of, out);
    }
    if let Some(of) = &record.known_bad {
        known_bad(of, out);
    }
    text(br#""os":""#, record.os(), out);
    let [client, server] = record.hops;
    object(br#""hops":{"#, out, |out| {
        count(br#""client":"#, client, out);
        count(br#""server":"#, server, out);
    });
    count(br#""mss":"#, record.mss, out);
    if let Some(path) = record.path() {
        object(br#""path":{"#, out, |out| {
            text(br#""name":""#, path.name, out);
            count(br#""confidence":"#, path.name.map(|_| path.confidence), out);
            count(br#""mtu":"#, Some(path.mtu), out);
        });
    }
    if let Some(Tunnel { name, confidence, mtu }) = record.tunnel() {
        object(br#""tunnel":{"#, out, |out| {
            text(br#""name":""#, Some(name), out);
            count(br#""confidence":"#, Some(confidence), out);
            count(br#""mtu":"#, Some(mtu), out);
        });
    }
    text(br#""ssh_session":""#, record.ssh.map(|session| session.name()), out);
    flag(br#""is_new":true,"#, record.is_new, out);
    if let Some(seen) = record.primary() {
        object(br#""primary":{"#, out, |out| {
            text(br#""type":""#, Some(seen.method.name()), out);
            text(br#""value":""#, Some(&seen.value), out);
        });
    }
    if !record.fired.is_empty() {
        out.extend_from_slice(br#""alerts":["#);
        for fired in &record.fired {
            text(b"\"", Some(fired), out);
        }
        out.pop();
        out.extend_from_slice(b"],");
    }
}

/// The fingerprints that a record keeps.
pub(in super::super) fn history(record: &ConnectionRecord, out: &mut Vec<u8>) {
    if record.history.is_empty() {
        return;
    }
    let mut clock = Clock::new();
    out.extend_from_slice(br#""fingerprints":["#);
    for seen in &record.history {
        out.push(b'{');
        out.extend_from_slice(br#""timestamp":""#);
        clock.timestamp(seen.time, out);
        out.extend_from_slice(b"\",");
        count(br#""pcap_cnt":"#, seen.packet(), out);
        text(br#""type":""#, Some(seen.method.name()), out);
        text(br#""side":""#, Some(seen.side.name()), out);
        count(br#""count":"#, Some(seen.count), out);
        text(br#""value":""#, Some(&seen.value), out);
        text(br#""raw":""#, seen.raw.as_deref(), out);
        fingerprint(seen, out);
        out.pop();
        out.extend_from_slice(b"},");
    }
    out.pop();
    out.extend_from_slice(b"],");
}

/// Writes a label under a name: `label` of a fingerprint, `app` of a connection.
fn label(name: &[u8], of: &Label, out: &mut Vec<u8>) {
    object(name, out, |out| {
        text(br#""name":""#, Some(&of.name), out);
        text(br#""source":""#, Some(&of.source), out);
        text(br#""category":""#, of.category.as_deref(), out);
        count(br#""confidence":"#, of.confidence, out);
    });
}

fn known_bad(of: &KnownBad, out: &mut Vec<u8>) {
    object(br#""known_bad":{"#, out, |out| {
        text(br#""pattern":""#, Some(&of.pattern), out);
        text(br#""category":""#, Some(&of.category), out);
        count(br#""confidence":"#, Some(of.confidence), out);
        if !of.note.is_empty() {
            string(br#""note":""#, &of.note, out);
            out.extend_from_slice(b"\",");
        }
    });
}

fn flag(field: &[u8], holds: bool, out: &mut Vec<u8>) {
    if holds {
        out.extend_from_slice(field);
    }
}

/// A field with a number: `name` with its colon, if there is a number.
pub(super) fn count(name: &[u8], value: Option<impl itoa::Integer>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        number(value, out);
        out.push(b',');
    }
}
