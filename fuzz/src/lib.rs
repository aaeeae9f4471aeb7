//! Checks of the fuzz targets: one function per target, which panics if a property does not hold for its input.
//!
//! The programs in `fuzz_targets/` call these functions. `ja4-user/tests/fuzz_corpus.rs` includes this file and runs
//! each function over the committed corpus of its target, so `cargo test` checks every corpus too.

mod dhcp;
mod dtls;
mod fragments;
mod framings;
mod hpack;
mod http1;
mod http2;
mod input;
mod lane_run;
mod quic;
mod ssh;
mod tunnels;
mod x509;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::Mutex;

use ja4::wire::tls::{
    Carrier, ClientHello, HandshakeStatus, HandshakeStream, MAX_HANDSHAKE_MESSAGE, ServerHello, is_grease,
};
use ja4::{Forms, Hashers, Input, Ja3, Md5Hex};
use ja4_common::bytes::SliceFrame;
use ja4_common::headers::PacketHeaders;
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::record::{HEADER, RecordHeader};
use ja4_common::tunnel::TunnelPorts;
use ja4_user::capture::{Batch, CaptureFile};
use ja4_user::conntrack::{Budget, Reassembly, ReassemblyLimits, SegmentOutcome};
use ja4_user::packet::{self, Packet};
use zerocopy::FromBytes;

pub use self::dhcp::{dhcp4, dhcp6};
pub use self::dtls::dtls;
pub use self::fragments::fragments;
pub use self::framings::{openvpn, proxy, rfc4571, tds, turn};
pub use self::hpack::hpack;
pub use self::http1::http1;
pub use self::http2::http2;
pub use self::quic::quic;
pub use self::ssh::ssh;
pub use self::tunnels::tunnels;
pub use self::x509::x509;

use self::input::{assert_split_invariant, length_prefixed};
use self::lane_run::FuzzedLane;

/// Reads the input as a capture file (pcap or pcapng).
///
/// Checks that reading ends, that each frame and its network payload lie within the captured bytes, and that every
/// packet gets a number.
pub fn capture_reader(data: &[u8]) {
    /// Reused for all inputs, as in a replay of several files: no data of one file may remain for the next.
    static BATCH: Mutex<Batch> = Mutex::new(Batch::new());

    let mut file = CaptureFile::from_reader("fuzz", Box::new(Cursor::new(data.to_vec())));
    let mut batch = BATCH.lock().unwrap();
    while let Ok(true) = file.fill(&mut batch) {
        assert!(!batch.frames().is_empty());
        for frame in batch.frames() {
            let bytes = batch.bytes(frame);
            assert_eq!(bytes.len(), frame.captured as usize);
            if let Ok(payload) = frame.link.network(bytes) {
                assert!(payload.offset <= bytes.len());
            }
        }
    }
    assert_eq!(file.packets() + file.unsupported() + 1, file.next_number());
}

