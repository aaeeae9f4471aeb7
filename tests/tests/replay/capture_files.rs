//! Capture files with several link types and sections.

use super::*;

use tests::packets::{ETHERNET, link_headers};
use tests::pcapng::{IEEE_802_15_4, PcapngFile, RAW_IP};
use tests::stats_u64;

const ETHERNET_LINK: u16 = ETHERNET as u16;

/// Length of an Ethernet header, bytes.
const ETHERNET_HEADER: usize = 14;

fn replay_file(file: &PcapngFile, options: &[&str]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let path = file.save(folder.path(), "mixed.pcapng");
    let mut arguments = vec![OsStr::new("replay")];
    arguments.extend(options.iter().map(OsStr::new));
    arguments.push(path.as_os_str());
    Sensor::new().run(&arguments)
}

/// Returns the packet after another header; an Ethernet interface captures no such frame.
fn radio(packet: &TimedFrame) -> TimedFrame {
    TimedFrame { time: packet.time, frame: [&[0, 0, 8, 0, 0, 0, 0, 0][..], &packet.frame].concat() }
}

/// Returns the values of all fingerprints, in output order.
fn all_values(events: &[Value]) -> Vec<Value> {
    fingerprints(events).into_iter().map(|event| event["fingerprint"]["value"].clone()).collect()
}

/// Asserts that every packet read is accounted for. Returns the number of those with an unsupported link type.
fn unsupported(events: &[Value], packets: usize) -> u64 {
    let stats = *events::of_type(events, "stats").last().unwrap();
    let count = |path: &[&str]| stats_u64(stats, path);
    let read = count(&["capture", "packets"]);
    let unsupported = count(&["capture", "link_unsupported"]);
    assert_eq!(read, packets as u64);
    assert_eq!(read, unsupported + count(&["capture", "link_unreadable"]) + count(&["kernel", "seen"]));
    unsupported
}

#[test]
fn every_link_type_yields_the_same_values() {
    let conversation = plain();
    let expected = all_values(&replay(&conversation));
    for kind in 0..link_headers(0).len() {
        let mut file = PcapngFile::new();
        file.interface(link_headers(0)[kind].0, "it0");
        for TimedFrame { time, frame } in conversation.packets() {
            let packet = &frame[ETHERNET_HEADER..];
            let frame = [&link_headers(packet.len())[kind].1, packet].concat();
            file.packet(0, &TimedFrame { time: *time, frame });
        }
        let outcome = replay_file(&file, &[]).ok();
        assert_eq!(all_values(&outcome.events()), expected, "link type {}, {kind}", link_headers(0)[kind].0);
    }
}

#[test]
fn vlan_tags_in_a_linux_cooked_capture_are_listed() {
    let conversation = plain();
    for (link, header) in [(113, vec![0; 14]), (276, Vec::new())] {
        let mut file = PcapngFile::new();
        file.interface(link, "any");
        for TimedFrame { time, frame } in conversation.packets() {
            let rest: &[u8] = if link == 276 { &[0; 18] } else { &[] };
            let frame = [&header[..], &[0x81, 0], rest, &[0, 7, 8, 0], &frame[ETHERNET_HEADER..]].concat();
            file.packet(0, &TimedFrame { time: *time, frame });
        }
        let events = replay_file(&file, &[]).ok().events();
        assert_eq!(only(&events, "ja4")["vlan"], serde_json::json!([7]), "link type {link}");
    }
}

#[test]
fn packets_of_an_unsupported_link_type_are_skipped() {
    let conversation = plain();
    let expected = all_values(&replay(&conversation));
    assert_eq!(expected.len(), 6);
    // Unsupported packets alternate with supported ones, for both orders of the interface blocks.
    for (wire, air) in [(0, 1), (1, 0)] {
        let mut file = PcapngFile::new();
        let links = if wire == 0 { [ETHERNET_LINK, IEEE_802_15_4] } else { [IEEE_802_15_4, ETHERNET_LINK] };
        file.interface(links[0], "first0").interface(links[1], "second0");
        for packet in conversation.packets() {
            file.packet(air, &radio(packet)).packet(wire, packet);
        }
        let count = conversation.packets().len();
        for shards in ["1", "2", "3"] {
            let outcome = replay_file(&file, &["--shards", shards]).ok();
            let outcome = outcome
                .stderr_has("mixed.pcapng")
                .stderr_has("packet 1")
                .stderr_has("195")
                .stderr_has("skipped")
                .stderr_has_one_line();
            let events = outcome.events();
            assert_eq!(all_values(&events), expected);
            assert_eq!(unsupported(&events, 2 * count), count as u64);
            assert_eq!(only(&events, "ja4")["pcap_cnt"], 8, "skipped packets are not numbered");
        }
    }
}

