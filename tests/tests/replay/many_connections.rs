//! The connection limit, which applies to all shards of a replay together.

use super::*;

/// Number of connections in the capture, enough for several checks of the limit.
const CONNECTIONS: usize = 20_000;

/// Number of connections that may exceed the limit until the next check.
const GROWTH: u64 = 8192;

/// Writes one SYN per millisecond, one per connection; with `busy`, another connection sends a request every second.
fn write_capture(folder: &Path, busy: bool) -> PathBuf {
    let mut packets = Vec::new();
    let mut conversation = TcpConversation::between("10.1.0.1:50000", "10.0.0.2:80");
    if busy {
        conversation.handshake();
    }
    for number in 0..CONNECTIONS {
        let time = Duration::from_millis(100 + number as u64);
        if busy && number.is_multiple_of(1000) {
            conversation
                .at(time)
                .client(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                .server(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        let client = format!("10.0.{}.{}:40000", number / 250, 1 + number % 250);
        let mut other = TcpConversation::between(&client, "192.0.2.1:443");
        packets.extend_from_slice(other.at(time).syn().packets());
    }
    packets.extend_from_slice(conversation.packets());
    packets.sort_by_key(|packet| packet.time);
    packets::capture_file(folder, "many.pcap", &packets)
}

fn run_file(file: &Path, shards: &str, limit: usize) -> Outcome {
    let limit = limit.to_string();
    let options = ["replay", "--shards", shards, "--max-connections", &limit];
    let mut arguments: Vec<_> = options.iter().map(OsStr::new).collect();
    arguments.push(file.as_os_str());
    Sensor::new().run(&arguments).ok()
}

fn in_state<'a>(events: &'a [Value], state: &str) -> Vec<&'a Value> {
    let ends = events::of_type(events, "connection");
    ends.into_iter().filter(|event| event["connection"]["state"] == state).collect()
}

#[test]
fn as_many_connections_as_the_limit_evict_none() {
    let folder = TempDir::new().unwrap();
    let file = write_capture(folder.path(), false);
    let first = run_file(&file, "1", CONNECTIONS);
    let events = first.events();
    assert_eq!((in_state(&events, "evicted").len(), in_state(&events, "open").len()), (0, CONNECTIONS));
    assert!(events::of_type(&events, "connection").iter().all(|event| event["connection"]["pkts_toserver"] == 1));
    for shards in ["2", "3"] {
        assert!(run_file(&file, shards, CONNECTIONS).stdout() == first.stdout(), "--shards {shards}");
    }
    // With one connection over the limit, the oldest is evicted.
    let events = run_file(&file, "2", CONNECTIONS - 1).events();
    let evicted = in_state(&events, "evicted");
    assert_eq!(evicted.len(), 1);
    assert_eq!(evicted[0]["src_ip"], "10.0.0.1");
}

#[test]
fn over_the_limit_the_least_recently_used_are_evicted_for_any_number_of_shards() {
    const LIMIT: usize = 1000;
    let folder = TempDir::new().unwrap();
    let file = write_capture(folder.path(), true);
    let first = run_file(&file, "1", LIMIT);
    for shards in ["2", "3", "64"] {
        assert!(run_file(&file, shards, LIMIT).stdout() == first.stdout(), "--shards {shards}");
    }
    let events = first.events();
    let (evicted, open) = (in_state(&events, "evicted"), in_state(&events, "open"));
    assert_eq!(evicted.len(), CONNECTIONS + 1 - LIMIT);
    let start = |event: &Value| event["connection"]["start"].as_str().unwrap().to_owned();
    let busy = |event: &Value| event["src_ip"] == "10.1.0.1";
    let newest_evicted = evicted.iter().map(|event| start(event)).max().unwrap();
    assert_eq!(open.len(), LIMIT);
    assert!(open.iter().all(|event| busy(event) || start(event) > newest_evicted));
    assert!(open.iter().any(|event| busy(event)), "the connection in use was evicted");
    assert_eq!(values(&events, "ja4h").len(), CONNECTIONS / 1000);
    // Memory is bounded: at most `BOUND + GROWTH` packets beyond the earlier evictions precede an eviction.
    for (before, event) in evicted.iter().enumerate() {
        let packet = event["pcap_cnt"].as_u64().unwrap();
        assert!(packet <= before as u64 + LIMIT as u64 + GROWTH, "{before} evicted before packet {packet}");
    }
}
