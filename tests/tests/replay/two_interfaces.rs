//! A packet forwarded from one interface to another is captured twice and counted once, also if fragmented.

use super::*;

use tests::conversation::UdpConversation;
use tests::dhcp;
use tests::dtls::datagrams;
use tests::fragment::Fragments;
use tests::pcapng::PcapngFile;

/// Link types: Ethernet and Linux cooked capture, versions 1 and 2.
const ETHERNET: u16 = 1;
const SLL: u16 = 113;
const SLL2: u16 = 276;

const CLIENT_HELLO: u8 = 1;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

/// Interface of the capture, and a packet captured there.
type CapturedAt = (u32, TimedFrame);

/// Returns the events of a pcapng file with two Ethernet interfaces.
fn replay_captured(packets: &[CapturedAt]) -> Vec<Value> {
    let mut file = PcapngFile::new();
    file.interface(ETHERNET, "left").interface(ETHERNET, "right");
    for (interface, packet) in packets {
        file.packet(*interface, packet);
    }
    replay_file(&file)
}

fn replay_file(file: &PcapngFile) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let path = file.save(folder.path(), "two.pcapng");
    Sensor::new().run(&[OsStr::new("replay"), path.as_os_str()]).ok().events()
}

/// Returns each frame at interface 0 and again at interface 1, its time shifted by 20 µs: alternating, or all frames at
/// interface 0 first.
fn forwarded(frames: &[TimedFrame], alternating: bool) -> Vec<CapturedAt> {
    let mut captured: Vec<_> = frames.iter().map(|packet| (0, packet.clone())).collect();
    let at_second = frames.iter().enumerate().map(|(number, packet)| {
        let mut packet = packet.clone();
        packet.time += Duration::from_micros(20);
        (if alternating { 2 * number + 1 } else { frames.len() + number }, (1, packet))
    });
    for (at, packet) in at_second {
        captured.insert(at, packet);
    }
    captured
}

/// Splits every packet into this many fragments.
fn fragmented(packets: &[TimedFrame], count: usize) -> Vec<TimedFrame> {
    let pieces = |(number, packet): (usize, &TimedFrame)| {
        let whole = Fragments::of(&packet.frame).numbered(number as u32 + 1);
        let time = packet.time;
        whole.pieces(count).into_iter().map(move |frame| TimedFrame { time, frame })
    };
    packets.iter().enumerate().flat_map(pieces).collect()
}

/// Returns a DISCOVER, a REQUEST and a RELEASE; every DHCP message is fingerprinted, also if its value repeats.
fn dhcp_requests() -> UdpConversation {
    let mut conversation = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    conversation.client(&dhcp::client_v4(1, MAC)).client(&dhcp::client_v4(3, MAC)).client(&dhcp::client_v4(7, MAC));
    conversation
}

fn dtls_hello() -> UdpConversation {
    let hello = tests::hello_builder::HelloMessageBuilder::new(0xfefd, &[0xc02b]).extension(0x0017, &[]);
    let mut conversation = UdpConversation::between("[2001:db8::1]:51234", "[2001:db8::2]:4433");
    conversation.client(&datagrams(CLIENT_HELLO, 0, &hello.dtls_client(&[]), 1000)[0]);
    conversation
}

/// Returns packets and bytes of a connection, in both directions.
fn traffic(end: &Value) -> Value {
    let counts = ["pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient"].map(|name| {
        let count = &end["connection"][name];
        assert!(count.is_u64(), "no {name} in {end}");
        count.clone()
    });
    counts.to_vec().into()
}

