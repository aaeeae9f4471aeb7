//! The test library checked against established programs: the other tests depend on it.
use std::fs::File;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::conversation::{TcpConversation, UdpConversation};
use tests::fragment::Fragments;
use tests::generate::{self, CaptureKind};
use tests::hello::{self, Shape};
use tests::netns::WireLayout;
use tests::outer_layer::{Gre, OuterLayer, TunnelKind};
use tests::packets::{self, Envelope, Extension, TimedFrame};
use tests::peers::{self, Chain, KeyType, Nginx};
use tests::random::SplitMix64;
use tests::tcpdump::{Tcpdump, TcpdumpCapture, dissect};
use tests::{Wire, require_root, require_tools};

/// Records the traffic of `conversation` at the server's end of the wire.
fn record(wire: &Wire, traffic: impl FnOnce()) -> TcpdumpCapture {
    let tcpdump = Tcpdump::start(wire.server());
    traffic();
    tcpdump.stop()
}

#[test]
fn tcpdump_records_curl_connections_to_nginx() {
    if !require_root() || !require_tools(&["ip", "ethtool", "ss", "openssl", "nginx", "curl", "tcpdump", "tc"]) {
        return;
    }
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Rsa));
    let _nginx = Nginx::start(wire.server(), 443, &chain);
    let recording = record(&wire, || {
        for server in [wire.server().v4(), wire.server().v6()] {
            peers::curl(wire.client(), server, 443, &["--tls-max", "1.2"]).stdout_has("hello");
            peers::curl(wire.client(), server, 443, &["--tlsv1.3"]).stdout_has("hello");
        }
    });
    let text = recording.dissected(&["tcp[tcpflags] == tcp-syn or (ip6 and ip6[53] == 2)"]);
    assert_eq!(text.matches("Flags [S],").count(), 4, "one SYN per connection:\n{text}");
    assert!(text.contains("10.98.0.1.") && text.contains("fd98::1."), "{text}");
    assert!(!wire.server().has_programs(), "a program is attached");
}

#[test]
fn openssl_connects_across_vlans_in_several_segments() {
    if !require_root() || !require_tools(&["ip", "ethtool", "ss", "openssl", "tcpdump"]) {
        return;
    }
    let (wire, chain) = (Wire::with(WireLayout { vlan: &[100, 7], ..WireLayout::default() }), Chain::new(KeyType::Ec));
    let _server = peers::openssl_server(wire.server(), 8443, &chain, &["-tls1_3"]);
    let recording = record(&wire, || {
        let protocols = peers::many_protocols();
        peers::openssl_client(wire.client(), wire.server().v4(), 8443, &["-alpn", &protocols])
            .stdout_has("Cipher is TLS_");
    });
    let text = recording.dissected(&[]);
    assert!(text.contains("vlan 100") && text.contains("vlan 7"), "both tags are in the packet:\n{text}");
    let full = text.lines().any(|line| line.contains("> 10.98.0.2.8443:") && line.contains("length 1448"));
    assert!(full, "the hello does not fit one segment:\n{text}");
}

#[test]
fn each_piece_is_sent_as_one_segment() {
    if !require_root() || !require_tools(&["ip", "ethtool", "tcpdump"]) {
        return;
    }
    let wire = Wire::new();
    let recording = record(&wire, || {
        let to = (wire.server().v6(), 443).into();
        let pause = Duration::from_millis(20);
        peers::send_segments(wire.client(), wire.server(), to, &[b"\x16", b"\x03\x01"], pause);
    });
    let text = recording.dissected(&[]);
    assert!(text.contains("seq 1:2,") && text.contains("seq 2:4,"), "{text}");
}

#[test]
fn tcpdump_accepts_crafted_packets() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut random = SplitMix64::new(3);
    let hello = hello::records(&Shape::PostQuantum.client_hello("example.org", &mut random), usize::MAX);
    let envelopes = [
        Envelope::default(),
        Envelope { vlan: vec![100], extensions: Vec::new() },
        Envelope {
            vlan: vec![100, 7],
            extensions: vec![Extension::HopByHop, Extension::Routing, Extension::Destination(3)],
        },
    ];
    for (number, envelope) in envelopes.into_iter().enumerate() {
        for (client, server) in [("10.0.0.1:51234", "10.0.0.2:443"), ("[2001:db8::1]:51234", "[2001:db8::2]:443")] {
            let mut conversation = TcpConversation::between(client, server).inside(envelope.clone());
            conversation.handshake().client(&hello[..1400]).client(&hello[1400..]).server(&[22, 3, 3]).close();
            let file = conversation.save(folder.path(), "crafted.pcap");
            let text = dissect(&file, &["-v"]);
            assert_eq!(
                text.matches("(correct)").count(),
                conversation.packets().len(),
                "case {number}, {client}:\n{text}"
            );
            for wrong in ["incorrect", "bad cksum", "truncated", "bad-hdr", "wrong"] {
                assert!(!text.contains(wrong), "{wrong} in case {number}, {client}:\n{text}");
            }
            assert!(text.contains("options [mss 1460,sackOK,TS val 978260226 ecr 0,nop,wscale 7]"), "{text}");
        }
    }
}

