//! TLS in the control channel of OpenVPN, over UDP and TCP, with and without `tls-auth`.

use tests::conversation::UdpConversation;
use tests::framing::{OpenVpn, counted, openvpn_auth};

use super::*;

/// Returns the packets of a TLS handshake, starting with the resets; `true` marks the client's packets.
fn handshake(client: OpenVpn, server: OpenVpn, size: usize) -> Vec<(bool, Vec<u8>)> {
    let mut all = vec![(true, client.reset(&[])), (false, server.reset(&[0])), (true, client.ack(&[0]))];
    all.extend(tls(client, server, size));
    all
}

/// Returns both hellos, the encrypted messages after them, and data channel packets.
fn tls(client: OpenVpn, server: OpenVpn, size: usize) -> Vec<(bool, Vec<u8>)> {
    let (hello, flight) = (client_hello(Shape::PostQuantum), server_flight());
    let mut all: Vec<_> = client.stream(1, &hello, size).into_iter().map(|packet| (true, packet)).collect();
    all.push((false, server.ack(&[1])));
    all.extend(server.stream(1, &flight, size).into_iter().map(|packet| (false, packet)));
    let encrypted = [20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 4, 1, 2, 3, 4];
    all.push((true, client.control(1 + hello.len().div_ceil(size) as u32, &[1, 2], &encrypted)));
    all.extend([(true, client.data()), (false, server.data())]);
    all
}

fn over_udp(packets: &[(bool, Vec<u8>)]) -> Vec<Value> {
    over_udp_between("10.0.0.1:51234", "10.0.0.2:1194", packets)
}

fn over_udp_between(client: &str, server: &str, packets: &[(bool, Vec<u8>)]) -> Vec<Value> {
    let mut conversation = UdpConversation::between(client, server);
    for (from_client, packet) in packets {
        if *from_client {
            conversation.client(packet)
        } else {
            conversation.server(packet)
        };
    }
    replay_packets(conversation.packets(), &[])
}

/// Returns type, count, value, sender's port and application protocol of each fingerprint except those of TCP.
fn tls_fingerprints(events: &[Value]) -> Vec<String> {
    let tls = |event: &&Value| event["tls"].is_object() && event["fingerprint"]["type"] != "ja4t";
    fingerprints(events)
        .into_iter()
        .filter(tls)
        .map(|event| {
            let found = &event["fingerprint"];
            format!(
                "{} {} {} {} {}",
                found["type"], found["count"], found["value"], event["src_port"], event["app_proto"]
            )
            .replace('"', "")
        })
        .collect()
}

fn both_hellos() -> Vec<String> {
    let ja4 = Shape::PostQuantum.ja4();
    vec![format!("ja4 1 {ja4} 51234 tls"), format!("ja4s 1 {JA4S_13} 51234 tls")]
}

#[test]
fn handshakes_over_udp_are_fingerprinted() {
    for size in [4000, 1150, 400, 100] {
        let packets = handshake(OpenVpn::client(), OpenVpn::server(), size);
        assert_eq!(tls_fingerprints(&over_udp(&packets)), both_hellos(), "{size}");
        let six = over_udp_between("[fd00::1]:51234", "[fd00::2]:443", &packets);
        assert_eq!(tls_fingerprints(&six), both_hellos(), "{size}");
        for digest in [16, 20, 32, 64] {
            let with: Vec<_> = packets.iter().map(|(from, packet)| (*from, openvpn_auth(packet, digest))).collect();
            assert_eq!(tls_fingerprints(&over_udp(&with)), both_hellos(), "{size}, digest of {digest}");
        }
    }
}

#[test]
fn reordered_and_repeated_packets_are_reassembled() {
    let (client, server) = (OpenVpn::client(), OpenVpn::server());
    let mut packets = handshake(client, server, 400);
    let hello: Vec<_> = client.stream(1, &client_hello(Shape::PostQuantum), 400);
    assert_eq!(hello.len(), 5);
    packets.truncate(3);
    for index in [1, 0, 4, 4, 3, 0, 2, 1] {
        packets.push((true, hello[index].clone()));
    }
    packets.push((false, server.reset(&[0])));
    packets.push((true, client.reset(&[])));
    packets.extend(server.stream(1, &server_flight(), 60).into_iter().rev().map(|packet| (false, packet)));
    assert_eq!(tls_fingerprints(&over_udp(&packets)), both_hellos());
}

#[test]
fn a_capture_that_begins_with_a_hello_is_fingerprinted() {
    let packets = tls(OpenVpn::client(), OpenVpn::server(), 1150);
    assert_eq!(tls_fingerprints(&over_udp(&packets)), both_hellos());
    // The server's packets only.
    let server: Vec<_> = packets.into_iter().filter(|(from_client, _)| !from_client).collect();
    assert_eq!(tls_fingerprints(&over_udp(&server)), both_hellos()[1..]);
}