/// Returns all fingerprint values and the counters of all connections, sorted, without times.
fn sorted_output(events: &[Value]) -> Vec<(String, String, Value)> {
    let ends = events::of_type(events, "connection")
        .into_iter()
        .map(|event| (format!("{}", event["flow_id"]), "end".to_owned(), traffic(event)));
    let values = fingerprints(events).into_iter().map(|event| {
        let fingerprint = &event["fingerprint"];
        (format!("{}", event["flow_id"]), format!("{}", fingerprint["type"]), fingerprint["value"].clone())
    });
    let mut sorted_output: Vec<_> = values.chain(ends).collect();
    sorted_output.sort_by_key(|(flow, kind, value)| (flow.clone(), kind.clone(), value.to_string()));
    sorted_output
}

#[test]
fn forwarded_packets_are_reported_once() {
    let conversation = plain();
    let once: Vec<CapturedAt> = conversation.packets().iter().map(|packet| (0, packet.clone())).collect();
    let events = replay_captured(&forwarded(conversation.packets(), true));
    assert_eq!(sorted_output(&events), sorted_output(&replay_captured(&once)));
}

#[test]
fn forwarded_fragments_are_reported_once() {
    for (conversation, kind) in [(dhcp_requests(), "ja4d"), (dtls_hello(), "ja4")] {
        let packets = fragmented(conversation.packets(), 2);
        let once = replay_captured(&packets.iter().map(|packet| (0, packet.clone())).collect::<Vec<_>>());
        assert_eq!(values(&once, kind).len(), conversation.packets().len(), "{kind}");
        for alternating in [true, false] {
            let events = replay_captured(&forwarded(&packets, alternating));
            assert_eq!(sorted_output(&events), sorted_output(&once), "{kind}, alternating: {alternating}");
            let last = *events::of_type(&events, "stats").last().unwrap();
            let count = |group, counter| tests::stats_u64(last, &["shards", group, counter]);
            let datagrams = conversation.packets().len() as u64;
            assert_eq!(count("fragments", "completed"), 2 * datagrams, "not reassembled separately at each interface");
            assert_eq!(count("fragments", "pending"), 0);
            assert_eq!((count("decap", "processed"), count("decap", "duplicates")), (datagrams, datagrams));
        }
    }
}

#[test]
fn packets_that_a_router_fragments_are_reported_once() {
    let conversation = dhcp_requests();
    let mut captured: Vec<CapturedAt> = Vec::new();
    for (number, (whole, pieces)) in
        conversation.packets().iter().zip(fragmented(conversation.packets(), 3).chunks(3)).enumerate()
    {
        let mut whole = whole.clone();
        // A router keeps the identification of a packet that it fragments (RFC 791, section 3.2).
        whole.frame[18..20].copy_from_slice(&(number as u16 + 1).to_be_bytes());
        captured.push((0, whole));
        captured.extend(pieces.iter().map(|piece| (1, piece.clone())));
    }
    assert_eq!(
        values(&replay_captured(&captured), "ja4d"),
        values(&replay_packets(conversation.packets(), &[]), "ja4d")
    );
}

#[test]
fn fragments_of_two_interfaces_do_not_mix() {
    let conversation = dhcp_requests();
    let packet = &conversation.packets()[0];
    let whole = Fragments::of(&packet.frame);
    let pieces = whole.pieces(2);
    let noise = whole.forged(pieces[0].len() - 34, &vec![0xa5; whole.content().len() - (pieces[0].len() - 34)], false);
    let captured = |interface, frame: &[u8]| (interface, TimedFrame { time: packet.time, frame: frame.to_vec() });
    let events = replay_captured(&[captured(0, &pieces[0]), captured(1, &noise), captured(0, &pieces[1])]);
    assert_eq!(values(&events, "ja4d"), &values(&replay_packets(conversation.packets(), &[]), "ja4d")[..1]);
}

