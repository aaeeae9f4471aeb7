//! Allocations on the packet path.
//!
//! A packet without an event costs no allocation once the tables have grown. Other packets may allocate; their counts
//! are printed (`cargo test -p tests --test allocations -- --nocapture`).
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::parse::ParseStart;
use ja4_user::encode::{EncodeContext, Format, Formatter};
use ja4_user::model::{ConnectionRecord, EventContext, EventHandler, FingerprintEvent, Time};
use ja4_user::shard::lane::{CapturedFrame, Lane};
use ja4_user::shard::{ShardBuffers, ShardLimits};
use tests::conversation::{LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS, TIMESTAMP_OPTIONS};
use tests::hello::{self, Shape};
use tests::packets::{ACK, Envelope, FIN, PSH, SYN, TcpSegment};
use tests::random::SplitMix64;

/// Flows opened and closed before counting starts. Not near a power of two, at which tables and queues grow.
const WARMUP_FLOWS: u32 = 3_000;

/// Frames of each kind that must not allocate.
const REPEAT: u32 = 200;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// System allocator that counts the allocations of the thread under test only.
struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

// SAFETY: every call is forwarded unchanged to the system allocator; counting does not touch allocated memory.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record_allocation();
        // SAFETY: the caller upholds the contract of GlobalAlloc, which is System's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        record_allocation();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        record_allocation();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts an allocation and records the backtrace of the first one.
fn record_allocation() {
    // Thread-local variables are gone in an exiting thread; its allocations are not counted.
    if !COUNTING.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    COUNT.set(COUNT.get() + 1);
    // Capturing the backtrace allocates too.
    COUNTING.set(false);
    FIRST.with_borrow_mut(|first| {
        first.get_or_insert_with(|| own_frames(&Backtrace::force_capture().to_string()));
    });
    COUNTING.set(true);
}

/// Returns the backtrace lines of the sensor's own crates.
fn own_frames(backtrace: &str) -> String {
    let mut lines = backtrace.lines().peekable();
    let mut text = String::new();
    while let Some(line) = lines.next() {
        let location = lines.next_if(|next| next.trim_start().starts_with("at "));
        if line.contains("ja4_") || line.contains("ja4::") {
            writeln!(text, "{}{}", line.trim(), location.unwrap_or_default()).unwrap();
        }
    }
    text
}

/// Returns the number of allocations in `work` and the backtrace of the first one.
fn allocations(work: impl FnOnce()) -> (u64, String) {
    COUNT.set(0);
    FIRST.set(None);
    COUNTING.set(true);
    work();
    COUNTING.set(false);
    (COUNT.get(), FIRST.take().unwrap_or_default())
}

/// Formats and counts every event, as a shard does.
struct FormattingHandler {
    formatter: Formatter,
    text: Vec<u8>,
    events: u64,
}

impl EventHandler for FormattingHandler {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
        self.text.clear();
        self.formatter.fingerprint(event, record, None, &mut self.text);
        self.events += 1;
    }

    fn connection(&mut self, cause: EventContext, record: ConnectionRecord) {
        self.text.clear();
        self.formatter.connection(&cause, &record, &mut self.text);
        self.events += 1;
    }
}

/// A replay lane: the packet filter and all later stages.
struct WarmLane {
    lane: Lane,
    filter_config: FilterConfig,
    engines: ShardBuffers,
    sink: FormattingHandler,
    now: u64,
    number: u64,
}

