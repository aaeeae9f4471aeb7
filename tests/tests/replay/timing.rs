//! Latencies and retransmissions, with timestamps in microseconds.

use super::*;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

#[test]
fn a_repeated_syn_is_one_client_and_its_first_copy_counts() {
    let mut conversation = TcpConversation::new();
    conversation.syn().wait(Duration::from_secs(1)).handshake();
    conversation.client(&client_hello(Shape::Go)).server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4t"), [JA4T]);
    // From the first SYN: half of 1 s plus the 30 ms of the handshake.
    assert_eq!(values(&events, "ja4ls"), ["515000_57"]);
}

#[test]
fn latencies_include_whole_seconds_and_are_rounded_down() {
    let mut conversation = TcpConversation::new();
    conversation.syn().wait(micros(2_000_003)).syn_ack().wait(micros(7)).client_ack().close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4ls"), ["1000001_57"]);
    assert_eq!(values(&events, "ja4l"), ["3_64"]);
}

/// Such an ACK may belong to an earlier connection on the same ports.
#[test]
fn an_ack_that_does_not_cover_the_syn_ack_is_ignored() {
    let mut conversation = TcpConversation::new();
    conversation.syn().wait(micros(30)).syn_ack().wait(micros(500)).client_ack().close();
    let mut stray = TcpConversation::new().numbered(0x1000_0000, 0x7fff_0000);
    stray.at(micros(100)).client_ack();
    let mut packets = [conversation.packets(), stray.packets()].concat();
    packets.sort_by_key(|packet| packet.time);
    assert_eq!(values(&replay_packets(&packets, &[]), "ja4l"), ["250_64"]);
}

/// First example in section 9 of the specification.
#[test]
fn ja4ts_of_unanswered_syn_acks() {
    let mut conversation = TcpConversation::new();
    conversation.at(micros(15_600_000)).syn();
    for time in [15_621_983, 16_626_151, 18_642_179, 22_738_154, 30_930_163, 47_058_146] {
        conversation.at(micros(time)).syn_ack_with(62_727, &[2, 4, 0x23, 0x01]);
    }
    assert_eq!(values(&replay(&conversation), "ja4ts").last(), Some(&"62727_2_8961_00_1-2-4-8-16"));
}

/// Second example in section 9 of the specification.
#[test]
fn ja4ts_of_syn_acks_before_a_reset() {
    let mut conversation = TcpConversation::new();
    conversation.at(micros(16_600_000)).syn();
    for time in [16_681_435, 17_683_799, 19_691_548, 23_703_045, 31_714_762] {
        conversation.at(micros(time)).syn_ack_with(65_535, &[2, 4, 0xff, 0xd7, 1, 3, 3, 8, 1, 1, 4, 2]);
    }
    conversation.at(micros(37_723_966)).server_reset();
    assert_eq!(values(&replay(&conversation), "ja4ts").last(), Some(&"65535_2-1-3-1-1-4_65495_8_1-2-4-8-R6"));
}

#[test]
fn a_reset_without_a_retransmission_is_not_listed() {
    let mut conversation = TcpConversation::new();
    conversation.syn().wait(micros(500)).syn_ack().wait(Duration::from_secs(3)).server_reset();
    assert_eq!(values(&replay(&conversation), "ja4ts").last(), Some(&JA4TS));
}

#[test]
fn a_syn_ack_after_the_client_ack_is_not_listed() {
    let mut conversation = TcpConversation::new();
    conversation.handshake().wait(Duration::from_secs(1)).syn_ack();
    conversation.client(&client_hello(Shape::Go)).close();
    assert_eq!(values(&replay(&conversation), "ja4ts").last(), Some(&JA4TS));
}

#[test]
fn connections_end_as_idle_with_an_idle_timeout() {
    let hour = Duration::from_secs(3600);
    let mut conversation = TcpConversation::new();
    conversation
        .handshake()
        .client(&client_hello(Shape::Browser))
        .wait(Duration::from_millis(30))
        .server(&server_flight());
    // Another client's connection, one hour later.
    let mut other = TcpConversation::between("10.0.0.9:50000", "10.0.0.2:443");
    other.at(hour).handshake();
    let packets: Vec<_> = conversation.packets().iter().chain(other.packets()).cloned().collect();
    let ends = |options: &[&str]| {
        let events = replay_packets(&packets, options);
        let is_end = |event: &&Value| event["event_type"] == "connection";
        let states: Vec<_> = events
            .iter()
            .filter(is_end)
            .map(|event| (event["connection"]["state"].as_str().unwrap().to_owned(), event["timestamp"].clone()))
            .collect();
        states
    };
    let with_timeout = ends(&["--idle-timeout", "2m"]);
    assert_eq!((with_timeout.len(), with_timeout[0].0.as_str(), with_timeout[1].0.as_str()), (2, "idle", "open"));
    assert!(ends(&[]).iter().all(|(state, _)| state == "open"));
    for shards in ["1", "3"] {
        assert_eq!(ends(&["--idle-timeout", "2m", "--shards", shards]), with_timeout);
    }
}