/// Returns a TLS and an SSH connection with bulk data: more packets than are remembered individually.
fn long_conversations() -> Vec<TimedFrame> {
    let mut tls = plain_without_end();
    let mut ssh = TcpConversation::between("[2001:db8::1]:40000", "[2001:db8::2]:22");
    ssh.handshake().server(b"SSH-2.0-OpenSSH_9.2\r\n").client_ack().client(b"SSH-2.0-PuTTY_0.78\r\n").server_ack();
    for number in 0..120_u8 {
        tls.server(&[number; 1400]).server(&[number; 1400]).client_ack();
        ssh.client(&[number; 36]).server(&[number; 100]).client_ack().server_ack();
    }
    tls.close();
    ssh.close();
    let mut packets = [tls.packets(), ssh.packets()].concat();
    packets.sort_by_key(|packet| packet.time);
    packets
}

fn plain_without_end() -> TcpConversation {
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    for part in client_hello(Shape::PostQuantum).chunks(500) {
        conversation.client(part);
    }
    conversation.server_ack().wait(Duration::from_millis(30)).server(&server_flight());
    conversation
}

/// Returns each packet at interface 0 only.
fn at_one_interface(packets: &[TimedFrame]) -> Vec<CapturedAt> {
    packets.iter().map(|packet| (0, packet.clone())).collect()
}

fn duplicates(events: &[Value]) -> u64 {
    let last = *events::of_type(events, "stats").last().unwrap();
    tests::stats_u64(last, &["kernel", "unselected_by", "duplicates"])
}

#[test]
fn a_direction_spread_over_two_interfaces_is_complete() {
    let packets = long_conversations();
    let once = sorted_output(&replay_captured(&at_one_interface(&packets)));
    let mut random = SplitMix64::new(1);
    for spread in ["packet by packet", "by chance", "in batches"] {
        let captured: Vec<CapturedAt> = packets
            .iter()
            .enumerate()
            .map(|(number, packet)| {
                let interface = match spread {
                    "packet by packet" => number as u32 % 2,
                    "by chance" => random.below(2) as u32,
                    _ => number as u32 / 8 % 2,
                };
                (interface, packet.clone())
            })
            .collect();
        let events = replay_captured(&captured);
        assert_eq!(sorted_output(&events), once, "{spread}");
        assert_eq!(duplicates(&events), 0, "{spread}");
    }
}

#[test]
fn a_connection_with_one_direction_per_interface_is_complete() {
    let packets = long_conversations();
    let once = sorted_output(&replay_captured(&at_one_interface(&packets)));
    let from_client = |packet: &TimedFrame| packet.frame[26..30] == [10, 0, 0, 1] || packet.frame[37] == 1;
    let captured: Vec<CapturedAt> =
        packets.iter().map(|packet| (u32::from(from_client(packet)), packet.clone())).collect();
    let events = replay_captured(&captured);
    assert_eq!((sorted_output(&events), duplicates(&events)), (once, 0));
}

#[test]
fn late_and_reordered_duplicates_do_not_count() {
    let packets = long_conversations();
    let once = sorted_output(&replay_captured(&at_one_interface(&packets)));
    let mut random = SplitMix64::new(2);
    for lag in [1, 8, 60] {
        // Interface 1 captures each packet fewer than `lag` packets later.
        let mut captured: Vec<(usize, CapturedAt)> = Vec::new();
        for (number, packet) in packets.iter().enumerate() {
            captured.push((2 * number, (0, packet.clone())));
            let later = number + random.below(lag) as usize;
            let time = packets[later.min(packets.len() - 1)].time;
            captured.push((2 * later + 1, (1, TimedFrame { time, frame: packet.frame.clone() })));
        }
        captured.sort_by_key(|(order, _)| *order);
        let captured: Vec<CapturedAt> = captured.into_iter().map(|(_, captured)| captured).collect();
        let events = replay_captured(&captured);
        assert_eq!(sorted_output(&events), once, "{lag} packets late");
        assert_eq!(duplicates(&events), packets.len() as u64, "{lag} packets late");
    }
}

