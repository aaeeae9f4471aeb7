//! What holds for any bytes at all, one function per format; each panics where it does not.
//!
//! The fuzz targets call these. `ja4-user/tests/fuzz_corpus.rs` includes this file and runs them over the
//! committed corpora, so that every corpus is a plain test too.
mod fragments;

pub use fragments::fragments;
mod quic;

pub use self::quic::quic;
mod hpack;
mod http1;
mod http2;

pub use hpack::hpack;
pub use http1::http1;
pub use http2::http2;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex};

use ja4::wire::tls::{Carrier, ClientHello, HandshakeStatus, HandshakeStream, MAX_HANDSHAKE_MESSAGE, ServerHello};
use ja4::{Forms, Hashers, Input};
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::headers::PacketHeaders;
use ja4_common::parse::{ParseOutcome, ParseStart, parse};
use ja4_common::record::{HEADER, RecordHeader};
use ja4_user::capture::{Batch, CaptureFile};
use ja4_user::conntrack::{Budget, Reassembly, ReassemblyLimits, SegmentOutcome};
use ja4_user::encode::{Context, Format, Formatter};
use ja4_user::model::{ConnectionEvent, EventHandler, FingerprintEvent, Time};
use ja4_user::packet::{self, Packet};
use ja4_user::shard::lane::{CapturedFrame, Lane};
use ja4_user::shard::{self, Now, ShardBuffers};
use zerocopy::FromBytes;

mod dhcp;
mod framings;
mod ssh;
mod tunnels;

pub use self::dhcp::{dhcp4, dhcp6};
pub use self::framings::{openvpn, proxy, rfc4571, tds, turn};
pub use self::ssh::ssh;
pub use self::tunnels::tunnels;
#[path = "dtls.rs"]
mod dtls_checks;
#[path = "x509.rs"]
mod x509_checks;

pub use dtls_checks::dtls;
pub use x509_checks::x509;

