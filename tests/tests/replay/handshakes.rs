//! Fingerprints of a complete connection.

use super::*;

#[test]
fn all_six_come_once_each() {
    let events = replay(&plain());
    for (kind, value) in [
        ("ja4", Shape::Browser.ja4()),
        ("ja4s", JA4S_13),
        ("ja4t", JA4T),
        ("ja4ts", JA4TS),
        ("ja4l", JA4L),
        ("ja4ls", JA4LS),
    ] {
        assert_eq!(values(&events, kind), [value], "{kind}");
    }
}

#[test]
fn each_program_has_its_value_whatever_it_draws_at_random() {
    for shape in Shape::ALL {
        for seed in 0..4 {
            let hello = shape.client_hello("a.rather-longer.example.net", &mut SplitMix64::new(seed));
            let mut talk = TcpConversation::new();
            talk.handshake();
            for segment in hello::records(&hello, usize::MAX).chunks(1400) {
                talk.client(segment);
            }
            assert_eq!(values(&replay(&talk), "ja4"), [shape.ja4()], "{shape:?}, seed {seed}");
        }
    }
}

#[test]
fn tls_1_2_server() {
    let server_hello = hello::server_hello_12(&mut SplitMix64::new(1));
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Device)).server(&hello::records(&server_hello, usize::MAX)).close();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4s"), [JA4S_12]);
    let ja4 = only(&events, "ja4");
    assert!(ja4["tls"]["sni"].is_null(), "a hello without a name: {ja4}");
}

#[test]
fn a_syn_alone_is_fingerprinted() {
    let mut talk = TcpConversation::new();
    talk.syn();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4t"), [JA4T]);
    assert_eq!(fingerprints(&events).len(), 1);
}

#[test]
fn no_options_print_as_zeros() {
    let mut talk = TcpConversation::new();
    talk.syn_with(8192, &[]).syn_ack_with(26_883, &[2, 4, 5, 0xb4]).client_ack().close();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4t"), ["8192_00_00_00"]);
    assert_eq!(values(&events, "ja4ts"), ["26883_2_1460_00"]);
}
