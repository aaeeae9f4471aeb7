//! The memory of a shard's connections stays within its bounds.

use ::tests::conversation::TcpConversation;
use ::tests::hello;
use ::tests::hello_builder::HelloMessageBuilder;
use ::tests::random::SplitMix64;
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::parse::ParseStart;
use ja4_common::reason::RecordClass;
use ja4_common::record::{FrameInfo, RecordHeader};
use ja4_common::select::{Scratch, select};
use ja4_common::verdict::{Selection, Verdict};

use super::lane::{CapturedFrame, Lane};
use super::{Core, Now, ShardBuffers, ShardEnv, ShardLimits, ShardStats, UserFlows};
use crate::model::{ConnectionRecord, EventContext, EventHandler, FingerprintEvent, Method, Time};
use crate::packet;
use crate::protocol::FingerprintOptions;

/// Limit of connections of the lane under test, and the number of connections that it gets.
const CONNECTIONS: usize = 500;

/// Bytes of their attributes: 512 each.
const BOUND: u64 = 512 * CONNECTIONS as u64;

fn limits(connections: usize, reassembly: usize) -> ShardLimits {
    ShardLimits { connections, idle: u64::MAX, reassembly, ssh_window: ShardLimits::SSH_WINDOW }
}

fn frame(bytes: &[u8], wire_len: usize, number: u64) -> CapturedFrame<'_> {
    let slice = SliceFrame { bytes, wire_len };
    CapturedFrame { start: ParseStart::Ethernet, slice, time: Time(number), interface: 0, point: 0, number }
}

/// Sums over the events of a lane.
#[derive(Default)]
struct EndTotals {
    /// Bytes of server names, ALPN names and banners.
    texts: usize,
    named: usize,
    /// Connections with a JA3, and bytes of the strings.
    ja3: (usize, usize),
    ja4: usize,
    ssh: usize,
    /// Whether the last connection to end had a server name.
    last: Option<bool>,
}

impl EventHandler for EndTotals {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, _: &mut ConnectionRecord) {
        self.ja4 += usize::from(event.method == Method::Ja4);
        self.ssh += usize::from(event.method == Method::Ja4ssh);
    }

    fn connection(&mut self, _: EventContext, record: ConnectionRecord) {
        let tls = record.attributes.tls.as_deref();
        let sni = tls.and_then(|tls| tls.sni.as_deref());
        self.named += usize::from(sni.is_some());
        self.last = Some(sni.is_some());
        if let Some(ja3) = tls.and_then(|tls| tls.ja3.as_ref()?.client.as_ref()) {
            self.ja3 = (self.ja3.0 + 1, self.ja3.1 + ja3.string.len());
        }
        self.texts += sni.map_or(0, str::len) + tls.map_or(0, |tls| tls.alpn.iter().map(|name| name.len()).sum());
        let banners =
            record.attributes.ssh.iter().flat_map(|ssh| ssh.banner.iter().filter_map(|(_, banner)| banner.as_ref()));
        self.texts += banners.map(String::len).sum::<usize>();
    }
}

/// Replays [`CONNECTIONS`] conversations in a lane. Returns its counters before the end and after, and the sums.
fn flood(extend: impl Fn(&mut TcpConversation)) -> ([ShardStats; 2], EndTotals) {
    flood_within(1 << 20, |talk, _| extend(talk))
}

/// The same with a limit of buffered bytes; `extend` also gets the number of the conversation.
fn flood_within(reassembly: usize, extend: impl Fn(&mut TcpConversation, usize)) -> ([ShardStats; 2], EndTotals) {
    flood_into(ShardBuffers::default(), reassembly, extend)
}

