//! Fingerprints of a complete connection.

use super::*;

#[test]
fn each_fingerprint_of_a_tls_connection_is_output_once() {
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
fn each_client_has_one_value_for_any_random_bytes() {
    for shape in Shape::ALL {
        for seed in 0..4 {
            let hello = shape.client_hello("a.rather-longer.example.net", &mut SplitMix64::new(seed));
            let mut conversation = TcpConversation::new();
            conversation.handshake();
            for segment in hello::records(&hello, usize::MAX).chunks(1400) {
                conversation.client(segment);
            }
            assert_eq!(values(&replay(&conversation), "ja4"), [shape.ja4()], "{shape:?}, seed {seed}");
        }
    }
}

#[test]
fn ja4s_of_a_tls_1_2_server() {
    let server_hello = hello::server_hello_12(&mut SplitMix64::new(1));
    let mut conversation = TcpConversation::new();
    conversation
        .handshake()
        .client(&client_hello(Shape::Device))
        .server(&hello::records(&server_hello, usize::MAX))
        .close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4s"), [JA4S_12]);
    let ja4 = only(&events, "ja4");
    assert!(ja4["tls"]["sni"].is_null(), "a hello without a name has one: {ja4}");
}

#[test]
fn a_syn_alone_is_fingerprinted() {
    let mut conversation = TcpConversation::new();
    conversation.syn();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4t"), [JA4T]);
    assert_eq!(fingerprints(&events).len(), 1);
}

#[test]
fn tcp_fingerprints_without_options_print_zeros() {
    let mut conversation = TcpConversation::new();
    conversation.syn_with(8192, &[]).syn_ack_with(26_883, &[2, 4, 5, 0xb4]).client_ack().close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4t"), ["8192_00_00_00"]);
    assert_eq!(values(&events, "ja4ts"), ["26883_2_1460_00"]);
}
