//! VLAN tags, IP versions and extension headers do not change the fingerprints; VLAN tags are reported.

use super::*;

fn replay_in(envelope: Envelope, client: &str, server: &str) -> Vec<Value> {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::between(client, server).inside(envelope);
    conversation.handshake().client(&hello[..1200]).client(&hello[1200..]).server(&server_flight()).close();
    let events = replay(&conversation);
    for (kind, value) in [("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13), ("ja4t", JA4T), ("ja4l", JA4L)] {
        assert_eq!(values(&events, kind), [value], "{kind}");
    }
    events
}

const V4: (&str, &str) = ("10.0.0.1:51234", "10.0.0.2:443");
const V6: (&str, &str) = ("[2001:db8::1]:51234", "[2001:db8::2]:443");

#[test]
fn a_hello_with_a_vlan_tag_is_fingerprinted() {
    for (client, server) in [V4, V6] {
        let events = replay_in(Envelope { vlan: vec![100], ..Envelope::default() }, client, server);
        assert_eq!(only(&events, "ja4")["vlan"], serde_json::json!([100]));
    }
}

#[test]
fn vlan_tags_are_listed_outermost_first() {
    for (client, server) in [V4, V6] {
        let events = replay_in(Envelope { vlan: vec![100, 7], ..Envelope::default() }, client, server);
        assert_eq!(only(&events, "ja4")["vlan"], serde_json::json!([100, 7]));
    }
}

#[test]
fn a_hello_over_ipv6_is_fingerprinted() {
    let events = replay_in(Envelope::default(), V6.0, V6.1);
    let ja4 = only(&events, "ja4");
    assert_eq!((&ja4["src_ip"], &ja4["dest_ip"]), (&"2001:db8::1".into(), &"2001:db8::2".into()));
    assert!(ja4.get("vlan").is_none(), "an untagged packet has a vlan field");
}

#[test]
fn a_hello_after_ipv6_extension_headers_is_fingerprinted() {
    let extensions =
        vec![Extension::HopByHop, Extension::Destination(2), Extension::Routing, Extension::Destination(1)];
    replay_in(Envelope { vlan: Vec::new(), extensions: extensions.clone() }, V6.0, V6.1);
    replay_in(Envelope { vlan: vec![100, 7], extensions }, V6.0, V6.1);
}
