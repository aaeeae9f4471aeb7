//! What a hello comes in: its first letter, and whole datagrams out of fragments.

use super::*;

use tests::dtls::datagrams;
use tests::fragment::Fragments;
use tests::handmade::Handmade;
use tests::udp::UdpConversation;

/// Types of the handshake messages (RFC 8446, section 4; RFC 6347, section 4.3.2).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// Suites `c02b,c02f`; extensions `000a,000d,0017`; algorithms `0403,0804`.
fn dtls_hello() -> Handmade {
    let hello = Handmade::new(0xfefd, &[0xc02f, 0xc02b]).extension(0x0017, &[]);
    hello.extension(0x000a, &[0, 2, 0, 0x1d]).algorithms(&[0x0403, 0x0804])
}

fn dtls() -> UdpConversation {
    UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433")
}

#[test]
fn dtls_with_a_cookie_exchange_is_one_client_and_one_server() {
    let server = Handmade::new(0xfefd, &[0xc02b]).extension(0xff01, &[0]).extension(0x0017, &[]);
    let verify = [&[0xfe, 0xff, 20][..], &[9; 20]].concat();
    let mut talk = dtls();
    talk.client(&datagrams(CLIENT_HELLO, 0, &dtls_hello().dtls_client(&[]), 1000)[0]);
    talk.server(&datagrams(HELLO_VERIFY_REQUEST, 0, &verify, 1000)[0]);
    talk.client(&datagrams(CLIENT_HELLO, 1, &dtls_hello().dtls_client(&[9; 20]), 1000)[0]);
    talk.server(&datagrams(SERVER_HELLO, 1, &server.server_body(), 1000)[0]);
    let events = replay_packets(talk.packets(), &[]);
    assert_eq!(values(&events, "ja4").first(), Some(&"dd2i020300_b6f57f3be927_b170b4d4d148"));
    assert_eq!(values(&events, "ja4s"), ["dd20200_c02b_ec53b3cc8a64"]); // `ff01,0017`
    let firsts = fingerprints(&events)
        .into_iter()
        .filter(|event| event["fingerprint"]["type"] == "ja4" && event["fingerprint"]["count"] == 1);
    assert_eq!(firsts.count(), 1, "a further one may only come as a further occurrence");
    assert_eq!(only(&events, "ja4s")["proto"], "UDP");
}

#[test]
fn a_dtls_hello_in_fragments_of_its_own_in_any_order() {
    let mut pieces = datagrams(CLIENT_HELLO, 0, &dtls_hello().dtls_client(&[]), 20);
    for turn in 0..pieces.len() {
        pieces.rotate_left(turn);
        let mut talk = dtls();
        // One comes twice; the last two share a datagram.
        talk.client(&pieces[0]);
        let (last, others) = pieces.split_at(pieces.len() - 2);
        for piece in last {
            talk.client(piece);
        }
        talk.client(&others.concat());
        let events = replay_packets(talk.packets(), &[]);
        assert_eq!(values(&events, "ja4"), ["dd2i020300_b6f57f3be927_b170b4d4d148"], "turn {turn}");
    }
}

/// Section 13, A4 and A5: the highest number of the list alone, so that 1.2 is above 1.3.
#[test]
fn versions_of_dtls_compare_as_numbers() {
    let table: [(&[u16], &str); 3] = [(&[0xfefc], "d3"), (&[0xfefc, 0xfefd], "d2"), (&[0xfefc, 0x0a0a], "d3")];
    for (versions, code) in table {
        let mut talk = dtls();
        talk.client(&datagrams(CLIENT_HELLO, 0, &dtls_hello().versions(versions).dtls_client(&[]), 1000)[0]);
        let wanted = format!("d{code}i020400_b6f57f3be927_2b39faa7b4ef"); // `000a,000d,0017,002b_0403,0804`
        assert_eq!(values(&replay_packets(talk.packets(), &[]), "ja4"), [wanted], "{versions:04x?}");
    }
}

/// The packets of a connection whose client sends a hello of 1.7 KiB in one segment; `cut` makes frames of
/// that one.
fn fragmented(client: &str, server: &str, cut: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) -> Vec<Value> {
    let mut talk = TcpConversation::between(client, server);
    talk.handshake().client(&client_hello(Shape::PostQuantum)).server(&server_flight()).close();
    let mut packets = talk.packets().to_vec();
    let Packet { time, frame } = packets[3].clone();
    assert!(frame.len() > 1600, "the hello");
    packets.splice(3..4, cut(&frame).into_iter().map(|frame| Packet { time, frame }));
    replay_packets(&packets, &[])
}

/// Fragments of `size` bytes of content, in order.
fn cut_into(whole: &Fragments, size: usize) -> Vec<Vec<u8>> {
    let end = whole.content().len();
    (0..end).step_by(size).map(|start| whole.piece(start..(start + size).min(end))).collect()
}

const PAIRS: [(&str, &str); 2] = [("10.0.0.1:51234", "10.0.0.2:443"), ("[2001:db8::1]:51234", "[2001:db8::2]:443")];

#[test]
fn a_hello_in_ip_fragments_in_any_order() {
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
fn of_overlapping_ip_fragments_the_first_copy_counts() {
    for (client, server) in PAIRS {
        let events = fragmented(client, server, |frame| {
            let whole = Fragments::of(frame);
            let end = whole.content().len();
            // Noise over the end of the first fragment and the begin of the last; the middle is missing.
            let middle = [&[0xa5; 80], &whole.content()[800..1600], &[0xa5; 8]].concat();
            vec![whole.piece(0..800), whole.piece(1600..end), whole.forged(720, &middle, true)]
        });
        assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()], "{client}");
    }
}

#[test]
fn a_hello_with_a_fragment_missing_is_no_hello() {
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
