//! JA4T and JA4TS of TCP options that are not in public captures (specification, section 9).

use super::*;

use tests::packets::{ACK, SYN, TcpSegment};

/// Returns the JA4T of a lone SYN with these options.
fn ja4t(window: u16, options: &[u8]) -> String {
    let mut conversation = TcpConversation::new();
    conversation.syn_with(window, options);
    let events = replay(&conversation);
    only(&events, "ja4t")["fingerprint"]["value"].as_str().unwrap().to_owned()
}

/// Returns the last JA4TS of a connection with a SYN-ACK at each of these times after the SYN, milliseconds; `send_rest`
/// sends the remaining packets.
fn ja4ts(options: &[u8], millis: &[u64], send_rest: impl FnOnce(&mut TcpConversation)) -> String {
    let mut conversation = TcpConversation::new();
    conversation.syn();
    for time in millis {
        conversation.at(Duration::from_millis(*time)).syn_ack_with(28_960, options);
    }
    send_rest(&mut conversation);
    let events = replay(&conversation);
    (*values(&events, "ja4ts").last().unwrap()).to_owned()
}

const MSS: [u8; 4] = [2, 4, 0x05, 0xb4];

#[test]
fn every_byte_of_padding_is_an_option() {
    let apple = [&MSS[..], &[1, 3, 3, 6, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 4, 2, 0, 0]].concat();
    assert_eq!(ja4t(65_535, &apple), "65535_2-1-3-1-1-8-4-0-0_1460_6");
    assert_eq!(ja4t(65_535, &[&MSS[..], &[0, 0, 0, 0]].concat()), "65535_2-0-0-0-0_1460_00");
    assert_eq!(ja4ts(&[&MSS[..], &[4, 2, 0, 0]].concat(), &[20], |_| ()), "28960_2-4-0-0_1460_00");
}

#[test]
fn a_repeated_option_is_listed_twice_and_its_last_value_counts() {
    let twice = [&MSS[..], &[3, 3, 8, 1, 2, 4, 0x02, 0x18, 3, 3, 2, 1]].concat();
    assert_eq!(ja4t(1024, &twice), "1024_2-3-1-2-3-1_536_2");
    assert_eq!(ja4ts(&twice, &[20], |_| ()), "28960_2-3-1-2-3-1_536_2");
    // The same holds if the last value is 0.
    assert_eq!(ja4t(1024, &[3, 3, 8, 3, 3, 0, 1, 1]), "1024_3-3-1-1_00_00");
}

#[test]
fn a_window_scale_or_segment_size_of_0_prints_as_if_absent() {
    assert_eq!(ja4t(64_240, &[&MSS[..], &[1, 3, 3, 0]].concat()), "64240_2-1-3_1460_00");
    assert_eq!(ja4t(64_240, &[2, 4, 0, 0, 1, 3, 3, 14]), "64240_2-1-3_00_14");
    assert_eq!(ja4t(0, &[2, 4, 0, 7]), "0_2_07_00", "a segment size has fewer than two digits");
    assert_eq!(ja4ts(&[&MSS[..], &[1, 3, 3, 0]].concat(), &[20], |_| ()), "28960_2-1-3_1460_00");
}

#[test]
fn ja4ts_of_a_server_without_options() {
    assert_eq!(ja4ts(&[], &[20], |_| ()), "28960_00_00_00");
}

#[test]
fn unknown_options_are_listed_and_a_broken_length_ends_the_list() {
    assert_eq!(ja4t(512, &[254, 4, 0xf9, 0x89, 34, 2, 2, 4, 0x05, 0xb4, 1, 1]), "512_254-34-2-1-1_1460_00");
    // Option 8 with a length of 1, of 0, and one that exceeds the header.
    for broken in [[1, 1, 8, 1], [1, 1, 8, 0], [1, 1, 8, 10]] {
        let value = ja4t(512, &[&MSS[..], &broken[..]].concat());
        assert!(value.starts_with("512_2-1-1") && value.ends_with("_1460_00"), "{broken:?}: {value}");
    }
}