#[test]
fn tcpdump_accepts_crafted_datagrams_and_fragments() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    for (client, server) in [("10.0.0.1:51234", "10.0.0.2:4433"), ("[2001:db8::1]:51234", "[2001:db8::2]:4433")] {
        let envelope = Envelope { vlan: vec![9], extensions: vec![Extension::HopByHop] };
        let mut conversation = UdpConversation::between(client, server).inside(envelope);
        conversation.client(&[7; 1200]).server(&[8; 41]);
        let text = dissect(&conversation.save(folder.path(), "whole.pcap"), &[]);
        assert_eq!(text.matches("[udp sum ok]").count(), 2, "{text}");

        let whole = &conversation.packets()[0];
        let pieces = Fragments::of(&whole.frame).numbered(7).pieces(3);
        let pieces: Vec<_> = pieces.into_iter().map(|frame| TimedFrame { frame, ..whole.clone() }).collect();
        let text = dissect(&packets::capture_file(folder.path(), "pieces.pcap", &pieces), &[]);
        // 151 eight-byte units, 50 in each of the first two fragments.
        let expected = if client.starts_with('[') {
            ["frag (0x00000007:0|400)", "frag (0x00000007:400|400)", "frag (0x00000007:800|408)"]
        } else {
            ["id 7, offset 0, flags [+]", "id 7, offset 400, flags [+]", "id 7, offset 800, flags [none]"]
        };
        for piece in expected {
            assert!(text.contains(piece), "{piece} in:\n{text}");
        }
        assert!(!text.contains("bad cksum") && !text.contains("trunc"), "{text}");
    }
}

#[test]
fn tcpdump_accepts_crafted_tunnels() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let gre = Gre { checksum: true, key: Some(7), sequence: Some(9) };
    let options = vec![(0x0102, 3, vec![1, 2, 3, 4]), (0x0103, 0x80, Vec::new())];
    let tunnels = [
        (TunnelKind::Ip, ""),
        (TunnelKind::Gre(Gre::default()), "GREv0"),
        (TunnelKind::Gre(gre), "key=0x7, seq 9"),
        (TunnelKind::GreEthernet(gre), "key=0x7, seq 9"),
        (TunnelKind::Vxlan(0x0a_0b0c), "vni 658188"),
        (TunnelKind::Geneve { vni: 5, options, ethernet: true }, "vni 0x5"),
        (TunnelKind::Geneve { vni: 5, options: Vec::new(), ethernet: false }, "vni 0x5"),
    ];
    let ends = [("10.0.0.1:51234", "10.0.0.2:443"), ("[2001:db8::1]:51234", "[2001:db8::2]:443")];
    let outside = [("198.51.100.1", "198.51.100.2"), ("fd00:1::1", "fd00:1::2")];
    for (tunnel, words) in tunnels {
        for ((client, server), (from, to)) in ends.into_iter().flat_map(|ends| outside.map(|outside| (ends, outside))) {
            let carriers = vec![OuterLayer::Mpls(vec![17, 18]), OuterLayer::between(from, to, tunnel.clone())];
            let mut conversation = TcpConversation::between(client, server).through(carriers);
            conversation.handshake().client(&[7; 300]).close();
            let text = dissect(&conversation.save(folder.path(), "tunnel.pcap"), &[]);
            let packets = conversation.packets().len();
            assert_eq!(text.matches("(correct)").count(), packets, "{tunnel:?}:\n{text}");
            assert!(text.contains(words) && text.contains("MPLS (label 17,"), "{tunnel:?}:\n{text}");
            for wrong in ["incorrect", "bad cksum", "bad udp cksum", "truncated", "bad-hdr", "wrong", "invalid"] {
                assert!(!text.contains(wrong), "{wrong} of {tunnel:?}:\n{text}");
            }
        }
    }
}