/// The same with the buffers of the thread.
fn flood_into(
    mut buffers: ShardBuffers,
    reassembly: usize,
    extend: impl Fn(&mut TcpConversation, usize),
) -> ([ShardStats; 2], EndTotals) {
    let mut lane = Lane::new(&limits(CONNECTIONS, reassembly));
    let mut ends = EndTotals::default();
    let config = FilterConfig::new([1, 2]);
    let mut number = 0;
    for client in 0..CONNECTIONS {
        let mut talk = TcpConversation::between(&format!("10.0.0.1:{}", 20_000 + client), "10.0.0.2:443");
        extend(talk.handshake(), client);
        for packet in talk.packets() {
            number += 1;
            lane.frame(&frame(&packet.frame, packet.frame.len(), number), &config, &mut buffers, &mut ends);
            assert!(lane.stats().attribute_bytes <= BOUND && lane.stats().buffered_bytes <= reassembly as u64);
        }
    }
    let before = lane.stats();
    lane.finish(Now { time: Time(number), packet: None }, &mut buffers, &mut ends);
    ([before, lane.stats()], ends)
}

/// A ClientHello with a server name of 255 bytes and the ALPN names of `alpn`.
fn named(alpn: &[&[u8]]) -> Vec<u8> {
    let name = [&[b'n'; 255 - 4][..], b".org"].concat();
    let entry = [&[1, 2, 0, 0, 255][..], &name].concat();
    hello::records(&HelloMessageBuilder::new(0x0303, &[0x002f]).extension(0, &entry).alpn(alpn).client(), usize::MAX)
}

#[test]
fn texts_of_many_connections_stay_within_their_bound() {
    let short = named(&[b"h2"]);
    let ([before, after], ends) = flood(|talk| _ = talk.client(&short));
    assert_eq!((before.protocol.refused_attribute_bytes, ends.named), (0, CONNECTIONS));
    assert!(before.attribute_bytes >= (255 * CONNECTIONS) as u64);
    assert_eq!(after.attribute_bytes, 0);

    let long = named(&[&[b'p'; 16][..]; 16]);
    let ([before, after], ends) = flood(|talk| _ = talk.client(&long));
    assert!(ends.texts as u64 <= BOUND, "{} bytes of texts", ends.texts);
    assert!(before.protocol.refused_attribute_bytes > 0 && before.attribute_bytes > BOUND / 2);
    assert!((CONNECTIONS / 4..CONNECTIONS).contains(&ends.named), "the first ones keep their names: {}", ends.named);
    assert_eq!((after.attribute_bytes, ends.last), (0, Some(false)));
}

#[test]
fn ja3_strings_count_among_the_texts_and_are_dropped_before_names() {
    // A name of 255 bytes, and a string of 300 suites that is cut to 1024 bytes.
    let suites: Vec<u16> = (0x4000..0x4000 + 300).collect();
    let entry = [&[1, 2, 0, 0, 255][..], &[b'n'; 255]].concat();
    let hello = hello::records(&HelloMessageBuilder::new(0x0303, &suites).extension(0, &entry).client(), usize::MAX);
    let options = FingerprintOptions { ja3: true, ..FingerprintOptions::default() };
    let ([before, after], ends) = flood_into(ShardBuffers::new(options), 1 << 20, |talk, _| _ = talk.client(&hello));
    let (with, bytes) = ends.ja3;
    assert_eq!((bytes, after.attribute_bytes), (1024 * with, 0));
    assert!(with > 0 && (bytes + 255 * ends.named) as u64 <= BOUND, "{with}");
    assert!(before.protocol.refused_attribute_bytes >= (1024 * (CONNECTIONS - with)) as u64);
    assert!(ends.named >= with, "{} of {with} connections with a JA3 have a name", ends.named);
}

#[test]
fn incomplete_messages_are_evicted_for_later_ones() {
    // All but a few hellos are incomplete; the budget is enough for a tenth of them.
    let hello =
        hello::records(&hello::Shape::PostQuantum.client_hello("h.example", &mut SplitMix64::new(1)), usize::MAX);
    let (first, second) = hello.split_at(1400);
    let is_complete = |client: usize| client % 50 == 49;
    let ([before, after], ends) = flood_within(50 * 2000, |talk, client| {
        talk.client(first);
        if is_complete(client) {
            talk.client(second);
        }
    });
    assert_eq!(ends.ja4, (0..CONNECTIONS).filter(|client| is_complete(*client)).count());
    // The start of a hello has no fingerprint, but it has the server name.
    assert_eq!(ends.named, CONNECTIONS);
    assert!(before.memory_evicted > CONNECTIONS as u64 / 2, "{}", before.memory_evicted);
    // Each evicted message is counted once as incomplete.
    assert_eq!((after.protocol.incomplete_messages, after.buffered_bytes), ((CONNECTIONS - ends.ja4) as u64, 0));
    assert_eq!(before.protocol.refused_bytes, 0);
}