impl WarmLane {
    /// Returns a lane with tables, queues and text buffers of their final size.
    fn warm() -> Self {
        let limits = ShardLimits {
            connections: 1 << 16,
            idle: u64::MAX,
            reassembly: ShardLimits::REASSEMBLY,
            ssh_window: ShardLimits::SSH_WINDOW,
        };
        let mut lane = Self {
            lane: Lane::new(&limits),
            filter_config: FilterConfig::new([1, 2]),
            engines: ShardBuffers::default(),
            sink: FormattingHandler {
                formatter: Formatter::new(Format::Json, Arc::new(EncodeContext::default())),
                text: Vec::with_capacity(1 << 16),
                events: 0,
            },
            now: 1_795_417_200_000_000_000,
            number: 0,
        };
        let mut random = SplitMix64::new(1);
        for number in 0..WARMUP_FLOWS {
            let flow = NumberedTlsFlow(number);
            for frame in flow.tcp_handshake().into_iter().chain(flow.hellos(&mut random)).chain(flow.end()) {
                lane.feed(&frame);
            }
        }
        lane
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.now += 1_000;
        self.number += 1;
        let frame = CapturedFrame {
            start: ParseStart::Ethernet,
            slice: SliceFrame { bytes, wire_len: bytes.len() },
            time: Time(self.now),
            interface: 0,
            point: 0,
            number: self.number,
        };
        self.lane.frame(&frame, &self.filter_config, &mut self.engines, &mut self.sink);
    }

    /// Returns the total allocations of these frames, the backtrace of the first one, and the number of events.
    fn measure(&mut self, frames: &[Vec<u8>]) -> (u64, String, u64) {
        let before = self.sink.events;
        let (count, first) = allocations(|| frames.iter().for_each(|frame| self.feed(frame)));
        (count, first, self.sink.events - before)
    }
}

/// A connection, identified by its number.
#[derive(Clone, Copy)]
struct NumberedTlsFlow(u32);

const CLIENT: u32 = 0x1000_0000;
const SERVER: u32 = 0x8000_0000;

impl NumberedTlsFlow {
    fn tcp_handshake(self) -> [Vec<u8>; 3] {
        [
            self.client(SYN, CLIENT, LINUX_SYN_OPTIONS, &[]),
            self.server(SYN | ACK, SERVER, LINUX_SYN_ACK_OPTIONS, &[]),
            self.client(ACK, CLIENT + 1, TIMESTAMP_OPTIONS, &[]),
        ]
    }

    fn hellos(self, random: &mut SplitMix64) -> [Vec<u8>; 2] {
        let hello = hello::records(&Shape::Browser.client_hello("www.example.org", random), usize::MAX);
        let flight = hello::server_flight_13(random, 64);
        [
            self.client(PSH | ACK, CLIENT + 1, TIMESTAMP_OPTIONS, &hello),
            self.server(PSH | ACK, SERVER + 1, TIMESTAMP_OPTIONS, &flight),
        ]
    }

    /// Segments after the handshake, too far from it in sequence space to be part of it.
    fn bulk(self) -> [Vec<u8>; 2] {
        [
            self.client(ACK, CLIENT + 100_000, TIMESTAMP_OPTIONS, &[0x55; 1448]),
            self.server(ACK, SERVER + 100_000, TIMESTAMP_OPTIONS, &[0x55; 1448]),
        ]
    }

    fn bare_acks(self) -> [Vec<u8>; 2] {
        [
            self.client(ACK, CLIENT + 200_000, TIMESTAMP_OPTIONS, &[]),
            self.server(ACK, SERVER + 200_000, TIMESTAMP_OPTIONS, &[]),
        ]
    }

    fn end(self) -> [Vec<u8>; 2] {
        [
            self.client(FIN | ACK, CLIENT + 300_000, TIMESTAMP_OPTIONS, &[]),
            self.server(FIN | ACK, SERVER + 300_000, TIMESTAMP_OPTIONS, &[]),
        ]
    }

    fn client(self, flags: u8, seq: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
        self.frame(true, flags, seq, options, payload)
    }

    fn server(self, flags: u8, seq: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
        self.frame(false, flags, seq, options, payload)
    }

    fn frame(self, from_client: bool, flags: u8, seq: u32, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let [_, _, high, low] = self.0.to_be_bytes();
        let client = SocketAddr::from(([10, 64, 0, high], 20_000 + u16::from(low)));
        let server = SocketAddr::from(([198, 51, 100, 7], 443));
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        let mut frame = Vec::new();
        TcpSegment { from, to, ttl: 64, seq, ack: 0, flags, window: 64_240, options, payload }
            .write(&Envelope::default(), &mut frame);
        frame
    }
}

