//! Injected QUIC datagrams, and successive connections on the same ports.

use super::*;

use tests::conversation::UdpConversation;
use tests::dtls::{datagrams, record};
use tests::hello_builder::HelloMessageBuilder;
use tests::packets::Sender;
use tests::quic::{QuicEnds, ack, crypto};

/// JA4 of [`Shape::Go`] over QUIC.
const JA4: &str = "q13d1311h2_f57a46bbacb6_8ae82214aac3";
const JA4S: &str = "q130200_1301_234ea6891581";
/// JA4 of the hello of `dtls_hello`.
const DTLS_JA4: &str = "dd2i020300_b6f57f3be927_b170b4d4d148";

fn conversation() -> UdpConversation {
    UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443")
}

fn ends(number: u8) -> QuicEnds {
    QuicEnds::new(&[number; 8], &[0x80 | number; 8])
}

/// Returns the first Initial of a client, with this SNI.
fn client_initial(ends: &QuicEnds, name: &str) -> Vec<u8> {
    ends.initial(Sender::Client, 0, &crypto(0, &Shape::Go.client_hello(name, &mut SplitMix64::new(1))))
}

/// Sends the server's hello and Handshake packet, then the client's Handshake packet, 1 ms apart.
fn send_server_flight(conversation: &mut UdpConversation, ends: &QuicEnds) {
    let mut random = SplitMix64::new(2);
    let hello = [ack(0), crypto(0, &hello::server_hello_13(&mut random))].concat();
    let flight = [ends.initial(Sender::Server, 0, &hello), ends.handshake(Sender::Server, 900, &mut random)].concat();
    conversation.wait(Duration::from_millis(1)).server(&flight).wait(Duration::from_millis(1));
    conversation.client(&[ends.later_initial(1, &ack(0)), ends.handshake(Sender::Client, 80, &mut random)].concat());
}

fn events(conversation: &UdpConversation) -> Vec<Value> {
    replay_packets(conversation.packets(), &[])
}