/// A capture file: it ends, and every frame and payload lies where it says.
pub fn capture_reader(data: &[u8]) {
    /// Used again and again, as replay does: nothing of one file may show in the next.
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

/// The body of a ClientHello: its parts add up to it, and its JA4 has the one shape there is.
pub fn client_hello(data: &[u8]) {
    for carrier in [Carrier::Tcp, Carrier::Dtls] {
        let start = ClientHello::parse_start(data, carrier);
        let Ok(hello) = ClientHello::parse(data, carrier) else {
            continue;
        };
        assert_eq!(start.map(|start| (start.sni(), start.version())), Some((hello.sni(), hello.version())));
        let cookie = if carrier == Carrier::Dtls { 1 + hello.cookie.len() } else { 0 };
        let lists = 2 * hello.cipher_suites.iter().len() + hello.compression_methods.len();
        let block: usize = hello.extensions.iter().map(|extension| 4 + extension.body.len()).sum();
        // Version, random, and the lengths of session id, suites and compression methods.
        let rest = data.len() - (2 + 32 + 1 + 2 + 1 + hello.session_id.len() + cookie + lists);
        assert!(rest == 2 + block || (rest == 0 && block == 0));
        assert!(hello.extensions.kinds().eq(hello.extensions.iter().map(|extension| extension.kind)));
        assert!(hello.sni().is_none_or(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
        assert!(hello.alpn().count() + hello.signature_algorithms().iter().len() <= data.len());

        let first = ja4::ja4(&hello);
        assert!(first.as_str().is_ascii() && first.as_str().len() == "t13d1516h2_8daaf6152771_e5627efa2ab1".len());
        let mut hashers = Hashers::new(Forms::All);
        for _ in 0..2 {
            assert_eq!(hashers.compute(Input::ClientHello(&hello)), Some(&first));
        }
    }
}

/// The body of a ServerHello, likewise.
pub fn server_hello(data: &[u8]) {
    let Ok(hello) = ServerHello::parse(data, Carrier::Tcp) else {
        return;
    };
    let block: usize = hello.extensions.iter().map(|extension| 4 + extension.body.len()).sum();
    // Version, random, length of the session id, suite, compression method.
    let rest = data.len() - (2 + 32 + 1 + 2 + 1 + hello.session_id.len());
    assert!(rest == 2 + block || (rest == 0 && block == 0));
    assert!(hello.alpn().count() <= data.len());
    if let Some(value) = Hashers::new(Forms::All).compute(Input::ServerHello(&hello)) {
        assert!(value.as_str().is_ascii() && value.as_str().len() == "t130200_1301_234ea6891581".len());
    }
}

/// The TLS records of one direction: the same messages and the same end however they are split. The
/// first byte says how.
pub fn record_layer(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else {
        return;
    };
    let whole = messages(stream, stream.len().max(1));
    for size in [1, 1 + usize::from(step)] {
        assert_eq!(messages(stream, size), whole, "in pieces of {size}");
    }
}

/// ReassembledDatagram messages, and the stream's end.
fn messages(stream: &[u8], piece: usize) -> (Vec<(u8, Vec<u8>)>, HandshakeStatus) {
    let (mut records, mut found) = (HandshakeStream::new(), Vec::new());
    for bytes in stream.chunks(piece) {
        records.push(bytes, |message| {
            found.push((message.kind.0, message.body.to_vec()));
            ControlFlow::Continue(())
        });
        assert!(records.buffered() <= 2 * (4 + MAX_HANDSHAKE_MESSAGE));
    }
    (found, records.status())
}

/// Frames, each behind its length: every one is counted once by the filter and once by the shard, and
/// what was begun ends. The same bytes as a record: what is read of it lies within it.
pub fn packet_decode(data: &[u8]) {
    /// Few, so that flows displace each other.
    const LIMITS: shard::ShardLimits =
        shard::ShardLimits { connections: 4, idle: 1, reassembly: 4096, ssh_window: shard::ShardLimits::SSH_WINDOW };

    /// Used again and again, as a shard does: they take long to make.
    static ENGINES: LazyLock<Mutex<ShardBuffers>> = LazyLock::new(|| Mutex::new(ShardBuffers::new(Forms::All)));

    record(data);
    let filter_config = FilterConfig::new([1, 2]);
    let mut lane = Lane::new(&LIMITS);
    let mut engines = ENGINES.lock().unwrap();
    let mut sink = Lines { formatter: Formatter::new(Format::Json, Arc::new(Context::default())), text: Vec::new() };
    let (mut number, mut rest) = (0, data);
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(after.len().min(u16::from_be_bytes([high, low]).into()));
        rest = after;
        number += 1;
        let slice = SliceFrame { bytes, wire_len: bytes.len() };
        headers(&slice);
        let time = Time(number * 100_000_000);
        let frame = CapturedFrame { start: ParseStart::Ethernet, slice, time, interface: 0, point: 0, number };
        lane.frame(&frame, &filter_config, &mut engines, &mut sink);
        if number % 8 == 0 {
            lane.tick(Now { time, packet: Some(number) }, &mut engines, &mut sink);
        }
    }
    let end = Now { time: Time(number * 100_000_000), packet: Some(number) };
    lane.finish(end, &mut engines, &mut sink);
    let (counters, stats) = (lane.counters(), lane.stats());
    assert!(counters.balanced() && counters.seen == number);
    assert_eq!(counters.emitted.iter().sum::<u64>(), stats.packets);
    assert_eq!((stats.connections, stats.buffered_bytes), (0, 0));
    assert_eq!(stats.opened, stats.ended.iter().sum::<u64>());
}

/// The headers of a frame lie within it, one behind the other.
fn headers(slice: &SliceFrame<'_>) {
    let mut found = PacketHeaders::default();
    if parse(slice, ParseStart::Ethernet, &mut found) == ParseOutcome::Transport {
        assert!(found.l3 < found.l4 && found.l4 < found.payload);
        assert!((found.l4 as usize) < slice.bytes.len());
    }
}

/// A record's header and its bytes, whatever the header says.
fn record(data: &[u8]) {
    let Ok((header, bytes)) = RecordHeader::read_from_prefix(data) else {
        return;
    };
    assert_eq!(bytes.len() + HEADER, data.len());
    let packet = Packet { header: &header, bytes, interface: 0, number: None };
    if let Ok(decoded) = packet::decode(&packet) {
        assert!(decoded.payload.len() <= bytes.len().min(header.payload_len as usize));
        if let packet::TransportHeader::Tcp(segment) = decoded.transport {
            assert!(segment.options.len() <= 40);
        }
    }
}

/// Formats events as they come: each is one line of UTF-8.
struct Lines {
    formatter: Formatter,
    text: Vec<u8>,
}

impl Lines {
    fn check(&mut self) {
        let text = str::from_utf8(&self.text).unwrap();
        assert_eq!(text.find('\n'), Some(text.len() - 1));
        self.text.clear();
    }
}

impl EventHandler for Lines {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>) {
        self.formatter.fingerprint(event, &mut self.text);
        self.check();
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        self.formatter.connection(event, &mut self.text);
        self.check();
    }
}

/// Segments of one direction: no byte goes uncounted, no bound is passed, and as long as all copies
/// agree, the stream is the one that was sent. First the initial sequence number; then for each segment
/// its offset, and a byte whose low half gives its length in eights and whose top bit damages the copy.
pub fn reassembly(data: &[u8]) {
    const LIMITS: ReassemblyLimits = ReassemblyLimits { window: 4096, bytes: 512, ranges: 8 };
    let Some((&first, mut rest)) = data.split_first_chunk() else {
        return;
    };
    let first = u32::from_be_bytes(first);
    let (mut direction, mut budget) = (Reassembly::new(first), Budget::new(2048));
    let (mut stream, mut honest) = (Vec::new(), true);
    while let Some((&[high, low, shape], after)) = rest.split_first_chunk() {
        rest = after;
        let at = u32::from(u16::from_be_bytes([high, low])).wrapping_sub(1024);
        honest &= shape & 0x80 == 0;
        let payload: Vec<u8> =
            (0..8 * u32::from(shape & 0x0f)).map(|place| sent(at.wrapping_add(place)) ^ (shape & 0x80)).collect();
        let held = direction.buffered_bytes();
        let before = stream.len();
        let outcome = direction.push(first.wrapping_add(at), &payload, &LIMITS, &mut budget, |bytes| {
            stream.extend_from_slice(bytes);
        });
        let SegmentOutcome { delivered, released, duplicate, conflicting, buffered, refused } = outcome;
        assert_eq!(payload.len(), (delivered - released) + duplicate + conflicting + buffered + refused.total());
        assert_eq!(stream.len(), before + delivered);
        assert_eq!(direction.next_seq(), first.wrapping_add(stream.len() as u32));
        assert_eq!(direction.buffered_bytes(), held + buffered - released);
        assert!(direction.buffered_bytes() <= LIMITS.bytes && direction.buffered_ranges() <= LIMITS.ranges);
        assert!(budget.used() <= budget.max());
        assert!(!honest || conflicting == 0);
    }
    assert!(!honest || stream.iter().zip(0..).all(|(byte, place)| *byte == sent(place)));
    direction.clear(&mut budget);
    assert_eq!(budget.used(), 0);
}

/// The byte at a place of the stream.
fn sent(place: u32) -> u8 {
    (place.wrapping_mul(0x9e37_79b9) >> 24) as u8
}
