//! QUIC datagrams.

use std::ops::ControlFlow;

use ja4::wire::quic::{
    CryptoFrames, InitialHeader, MAX_PACKETS, PacketKeys, PacketKind, Packets, Plaintext, V1, V2, seal,
};
use ja4::wire::tls::MAX_HANDSHAKE_MESSAGE;
use ja4_user::conntrack::{Budget, ReassemblyLimits};
use ja4_user::model::{Side, Time};
use ja4_user::protocol::UdpDatagram;
use ja4_user::protocol::quic::{MAX_CONNECTIONS, QuicBuffers, QuicConnections};

/// What the client chooses at first, and what a Retry would give it.
const IDS: [&[u8]; 2] = [b"original", b"retried"];

/// Datagrams of one connection: what is sealed opens, every byte of its frames is counted, nothing lies
/// outside of what holds it, no bound is passed, and what was charged is given back.
///
/// Each begins with a byte and a length of two bytes. Bit 0 of the byte says that the server sends it. Bit 1
/// seals the bytes, as frames, into an Initial; else they are the datagram as it stands. Bit 2 takes the
/// other ID, bit 3 version 2, bit 4 leaves a third of it uncaptured, bit 5 asks for more behind a message.
pub fn quic(data: &[u8]) {
    const LIMITS: ReassemblyLimits = ReassemblyLimits { window: 4096, bytes: 1024, ranges: 8 };
    let (mut flow, mut engine) = (QuicConnections::<()>::default(), QuicBuffers::new(LIMITS));
    let (mut budget, mut rest) = (Budget::new(8192), data);
    while let Some((&[shape, high, low], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(after.len().min(u16::from_be_bytes([high, low]).into()));
        rest = after;
        let from = if shape & 1 == 0 { Side::Client } else { Side::Server };
        let sealed = (shape & 2 != 0).then(|| sealed(shape, from, bytes));
        let datagram = sealed.as_deref().unwrap_or(bytes);
        let missing = if shape & 16 == 0 { 0 } else { datagram.len() / 3 };
        let payload = &datagram[..datagram.len() - missing];
        walk(payload, datagram.len());

        let datagram =
            UdpDatagram { payload, wire_len: datagram.len(), from_high: from == Side::Server, time: Time(0), ttl: 64 };
        let mut messages = 0;
        let seen = flow.push(&mut engine, &datagram, &mut budget, |(), given| {
            messages += 1;
            assert!(given.message.body.len() <= MAX_HANDSHAKE_MESSAGE);
            if shape & 32 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(messages == 0 || seen.has_initial);
        assert!(seen.errors().count() <= 1 + usize::from(MAX_PACKETS));
        assert!(budget.used() <= budget.max());
        assert!(flow.iter().count() <= MAX_CONNECTIONS);
        assert!(seen.connection.is_none_or(|place| place < flow.iter().count()));
        if sealed.is_some() && missing == 0 && messages == 0 && seen.errors().next().is_none() {
            let crypto = seen.crypto;
            let counted = crypto.duplicate + crypto.conflicting + crypto.buffered + crypto.refused.total();
            let all: usize = CryptoFrames::new(bytes, false).map_while(Result::ok).map(|frame| frame.data.len()).sum();
            // Of a side that is done nothing is read, and of one that is given up not all.
            let counted = counted + crypto.delivered - crypto.released;
            assert!(counted == all || counted == 0 || crypto.refused.budget > 0);
        }
    }
    flow.close(&mut budget);
    assert_eq!(budget.used(), 0);
}

/// An Initial over `frames`, which opens to the same.
fn sealed(shape: u8, from: Side, frames: &[u8]) -> Vec<u8> {
    let version = if shape & 8 == 0 { V1 } else { V2 };
    let id = IDS[usize::from(shape >> 2 & 1)];
    let (keys, other) = match from {
        Side::Client => (PacketKeys::client(version, id).unwrap(), PacketKeys::server(version, id).unwrap()),
        Side::Server => (PacketKeys::server(version, id).unwrap(), PacketKeys::client(version, id).unwrap()),
    };
    let (dcid, scid) = if from == Side::Client { (id, &b"me"[..]) } else { (&b"me"[..], IDS[1]) };
    let header = InitialHeader { version, dcid, scid, token: &[], number: 7, number_len: 4 };
    let mut datagram = Vec::new();
    if seal(&header, &keys, frames, &mut datagram).is_err() {
        assert!(frames.len() > 0x3000); // longer than its length field can say
        return Vec::new();
    }
    let packet = Packets::new(&datagram, datagram.len()).next().unwrap().unwrap();
    assert_eq!(packet.kind, PacketKind::Initial);
    let mut plaintext = Plaintext::default();
    keys.open(&packet, &mut plaintext).unwrap();
    assert_eq!(plaintext.payload(), frames);
    assert!(other.open(&packet, &mut plaintext).is_err());
    datagram
}

/// Packets lie one behind the other, and what is read of them within them.
fn walk(payload: &[u8], wire_len: usize) {
    let (mut at, mut plaintext) = (0, Plaintext::default());
    for packet in Packets::new(payload, wire_len).map_while(Result::ok) {
        assert!(payload[at..].starts_with(packet.bytes) && !packet.bytes.is_empty());
        at += packet.bytes.len();
        assert!(packet.number_at <= packet.bytes.len() && packet.bytes.len() <= packet.wire_len);
        assert!(!packet.is_truncated() || at == payload.len());
        let Ok(keys) = PacketKeys::client(packet.version, packet.dcid) else {
            continue;
        };
        if keys.open(&packet, &mut plaintext).is_ok() {
            frames(plaintext.payload(), plaintext.is_truncated());
        }
    }
    frames(payload, false);
    frames(payload, true);
}

/// CRYPTO frames lie one behind the other.
fn frames(payload: &[u8], truncated: bool) {
    let mut end = 0;
    for frame in CryptoFrames::new(payload, truncated).map_while(Result::ok) {
        assert!(end < frame.start && payload[frame.start..].starts_with(frame.data));
        end = frame.start + frame.data.len();
    }
}