/// Returns type, count and SNI of each fingerprint.
fn types_counts_and_names(events: &[Value]) -> Vec<(&str, u64, &str)> {
    fingerprints(events)
        .into_iter()
        .map(|event| {
            let fingerprint = &event["fingerprint"];
            (
                fingerprint["type"].as_str().unwrap(),
                fingerprint["count"].as_u64().unwrap(),
                event["tls"]["sni"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn consecutive_connections_are_fingerprinted_alike() {
    let names = ["one.example", "two.example", "three.example", "four.example"];
    let mut conversation = conversation();
    for (number, name) in (1..).zip(names) {
        let ends = ends(number);
        conversation.wait(Duration::from_secs(1)).client(&client_initial(&ends, name));
        send_server_flight(&mut conversation, &ends);
    }
    let events = events(&conversation);
    let expected: Vec<_> =
        names.iter().flat_map(|name| ["ja4", "ja4s", "ja4ls", "ja4l"].map(|kind| (kind, 1, *name))).collect();
    assert_eq!(types_counts_and_names(&events), expected);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4; 4], vec![JA4S; 4]));
    // Half of 1 ms plus 50 µs, the interval between packets, measured per connection.
    assert_eq!((values(&events, "ja4ls"), values(&events, "ja4l")), (vec!["525_57"; 4], vec!["525_64"; 4]));
}

/// Returns the number of hellos over the limit, which are not fingerprinted.
fn too_many(events: &[Value]) -> u64 {
    let stats = events::of_type(events, "stats").pop().unwrap();
    stats["stats"]["shards"]["malformed"]["tls"]["too_many"].as_u64().unwrap_or(0)
}

#[test]
fn concurrent_connections_are_fingerprinted_separately() {
    let all: Vec<_> = (1..=8).map(|number| (ends(number), format!("{number}.example"))).collect();
    let mut conversation = conversation();
    for (ends, name) in &all {
        conversation.client(&client_initial(ends, name));
    }
    // The server answers in reverse order.
    for (ends, _) in all.iter().rev() {
        send_server_flight(&mut conversation, ends);
    }
    let events = events(&conversation);
    let of_clients = all.iter().map(|(_, name)| ("ja4", 1, name.as_str()));
    let of_servers =
        all.iter().rev().flat_map(|(_, name)| ["ja4s", "ja4ls", "ja4l"].map(|kind| (kind, 1, name.as_str())));
    assert_eq!(types_counts_and_names(&events), of_clients.chain(of_servers).collect::<Vec<_>>());
    assert_eq!(too_many(&events), 0);
}

#[test]
fn clients_whose_servers_are_not_captured_are_fingerprinted() {
    let mut conversation = conversation();
    for number in 1..=20 {
        conversation.client(&client_initial(&ends(number), "one.example")).wait(Duration::from_secs(2));
    }
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4").len(), too_many(&events)), (20, 0));
}

#[test]
fn a_handshake_packet_of_no_connection_has_no_effect_on_latency() {
    let (genuine, forged) = (ends(1), ends(2));
    let mut conversation = conversation();
    conversation.client(&client_initial(&genuine, "one.example"));
    let mut random = SplitMix64::new(2);
    let hello = [ack(0), crypto(0, &hello::server_hello_13(&mut random))].concat();
    let flight =
        [genuine.initial(Sender::Server, 0, &hello), genuine.handshake(Sender::Server, 900, &mut random)].concat();
    conversation.wait(Duration::from_millis(1)).server(&flight).wait(Duration::from_secs(1));
    // From another source ID: the client's does not change during the handshake (RFC 9000, section 7.2).
    let mut forged = forged.handshake(Sender::Client, 80, &mut random);
    forged.splice(14..15, [2, 7, 7]);
    conversation.client(&forged).wait(Duration::from_secs(1));
    conversation.client(&genuine.handshake(Sender::Client, 80, &mut random));
    assert_eq!(values(&events(&conversation), "ja4l"), ["1000050_64"]);
}

#[test]
fn only_the_clients_first_handshake_packet_ends_its_latency() {
    let ends = ends(1);
    let mut random = SplitMix64::new(2);
    let hello = [ack(0), crypto(0, &hello::server_hello_13(&mut random))].concat();
    let flight = ends.initial(Sender::Server, 0, &hello);
    // The server's preceding Handshake packet is missing from the capture, or present.
    for (captured, expected) in [(false, vec![]), (true, vec!["525_64"])] {
        let mut conversation = conversation();
        conversation.client(&client_initial(&ends, "one.example")).wait(Duration::from_millis(1));
        let handshake = if captured { ends.handshake(Sender::Server, 900, &mut random) } else { Vec::new() };
        conversation.server(&[flight.clone(), handshake].concat()).wait(Duration::from_millis(1));
        conversation.client(&ends.handshake(Sender::Client, 80, &mut random)).wait(Duration::from_millis(1));
        conversation.server(&ends.handshake(Sender::Server, 80, &mut random)).wait(Duration::from_secs(1));
        conversation.client(&ends.handshake(Sender::Client, 80, &mut random));
        assert_eq!(values(&events(&conversation), "ja4l"), expected);
    }
}

#[test]
fn an_initial_after_another_packet_of_its_datagram_is_fingerprinted() {
    let ends = ends(1);
    let mut random = SplitMix64::new(2);
    let client_hello = Shape::Go.client_hello("one.example", &mut SplitMix64::new(1));
    let (first, second) = client_hello.split_at(100);
    // A 0-RTT packet of 300 bytes to the destination ID that the client chose.
    let early = [&[0xd0, 0, 0, 0, 1, 8][..], &[1; 8], &[0, 0x41, 0x2c], &[7; 300]].concat();
    let hello = [ack(0), crypto(0, &hello::server_hello_13(&mut random))].concat();
    let mut conversation = conversation();
    conversation.client(&ends.initial(Sender::Client, 0, &crypto(0, first)));
    conversation.client(&[early, ends.initial(Sender::Client, 1, &crypto(first.len(), second))].concat());
    conversation
        .server(&[ends.handshake(Sender::Server, 200, &mut random), ends.initial(Sender::Server, 0, &hello)].concat());
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
}

#[test]
fn the_sender_of_a_forged_initial_is_not_the_client_of_other_connections() {
    let mut conversation = conversation();
    conversation.server(&client_initial(&ends(2), "two.example")).client(&client_initial(&ends(1), "one.example"));
    send_server_flight(&mut conversation, &ends(1));
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4; 2], vec![JA4S]));
    let ja4s = only(&events, "ja4s");
    assert_eq!((&ja4s["src_port"], &ja4s["tls"]["sni"]), (&51234.into(), &"one.example".into()));
    assert_eq!(fingerprints(&events)[0]["src_port"], 443);
}

