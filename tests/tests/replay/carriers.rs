//! Carriers of a hello: DTLS, IP fragments and tunnels.

use super::*;

use serde_json::json;

use tests::conversation::UdpConversation;
use tests::dtls::datagrams;
use tests::fragment::Fragments;
use tests::hello_builder::HelloMessageBuilder;
use tests::outer_layer::{Gre, LinkLayer, OuterLayer, TunnelKind};

/// Types of the handshake messages (RFC 8446, section 4; RFC 6347, section 4.3.2).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// Returns a hello with suites `c02b,c02f`, extensions `000a,000d,0017` and algorithms `0403,0804`.
fn dtls_hello() -> HelloMessageBuilder {
    let hello = HelloMessageBuilder::new(0xfefd, &[0xc02f, 0xc02b]).extension(0x0017, &[]);
    hello.extension(0x000a, &[0, 2, 0, 0x1d]).algorithms(&[0x0403, 0x0804])
}

fn dtls() -> UdpConversation {
    UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433")
}

#[test]
fn a_dtls_cookie_exchange_yields_one_client_and_one_server() {
    let server = HelloMessageBuilder::new(0xfefd, &[0xc02b]).extension(0xff01, &[0]).extension(0x0017, &[]);
    let verify = [&[0xfe, 0xff, 20][..], &[9; 20]].concat();
    let mut conversation = dtls();
    conversation.client(&datagrams(CLIENT_HELLO, 0, &dtls_hello().dtls_client(&[]), 1000)[0]);
    conversation.server(&datagrams(HELLO_VERIFY_REQUEST, 0, &verify, 1000)[0]);
    conversation.client(&datagrams(CLIENT_HELLO, 1, &dtls_hello().dtls_client(&[9; 20]), 1000)[0]);
    conversation.server(&datagrams(SERVER_HELLO, 1, &server.server_body(), 1000)[0]);
    let events = replay_packets(conversation.packets(), &[]);
    assert_eq!(values(&events, "ja4").first(), Some(&"dd2i020300_b6f57f3be927_b170b4d4d148"));
    assert_eq!(values(&events, "ja4s"), ["dd20200_c02b_ec53b3cc8a64"]); // `ff01,0017`
    let first_occurrences = fingerprints(&events)
        .into_iter()
        .filter(|event| event["fingerprint"]["type"] == "ja4" && event["fingerprint"]["count"] == 1);
    assert_eq!(first_occurrences.count(), 1, "not one first occurrence");
    assert_eq!(only(&events, "ja4s")["proto"], "UDP");
}

#[test]
fn a_dtls_hello_in_fragments_in_any_order_is_fingerprinted() {
    let mut pieces = datagrams(CLIENT_HELLO, 0, &dtls_hello().dtls_client(&[]), 20);
    for turn in 0..pieces.len() {
        pieces.rotate_left(turn);
        let mut conversation = dtls();
        // One fragment is sent twice; the last two share a datagram.
        conversation.client(&pieces[0]);
        let (last, others) = pieces.split_at(pieces.len() - 2);
        for piece in last {
            conversation.client(piece);
        }
        conversation.client(&others.concat());
        let events = replay_packets(conversation.packets(), &[]);
        assert_eq!(values(&events, "ja4"), ["dd2i020300_b6f57f3be927_b170b4d4d148"], "turn {turn}");
    }
}

/// Specification, section 13, A4 and A5: the numerically highest version counts, so 1.2 ranks above 1.3.
#[test]
fn dtls_versions_are_compared_as_numbers() {
    let table: [(&[u16], &str); 3] = [(&[0xfefc], "d3"), (&[0xfefc, 0xfefd], "d2"), (&[0xfefc, 0x0a0a], "d3")];
    for (versions, code) in table {
        let mut conversation = dtls();
        conversation.client(&datagrams(CLIENT_HELLO, 0, &dtls_hello().versions(versions).dtls_client(&[]), 1000)[0]);
        let expected = format!("d{code}i020400_b6f57f3be927_2b39faa7b4ef"); // `000a,000d,0017,002b_0403,0804`
        assert_eq!(values(&replay_packets(conversation.packets(), &[]), "ja4"), [expected], "{versions:04x?}");
    }
}

/// Returns the events of a connection; the client sends a hello of 1.7 KiB in one segment; `cut` fragments its frame.
fn fragmented(client: &str, server: &str, cut: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) -> Vec<Value> {
    let mut conversation = TcpConversation::between(client, server);
    conversation.handshake().client(&client_hello(Shape::PostQuantum)).server(&server_flight()).close();
    let mut packets = conversation.packets().to_vec();
    let TimedFrame { time, frame } = packets[3].clone();
    assert!(frame.len() > 1600, "not the frame of the hello");
    packets.splice(3..4, cut(&frame).into_iter().map(|frame| TimedFrame { time, frame }));
    replay_packets(&packets, &[])
}

/// Returns fragments of `size` bytes of content, in order.
fn cut_into(whole: &Fragments, size: usize) -> Vec<Vec<u8>> {
    let end = whole.content().len();
    (0..end).step_by(size).map(|start| whole.piece(start..(start + size).min(end))).collect()
}