/// Returns the first bytes of the SHA-256 of a generated capture and its packet count.
fn digest(kind: CaptureKind, scale: f64, seed: u64) -> (String, u64) {
    let mut bytes = Vec::new();
    let written = generate::write(kind, scale, seed, &mut bytes).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    (Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect(), written.packets)
}

#[test]
fn generated_captures_are_reproducible() {
    // A change here makes earlier bench figures incomparable; record it in the changelog.
    for (kind, scale, first_bytes) in [
        (CaptureKind::Dense, 0.02, "ce197854bdadedb4"),
        (CaptureKind::Mix, 0.01, "38395869cf9afcd4"),
        (CaptureKind::Pq, 0.02, "c4acfc2ce72f394f"),
        (CaptureKind::Everything, 0.01, "01cedfb6b2526397"),
    ] {
        let (hash, packets) = digest(kind, scale, 1);
        assert_eq!(hash, first_bytes, "{kind:?}");
        let expected = kind.packets_per_flow().map(|each| each * kind.flows(scale));
        assert_eq!(expected.unwrap_or(packets), packets, "{kind:?}");
        assert_ne!(digest(kind, scale, 2).0, hash, "{kind:?}: the seed has no effect");
    }
}

#[test]
fn tcpdump_accepts_generated_captures() {
    if !require_tools(&["tcpdump"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    for kind in CaptureKind::ALL {
        let path = folder.path().join(kind.name());
        let written = generate::write(kind, 0.002, 7, &mut File::create(&path).unwrap()).unwrap();
        let text = dissect(&path, &["-v"]);
        for wrong in ["incorrect", "bad cksum", "bad udp cksum", "truncated"] {
            let line = text.lines().position(|line| line.contains(wrong));
            let context = line.map(|line| text.lines().skip(line.saturating_sub(2)).take(3).collect::<Vec<_>>());
            assert_eq!(context, None, "{wrong} in {kind:?}");
        }
        if !CaptureKind::TLS.contains(&kind) {
            continue;
        }
        assert_eq!(text.matches("(correct)").count() as u64, written.packets, "{kind:?}");
        let syns: Vec<_> = text.lines().filter(|line| line.contains("Flags [S],")).map(endpoints).collect();
        let distinct: std::collections::BTreeSet<_> = syns.iter().collect();
        assert_eq!(
            (syns.len(), distinct.len()),
            (kind.flows(0.002) as usize, syns.len()),
            "{kind:?}: a flow occurs twice"
        );
    }
}

/// Returns `10.0.0.1.51234 > 198.51.100.3.443` of a tcpdump line.
fn endpoints(line: &str) -> String {
    line.split(": Flags").next().unwrap_or_default().trim().to_owned()
}

#[test]
fn flows_of_a_generated_capture_overlap() {
    let mut bytes = Vec::new();
    generate::write(CaptureKind::Dense, 0.05, 1, &mut bytes).unwrap();
    // Parses the pcap file directly: each packet has a 16-byte header, followed by the frame.
    let (mut at, mut last, mut open, mut most) = (24, 0, 0_i64, 0);
    while at < bytes.len() {
        let field =
            |offset: usize| u64::from(u32::from_le_bytes(bytes[at + offset..at + offset + 4].try_into().unwrap()));
        let time = field(0) * 1_000_000_000 + field(4);
        assert!(time >= last, "timestamps decrease");
        last = time;
        let frame = &bytes[at + 16..at + 16 + field(8) as usize];
        let tcp = if frame[12..14] == [0x08, 0x00] { 34 } else { 54 };
        match frame[tcp + 13] {
            0x02 => open += 1,
            0x11 => open -= 1,
            _ => (),
        }
        most = most.max(open);
        at += 16 + frame.len();
    }
    assert_eq!(open, 0, "flows have no end");
    assert!(most > 300, "{most} concurrent flows");
}

#[test]
#[ignore = "generates 0.9 GB of captures; run in release to see sizes and speed"]
fn write_generated_captures_of_full_size() {
    for kind in CaptureKind::ALL {
        let started = std::time::Instant::now();
        let written = generate::write(kind, 1.0, 1, &mut std::io::sink()).unwrap();
        eprintln!(
            "{kind:?}: {} packets, {:.1} MB, {:.2?}",
            written.packets,
            written.bytes as f64 / 1e6,
            started.elapsed()
        );
    }
}