#[test]
fn a_decoy_does_not_hide_the_server() {
    let (genuine, forged) = (ends(1), ends(2));
    for decoys in [1, 50] {
        let mut conversation = conversation();
        conversation.client(&client_initial(&genuine, "one.example"));
        for number in 0..decoys {
            conversation.client(&client_initial(&ends(2 + number), "two.example"));
        }
        send_server_flight(&mut conversation, &genuine);
        let events = events(&conversation);
        // Up to eight concurrent hellos are fingerprinted; the others are counted.
        let reported = usize::from(decoys + 1).min(8);
        assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4; reported], vec![JA4S]), "{decoys}");
        assert_eq!(too_many(&events), u64::from(decoys + 1) - reported as u64);
        // Measured from the genuine Initial.
        let half = (1000 + 50 * (u64::from(decoys) + 1)) / 2;
        assert_eq!(values(&events, "ja4ls"), [format!("{half}_57")]);
    }
    // Decoys that fill all slots do not hide a later genuine connection.
    let mut late_conversation = conversation();
    for number in 0..50 {
        late_conversation.client(&client_initial(&ends(2 + number), "two.example"));
    }
    late_conversation.client(&client_initial(&genuine, "one.example"));
    send_server_flight(&mut late_conversation, &genuine);
    let late = events(&late_conversation);
    assert_eq!((values(&late, "ja4s"), values(&late, "ja4ls")), (vec![JA4S], vec!["525_57"]));
    assert_eq!(types_counts_and_names(&late).last(), Some(&("ja4l", 1, "one.example")));
    // A decoy before the genuine Initial has no effect either.
    let mut conversation = conversation();
    conversation
        .client(&client_initial(&forged, "two.example"))
        .wait(Duration::from_secs(1))
        .client(&client_initial(&genuine, "one.example"));
    send_server_flight(&mut conversation, &genuine);
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4s"), values(&events, "ja4ls")), (vec![JA4S], vec!["525_57"]));
}

/// Returns a hello with suites `c02b,c02f`, extensions `000a,000d,0017` and algorithms `0403,0804`.
fn dtls_hello() -> Vec<u8> {
    let hello = HelloMessageBuilder::new(0xfefd, &[0xc02f, 0xc02b]).extension(0x0017, &[]);
    let hello = hello.extension(0x000a, &[0, 2, 0, 0x1d]).algorithms(&[0x0403, 0x0804]);
    datagrams(1, 0, &hello.dtls_client(&[]), 1000).remove(0)
}

#[test]
fn a_stray_first_datagram_does_not_decide_the_protocol_of_a_flow() {
    // An Initial that cannot be decrypted, and a handshake record with a fragment of a hello.
    let mut initial = client_initial(&ends(1), "one.example");
    *initial.last_mut().unwrap() ^= 1;
    let piece = record(22, 0, &tests::dtls::fragment(1, 0, 900, 0, &[9; 50]));
    let mut quic = conversation();
    quic.client(&piece).client(&client_initial(&ends(2), "two.example"));
    send_server_flight(&mut quic, &ends(2));
    let mut dtls = conversation();
    dtls.client(&initial).client(&dtls_hello());
    let (quic, dtls) = (events(&quic), events(&dtls));
    assert_eq!((values(&quic, "ja4"), values(&quic, "ja4s")), (vec![JA4], vec![JA4S]));
    assert_eq!(values(&dtls, "ja4"), [DTLS_JA4]);
    // A complete DTLS hello is fingerprinted before and within a QUIC connection, and does not end or hide it.
    let mut before = conversation();
    before.client(&dtls_hello()).client(&client_initial(&ends(2), "two.example"));
    send_server_flight(&mut before, &ends(2));
    let mut within = conversation();
    within.client(&client_initial(&ends(2), "two.example")).client(&dtls_hello());
    send_server_flight(&mut within, &ends(2));
    let [before, within] = [before, within].map(|conversation| events(&conversation));
    assert_eq!((values(&before, "ja4"), values(&before, "ja4s")), (vec![DTLS_JA4, JA4], vec![JA4S]));
    assert_eq!((values(&within, "ja4"), values(&within, "ja4s")), (vec![JA4, DTLS_JA4], vec![JA4S]));
    for events in [&before, &within] {
        let end = events::of_type(events, "connection")[0];
        assert_eq!((&end["app_proto"], &end["tls"]["sni"]), (&"quic".into(), &"two.example".into()));
    }
    // Buffers of incomplete messages are released.
    for events in [&quic, &dtls, &before, &within] {
        let stats = events::of_type(events, "stats").pop().unwrap();
        assert_eq!(events::stats_u64(stats, &["shards", "buffered_bytes"]), 0);
    }
}