#[test]
fn flows_that_the_core_cannot_decode_do_not_stay_in_the_filter() {
    /// Ethernet, IPv4, TCP and the first four bytes of its options.
    const CUT: usize = 14 + 20 + 20 + 4;
    let mut lane = Lane::new(&limits(CONNECTIONS, 1 << 20));
    let (mut buffers, mut ends) = (ShardBuffers::default(), EndTotals::default());
    let config = FilterConfig::new([1, 2]);
    for client in 0..CONNECTIONS as u64 {
        let mut talk = TcpConversation::between(&format!("10.0.0.1:{}", 20_000 + client), "10.0.0.2:443");
        let syn: Vec<u8> = talk.syn().packets().iter().flat_map(|packet| packet.frame.clone()).collect();
        let bytes = if client.is_multiple_of(10) { &*syn } else { syn.split_at(CUT).0 };
        lane.frame(&frame(bytes, syn.len(), client + 1), &config, &mut buffers, &mut ends);
    }
    assert_eq!((lane.connections(), lane.flows()), (CONNECTIONS / 10, CONNECTIONS));
    lane.trim_flows();
    assert_eq!(lane.flows(), CONNECTIONS / 10, "those with a connection stay");
}

/// Flow numbers and methods of the emitted fingerprints.
#[derive(Default)]
struct EmittedMethods(Vec<(u64, Method)>);

impl EventHandler for EmittedMethods {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
        self.0.push((record.identity.id, event.method));
    }

    fn connection(&mut self, _: EventContext, _: ConnectionRecord) {}
}

/// Filters a TLS connection, and processes its records except those of some classes. Returns the flow numbers of the JA4
/// and JA4S values, and the number of stray segments.
fn without_records_of(dropped: &[RecordClass]) -> (Vec<u64>, Vec<u64>, u64) {
    let mut random = SplitMix64::new(1);
    let mut talk = TcpConversation::new();
    let hello = hello::records(&hello::Shape::PostQuantum.client_hello("h.example", &mut random), usize::MAX);
    // The second segment arrives first.
    talk.handshake().client_at(1400, &hello[1400..]).client_at(0, &hello[..1400]);
    talk.server(&hello::server_flight_13(&mut random, 700));
    let (mut flows, mut buffers) = (UserFlows::with_capacity(1), ShardBuffers::default());
    let (mut core, mut scratch) = (Core::new(&limits(1, 1 << 20)), Scratch::default());
    let mut emitted = EmittedMethods::default();
    let config = FilterConfig::new([1, 2]);
    for (number, packet) in (1..).zip(talk.packets()) {
        let CapturedFrame { start, slice, .. } = frame(&packet.frame, packet.frame.len(), number);
        flows.set_time(Time(number));
        let verdict = select(&slice, start, FrameInfo::default, &mut flows, &config, &mut scratch);
        let Selection { class, capture, .. } = scratch.selection;
        if verdict != Verdict::Selected || dropped.iter().any(|dropped| *dropped as u8 == class) {
            continue;
        }
        let header = RecordHeader::new(&FrameInfo::default(), &scratch.selection, number, capture);
        let bytes = packet.frame.get(..capture as usize).unwrap_or_default();
        let packet = packet::Packet {
            header: &header,
            bytes,
            start: ParseStart::Ethernet,
            outer_vlan: None,
            interface: 0,
            number: None,
        };
        core.packet(&packet, &mut ShardEnv { flows: &mut flows, buffers: &mut buffers, events: &mut emitted });
    }
    let flows_of = |method| emitted.0.iter().filter(|(_, other)| *other == method).map(|(flow, _)| *flow).collect();
    (flows_of(Method::Ja4), flows_of(Method::Ja4s), core.stats().protocol.stray_segments)
}

