//! QUIC datagrams of one flow.

use std::ops::ControlFlow;

use ja4::wire::quic::{
    CryptoFrames, InitialHeader, MAX_PACKETS, PacketKeys, PacketKind, Packets, Plaintext, V1, V2, seal,
};
use ja4::wire::tls::MAX_HANDSHAKE_MESSAGE;
use ja4_user::conntrack::{Budget, ReassemblyLimits};
use ja4_user::model::{Side, Time};
use ja4_user::protocol::UdpDatagram;
use ja4_user::protocol::quic::{MAX_CONNECTIONS, QuicBuffers, QuicConnections};

/// Destination connection IDs of the client: its own choice, and one from a Retry.
const CLIENT_DCIDS: [&[u8]; 2] = [b"original", b"retried"];

/// Connection ID by which the server addresses the client.
const CLIENT_SCID: &[u8] = b"me";

// Bits of a datagram's first byte, see [`quic`].
const FROM_SERVER: u8 = 0x01;
const ENCRYPT: u8 = 0x02;
const RETRIED_ID: u8 = 0x04;
const VERSION_2: u8 = 0x08;
const TRUNCATED: u8 = 0x10;
const CONTINUE: u8 = 0x20;

/// Reassembles the handshake messages in the QUIC datagrams of one flow.
///
/// Input: datagrams, each as
/// - byte 0, bit 0: the server sent it, otherwise the client;
/// - byte 0, bit 1: the content is frames, to be encrypted as an Initial packet; otherwise it is the datagram;
/// - byte 0, bit 2: the Initial packet has the connection ID of a Retry;
/// - byte 0, bit 3: the Initial packet has QUIC version 2, otherwise version 1;
/// - byte 0, bit 4: the last third of the datagram was not captured;
/// - byte 0, bit 5: the receiver continues after a message;
/// - bytes 1 and 2: length of the content;
/// - content.
///
/// Checks that an encrypted packet is decrypted to its frames, that packets and CRYPTO frames lie within the datagram,
/// that each byte of a CRYPTO frame is counted once, that memory stays within the budget, and that all memory is
/// released.
pub fn quic(data: &[u8]) {
    const LIMITS: ReassemblyLimits = ReassemblyLimits { window: 4096, bytes: 1024, ranges: 8 };
    let (mut flow, mut buffers) = (QuicConnections::<()>::default(), QuicBuffers::new(LIMITS));
    let (mut budget, mut rest) = (Budget::new(8192), data);
    while let Some((&[flags, high, low], after)) = rest.split_first_chunk() {
        let (content, after) = after.split_at(after.len().min(u16::from_be_bytes([high, low]).into()));
        rest = after;
        let from = if flags & FROM_SERVER == 0 { Side::Client } else { Side::Server };
        let initial = (flags & ENCRYPT != 0).then(|| initial_datagram(flags, from, content));
        let datagram = initial.as_deref().unwrap_or(content);
        let missing = if flags & TRUNCATED == 0 { 0 } else { datagram.len() / 3 };
        let payload = &datagram[..datagram.len() - missing];
        check_packets(payload, datagram.len());

        let datagram =
            UdpDatagram { payload, wire_len: datagram.len(), from_high: from == Side::Server, time: Time(0), ttl: 64 };
        let mut messages = 0;
        let outcome = flow.push(&mut buffers, &datagram, &mut budget, |(), delivered| {
            messages += 1;
            assert!(delivered.message.body.len() <= MAX_HANDSHAKE_MESSAGE);
            if flags & CONTINUE == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(messages == 0 || outcome.has_initial);
        assert!(outcome.errors().count() <= 1 + usize::from(MAX_PACKETS));
        assert!(budget.used() <= budget.max());
        assert!(flow.iter().count() <= MAX_CONNECTIONS);
        assert!(outcome.connection.is_none_or(|index| index < flow.iter().count()));
        if initial.is_some() && missing == 0 && messages == 0 && outcome.errors().next().is_none() {
            let crypto = outcome.crypto;
            let counted = crypto.duplicate + crypto.conflicting + crypto.buffered + crypto.refused.total();
            let counted = counted + crypto.delivered - crypto.released;
            let frames = CryptoFrames::new(content, false).map_while(Result::ok);
            let total: usize = frames.map(|frame| frame.data.len()).sum();
            // Bytes of a finished side are not read, and a side that exceeds the budget is not read to its end.
            assert!(counted == total || counted == 0 || crypto.refused.budget > 0);
        }
    }
    flow.close(&mut budget);
    assert_eq!(budget.used(), 0);
}

/// Encrypts frames as an Initial packet. Checks that only the keys of the sender's side decrypt it, to the same frames.
///
/// Returns an empty datagram if the frames exceed the packet's length field.
fn initial_datagram(flags: u8, from: Side, frames: &[u8]) -> Vec<u8> {
    let version = if flags & VERSION_2 == 0 { V1 } else { V2 };
    let client_dcid = CLIENT_DCIDS[usize::from(flags & RETRIED_ID != 0)];
    let client_keys = PacketKeys::client(version, client_dcid).unwrap();
    let server_keys = PacketKeys::server(version, client_dcid).unwrap();
    let (keys, other_keys, dcid, scid) = match from {
        Side::Client => (client_keys, server_keys, client_dcid, CLIENT_SCID),
        Side::Server => (server_keys, client_keys, CLIENT_SCID, CLIENT_DCIDS[1]),
    };
    let header = InitialHeader { version, dcid, scid, token: &[], number: 7, number_len: 4 };
    let mut datagram = Vec::new();
    if seal(&header, &keys, frames, &mut datagram).is_err() {
        assert!(frames.len() > 0x3000);
        return Vec::new();
    }
    let packet = Packets::new(&datagram, datagram.len()).next().unwrap().unwrap();
    assert_eq!(packet.kind, PacketKind::Initial);
    let mut plaintext = Plaintext::default();
    keys.open(&packet, &mut plaintext).unwrap();
    assert_eq!(plaintext.payload(), frames);
    assert!(other_keys.open(&packet, &mut plaintext).is_err());
    datagram
}

/// Checks that the packets of a datagram follow each other and fit it, and checks the frames of those that are
/// decrypted. The payload is also read as frames itself.
fn check_packets(payload: &[u8], wire_len: usize) {
    let (mut end, mut plaintext) = (0, Plaintext::default());
    for packet in Packets::new(payload, wire_len).map_while(Result::ok) {
        assert!(payload[end..].starts_with(packet.bytes) && !packet.bytes.is_empty());
        end += packet.bytes.len();
        assert!(packet.number_at <= packet.bytes.len() && packet.bytes.len() <= packet.wire_len);
        assert!(!packet.is_truncated() || end == payload.len());
        let Ok(keys) = PacketKeys::client(packet.version, packet.dcid) else {
            continue;
        };
        if keys.open(&packet, &mut plaintext).is_ok() {
            check_crypto_frames(plaintext.payload(), plaintext.is_truncated());
        }
    }
    check_crypto_frames(payload, false);
    check_crypto_frames(payload, true);
}

/// Checks that CRYPTO frames follow each other and lie within the payload.
fn check_crypto_frames(payload: &[u8], truncated: bool) {
    let mut end = 0;
    for frame in CryptoFrames::new(payload, truncated).map_while(Result::ok) {
        assert!(end < frame.start && payload[frame.start..].starts_with(frame.data));
        end = frame.start + frame.data.len();
    }
}