#[test]
fn congestion_bits_do_not_disqualify_a_syn_or_a_syn_ack() {
    const ECE: u8 = 0x40;
    const CWR: u8 = 0x80;
    let (client, server) = ("10.0.0.1:51234".parse().unwrap(), "10.0.0.2:443".parse().unwrap());
    let mut packets = Vec::new();
    for (from, to, flags, ack) in [(client, server, SYN | ECE | CWR, 0), (server, client, SYN | ACK | ECE, 1001)] {
        let segment =
            TcpSegment { from, to, ttl: 64, seq: 1000, ack, flags, window: 8192, options: &MSS, payload: &[] };
        let mut frame = Vec::new();
        segment.write(&Envelope::default(), &mut frame);
        packets.push(TimedFrame { time: Duration::from_secs(1_795_417_200 + packets.len() as u64), frame });
    }
    let events = replay_packets(&packets, &[]);
    assert_eq!(values(&events, "ja4t"), ["8192_2_1460_00"]);
    assert_eq!(values(&events, "ja4ts"), ["8192_2_1460_00"]);
}

#[test]
fn delays_are_rounded_to_the_nearest_second() {
    // 0.499, 0.5 and 1.5 seconds.
    assert_eq!(ja4ts(&MSS, &[0, 499, 999, 2499], |_| ()), "28960_2_1460_00_0-1-2");
}

#[test]
fn at_most_ten_delays_are_listed() {
    let times: Vec<u64> = (0..=13).map(|number| number * 1000).collect();
    assert_eq!(ja4ts(&MSS, &times, |_| ()), "28960_2_1460_00_1-1-1-1-1-1-1-1-1-1");
}

#[test]
fn a_silence_of_more_than_120_seconds_ends_the_delays() {
    assert_eq!(ja4ts(&MSS, &[0, 1000, 122_000], |_| ()), "28960_2_1460_00_1");
}

#[test]
fn only_the_reset_of_a_server_without_a_client_ack_is_listed() {
    let second = Duration::from_secs(1);
    let reset = |conversation: &mut TcpConversation| {
        conversation.wait(4 * second).server_reset();
    };
    assert_eq!(ja4ts(&MSS, &[0, 1000, 3000], reset), "28960_2_1460_00_1-2-R4");
    let client = |conversation: &mut TcpConversation| {
        conversation.wait(4 * second).client_reset();
    };
    assert_eq!(ja4ts(&MSS, &[0, 1000, 3000], client), "28960_2_1460_00_1-2");
    let answered = |conversation: &mut TcpConversation| {
        conversation.client_ack().client(b"hello").wait(second).server_reset();
    };
    assert_eq!(ja4ts(&MSS, &[0, 1000, 3000], answered), "28960_2_1460_00_1-2");
}

const IPV4: (&str, &str) = ("10.0.0.1:51234", "10.0.0.2:443");
const IPV6: (&str, &str) = ("[fd00::1]:51234", "[fd00::2]:443");

/// Asserts that this conversation produces these fingerprints and no others.
fn assert_fingerprints(conversation: &TcpConversation, expected: &[(&str, &str)]) {
    assert_types_and_values(&replay(conversation), expected, "");
}

/// Calls `check` with the fingerprints of a Linux SYN, both hellos, this JA4TS, and these JA4L and JA4LS.
fn with_latencies(ja4l: &str, ja4ls: &str, ja4ts: &str, check: impl FnOnce(&[(&str, &str)])) {
    let ja4 = Shape::Browser.ja4();
    check(&[("ja4", ja4), ("ja4s", JA4S_13), ("ja4t", JA4T), ("ja4ts", ja4ts), ("ja4l", ja4l), ("ja4ls", ja4ls)]);
}