/// The client switches to a connection ID that the server issued during the handshake, as quic-go does.
#[test]
fn a_client_that_changes_its_destination_id_has_a_latency() {
    let addresses = [("10.0.0.1:51234", "10.0.0.2:443"), ("[fd00::1]:51234", "[fd00::2]:8443")];
    for ((client, server), with_initial) in
        addresses.into_iter().flat_map(|ends| [true, false].map(|with| (ends, with)))
    {
        let mut random = SplitMix64::new(2);
        let (first, changed) = (ends(1), ends(1).moved_to(&[0x91; 8]));
        let mut conversation = UdpConversation::between(client, server);
        let millis = Duration::from_millis;
        conversation.at(millis(0)).client(&client_initial(&first, "one.example"));
        let hello = [ack(0), crypto(0, &hello::server_hello_13(&mut random))].concat();
        conversation.at(millis(1)).server(&first.initial(Sender::Server, 0, &hello));
        conversation.at(millis(2)).server(&first.handshake(Sender::Server, 900, &mut random));
        conversation.at(millis(4)).server(&first.handshake(Sender::Server, 900, &mut random));
        // An Initial that acknowledges the server's may share the datagram of the Handshake packet, or precede it.
        let initial = changed.later_initial(1, &ack(0));
        let handshake = changed.handshake(Sender::Client, 80, &mut random);
        if with_initial {
            conversation.at(millis(7)).client(&[initial, handshake].concat());
        } else {
            conversation.at(millis(6)).client(&initial).at(millis(7)).client(&handshake);
        }
        // Further packets to this and to other IDs.
        conversation.at(millis(9)).server(&first.handshake(Sender::Server, 90, &mut random));
        conversation.at(millis(11)).client(&changed.handshake(Sender::Client, 80, &mut random));
        conversation.at(millis(12)).client(&first.moved_to(&[0x92; 8]).handshake(Sender::Client, 80, &mut random));
        let events = events(&conversation);
        let expected = [("ja4", JA4), ("ja4s", JA4S), ("ja4ls", "500_57"), ("ja4l", "1500_64")];
        assert_eq!(types_and_values(&events), expected.map(|(kind, value)| (kind.to_owned(), value.to_owned())));
        let stats = events::of_type(&events, "stats").pop().unwrap();
        assert_eq!(stats["stats"]["shards"]["malformed"]["quic"], Value::Null);
    }
}

/// If several connections use the same ports, a packet to an unknown ID cannot be attributed to one of them.
#[test]
fn a_packet_with_an_unknown_id_belongs_to_no_connection() {
    let mut random = SplitMix64::new(2);
    let (one, other) = (ends(1), ends(2));
    let mut conversation = conversation();
    conversation.client(&client_initial(&one, "one.example")).client(&client_initial(&other, "two.example"));
    for ends in [&one, &other] {
        let hello = [ack(0), crypto(0, &hello::server_hello_13(&mut random))].concat();
        conversation.wait(Duration::from_millis(1)).server(
            &[ends.initial(Sender::Server, 0, &hello), ends.handshake(Sender::Server, 900, &mut random)].concat(),
        );
    }
    conversation.wait(Duration::from_millis(2)).client(&one.moved_to(&[0x91; 8]).handshake(
        Sender::Client,
        80,
        &mut random,
    ));
    conversation.wait(Duration::from_millis(1)).client(&other.handshake(Sender::Client, 80, &mut random));
    let events = events(&conversation);
    let latencies: Vec<_> = types_counts_and_names(&events).into_iter().filter(|(kind, ..)| *kind == "ja4l").collect();
    assert_eq!(latencies, [("ja4l", 1, "two.example")]);
}