const PAIRS: [(&str, &str); 2] = [("10.0.0.1:51234", "10.0.0.2:443"), ("[2001:db8::1]:51234", "[2001:db8::2]:443")];

#[test]
fn a_hello_in_ip_fragments_in_any_order_is_fingerprinted() {
    for (client, server) in PAIRS {
        for size in [1400, 568, 64] {
            for turn in 0..3 {
                let events = fragmented(client, server, |frame| {
                    let mut pieces = cut_into(&Fragments::of(frame), size);
                    match turn {
                        0 => (),
                        1 => pieces.reverse(),
                        _ => pieces.extend_from_within(..1),
                    }
                    pieces
                });
                assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()], "{client}, {size} bytes, turn {turn}");
                assert_eq!(values(&events, "ja4s"), [JA4S_13]);
            }
        }
    }
}

#[test]
fn the_first_copy_of_overlapping_ip_fragments_counts() {
    for (client, server) in PAIRS {
        let events = fragmented(client, server, |frame| {
            let whole = Fragments::of(frame);
            let end = whole.content().len();
            // The forged fragment fills the gap; its noise overlaps the first fragment's end and the last one's start.
            let middle = [&[0xa5; 80], &whole.content()[800..1600], &[0xa5; 8]].concat();
            vec![whole.piece(0..800), whole.piece(1600..end), whole.forged(720, &middle, true)]
        });
        assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()], "{client}");
    }
}

#[test]
fn a_hello_with_a_missing_fragment_is_not_fingerprinted() {
    for (client, server) in PAIRS {
        let events = fragmented(client, server, |frame| {
            let mut pieces = cut_into(&Fragments::of(frame), 568);
            pieces.remove(1);
            pieces
        });
        assert!(values(&events, "ja4").is_empty(), "{client}");
        assert_eq!(values(&events, "ja4t"), [JA4T]);
    }
}

/// Step on the path of a packet.
#[derive(Clone, Debug)]
enum PathStep {
    /// Encapsulation in a tunnel.
    Encapsulate(OuterLayer),
    /// Fragmentation on a link that carries this many bytes of content per packet.
    Fragment(usize),
}

fn gre() -> PathStep {
    PathStep::Encapsulate(OuterLayer::between("198.51.100.1", "198.51.100.2", TunnelKind::Gre(Gre::default())))
}

fn vxlan() -> PathStep {
    PathStep::Encapsulate(OuterLayer::between("2001:db8:f::1", "2001:db8:f::2", TunnelKind::Vxlan(7)))
}

/// Returns the frames after all steps; each fragmented packet has its own identification.
fn forward(frame: &[u8], back: bool, steps: &[PathStep], number: &mut u32) -> Vec<Vec<u8>> {
    let mut frames = vec![frame.to_vec()];
    for step in steps {
        let each = |frame: Vec<u8>| match step {
            PathStep::Encapsulate(carrier) if back => vec![carrier.reversed().wrap(&frame)],
            PathStep::Encapsulate(carrier) => vec![carrier.wrap(&frame)],
            PathStep::Fragment(size) => {
                *number += 1;
                let whole = Fragments::of(&frame).numbered(*number);
                if whole.content().len() > *size { cut_into(&whole, *size) } else { vec![frame] }
            }
        };
        frames = frames.into_iter().flat_map(each).collect();
    }
    frames
}

#[test]
fn hellos_in_nested_tunnels_and_nested_fragments_are_fingerprinted() {
    use PathStep::Fragment;
    let paths = [
        vec![Fragment(576), gre(), vxlan()],
        vec![gre(), Fragment(800), vxlan()],
        vec![gre(), vxlan(), Fragment(800)],
        vec![Fragment(1200), vxlan(), Fragment(800)],
        vec![Fragment(1200), gre(), vxlan(), Fragment(800)],
    ];
    for ((client, server), path) in PAIRS.into_iter().flat_map(|pair| paths.iter().map(move |path| (pair, path))) {
        let mut conversation = TcpConversation::between(client, server);
        conversation.handshake().client(&client_hello(Shape::PostQuantum)).server(&server_flight()).close();
        let (mut number, mut packets) = (0, Vec::new());
        for (position, TimedFrame { time, frame }) in conversation.packets().iter().enumerate() {
            // The server sends SYN-ACK, ServerHello and FIN.
            let frames = forward(frame, [1, 4, 6].contains(&position), path, &mut number);
            packets.extend(frames.into_iter().map(|frame| TimedFrame { time: *time, frame }));
        }
        assert!(packets.len() > conversation.packets().len() + 1, "nothing was fragmented");
        let events = replay_packets(&packets, &[]);
        assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()], "{client}, {path:?}");
        assert_eq!(
            (values(&events, "ja4s"), values(&events, "ja4t")),
            (vec![JA4S_13], vec![JA4T]),
            "{client}, {path:?}"
        );
    }
}