/// Returns an Ethernet frame with a UDP packet over IPv4.
fn udp() -> Vec<u8> {
    const PROTOCOL: usize = 14 + 9;
    let mut frame = NumberedTlsFlow(60_000).client(0, 53, &[], &[0x55; 100]);
    frame[PROTOCOL] = 17;
    frame
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 12];
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.resize(60, 0);
    frame
}

fn repeat(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    frames.iter().cycle().take(frames.len() * REPEAT as usize).cloned().collect()
}

#[test]
fn the_counter_reports_an_allocation_and_its_backtrace() {
    let (count, _) = allocations(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(count, 1);
    let (count, first) = allocations(|| drop(std::hint::black_box(ShardBuffers::default())));
    assert!(count > 0 && first.contains("ja4::fingerprint"), "{count}: {first}");
    assert_eq!(allocations(|| ()).0, 0);
}

#[test]
fn a_packet_without_fingerprints_allocates_nothing() {
    let mut lane = WarmLane::warm();
    let mut random = SplitMix64::new(2);
    let known = NumberedTlsFlow(10_000);
    let opened = NumberedTlsFlow(10_001);
    let answered = NumberedTlsFlow(10_002);
    let ended = NumberedTlsFlow(10_003);
    let hellos = known.hellos(&mut random);
    let late = answered.hellos(&mut random);
    for frame in known.tcp_handshake().iter().chain(&hellos) {
        lane.feed(frame);
    }
    lane.feed(&opened.tcp_handshake()[0]);
    for frame in answered.tcp_handshake().iter().chain(&late[..1]) {
        lane.feed(frame);
    }
    for frame in ended.tcp_handshake().into_iter().chain(ended.hellos(&mut random)).chain(ended.end()) {
        lane.feed(&frame);
    }

    let cases: [(&str, Vec<Vec<u8>>); 11] = [
        ("bulk of a known flow", known.bulk().into()),
        ("bulk of an unknown flow", NumberedTlsFlow(50_000).bulk().into()),
        ("UDP", vec![udp()]),
        ("ARP", vec![arp()]),
        ("a SYN again", vec![opened.tcp_handshake()[0].clone()]),
        ("bare ACKs of a known flow", known.bare_acks().into()),
        ("bare ACKs of an unknown flow", NumberedTlsFlow(50_000).bare_acks().into()),
        ("FIN of a flow that has ended", ended.end().into()),
        ("a ClientHello again, before the server's", late[..1].to_vec()),
        ("a ClientHello again, after the server's", hellos[..1].to_vec()),
        ("a ServerHello again", hellos[1..].to_vec()),
    ];
    let mut failures = String::new();
    for (name, frames) in cases {
        let frames = repeat(&frames);
        let (count, first, events) = lane.measure(&frames);
        println!("{name}: {count} allocations in {} frames, {events} events", frames.len());
        if count > 0 || events > 0 {
            writeln!(
                failures,
                "{name}: {count} allocations and {events} events in {} frames, first at\n{first}",
                frames.len()
            )
            .unwrap();
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn allocations_of_a_flow_and_its_fingerprints() {
    let mut lane = WarmLane::warm();
    let mut random = SplitMix64::new(3);
    let flows = || (20_000..20_500).map(NumberedTlsFlow);
    let syns: Vec<_> = flows().map(|flow| flow.tcp_handshake()[0].clone()).collect();
    let answers: Vec<_> = flows().flat_map(|flow| flow.tcp_handshake().into_iter().skip(1)).collect();
    let hellos: Vec<[Vec<u8>; 2]> = flows().map(|flow| flow.hellos(&mut random)).collect();
    let client: Vec<_> = hellos.iter().map(|[client, _]| client.clone()).collect();
    let server: Vec<_> = hellos.iter().map(|[_, server]| server.clone()).collect();
    let ends: Vec<_> = flows().flat_map(NumberedTlsFlow::end).collect();
    for (name, frames) in [
        ("SYN", syns),
        ("SYN-ACK and ACK", answers),
        ("ClientHello", client),
        ("ServerHello", server),
        ("FIN, both", ends),
    ] {
        let (count, first, events) = lane.measure(&frames);
        println!(
            "{name}: {:.2} allocations and {:.2} events a flow; first at\n{first}",
            count as f64 / 500.0,
            events as f64 / 500.0
        );
    }
}
