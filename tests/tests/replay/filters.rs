//! `--filter`: which connections of a capture are read.

use super::*;

use tests::conversation::UdpConversation;
use tests::fragment::Fragments;
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::quic::{QuicEnds, crypto};
use tests::stats_u64;

/// Returns a TLS connection from its SYN to its FINs.
fn connection(client: &str, server: &str, vlan: &[u16]) -> TcpConversation {
    let envelope = Envelope { vlan: vlan.to_vec(), ..Envelope::default() };
    let mut conversation = TcpConversation::between(client, server).inside(envelope);
    conversation.handshake().client(&client_hello(Shape::Curl)).server(&server_flight()).close();
    conversation
}

/// Returns one connection of each kind; each has another client port.
fn capture() -> Vec<TimedFrame> {
    let mut packets = Vec::new();
    for (client, server, vlan) in [
        ("10.0.0.1:40001", "192.0.2.7:443", &[][..]),
        ("10.0.0.2:40002", "192.0.2.7:8443", &[]),
        ("[2001:db8::1]:40003", "[2001:db8:1::7]:443", &[]),
        ("10.1.0.1:40004", "10.0.0.1:443", &[5]),
        ("10.1.0.1:40005", "198.51.100.1:443", &[7, 5]),
    ] {
        packets.extend_from_slice(connection(client, server, vlan).packets());
    }
    let mut quic = UdpConversation::between("10.0.0.1:40006", "192.0.2.7:443");
    let hello = Shape::Curl.client_hello("example.org", &mut SplitMix64::new(5));
    quic.client(&QuicEnds::new(b"8 bytes.", b"8 others").initial(packets::Sender::Client, 0, &crypto(0, &hello)));
    packets.extend_from_slice(quic.packets());
    packets
}

/// Returns the last digit of the client ports of connections with a JA4.
fn clients(events: &[Value]) -> Vec<u64> {
    let hellos = fingerprints(events).into_iter().filter(|event| event["fingerprint"]["type"] == "ja4");
    let mut clients: Vec<_> = hellos.map(|event| event["src_port"].as_u64().unwrap() - 40_000).collect();
    clients.sort_unstable();
    clients
}

fn stats(events: &[Value]) -> &Value {
    events::of_type(events, "stats").pop().unwrap()
}

#[test]
fn a_filter_selects_connections() {
    let packets = capture();
    for (expression, expected) in [
        ("tcp", &[1, 2, 3, 4, 5][..]),
        ("udp", &[6]),
        ("icmp", &[]),
        ("ip6", &[3]),
        ("host 192.0.2.7", &[1, 2, 6]),
        ("src host 10.0.0.1", &[1, 6]),
        ("dst host 10.0.0.1", &[4]),
        ("host 10.0.0.1", &[1, 4, 6]),
        ("net 10.0.0.0/16", &[1, 2, 4, 6]),
        ("src net 10.0.0.0/16", &[1, 2, 6]),
        ("net 2001:db8:1::/48", &[3]),
        ("port 443", &[1, 3, 4, 5, 6]),
        ("tcp dst port 443", &[1, 3, 4, 5]),
        ("src port 443", &[]),
        ("portrange 8000-9000", &[2]),
        ("src portrange 40002-40003", &[2, 3]),
        ("vlan", &[4, 5]),
        ("vlan 5", &[4, 5]),
        ("vlan 7", &[5]),
        ("not vlan and tcp", &[1, 2, 3]),
        ("udp or (host 10.1.0.1 and not dst net 10.0.0.0/8)", &[5, 6]),
        ("host 192.0.2.9 or 10.1.0.1", &[4, 5]),
    ] {
        let events = replay_packets(&packets, &["--filter", expression]);
        assert_eq!(clients(&events), expected, "{expression}");
        let kernel = |counter: &str| stats_u64(stats(&events), &["kernel", counter]);
        assert_eq!(kernel("seen"), packets.len() as u64);
        assert_eq!(kernel("seen"), kernel("unselected") + kernel("selected"), "{expression}");
        // Of a connection over TCP that does not match: SYN, SYN-ACK, and both hellos.
        let tcp = expected.iter().filter(|client| **client != 6).count() as u64;
        let udp = u64::from(expected.contains(&6));
        let filtered = stats_u64(stats(&events), &["kernel", "unselected_by", "filtered"]);
        assert_eq!(filtered, 4 * (5 - tcp) + (1 - udp), "{expression}");
        assert_eq!(stats_u64(stats(&events), &["shards", "opened"]), tcp + udp, "{expression}");
    }
}

/// Returns the number of packets that tcpdump selects.
fn selected_by_tcpdump(file: &Path, expression: &str) -> usize {
    let mut command = Command::new("tcpdump");
    command.args(["-n", "-t", "-q", "-r"]).arg(file).arg(expression);
    let outcome = Outcome::new(process::run(command, &[], process::LIMIT)).ok();
    outcome.stdout().lines().count()
}

/// Where a filter has the meaning that it has in tcpdump: a packet of either direction, without tags.
#[test]
fn a_filter_selects_what_tcpdump_selects() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let packets: Vec<_> = capture().into_iter().filter(|packet| !matches!(packet.frame[12], 0x81 | 0x88)).collect();
    let file = packets::capture_file(folder.path(), "packets.pcap", &packets);
    for expression in [
        "tcp",
        "udp",
        "ip6",
        "host 10.0.0.1",
        "src or dst host 10.0.0.2",
        "net 10.0.0.0/16",
        "net 10.0",
        "net 192.0.2.0 mask 255.255.255.0",
        "net 2001:db8:1::/48",
        "ip host 192.0.2.7",
        "port 443",
        "udp port 443",
        "portrange 8000-9000",
        "src or dst port 8443",
        "port 1 or 443",
        "tcp or udp and port 8443",
        "tcp or (udp and port 8443)",
        "not host 10.0.0.1",
        "!tcp||port 8443&&ip",
        "not (ip6 or port 8443) and host 192.0.2.7",
    ] {
        let events = replay_packets(&packets, &["--filter", expression]);
        let connections = events::of_type(&events, "connection");
        let count = |event: &&Value, field: &str| event["connection"][field].as_u64().unwrap();
        let selected: u64 =
            connections.iter().map(|event| count(event, "pkts_toserver") + count(event, "pkts_toclient")).sum();
        assert_eq!(selected as usize, selected_by_tcpdump(&file, expression), "{expression}");
    }
}