#[test]
fn merged_and_split_segments_are_duplicates_as_well() {
    const ROUNDS: usize = 30;
    /// Bytes that the server sends per round; each interface captures its own segment size.
    const ROUND: usize = 4200;
    let split = |size: usize| {
        let mut conversation = plain_without_end();
        for number in 0..ROUNDS {
            for part in vec![number as u8; ROUND].chunks(size) {
                conversation.server(part);
            }
            conversation.client_ack();
        }
        conversation.close();
        conversation.packets().to_vec()
    };
    for (first, second) in [(1400, 4200), (4200, 1400)] {
        let captures = [split(first), split(second)];
        // In each round, interface 0 captures its segments first, then interface 1.
        let mut captured: Vec<CapturedAt> = Vec::new();
        let mut at = [0, 0];
        for round in 0..=ROUNDS {
            for (interface, size) in [first, second].into_iter().enumerate() {
                let rest = if round == ROUNDS { 0 } else { (ROUNDS - round) * (ROUND / size + 1) + 3 };
                let until = captures[interface].len() - rest;
                captured.extend(
                    captures[interface][at[interface]..until]
                        .iter()
                        .map(|captured| (interface as u32, captured.clone())),
                );
                at[interface] = until;
            }
        }
        let events = replay_captured(&captured);
        assert_eq!(
            sorted_output(&events),
            sorted_output(&replay_captured(&at_one_interface(&captures[0]))),
            "{first} bytes, then {second}"
        );
        assert_eq!(duplicates(&events), captures[1].len() as u64);
    }
}

#[test]
fn a_retransmission_captured_at_both_interfaces_counts_once() {
    let mut conversation = TcpConversation::new();
    conversation.syn().wait(Duration::from_millis(30)).syn_ack();
    conversation.wait(Duration::from_secs(1)).syn_ack().wait(Duration::from_secs(2)).syn_ack();
    conversation.wait(Duration::from_millis(1)).client_ack().client(&client_hello(Shape::Browser)).close();
    let once = replay_captured(&at_one_interface(conversation.packets()));
    assert!(values(&once, "ja4ts")[0].ends_with("_1-2"), "{:?}", values(&once, "ja4ts"));
    let events = replay_captured(&forwarded(conversation.packets(), true));
    assert_eq!(
        (sorted_output(&events), duplicates(&events)),
        (sorted_output(&once), conversation.packets().len() as u64)
    );
}

#[test]
fn a_connection_continues_in_another_section() {
    let conversation = plain();
    let once = sorted_output(&replay_captured(&at_one_interface(conversation.packets())));
    let mut file = PcapngFile::new();
    file.interface(ETHERNET, "left");
    for (number, packet) in conversation.packets().iter().enumerate() {
        if number > 0 {
            file.section().interface(ETHERNET, "left");
        }
        file.packet(0, packet);
    }
    let events = replay_file(&file);
    assert_eq!((sorted_output(&events), duplicates(&events)), (once, 0));
}

#[test]
fn datagrams_are_compared_by_their_first_bytes() {
    let mut packets = dhcp_requests().packets().to_vec();
    for (number, packet) in packets.iter_mut().enumerate() {
        // Identifications differ, so that packets with equal first bytes are distinct.
        packet.frame[18..20].copy_from_slice(&(number as u16 + 1).to_be_bytes());
    }
    let packets = packets.as_slice();
    let once = sorted_output(&replay_captured(&at_one_interface(packets)));
    assert_eq!(sorted_output(&replay_captured(&forwarded(packets, true))), once);
    let spread: Vec<CapturedAt> =
        packets.iter().enumerate().map(|(at, packet)| (at as u32 % 2, packet.clone())).collect();
    let events = replay_captured(&spread);
    assert_eq!((sorted_output(&events), duplicates(&events)), (once, 0));
}

/// Returns a packet with a Linux cooked header of version 2, which contains interface and packet type.
fn cooked_2(interface: u8, kind: u8, frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 0, interface, 0, 1, kind, 6, 0, 0, 0, 0, 0, 0, 0, 0], &frame[14..]].concat()
}