/// Parses the input as the body of a ClientHello, over TCP and over DTLS.
///
/// Checks that the lengths of all fields add up to the length of the body, that its JA4 has the length of every JA4 and
/// is the same when the hashers are reused, and that its JA3 is the hash of five lists of numbers.
pub fn client_hello(data: &[u8]) {
    for carrier in [Carrier::Tcp, Carrier::Dtls] {
        let start = ClientHello::parse_start(data, carrier);
        let Ok(hello) = ClientHello::parse(data, carrier) else {
            continue;
        };
        assert_eq!(start.map(|start| (start.sni(), start.version())), Some((hello.sni(), hello.version())));
        let cookie = if carrier == Carrier::Dtls { 1 + hello.cookie.len() } else { 0 };
        let lists = 2 * hello.cipher_suites.iter().len() + hello.compression_methods.len();
        let extensions: usize = hello.extensions.iter().map(|extension| 4 + extension.body.len()).sum();
        // Version, random, and the lengths of session id, suites and compression methods.
        let rest = data.len() - (2 + 32 + 1 + 2 + 1 + hello.session_id.len() + cookie + lists);
        assert!(rest == 2 + extensions || (rest == 0 && extensions == 0));
        assert!(hello.extensions.kinds().eq(hello.extensions.iter().map(|extension| extension.kind)));
        assert!(hello.sni().is_none_or(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
        assert!(hello.alpn().count() + hello.signature_algorithms().iter().len() <= data.len());

        let ja4 = ja4::ja4(&hello);
        assert!(ja4.as_str().is_ascii() && ja4.as_str().len() == "t13d1516h2_8daaf6152771_e5627efa2ab1".len());
        let mut hashers = Hashers::new(Forms::All);
        for _ in 0..2 {
            assert_eq!(hashers.compute(Input::ClientHello(&hello)), Some(&ja4));
        }
        check_ja3(&Ja3::of_client(&hello), 5);
    }
}

/// Checks that a JA3 or JA3S is the hash of this number of lists, which have decimal numbers and no GREASE.
fn check_ja3(ja3: &Ja3, lists: usize) {
    assert_eq!(ja3.string.split(',').count(), lists, "{ja3:?}");
    let numbers = ja3.string.split(',').filter(|list| !list.is_empty()).flat_map(|list| list.split('-'));
    assert!(numbers.map(|number| number.parse::<u16>().unwrap()).skip(1).all(|value| !is_grease(value)), "{ja3:?}");
    assert_eq!(ja3.hash, Md5Hex::of(ja3.string.as_bytes()));
}

/// Parses the input as the body of a ServerHello.
///
/// Checks that the lengths of all fields add up to the length of the body, that its JA4S has the length of every JA4S,
/// and that its JA3S is the hash of three lists of numbers.
pub fn server_hello(data: &[u8]) {
    let Ok(hello) = ServerHello::parse(data, Carrier::Tcp) else {
        return;
    };
    let extensions: usize = hello.extensions.iter().map(|extension| 4 + extension.body.len()).sum();
    // Version, random, length of the session id, suite, compression method.
    let rest = data.len() - (2 + 32 + 1 + 2 + 1 + hello.session_id.len());
    assert!(rest == 2 + extensions || (rest == 0 && extensions == 0));
    assert!(hello.alpn().count() <= data.len());
    if let Some(value) = Hashers::new(Forms::All).compute(Input::ServerHello(&hello)) {
        assert!(value.as_str().is_ascii() && value.as_str().len() == "t130200_1301_234ea6891581".len());
    }
    check_ja3(&Ja3::of_server(&hello), 3);
}

/// Parses the TLS records of one direction.
///
/// Input:
/// - byte 0: chunk length minus 1;
/// - rest: the stream.
///
/// Checks that the handshake messages and the final status do not depend on how the stream is split into chunks, and
/// that the buffer stays within its bound.
pub fn record_layer(data: &[u8]) {
    let Some((&extra, stream)) = data.split_first() else {
        return;
    };
    assert_split_invariant(stream, extra, handshake_messages);
}

/// Returns type and body of each complete handshake message, and the final status of the stream.
fn handshake_messages(stream: &[u8], chunk_len: usize) -> (Vec<(u8, Vec<u8>)>, HandshakeStatus) {
    let (mut records, mut messages) = (HandshakeStream::new(), Vec::new());
    for chunk in stream.chunks(chunk_len) {
        records.push(chunk, |message| {
            messages.push((message.kind.0, message.body.to_vec()));
            ControlFlow::Continue(())
        });
        assert!(records.buffered() <= 2 * (4 + MAX_HANDSHAKE_MESSAGE));
    }
    (messages, records.status())
}

/// Decodes Ethernet frames, and a record of the kernel program.
///
/// Input: frames, each after its length in two bytes. The same bytes are also read as one record.
///
/// Checks that parsed headers and decoded payloads lie within their frame or record, that the filter counts each frame
/// once, that the shard receives each emitted record, and that every connection ends.
pub fn packet_decode(data: &[u8]) {
    check_record(data);
    let mut lane = FuzzedLane::new();
    for (_, bytes) in length_prefixed(data, 0xffff) {
        let slice = SliceFrame { bytes, wire_len: bytes.len() };
        check_headers(&slice);
        if lane.frame(slice, ParseStart::Ethernet).is_multiple_of(8) {
            lane.tick();
        }
    }
    lane.finish();
}

/// Checks that the headers of a frame follow each other and start within it.
fn check_headers(slice: &SliceFrame<'_>) {
    let mut headers = PacketHeaders::default();
    if parse(slice, ParseStart::Ethernet, &TunnelPorts::NONE, &mut headers) == ParseOutcome::Transport {
        assert!(headers.l3 < headers.l4 && headers.l4 < headers.payload);
        assert!((headers.l4 as usize) < slice.bytes.len());
    }
}

/// Checks that the decoded payload and TCP options of a record lie within its bytes, even if its header is wrong.
fn check_record(data: &[u8]) {
    let Ok((header, bytes)) = RecordHeader::read_from_prefix(data) else {
        return;
    };
    assert_eq!(bytes.len() + HEADER, data.len());
    let packet =
        Packet { header: &header, bytes, start: ParseStart::Ethernet, outer_vlan: None, interface: 0, number: None };
    if let Ok(decoded) = packet::decode(&packet) {
        assert!(decoded.payload.len() <= bytes.len().min(header.payload_len as usize));
        if let packet::TransportHeader::Tcp(segment) = decoded.transport {
            assert!(segment.options.len() <= 40);
        }
    }
}

/// Reassembles the TCP segments of one direction.
///
/// Input:
/// - bytes 0 to 3: initial sequence number;
/// - then three bytes for each segment:
///   - bytes 0 and 1: offset of the segment in the stream plus 1024, so that it can precede the stream;
///   - byte 2, bits 0 to 3: length in units of 8 bytes;
///   - byte 2, bit 7: the segment's bytes are altered.
///
/// Checks that every byte of each segment is counted once, that buffers stay within their bounds, and that all memory
/// is released. While no segment is altered, the reassembled stream has to be the original one.
pub fn reassembly(data: &[u8]) {
    const LIMITS: ReassemblyLimits = ReassemblyLimits { window: 4096, bytes: 512, ranges: 8 };
    const ALTERED: u8 = 0x80;

    let Some((&first, mut rest)) = data.split_first_chunk() else {
        return;
    };
    let first = u32::from_be_bytes(first);
    let (mut direction, mut budget) = (Reassembly::new(first), Budget::new(2048));
    let (mut stream, mut unaltered) = (Vec::new(), true);
    while let Some((&[high, low, shape], after)) = rest.split_first_chunk() {
        rest = after;
        let start = u32::from(u16::from_be_bytes([high, low])).wrapping_sub(1024);
        unaltered &= shape & ALTERED == 0;
        let payload: Vec<u8> = (0..8 * u32::from(shape & 0x0f))
            .map(|offset| original_byte(start.wrapping_add(offset)) ^ (shape & ALTERED))
            .collect();
        let buffered_before = direction.buffered_bytes();
        let delivered_before = stream.len();
        let outcome = direction.push(first.wrapping_add(start), &payload, &LIMITS, &mut budget, |bytes| {
            stream.extend_from_slice(bytes);
        });
        let SegmentOutcome { delivered, released, duplicate, conflicting, buffered, refused } = outcome;
        assert_eq!(payload.len(), (delivered - released) + duplicate + conflicting + buffered + refused.total());
        assert_eq!(stream.len(), delivered_before + delivered);
        assert_eq!(direction.next_seq(), first.wrapping_add(stream.len() as u32));
        assert_eq!(direction.buffered_bytes(), buffered_before + buffered - released);
        assert!(direction.buffered_bytes() <= LIMITS.bytes && direction.buffered_ranges() <= LIMITS.ranges);
        assert!(budget.used() <= budget.max());
        assert!(!unaltered || conflicting == 0);
    }
    assert!(!unaltered || stream.iter().zip(0..).all(|(byte, offset)| *byte == original_byte(offset)));
    direction.clear(&mut budget);
    assert_eq!(budget.used(), 0);
}

/// Returns the byte at an offset of the original stream or datagram.
fn original_byte(offset: u32) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9) >> 24) as u8
}
