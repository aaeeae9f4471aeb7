//! First-seen detection of values.

use std::collections::HashMap;

use tests::certificate;

use super::builtin::with_chain;
use super::*;

/// Returns many connections with few values, from many hosts and ports.
fn crowd(at: u64) -> Vec<TimedFrame> {
    let hello = |number: u64| match number % 4 {
        0 => client_hello(Shape::Curl, "a.example"),
        1 => client_hello(Shape::Go, "b.example"),
        2 => client_hello(Shape::Browser, "c.example"),
        _ => odd_hello((number % 40) as u16, "d.example"),
    };
    let conversations: Vec<_> = (0..400)
        .map(|number| {
            let client = format!("10.0.{}.{}:{}", number % 7, number % 50 + 1, 20_000 + number);
            tls(&client, "192.0.2.1:443", ms(at + number), &hello(number))
        })
        .collect();
    merged_packets(&conversations)
}

/// Returns how often each value was reported as first seen.
fn first_seen_counts(events: &[Value]) -> HashMap<(String, String), usize> {
    let mut first_seen_counts = HashMap::new();
    for event in tests::fingerprints(events) {
        let text = |name: &str| event["fingerprint"][name].as_str().unwrap().to_owned();
        *first_seen_counts.entry((text("type"), text("value"))).or_default() +=
            usize::from(event["first_seen"] == true);
    }
    first_seen_counts
}

const ALL: &str = "[first_seen]\nlearning = \"0\"\n[builtin.first_seen]\nenabled = false\n";

/// Returns whether first-seen detection covers the type: not `ja4l`, `ja4ls` and `ja4ssh`, which do not identify
/// software.
fn is_covered(kind: &str) -> bool {
    !matches!(kind, "ja4l" | "ja4ls" | "ja4ssh")
}

#[test]
fn a_value_is_first_seen_in_one_connection_for_any_number_of_shards() {
    let (folder, packets) = (EngineFolder::new(ALL), crowd(0));
    let one = folder.replay(&packets, &["--shards", "1"]);
    let first_seen_counts = first_seen_counts(&one);
    assert!(first_seen_counts.len() > 13, "{first_seen_counts:#?}");
    for ((kind, value), count) in first_seen_counts {
        assert_eq!(count, usize::from(is_covered(&kind)), "{kind} {value}");
    }
    // The reported event is the first in the capture.
    let mut known = std::collections::HashSet::new();
    for event in tests::fingerprints(&one) {
        let fingerprint = &event["fingerprint"];
        let new = known.insert((fingerprint["type"].to_string(), fingerprint["value"].to_string()));
        let covered = is_covered(fingerprint["type"].as_str().unwrap());
        assert_eq!(event["first_seen"] == true, new && covered, "{event}");
    }
    for shards in ["2", "4"] {
        assert_eq!(folder.replay(&packets, &["--shards", shards]), one, "--shards {shards}");
    }
}

#[test]
fn values_in_the_learning_period_are_not_first_seen() {
    let folder = EngineFolder::new("[first_seen]\nlearning = \"1h\"\n");
    let hour = 3_600_000;
    let conversations = [
        tls("10.0.0.1:1", "192.0.2.1:443", ms(0), &odd_hello(1, "a.example")),
        tls("10.0.0.1:2", "192.0.2.1:443", ms(hour - 1000), &odd_hello(2, "a.example")),
        tls("10.0.0.1:3", "192.0.2.1:443", ms(hour + 1000), &odd_hello(3, "a.example")),
        tls("10.0.0.1:4", "192.0.2.1:443", ms(hour + 2000), &odd_hello(1, "a.example")),
    ];
    let events = folder.replay(&merged_packets(&conversations), &[]);
    let new: Vec<_> = of_kind(&events, "ja4").iter().map(|event| event["first_seen"] == true).collect();
    assert_eq!(new, [false, false, true, false]);
    let alert = single_alert(&events, "first_seen");
    assert_reason(alert, &["never seen on this network"]);
    assert_eq!(alert["fingerprint"]["value"], of_kind(&events, "ja4")[2]["fingerprint"]["value"]);
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "first_seen", "learning_left_s"]), 0);
    let started = folder.replay(conversations[0].packets(), &[]);
    let left = tests::stats_u64(stats(&started), &["engine", "first_seen", "learning_left_s"]);
    assert!((3590..=3600).contains(&left), "{left}");
}