#[test]
fn the_innermost_headers_are_tested() {
    let tunnel = |kind| OuterLayer::between("203.0.113.1", "203.0.113.2", kind);
    let stacks = [
        vec![tunnel(TunnelKind::Vxlan(7))],
        vec![tunnel(TunnelKind::Vxlan(7)), tunnel(TunnelKind::Ip)],
        vec![OuterLayer::Mpls(vec![16])],
    ];
    for stack in stacks {
        let packets: Vec<_> = connection("10.0.0.1:40001", "192.0.2.7:443", &[])
            .packets()
            .iter()
            .map(|packet| TimedFrame { frame: OuterLayer::wrap_all(&stack, packet.frame.clone()), ..*packet })
            .collect();
        for (expression, expected) in [
            ("host 10.0.0.1 and tcp port 443", &[1][..]),
            ("host 203.0.113.1", &[]),
            ("udp", &[]),
            ("not port 443", &[]),
        ] {
            let events = replay_packets(&packets, &["--filter", expression]);
            assert_eq!(clients(&events), expected, "{expression}: {stack:?}");
            let filtered = stats_u64(stats(&events), &["kernel", "unselected_by", "filtered"])
                + stats_u64(stats(&events), &["shards", "decap", "filtered"]);
            assert_eq!(filtered > 0, expected.is_empty(), "{expression}: {stack:?}");
        }
    }
}

#[test]
fn fragments_are_filtered_after_reassembly() {
    for vlan in [&[][..], &[5]] {
        let mut packets = connection("10.0.0.1:40001", "192.0.2.7:443", vlan).packets().to_vec();
        // Every packet is fragmented, so the second fragment of each has no ports.
        packets = packets
            .iter()
            .flat_map(|packet| {
                let pieces = Fragments::of(&packet.frame).pieces(2);
                pieces.into_iter().map(|frame| TimedFrame { frame, ..*packet })
            })
            .collect();
        for (expression, expected) in [
            ("tcp dst port 443", true),
            ("src host 10.0.0.1", true),
            ("dst host 10.0.0.1", false),
            ("port 80", false),
            ("vlan 5", !vlan.is_empty()),
            ("not vlan", vlan.is_empty()),
        ] {
            let events = replay_packets(&packets, &["--filter", expression]);
            assert_eq!(!clients(&events).is_empty(), expected, "{expression}: {vlan:?}");
            assert_eq!(stats_u64(stats(&events), &["shards", "decap", "filtered"]) > 0, !expected, "{expression}");
            for event in fingerprints(&events) {
                let tags: Vec<_> = event["vlan"].as_array().into_iter().flatten().map(|tag| tag.as_u64()).collect();
                let expected: Vec<_> = vlan.iter().map(|tag| Some(u64::from(*tag))).collect();
                assert_eq!(tags, expected, "{event}");
            }
        }
    }
}

/// The SYNs were not captured, so the hellos name the client.
#[test]
fn a_connection_without_its_start_is_filtered() {
    let packets = connection("10.0.0.1:40001", "192.0.2.7:443", &[]).packets()[3..].to_vec();
    for (expression, expected) in [("dst port 443", &[1][..]), ("src port 443", &[]), ("port 443", &[1])] {
        assert_eq!(clients(&replay_packets(&packets, &["--filter", expression])), expected, "{expression}");
    }
}

/// An identification string does not name the client, and the SYN before it may not have matched.
#[test]
fn src_and_dst_match_either_end_of_an_ssh_connection_on_another_port() {
    let mut conversation = TcpConversation::between("10.0.0.1:40001", "192.0.2.7:2222");
    conversation.handshake().server(b"SSH-2.0-OpenSSH_9.6\r\n").client(b"SSH-2.0-OpenSSH_9.7\r\n").close();
    let connections = |packets: &[TimedFrame], expression| {
        let events = replay_packets(packets, &["--filter", expression]);
        stats_u64(stats(&events), &["shards", "opened"])
    };
    let (all, late) = (conversation.packets(), &conversation.packets()[3..]);
    for (expression, from_start, from_string) in [("dst port 2222", 1, 1), ("src port 2222", 1, 1), ("port 22", 0, 0)] {
        assert_eq!(
            (connections(all, expression), connections(late, expression)),
            (from_start, from_string),
            "{expression}"
        );
    }
}

#[test]
fn an_invalid_filter_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = connection("10.0.0.1:40001", "192.0.2.7:443", &[]).save(folder.path(), "talk.pcap");
    let nine = (1..=9).map(|port| format!("port {port}")).collect::<Vec<_>>().join(" or ");
    for (expression, error) in [
        (
            "host example.org",
            "character 6: expected an address after 'host', found 'example.org'; names are not resolved",
        ),
        (&*nine, "has 9 terms; name at most 8"),
    ] {
        let arguments = [OsStr::new("replay"), OsStr::new("--filter"), OsStr::new(expression), file.as_os_str()];
        Sensor::new().run(&arguments).status(2).stderr_has(error).stderr_has("--filter <EXPR>");
    }
}