#[test]
fn each_of_several_handshakes_is_fingerprinted() {
    let (client, server) = (OpenVpn::client(), OpenVpn::server());
    let mut packets = handshake(client, server, 400);
    // A soft reset by the server, with another key.
    let (renewed_client, renewed_server) = (client.with_key(1), server.with_key(1));
    packets.extend([(false, renewed_server.soft_reset()), (true, renewed_client.soft_reset())]);
    packets.extend(tls(renewed_client, renewed_server, 400));
    // The client restarts from the same port.
    packets.extend(handshake(client.again(), server.again(), 400));
    let expected = [both_hellos(), both_hellos(), both_hellos()].concat();
    assert_eq!(tls_fingerprints(&over_udp(&packets)), expected);
}

#[test]
fn tls_crypt_and_the_data_channel_are_not_selected() {
    let mut packets = handshake(OpenVpn::client(), OpenVpn::server(), 400);
    for (_, packet) in &mut packets {
        *packet = openvpn_auth(packet, 32);
        packet.iter_mut().skip(49).for_each(|byte| *byte ^= 0xa7);
    }
    let events = over_udp(&packets);
    assert!(tls_fingerprints(&events).is_empty());
    // OpenVPN 2.6 encrypts the packets after the first handshake.
    let (client, server) = (OpenVpn::client(), OpenVpn::server());
    let mut renewed = handshake(client, server, 1150);
    let mut reset = openvpn_auth(&client.with_key(1).soft_reset(), 32);
    reset.iter_mut().skip(49).for_each(|byte| *byte ^= 0xa7);
    renewed.push((true, reset));
    let renewed = over_udp(&renewed);
    assert_eq!(tls_fingerprints(&renewed), both_hellos());
    assert_eq!(events::of_type(&renewed, "connection")[0]["tls"]["version"], "TLS 1.3");
    let selected =
        |events: &[Value]| events::stats_u64(events::of_type(events, "stats")[0], &["kernel", "selected_by", "tls"]);
    assert_eq!(selected(&events), 0);
    let (client, server) = (OpenVpn::client(), OpenVpn::server());
    let mut packets = handshake(client, server, 1150);
    let control = packets.iter().filter(|(_, packet)| matches!(packet[0] >> 3, 4 | 7 | 8)).count() as u64;
    for _ in 0..100 {
        packets.extend([(true, client.data()), (false, server.data()), (true, client.ack(&[7]))]);
    }
    assert_eq!(selected(&over_udp(&packets)), control);
}

/// Returns the conversation over TCP, in segments of this size.
fn over_tcp(packets: &[(bool, Vec<u8>)], segment: usize) -> TcpConversation {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:1194");
    conversation.handshake();
    for (from_client, packet) in packets {
        for part in counted(packet).chunks(segment) {
            if *from_client {
                conversation.client(part)
            } else {
                conversation.server(part)
            };
        }
    }
    conversation.close();
    conversation
}

#[test]
fn handshakes_over_tcp_are_fingerprinted() {
    for size in [4000, 1150, 100] {
        let packets = handshake(OpenVpn::client(), OpenVpn::server(), size);
        for digest in [None, Some(20)] {
            let with = |packet: &Vec<u8>| digest.map_or(packet.clone(), |digest| openvpn_auth(packet, digest));
            let packets: Vec<_> = packets.iter().map(|(from, packet)| (*from, with(packet))).collect();
            for segment in [1448, 300, 100] {
                let expected = [("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13)];
                let conversation = over_tcp(&packets, segment);
                assert_values(&conversation, &expected, &format!("{size}, {digest:?}, segments of {segment}"));
                assert_eq!(tls_fingerprints(&replay(&conversation)), both_hellos());
            }
        }
    }
    // Without the resets.
    let mut packets = tls(OpenVpn::client(), OpenVpn::server(), 1150);
    packets.retain(|(_, packet)| packet[0] >> 3 == 4);
    let conversation = over_tcp(&packets, 1448);
    assert_eq!(tls_fingerprints(&replay(&conversation)), both_hellos());
}

#[test]
fn an_incomplete_certificate_and_missing_packets_leave_no_memory_in_use() {
    let (client, server) = (OpenVpn::client(), OpenVpn::server());
    let mut packets = handshake(client, server, 400);
    packets.remove(3);
    let events = over_udp(&packets);
    assert_eq!(tls_fingerprints(&events), both_hellos()[1..]);
    let shards = |path: &str| events::stats_u64(events::of_type(&events, "stats")[0], &["shards", path]);
    assert_eq!((shards("incomplete_messages"), shards("buffered_bytes")), (1, 0));
}