/// Returns a packet with a Linux cooked header of version 1, which contains the packet type only.
fn cooked_1(_: u8, kind: u8, frame: &[u8]) -> Vec<u8> {
    [&[0, kind, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], &frame[14..]].concat()
}

#[test]
fn a_cooked_header_identifies_the_capture_point() {
    /// Packet types of packets to the host and from the host.
    const TO_HOST: u8 = 0;
    const OUTGOING: u8 = 4;
    let conversation = plain();
    let capture = |link: u16, cooked: fn(u8, u8, &[u8]) -> Vec<u8>, points: &[(u8, u8)]| {
        let mut file = PcapngFile::new();
        file.interface(link, "any");
        for TimedFrame { time, frame } in conversation.packets() {
            for (number, (interface, kind)) in (0..).zip(points) {
                let time = *time + number * Duration::from_micros(20);
                file.packet(0, &TimedFrame { time, frame: cooked(*interface, *kind, frame) });
            }
        }
        replay_file(&file)
    };
    for (link, cooked) in [(SLL2, cooked_2 as fn(u8, u8, &[u8]) -> Vec<u8>), (SLL, cooked_1)] {
        let once = sorted_output(&capture(link, cooked, &[(2, TO_HOST)]));
        let forwarded = capture(link, cooked, &[(2, TO_HOST), (3, OUTGOING)]);
        assert_eq!(sorted_output(&forwarded), once, "link type {link}");
        assert_eq!(duplicates(&forwarded), conversation.packets().len() as u64, "link type {link}");
    }
}

#[test]
fn a_packet_captured_at_the_other_interface_a_second_later_is_a_retransmission() {
    for (later, is_duplicate) in [(900, true), (1000, false)] {
        let mut conversation = TcpConversation::new();
        conversation.syn().wait(Duration::from_millis(30)).syn_ack().wait(Duration::from_millis(later)).syn_ack();
        conversation.wait(Duration::from_millis(1)).client_ack().client(&client_hello(Shape::Browser)).close();
        let captured: Vec<CapturedAt> = conversation
            .packets()
            .iter()
            .enumerate()
            .map(|(number, captured)| (u32::from(number == 2), captured.clone()))
            .collect();
        let events = replay_captured(&captured);
        assert_eq!(duplicates(&events), u64::from(is_duplicate), "after {later} ms");
        let delay = if is_duplicate { "" } else { "_1" };
        assert_eq!(values(&events, "ja4ts"), [format!("{JA4TS}{delay}")], "after {later} ms");
    }
}

#[test]
fn a_packet_truncated_at_one_interface_is_parsed_from_the_other() {
    let conversation = plain();
    let once = replay_captured(&at_one_interface(conversation.packets()));
    let mut file = PcapngFile::new();
    file.interface(ETHERNET, "short").interface(ETHERNET, "whole");
    for packet in conversation.packets() {
        file.cut_packet(0, packet, 96);
        file.packet(1, packet);
    }
    let events = replay_file(&file);
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(values(&events, kind), values(&once, kind), "{kind}");
    }
}

#[test]
fn keep_alives_of_a_minute_are_no_duplicates() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    conversation.handshake().server(b"SSH-2.0-OpenSSH_9.2\r\n").client(b"SSH-2.0-PuTTY_0.78\r\n").server_ack();
    for _ in 0..20 {
        conversation.wait(Duration::from_millis(34_360)).client_ack();
    }
    conversation.close();
    let spread: Vec<CapturedAt> =
        conversation.packets().iter().enumerate().map(|(at, packet)| (at as u32 % 2, packet.clone())).collect();
    let events = replay_captured(&spread);
    assert_eq!(
        (sorted_output(&events), duplicates(&events)),
        (sorted_output(&replay_captured(&at_one_interface(conversation.packets()))), 0)
    );
}