#[test]
fn skipped_packets_are_reported_once_per_file() {
    let conversation = plain();
    let folder = TempDir::new().unwrap();
    let mut arguments = vec!["replay".into()];
    for name in ["one.pcapng", "two.pcapng", "three.pcapng"] {
        let mut file = PcapngFile::new();
        file.interface(ETHERNET_LINK, "eth0");
        if name != "two.pcapng" {
            file.interface(IEEE_802_15_4, "wlan0");
            file.packet(1, &conversation.packets()[0]).packet(1, &conversation.packets()[1]);
        }
        file.packet(0, &conversation.packets()[0]);
        arguments.push(file.save(folder.path(), name).into_os_string());
    }
    let outcome = Sensor::new().run(&arguments).ok();
    let stderr = outcome.stderr();
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(stderr.contains("one.pcapng") && stderr.contains("three.pcapng"), "{stderr}");
    assert_eq!(unsupported(&outcome.events(), 7), 4);
}

#[test]
fn a_file_without_any_supported_packet_is_rejected() {
    let conversation = plain();
    let mut file = PcapngFile::new();
    file.interface(IEEE_802_15_4, "wlan0");
    for packet in conversation.packets() {
        file.packet(0, packet);
    }
    let outcome = replay_file(&file, &[]).status(1).stderr_has("cannot decode ").stderr_has("195");
    assert_eq!(unsupported(&outcome.events(), conversation.packets().len()), conversation.packets().len() as u64);
}

#[test]
fn sections_with_different_interfaces_are_one_capture() {
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    let handshake = conversation.packets().len();
    conversation.wait(Duration::from_secs(2)).client(&client_hello(Shape::Browser)).server(&server_flight()).close();
    let mut file = PcapngFile::new();
    file.interface(IEEE_802_15_4, "wlan0").interface(ETHERNET_LINK, "eth0");
    for packet in &conversation.packets()[..handshake] {
        file.packet(1, packet);
    }
    file.section().interface(RAW_IP, "tun0");
    for TimedFrame { time, frame } in &conversation.packets()[handshake..] {
        file.packet(0, &TimedFrame { time: *time, frame: frame[ETHERNET_HEADER..].to_vec() });
    }
    let outcome = replay_file(&file, &[]).ok();
    assert_eq!(outcome.stderr(), "", "an interface without packets causes a warning");
    let events = outcome.events();
    assert_eq!(all_values(&events), all_values(&replay(&conversation)));
    assert_eq!(events::of_type(&events, "connection").len(), 1);
    assert_eq!(unsupported(&events, conversation.packets().len()), 0);
}

#[test]
fn a_replay_ends_after_a_number_of_packets() {
    let conversation = plain();
    let folder = TempDir::new().unwrap();
    let path = conversation.save(folder.path(), "tls.pcap");
    let path = path.to_str().unwrap();
    let packets = conversation.packets().len() as u64;
    let read = |count: u64, threads: &str| {
        let count = count.to_string();
        let arguments = ["replay", path, path, "--count", &count, "--shards", threads];
        let outcome = Sensor::new().run(&arguments).ok();
        let events = outcome.events();
        let stats = events.last().unwrap();
        assert_eq!(stats_u64(stats, &["capture", "packets"]), stats_u64(stats, &["kernel", "seen"]), "{stats:#}");
        (stats_u64(stats, &["kernel", "seen"]), outcome.stdout().to_owned())
    };
    for count in [1, 3, packets, packets + 1] {
        let (seen, output) = read(count, "1");
        assert_eq!(seen, count);
        assert_eq!(read(count, "3").1, output, "{count}");
    }
    assert_eq!(read(100 * packets, "2").0, 2 * packets);
}