#[test]
fn vlan_tags_of_every_kind_are_listed() {
    let inside = |layer| vec![OuterLayer::Link(layer)];
    let tags =
        |ids: &[u16]| LinkLayer::Tags([0x88a8, 0x9100, 0x9200, 0x9300].into_iter().zip(ids.iter().copied()).collect());
    let tunnel = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(1));
    for (path, expected) in [
        (inside(tags(&[0])), json!([0])),
        (inside(tags(&[5, 0, 7])), json!([5, 0, 7])),
        (inside(tags(&[1, 2, 3, 4])), json!([1, 2, 3, 4])),
        // The customer's tag is inside a backbone bridge.
        (vec![OuterLayer::Link(LinkLayer::Backbone), OuterLayer::Link(tags(&[9]))], json!([9])),
        // Tags inside a tunnel are those of another network.
        (vec![tunnel, OuterLayer::Link(tags(&[9]))], Value::Null),
    ] {
        let mut conversation = TcpConversation::new().through(path.clone());
        conversation.handshake().client(&client_hello(Shape::Browser));
        let events = replay(&conversation);
        assert_eq!(only(&events, "ja4")["vlan"], expected, "{path:?}");
        assert_eq!(events::of_type(&events, "connection")[0]["vlan"], expected, "{path:?}");
    }
}

#[test]
fn addresses_in_nested_tunnels_are_not_taken_for_vlan_tags() {
    let tag = OuterLayer::Link(LinkLayer::Tags(vec![(0x8100, 9)]));
    let ip = || OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Ip);
    for (outside, expected) in [(vec![], Value::Null), (vec![tag], json!([9]))] {
        let path = [outside, vec![ip(), ip(), ip()]].concat();
        // The start of the address is the EtherType of a VLAN tag, 0x8100.
        let mut conversation = TcpConversation::between("129.0.0.1:5000", "10.0.0.2:443").through(path.clone());
        conversation.handshake().client(&client_hello(Shape::Browser));
        assert_eq!(only(&replay(&conversation), "ja4")["vlan"], expected, "{path:?}");
    }
}

#[test]
fn every_pair_of_nested_carriers_yields_the_same_values() {
    const KINDS: [&str; 6] = ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"];
    let carriers = OuterLayer::every();
    let single = carriers.iter().map(|carrier| vec![carrier.clone()]);
    let pairs = carriers.iter().flat_map(|outer| carriers.iter().map(move |inner| vec![outer.clone(), inner.clone()]));
    let paths = single.chain(pairs.filter(|pair| pair[0].carries(&pair[1])));
    let paths: Vec<_> = [Vec::new()].into_iter().chain(paths).collect();
    assert!(paths.len() > 1_900, "{}", paths.len());
    for (client, server) in [("10.0.0.1", "10.0.0.2:443"), ("[2001:db8::1]", "[2001:db8::2]:443")] {
        let mut packets = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let client = format!("{client}:{}", 10_000 + number);
            let mut conversation = TcpConversation::between(&client, server).through(path.clone());
            conversation.at(Duration::from_secs(number as u64)).handshake();
            conversation.client(&client_hello(Shape::Browser)).server(&server_flight()).close();
            packets.extend_from_slice(conversation.packets());
        }
        let events = replay_packets(&packets, &[]);
        for kind in KINDS {
            let found = events::by_connection(&events, kind);
            let values_of = |number: usize| {
                let port = format!(" {} > ", 10_000 + number);
                found.iter().find(|(connection, _)| connection.contains(&port)).map(|(_, values)| values.clone())
            };
            let plain = values_of(0).unwrap();
            assert_eq!(plain.len(), 1, "{kind}");
            for (number, path) in paths.iter().enumerate() {
                assert_eq!(values_of(number).as_ref(), Some(&plain), "{kind} from {client} through {path:?}");
            }
        }
    }
}

#[test]
fn vxlan_and_geneve_on_configured_ports_are_decoded() {
    const PORT: u16 = 15_000;
    let geneve = TunnelKind::Geneve { vni: 9, options: Vec::new(), ethernet: true };
    for (flag, key, kind) in
        [("--vxlan-port", "vxlan_ports", TunnelKind::Vxlan(42)), ("--geneve-port", "geneve_ports", geneve)]
    {
        let layer = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::OnPort(PORT, Box::new(kind)));
        let mut conversation = TcpConversation::new().through(vec![layer]);
        conversation.handshake().client(&client_hello(Shape::Browser));
        let packets = conversation.packets();
        assert!(values(&replay_packets(packets, &[]), "ja4").is_empty(), "{flag}");
        let by_flag = replay_packets(packets, &[flag, &PORT.to_string()]);
        assert_eq!(values(&by_flag, "ja4"), [Shape::Browser.ja4()], "{flag}");
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("ja4sensor.toml");
        fs::write(&config, format!("[tunnels]\n{key} = [1, {PORT}]\n")).unwrap();
        let by_key = replay_packets(packets, &["--config", config.to_str().unwrap()]);
        assert_eq!(values(&by_key, "ja4"), [Shape::Browser.ja4()], "{key}");
    }
}