#[test]
fn hellos_are_fingerprinted_although_the_records_of_the_tcp_handshake_were_dropped() {
    let complete = without_records_of(&[]);
    let ja4s = usize::from(cfg!(feature = "ja4plus"));
    assert_eq!((complete.0.len(), complete.1.len(), complete.2), (1, ja4s, 0));
    for dropped in [
        &[RecordClass::Syn][..],
        &[RecordClass::SynAck],
        &[RecordClass::Syn, RecordClass::SynAck],
        &[RecordClass::Syn, RecordClass::SynAck, RecordClass::Ack],
    ] {
        assert_eq!(without_records_of(dropped), complete, "without records of {dropped:?}");
    }
}

#[cfg(feature = "ja4plus")]
mod half_open {
    use std::sync::Arc;

    use super::*;
    use crate::model::{FingerprintRecord, path};

    /// Notes fingerprints in their records as the engine does, and lists all events.
    #[derive(Default)]
    struct EventLog(Vec<String>);

    impl EventHandler for EventLog {
        fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
            let FingerprintEvent { method, side, count, value, cause, ttl, .. } = *event;
            self.0.push(format!("{method:?} {value} {cause:?} of {record:?}"));
            (record.is_known, record.is_new) = (true, true);
            record.hops.client = ttl.and_then(path::hops).or(record.hops.client);
            record.mss = Some(1460);
            let times = (record.start, cause.time);
            record.note(FingerprintRecord::new(method, side, count, Arc::new(value.into()), times).sighted(true));
        }

        fn connection(&mut self, cause: EventContext, record: ConnectionRecord) {
            self.0.push(format!("{cause:?} end of {record:?}"));
        }
    }

    const SECOND: u64 = 1_000_000_000;

    /// Processes the packets of a live connection, each two seconds after the one before it. Returns the events, and the
    /// number of packets after which the connection was compact.
    fn events_of(talk: &TcpConversation, is_compacted: bool) -> (Vec<String>, usize) {
        let (mut flows, mut buffers) = (UserFlows::with_capacity(1), ShardBuffers::default());
        let (mut core, mut scratch) = (Core::new(&limits(1, 1 << 20)), Scratch::default());
        let (mut log, mut compact, config) = (EventLog::default(), 0, FilterConfig::new([1, 2]));
        for (number, packet) in (1..).zip(talk.packets()) {
            let time = 2 * SECOND * number;
            let CapturedFrame { start, slice, .. } = frame(&packet.frame, packet.frame.len(), number);
            flows.set_time(Time(time));
            if select(&slice, start, FrameInfo::default, &mut flows, &config, &mut scratch) != Verdict::Selected {
                continue;
            }
            let capture = scratch.selection.capture;
            let header = RecordHeader::new(&FrameInfo::default(), &scratch.selection, time, capture);
            let bytes = packet.frame.get(..capture as usize).unwrap_or_default();
            let packet = packet::Packet {
                header: &header,
                bytes,
                start: ParseStart::Ethernet,
                outer_vlan: None,
                interface: 3,
                number: None,
            };
            let mut env = ShardEnv { flows: &mut flows, buffers: &mut buffers, events: &mut log };
            core.packet(&packet, &mut env);
            if is_compacted {
                core.connections.compact(Time(time + SECOND));
                compact += core.connections.half_open();
                let key = packet::decode(&packet).expect("decodes").key;
                let mut records = 0;
                core.newest_records(|record| {
                    records += usize::from(record.history.len() as u64 <= number);
                    true
                });
                core.read_record(header.hash, &key, |_| records += 1);
                assert_eq!((records, core.connections.half_open() <= 1), (2, true));
            }
        }
        let now = Now { time: Time(100 * SECOND), packet: None };
        core.finish(now, &mut ShardEnv { flows: &mut flows, buffers: &mut buffers, events: &mut log });
        (log.0, compact)
    }

    #[test]
    fn a_compact_connection_has_the_same_events() {
        for ends in [["10.0.0.1:50000", "10.0.0.2:443"], ["10.0.0.2:443", "10.0.0.1:50000"], ["[::2]:9", "[::1]:443"]] {
            let mut talk = TcpConversation::between(ends[0], ends[1]);
            talk.syn();
            assert_eq!(events_of(&talk, true), (events_of(&talk, false).0, 1), "a SYN between {ends:?}");

            let mut talk = TcpConversation::between(ends[0], ends[1]);
            talk.handshake().client(&named(&[b"h2"]));
            let (plain, (events, compact)) = (events_of(&talk, false).0, events_of(&talk, true));
            assert_eq!((&events, compact), (&plain, 1), "a handshake between {ends:?}");
            assert!(plain.iter().any(|event| event.starts_with("Ja4l ")), "{plain:?}");
        }
    }
}