#[test]
fn a_value_that_is_new_to_one_host_raises_an_alert_for_local_hosts_only() {
    let folder = EngineFolder::new("[first_seen]\nlearning = \"0\"\nmethods = [\"ja4\"]\nhost_methods = [\"ja4\"]\n");
    let hello = client_hello(Shape::Curl, "a.example");
    let conversations = [
        tls("10.0.0.1:1", "192.0.2.1:443", ms(0), &hello),
        tls("10.0.0.2:2", "192.0.2.1:443", ms(1000), &hello),
        tls("10.0.0.2:3", "192.0.2.1:443", ms(2000), &hello),
        // A client outside the local network.
        tls("203.0.113.9:4", "192.0.2.1:443", ms(3000), &hello),
    ];
    let events = folder.replay(&merged_packets(&conversations), &[]);
    let raised = alerts(&events, "first_seen");
    assert_eq!(raised.len(), 2, "{raised:#?}");
    assert_reason(raised[0], &["on this network"]);
    assert_reason(raised[1], &["never seen from 10.0.0.2"]);
    assert_eq!(details(raised[1])["group"]["src_ip"], "10.0.0.2");
    let new: Vec<_> = of_kind(&events, "ja4").iter().map(|event| event["first_seen"] == true).collect();
    assert_eq!(new, [true, false, false, false]);
}

#[test]
fn known_values_and_the_learning_period_survive_a_restart() {
    let folder = EngineFolder::new("[first_seen]\nlearning = \"1h\"\n[builtin.first_seen]\nenabled = false\n");
    let database = folder.text("history.db");
    let run = |packets: &[TimedFrame]| folder.replay(packets, &["--db", &database]);
    let two_hours = 7_200_000;
    run(&crowd(0));
    // Known values stay known; the learning period does not restart.
    let later = crowd(two_hours);
    assert_eq!(first_seen_counts(&run(&later)).values().sum::<usize>(), 0);
    let odd = tls("10.0.0.1:9", "192.0.2.1:443", ms(two_hours + 5000), &odd_hello(77, "a.example"));
    let odd_is_new = |packets: &[TimedFrame]| of_kind(&run(packets), "ja4")[0]["first_seen"] == true;
    assert!(odd_is_new(odd.packets()), "the learning period is not over");
    assert!(!odd_is_new(odd.packets()), "the value is not known");

    let list = |options: &[&str]| folder.rows(&["first-seen", "list", "--format", "json"], options);
    let curl = list(&["--value", Shape::Curl.ja4()]);
    let network: Vec<_> = curl.iter().filter(|row| row.get("host").is_none_or(Value::is_null)).collect();
    assert_eq!(network.len(), 1, "{curl:#?}");
    assert_eq!(network[0]["count"], 200, "100 in each run: {}", network[0]);
    assert_eq!(network[0]["first"], "2026-11-23T07:00:00.030200000Z", "{}", network[0]);

    let delete = ["first-seen", "delete", "--db", &database, "--value", Shape::Curl.ja4()];
    Sensor::new().run(&delete).ok().stderr_has("deleted");
    assert!(list(&["--value", Shape::Curl.ja4()]).is_empty());
    let again = first_seen_counts(&run(&later));
    let first_seen: Vec<_> = again.iter().filter(|(_, count)| **count > 0).map(|((_, value), _)| &**value).collect();
    assert_eq!(first_seen, [Shape::Curl.ja4()]);
}

/// Configuration without a learning period: every value is new from the start.
const NO_LEARNING: &str = "[first_seen]\nlearning = \"0\"\n";

