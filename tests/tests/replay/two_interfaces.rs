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
type Met = (u32, TimedFrame);

/// Returns the events of a pcapng file with two Ethernet interfaces.
fn replay_met(packets: &[Met]) -> Vec<Value> {
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
fn forwarded(frames: &[TimedFrame], by_turns: bool) -> Vec<Met> {
    let mut met: Vec<_> = frames.iter().map(|packet| (0, packet.clone())).collect();
    let left = frames.iter().enumerate().map(|(number, packet)| {
        let mut packet = packet.clone();
        packet.time += Duration::from_micros(20);
        (if by_turns { 2 * number + 1 } else { frames.len() + number }, (1, packet))
    });
    for (at, packet) in left {
        met.insert(at, packet);
    }
    met
}

/// Splits every packet into this many fragments.
fn cut(packets: &[TimedFrame], count: usize) -> Vec<TimedFrame> {
    let pieces = |(number, packet): (usize, &TimedFrame)| {
        let whole = Fragments::of(&packet.frame).numbered(number as u32 + 1);
        let time = packet.time;
        whole.pieces(count).into_iter().map(move |frame| TimedFrame { time, frame })
    };
    packets.iter().enumerate().flat_map(pieces).collect()
}

/// Returns a DISCOVER, a REQUEST and a RELEASE; every DHCP message is fingerprinted, also if its value repeats.
fn dhcp_requests() -> UdpConversation {
    let mut talk = UdpConversation::between("0.0.0.0:68", "255.255.255.255:67");
    talk.client(&dhcp::client_v4(1, MAC)).client(&dhcp::client_v4(3, MAC)).client(&dhcp::client_v4(7, MAC));
    talk
}

fn dtls_hello() -> UdpConversation {
    let hello = tests::hello_builder::HelloBuilder::new(0xfefd, &[0xc02b]).extension(0x0017, &[]);
    let mut talk = UdpConversation::between("[2001:db8::1]:51234", "[2001:db8::2]:4433");
    talk.client(&datagrams(CLIENT_HELLO, 0, &hello.dtls_client(&[]), 1000)[0]);
    talk
}

/// Returns packets and bytes of a connection, in both directions.
fn books(end: &Value) -> Value {
    let counts = ["pkts_toserver", "pkts_toclient", "bytes_toserver", "bytes_toclient"].map(|name| {
        let count = &end["connection"][name];
        assert!(count.is_u64(), "no {name} in {end}");
        count.clone()
    });
    counts.to_vec().into()
}

/// Returns all fingerprint values and the counters of all connections, sorted, without times.
fn told(events: &[Value]) -> Vec<(String, String, Value)> {
    let ends = events::of_type(events, "connection")
        .into_iter()
        .map(|event| (format!("{}", event["flow_id"]), "end".to_owned(), books(event)));
    let values = fingerprints(events).into_iter().map(|event| {
        let fingerprint = &event["fingerprint"];
        (format!("{}", event["flow_id"]), format!("{}", fingerprint["type"]), fingerprint["value"].clone())
    });
    let mut told: Vec<_> = values.chain(ends).collect();
    told.sort_by_key(|(flow, kind, value)| (flow.clone(), kind.clone(), value.to_string()));
    told
}

#[test]
fn what_is_forwarded_whole_is_told_once() {
    let talk = plain();
    let once: Vec<Met> = talk.packets().iter().map(|packet| (0, packet.clone())).collect();
    let events = replay_met(&forwarded(talk.packets(), true));
    assert_eq!(told(&events), told(&replay_met(&once)));
}

#[test]
fn what_is_forwarded_in_fragments_is_told_once() {
    for (talk, kind) in [(dhcp_requests(), "ja4d"), (dtls_hello(), "ja4")] {
        let packets = cut(talk.packets(), 2);
        let once = replay_met(&packets.iter().map(|packet| (0, packet.clone())).collect::<Vec<_>>());
        assert_eq!(values(&once, kind).len(), talk.packets().len(), "{kind}");
        for by_turns in [true, false] {
            let events = replay_met(&forwarded(&packets, by_turns));
            assert_eq!(told(&events), told(&once), "{kind}, by turns: {by_turns}");
            let last = *events::of_type(&events, "stats").last().unwrap();
            let count = |group, counter| tests::stats_u64(last, &["shards", group, counter]);
            let datagrams = talk.packets().len() as u64;
            assert_eq!(count("fragments", "completed"), 2 * datagrams, "at each place by itself");
            assert_eq!(count("fragments", "pending"), 0);
            assert_eq!((count("decap", "processed"), count("decap", "duplicates")), (datagrams, datagrams));
        }
    }
}

#[test]
fn what_comes_whole_and_leaves_in_fragments_is_told_once() {
    let talk = dhcp_requests();
    let mut met: Vec<Met> = Vec::new();
    for (number, (whole, pieces)) in talk.packets().iter().zip(cut(talk.packets(), 3).chunks(3)).enumerate() {
        let mut whole = whole.clone();
        // A router keeps the identification of a packet that it fragments (RFC 791, section 3.2).
        whole.frame[18..20].copy_from_slice(&(number as u16 + 1).to_be_bytes());
        met.push((0, whole));
        met.extend(pieces.iter().map(|piece| (1, piece.clone())));
    }
    assert_eq!(values(&replay_met(&met), "ja4d"), values(&replay_packets(talk.packets(), &[]), "ja4d"));
}

#[test]
fn fragments_of_two_interfaces_do_not_mix() {
    let talk = dhcp_requests();
    let packet = &talk.packets()[0];
    let whole = Fragments::of(&packet.frame);
    let pieces = whole.pieces(2);
    let noise = whole.forged(pieces[0].len() - 34, &vec![0xa5; whole.content().len() - (pieces[0].len() - 34)], false);
    let met = |interface, frame: &[u8]| (interface, TimedFrame { time: packet.time, frame: frame.to_vec() });
    let events = replay_met(&[met(0, &pieces[0]), met(1, &noise), met(0, &pieces[1])]);
    assert_eq!(values(&events, "ja4d"), &values(&replay_packets(talk.packets(), &[]), "ja4d")[..1]);
}

/// Returns a TLS and an SSH connection with bulk data: more packets than are remembered individually.
fn long_talks() -> Vec<TimedFrame> {
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
    let mut talk = TcpConversation::new();
    talk.handshake();
    for part in client_hello(Shape::PostQuantum).chunks(500) {
        talk.client(part);
    }
    talk.server_ack().wait(Duration::from_millis(30)).server(&server_flight());
    talk
}

/// Returns each packet at interface 0 only.
fn alone(packets: &[TimedFrame]) -> Vec<Met> {
    packets.iter().map(|packet| (0, packet.clone())).collect()
}

fn duplicates(events: &[Value]) -> u64 {
    let last = *events::of_type(events, "stats").last().unwrap();
    tests::stats_u64(last, &["kernel", "unselected_by", "duplicates"])
}

#[test]
fn a_direction_spread_over_two_interfaces_is_whole() {
    let packets = long_talks();
    let once = told(&replay_met(&alone(&packets)));
    let mut random = SplitMix64::new(1);
    for spread in ["packet by packet", "by chance", "in batches"] {
        let met: Vec<Met> = packets
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
        let events = replay_met(&met);
        assert_eq!(told(&events), once, "{spread}");
        assert_eq!(duplicates(&events), 0, "{spread}");
    }
}

#[test]
fn one_direction_on_each_interface_is_whole() {
    let packets = long_talks();
    let once = told(&replay_met(&alone(&packets)));
    let from_client = |packet: &TimedFrame| packet.frame[26..30] == [10, 0, 0, 1] || packet.frame[37] == 1;
    let met: Vec<Met> = packets.iter().map(|packet| (u32::from(from_client(packet)), packet.clone())).collect();
    let events = replay_met(&met);
    assert_eq!((told(&events), duplicates(&events)), (once, 0));
}

#[test]
fn late_and_reordered_duplicates_do_not_count() {
    let packets = long_talks();
    let once = told(&replay_met(&alone(&packets)));
    let mut random = SplitMix64::new(2);
    for lag in [1, 8, 60] {
        // Interface 1 captures each packet fewer than `lag` packets later.
        let mut met: Vec<(usize, Met)> = Vec::new();
        for (number, packet) in packets.iter().enumerate() {
            met.push((2 * number, (0, packet.clone())));
            let behind = number + random.below(lag) as usize;
            let time = packets[behind.min(packets.len() - 1)].time;
            met.push((2 * behind + 1, (1, TimedFrame { time, frame: packet.frame.clone() })));
        }
        met.sort_by_key(|(order, _)| *order);
        let met: Vec<Met> = met.into_iter().map(|(_, met)| met).collect();
        let events = replay_met(&met);
        assert_eq!(told(&events), once, "{lag} packets late");
        assert_eq!(duplicates(&events), packets.len() as u64, "{lag} packets late");
    }
}

#[test]
fn merged_and_split_segments_are_duplicates_as_well() {
    const ROUNDS: usize = 30;
    /// Bytes that the server sends per round; each interface captures its own segment size.
    const ROUND: usize = 4200;
    let split = |size: usize| {
        let mut talk = plain_without_end();
        for number in 0..ROUNDS {
            for part in vec![number as u8; ROUND].chunks(size) {
                talk.server(part);
            }
            talk.client_ack();
        }
        talk.close();
        talk.packets().to_vec()
    };
    for (first, second) in [(1400, 4200), (4200, 1400)] {
        let seen = [split(first), split(second)];
        // In each round, interface 0 captures its segments first, then interface 1.
        let mut met: Vec<Met> = Vec::new();
        let mut at = [0, 0];
        for round in 0..=ROUNDS {
            for (interface, size) in [first, second].into_iter().enumerate() {
                let rest = if round == ROUNDS { 0 } else { (ROUNDS - round) * (ROUND / size + 1) + 3 };
                let until = seen[interface].len() - rest;
                met.extend(seen[interface][at[interface]..until].iter().map(|met| (interface as u32, met.clone())));
                at[interface] = until;
            }
        }
        let events = replay_met(&met);
        assert_eq!(told(&events), told(&replay_met(&alone(&seen[0]))), "{first} bytes, then {second}");
        assert_eq!(duplicates(&events), seen[1].len() as u64);
    }
}

#[test]
fn a_retransmission_counts_though_both_interfaces_see_it() {
    let mut talk = TcpConversation::new();
    talk.syn().wait(Duration::from_millis(30)).syn_ack();
    talk.wait(Duration::from_secs(1)).syn_ack().wait(Duration::from_secs(2)).syn_ack();
    talk.wait(Duration::from_millis(1)).client_ack().client(&client_hello(Shape::Browser)).close();
    let once = replay_met(&alone(talk.packets()));
    assert!(values(&once, "ja4ts")[0].ends_with("_1-2"), "{:?}", values(&once, "ja4ts"));
    let events = replay_met(&forwarded(talk.packets(), true));
    assert_eq!((told(&events), duplicates(&events)), (told(&once), talk.packets().len() as u64));
}

#[test]
fn a_connection_goes_on_in_another_section() {
    let talk = plain();
    let once = told(&replay_met(&alone(talk.packets())));
    let mut file = PcapngFile::new();
    file.interface(ETHERNET, "left");
    for (number, packet) in talk.packets().iter().enumerate() {
        if number > 0 {
            file.section().interface(ETHERNET, "left");
        }
        file.packet(0, packet);
    }
    let events = replay_file(&file);
    assert_eq!((told(&events), duplicates(&events)), (once, 0));
}

#[test]
fn datagrams_are_compared_by_their_first_bytes() {
    let mut packets = dhcp_requests().packets().to_vec();
    for (number, packet) in packets.iter_mut().enumerate() {
        // Identifications differ, so that packets with equal first bytes are distinct.
        packet.frame[18..20].copy_from_slice(&(number as u16 + 1).to_be_bytes());
    }
    let packets = packets.as_slice();
    let once = told(&replay_met(&alone(packets)));
    assert_eq!(told(&replay_met(&forwarded(packets, true))), once);
    let spread: Vec<Met> = packets.iter().enumerate().map(|(at, packet)| (at as u32 % 2, packet.clone())).collect();
    let events = replay_met(&spread);
    assert_eq!((told(&events), duplicates(&events)), (once, 0));
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
fn a_cooked_header_names_the_capture_point() {
    /// Packet types of packets to the host and from the host.
    const TO_HOST: u8 = 0;
    const OUTGOING: u8 = 4;
    let talk = plain();
    let capture = |link: u16, cooked: fn(u8, u8, &[u8]) -> Vec<u8>, points: &[(u8, u8)]| {
        let mut file = PcapngFile::new();
        file.interface(link, "any");
        for TimedFrame { time, frame } in talk.packets() {
            for (number, (interface, kind)) in (0..).zip(points) {
                let time = *time + number * Duration::from_micros(20);
                file.packet(0, &TimedFrame { time, frame: cooked(*interface, *kind, frame) });
            }
        }
        replay_file(&file)
    };
    for (link, cooked) in [(SLL2, cooked_2 as fn(u8, u8, &[u8]) -> Vec<u8>), (SLL, cooked_1)] {
        let once = told(&capture(link, cooked, &[(2, TO_HOST)]));
        let forwarded = capture(link, cooked, &[(2, TO_HOST), (3, OUTGOING)]);
        assert_eq!(told(&forwarded), once, "link type {link}");
        assert_eq!(duplicates(&forwarded), talk.packets().len() as u64, "link type {link}");
    }
}

#[test]
fn a_packet_that_another_interface_sees_a_second_later_is_a_retransmission() {
    for (later, is_duplicate) in [(900, true), (1000, false)] {
        let mut talk = TcpConversation::new();
        talk.syn().wait(Duration::from_millis(30)).syn_ack().wait(Duration::from_millis(later)).syn_ack();
        talk.wait(Duration::from_millis(1)).client_ack().client(&client_hello(Shape::Browser)).close();
        let met: Vec<Met> =
            talk.packets().iter().enumerate().map(|(number, met)| (u32::from(number == 2), met.clone())).collect();
        let events = replay_met(&met);
        assert_eq!(duplicates(&events), u64::from(is_duplicate), "after {later} ms");
        let delay = if is_duplicate { "" } else { "_1" };
        assert_eq!(values(&events, "ja4ts"), [format!("{JA4TS}{delay}")], "after {later} ms");
    }
}

#[test]
fn a_packet_that_was_cut_at_one_interface_is_read_at_the_other() {
    let talk = plain();
    let once = replay_met(&alone(talk.packets()));
    let mut file = PcapngFile::new();
    file.interface(ETHERNET, "short").interface(ETHERNET, "whole");
    for packet in talk.packets() {
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
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    talk.handshake().server(b"SSH-2.0-OpenSSH_9.2\r\n").client(b"SSH-2.0-PuTTY_0.78\r\n").server_ack();
    for _ in 0..20 {
        talk.wait(Duration::from_millis(34_360)).client_ack();
    }
    talk.close();
    let spread: Vec<Met> =
        talk.packets().iter().enumerate().map(|(at, packet)| (at as u32 % 2, packet.clone())).collect();
    let events = replay_met(&spread);
    assert_eq!((told(&events), duplicates(&events)), (told(&replay_met(&alone(talk.packets()))), 0));
}