#[cfg(feature = "ja4plus")]
mod ssh {
    use ::tests::packets::TimedFrame;
    use ja4_common::record::flag;

    use super::*;

    #[test]
    fn windows_of_many_connections_stay_within_their_bound() {
        let talk = |talk: &mut TcpConversation| {
            talk.client(b"SSH-2.0-x\r\n").server(b"SSH-2.0-y\r\n");
            for length in 1..100 {
                talk.client(&vec![0x5a; length]);
            }
        };
        let ([before, after], ends) = flood(talk);
        assert!(before.protocol.refused_attribute_bytes > 0 && before.attribute_bytes > BOUND / 2);
        // A dropped window has no value; every other one has its own.
        assert!((CONNECTIONS / 4..CONNECTIONS).contains(&ends.ssh), "{}", ends.ssh);
        assert_eq!(after.attribute_bytes, 0);
    }

    /// The emitted JA4SSH values.
    #[derive(Default)]
    struct Ja4ssh(Vec<String>);

    impl EventHandler for Ja4ssh {
        fn fingerprint(&mut self, event: &FingerprintEvent<'_>, _: &mut ConnectionRecord) {
            if event.method == Method::Ja4ssh {
                self.0.push(event.value.to_owned());
            }
        }

        fn connection(&mut self, _: EventContext, _: ConnectionRecord) {}
    }

    #[test]
    fn the_new_segments_of_a_partly_repeated_super_packet_are_counted() {
        /// Ethernet, IPv4, TCP with timestamps.
        const HEADERS: u16 = 14 + 20 + 32;
        let mut talk = TcpConversation::between("10.0.0.1:50000", "10.0.0.2:22");
        // Segments of 100 bytes: three, the last two of them and a new one, all four.
        talk.client_at(0, &[1; 300]).client_at(100, &[1; 300]).client_at(0, &[1; 400]);
        let mut core = Core::new(&limits(1, 1 << 20));
        let (mut flows, mut buffers) = (UserFlows::with_capacity(1), ShardBuffers::default());
        let mut values = Ja4ssh::default();
        let mut env = ShardEnv { flows: &mut flows, buffers: &mut buffers, events: &mut values };
        for TimedFrame { frame, .. } in talk.packets() {
            let header = RecordHeader {
                class: RecordClass::Ssh as u8,
                flags: flag::FROM_CLIENT | flag::HEADERS_ONLY,
                l3: 14,
                l4: 14 + 20,
                payload: HEADERS,
                payload_len: frame.len() as u32 - u32::from(HEADERS),
                gso_size: 100,
                ..RecordHeader::default()
            };
            let packet = packet::Packet {
                header: &header,
                bytes: frame,
                start: ParseStart::Ethernet,
                outer_vlan: None,
                interface: 0,
                number: None,
            };
            core.packet(&packet, &mut env);
        }
        core.finish(Now { time: Time(9), packet: None }, &mut env);
        assert_eq!(values.0, ["c100s0_c4s0_c0s0"]);
    }
}