/// Returns a request with `number` extra fields, so that each number yields another JA4H.
fn request(number: usize) -> Vec<u8> {
    let fields: String = (0..=number).map(|field| format!("X-{field}: 1\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").into_bytes()
}

const SECOND: u64 = 1_000_000_000;

/// Returns the time of day of an event, nanoseconds.
fn nanoseconds(event: &Value) -> u64 {
    let (_, time) = event["timestamp"].as_str().unwrap().trim_end_matches('Z').split_once('T').unwrap();
    let (clock, fraction) = time.split_once('.').unwrap();
    let seconds = clock.split(':').fold(0, |sum, part| 60 * sum + part.parse::<u64>().unwrap());
    seconds * SECOND + fraction.parse::<u64>().unwrap()
}

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Asserts that an alert lists exactly these fingerprints, each once.
fn assert_names(alert: &Value, fingerprints: &[&Value]) {
    let reason = details(alert)["reason"].as_str().unwrap();
    let named: Vec<_> = fingerprints
        .iter()
        .map(|event| ["type", "value"].map(|name| event["fingerprint"][name].as_str().unwrap()).join(" "))
        .collect();
    assert_eq!(reason, format!("never seen on this network: {}", named.join(", ")), "{alert}");
    assert_eq!(
        alert["fingerprint"],
        fingerprints[0]["fingerprint"]["value"].as_str().map_or(Value::Null, |value| {
            serde_json::json!({"type": fingerprints[0]["fingerprint"]["type"], "value": value})
        })
    );
}

/// Returns the first-seen fingerprints of a client's port.
fn first_seen_of_port(events: &[Value], port: u16) -> Vec<&Value> {
    let new = |event: &&Value| event["src_port"] == port && event["first_seen"] == true;
    tests::fingerprints(events).into_iter().filter(new).collect()
}

/// Asserts that the output is the same for any number of shards.
fn replay_with_any_shards(folder: &EngineFolder, packets: &[TimedFrame]) -> Vec<Value> {
    let one = folder.replay(packets, &["--shards", "1"]);
    for shards in ["2", "4"] {
        assert_eq!(folder.replay(packets, &["--shards", shards]), one, "--shards {shards}");
    }
    one
}

#[test]
fn one_connection_raises_one_alert_that_lists_all_its_new_values() {
    let folder = EngineFolder::new(NO_LEARNING);
    let chain = [certificate::leaf("a.example"), certificate::authority()];
    let conversations = [
        with_chain("10.0.0.1:1", "a.example", ms(0), &chain),
        // The same certificate is not new; another client's hello is.
        tls("10.0.0.1:2", "192.0.2.1:443", ms(100_000), &odd_hello(1, "a.example")),
        tls("10.0.0.1:3", "192.0.2.1:443", ms(200_000), &odd_hello(1, "a.example")),
    ];
    let events = replay_with_any_shards(&folder, &merged_packets(&conversations));
    let raised = alerts(&events, "first_seen");
    assert_eq!(raised.len(), 2, "{raised:#?}");
    let kinds: Vec<_> =
        first_seen_of_port(&events, 1).iter().map(|event| event["fingerprint"]["type"].clone()).collect();
    for kind in ["ja4t", "ja4", "ja4ts", "ja4s", "ja4x"] {
        assert!(kinds.contains(&kind.into()), "{kinds:?}");
    }
    for (alert, port) in raised.iter().zip([1, 2]) {
        assert_names(alert, &first_seen_of_port(&events, port));
        assert_eq!(alert["src_port"], port);
        assert_eq!(details(alert)["group"], serde_json::json!({"src_ip": "10.0.0.1", "dest_ip": "192.0.2.1"}));
        assert_eq!(details(alert)["severity"], "low");
        assert_eq!(of_port(&events, port)["alerts"], serde_json::json!(["a fingerprint was never seen before"]));
    }
    let table = folder.run(&merged_packets(&conversations), &["--format", "table"]).ok();
    let ja4 = first_seen_of_port(&events, 1)[0]["fingerprint"]["value"].as_str().unwrap();
    let line = table.stdout().lines().find(|line| line.contains("first_seen")).unwrap();
    assert_eq!(line.matches(ja4).count(), 1, "{line}");
}

#[test]
fn the_alert_is_raised_a_second_after_the_first_new_value_and_later_values_are_in_the_next_alert() {
    let folder = EngineFolder::new(NO_LEARNING);
    let mut conversation = conversation("10.0.0.1:1", "192.0.2.1:80", ms(0));
    conversation.handshake().client(&request(0)).server(RESPONSE);
    for (number, at) in [(1, 600), (2, 900), (3, 1500), (4, 2200), (5, 30_000)] {
        conversation.at(ms(at)).client(&request(number)).server(RESPONSE);
    }
    // A packet of another connection advances the time.
    let clock = tls("10.0.0.1:2", "192.0.2.1:443", ms(20_000), &odd_hello(1, "a.example"));
    let events = replay_with_any_shards(&folder, &merged_packets([&conversation, &clock]));
    let raised: Vec<_> = alerts(&events, "first_seen").into_iter().filter(|alert| alert["src_port"] == 1).collect();
    // Values within one second of the first one are grouped into one alert.
    let mut expected: Vec<Vec<&Value>> = Vec::new();
    for event in first_seen_of_port(&events, 1) {
        match expected.last_mut() {
            Some(first) if nanoseconds(event) < nanoseconds(first[0]) + SECOND => first.push(event),
            _ => expected.push(vec![event]),
        }
    }
    let requests = |of: &[&Value]| of.iter().filter(|event| event["fingerprint"]["type"] == "ja4h").count();
    assert_eq!(expected.iter().map(|values| requests(values)).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(raised.len(), 3, "{raised:#?}");
    let position = |expected: &Value| events.iter().position(|event| event == expected).unwrap();
    for (number, (alert, values)) in raised.iter().zip(&expected).enumerate() {
        assert_names(alert, values);
        if let Some(next) = expected.get(number + 1) {
            assert_eq!(nanoseconds(alert), nanoseconds(values[0]) + SECOND);
            assert!(position(alert) < position(next[0]), "the alert is not printed when it is due");
        } else {
            assert_eq!(
                alert["timestamp"],
                of_port(&events, 1)["connection"]["end"],
                "the connection does not end before the alert is due"
            );
        }
    }
    assert_eq!(of_port(&events, 1)["alerts"].as_array().unwrap().len(), 1, "the description is not listed once");
}

#[test]
fn the_allowlist_removes_single_values_from_the_alert() {
    let ja4s = hello::JA4S_13;
    let hello = odd_hello(1, "a.example");
    let conversation = tls("10.0.0.1:1", "192.0.2.1:443", ms(0), &hello);
    let with = |allow: &str| {
        let config = format!("{NO_LEARNING}[allowlist]\nfiles = [\"allow.toml\"]\n");
        EngineFolder::new(&config).with("allow.toml", allow).replay(conversation.packets(), &[])
    };
    let all = with("");
    assert_reason(single_alert(&all, "first_seen"), &[ja4s, "ja4t "]);
    let events = with(&format!("[[fingerprint]]\ntype = \"ja4s\"\nmatch = \"{ja4s}\"\n"));
    let reason = details(single_alert(&events, "first_seen"))["reason"].as_str().unwrap();
    assert!(reason.contains("ja4t ") && !reason.contains(ja4s), "{reason}");
    assert!(tests::stats_u64(stats(&events), &["engine", "allowlisted"]) > 0);
    assert!(alerts(&with("[[network]]\ncidr = \"10.0.0.0/8\"\n"), "first_seen").is_empty());
    let events = with("[[override]]\nrule = \"first_seen\"\nseverity = \"critical\"\n");
    assert_eq!(details(single_alert(&events, "first_seen"))["severity"], "critical");
}