/// TCP Fast Open (RFC 7413): the server's data may come before the client's first ACK.
#[test]
fn data_in_a_syn_or_syn_ack_hides_no_latency() {
    let hello = client_hello(Shape::Browser);
    let flight = server_flight();
    let millis = Duration::from_millis;
    for (client, server) in [IPV4, IPV6] {
        let conversation = || TcpConversation::between(client, server);
        let assert_all = |conversation: &TcpConversation| {
            with_latencies("1000_64", "500_57", JA4TS, |expected| assert_fingerprints(conversation, expected))
        };
        // Data in the SYN only; the server's flight follows its SYN-ACK.
        let mut in_syn = conversation();
        in_syn.at(millis(0)).syn_with_data(&hello).at(millis(1)).syn_ack_with_data(&[]).at(millis(2)).server(&flight);
        assert_all(in_syn.at(millis(3)).client_ack().close());
        // Data in both.
        let mut in_both = conversation();
        in_both.at(millis(0)).syn_with_data(&hello).at(millis(1)).syn_ack_with_data(&flight);
        assert_all(in_both.at(millis(3)).client_ack().close());
        // A greeting in the SYN-ACK only (RFC 9293, section 3.4). The client's first ACK may carry its hello.
        for bare in [true, false] {
            let mut in_syn_ack = conversation();
            in_syn_ack.at(millis(0)).syn().at(millis(1)).syn_ack_with_data(b"220 hello\r\n").at(millis(3));
            if bare {
                in_syn_ack.client_ack();
            }
            assert_all(in_syn_ack.client(&hello).server(&flight).close());
        }
        // The server does not accept the data in the SYN; the client retransmits it.
        let mut not_accepted = conversation();
        not_accepted.at(millis(0)).syn_with_data(&hello).at(millis(1)).syn_ack().at(millis(3)).client_at(0, &hello);
        assert_all(not_accepted.server(&flight).close());
        // The server's data is captured before the client's ACK.
        let mut late = conversation();
        late.at(millis(0)).syn().at(millis(1)).syn_ack().at(millis(2)).server(b"220 hello\r\n");
        assert_all(late.at(millis(3)).client_ack().client(&hello).server(&flight).close());
    }
}

#[test]
fn a_repeated_syn_ack_with_data_is_a_retransmission() {
    let hello = client_hello(Shape::Browser);
    let flight = server_flight();
    let expected = format!("{JA4TS}_1-2");
    // The flight is in the SYN-ACK, or follows the first SYN-ACK.
    for (in_syn_ack, after_syn_ack) in [(&flight[..], &[][..]), (&[], &flight)] {
        let mut conversation = TcpConversation::new();
        conversation
            .at(Duration::ZERO)
            .syn_with_data(&hello)
            .at(Duration::from_millis(10))
            .syn_ack_with_data(in_syn_ack);
        if !after_syn_ack.is_empty() {
            conversation.server(after_syn_ack);
        }
        for at in [1010, 3010] {
            conversation.at(Duration::from_millis(at)).syn_ack_with_data(in_syn_ack);
        }
        if !after_syn_ack.is_empty() {
            conversation.server_at(0, after_syn_ack);
        }
        conversation.at(Duration::from_millis(3050)).client_ack().wait(Duration::from_secs(2)).close();
        with_latencies("1520000_64", "5000_57", &expected, |expected| assert_fingerprints(&conversation, expected));
    }
}

/// Without the client's ACK, no JA4L is emitted, and JA4TS is emitted when the connection ends.
#[test]
fn a_fast_open_without_a_client_ack_has_no_ja4l() {
    let mut conversation = TcpConversation::new();
    conversation.syn_with_data(&client_hello(Shape::Browser)).syn_ack_with_data(&server_flight());
    assert_fingerprints(
        &conversation,
        &[("ja4", Shape::Browser.ja4()), ("ja4s", JA4S_13), ("ja4t", JA4T), ("ja4ts", JA4TS)],
    );
}
