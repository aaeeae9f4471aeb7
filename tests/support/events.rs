//! Parsing and comparison of the JSON events that the sensor prints.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// Parses one event per JSON line.
///
/// # Panics
/// If a line is not a JSON object with an `event_type`.
pub fn parse(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
            assert!(event["event_type"].is_string(), "no event_type: {line}");
            event
        })
        .collect()
}

/// Returns the events of this `event_type`.
pub fn of_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event_type"] == event_type).collect()
}

/// Returns the fingerprint events.
pub fn fingerprints(events: &[Value]) -> Vec<&Value> {
    of_type(events, "fingerprint")
}

/// Returns the values of one fingerprint type (`ja4`, `ja4ts` …), in the order printed.
pub fn values<'a>(events: &'a [Value], kind: &str) -> Vec<&'a str> {
    fingerprints(events)
        .into_iter()
        .filter(|event| event["fingerprint"]["type"] == kind)
        .map(|event| event["fingerprint"]["value"].as_str().unwrap_or_else(|| panic!("no value: {event}")))
        .collect()
}

/// Returns the values of one fingerprint type by connection (`10.0.0.1 51234 > 10.0.0.2 443`), each in the order
/// printed.
pub fn by_connection<'a>(events: &'a [Value], kind: &str) -> BTreeMap<String, Vec<&'a str>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in fingerprints(events) {
        if event["fingerprint"]["type"] == kind {
            let seen = ComparedFingerprint::new(event);
            let value = event["fingerprint"]["value"].as_str().unwrap_or_else(|| panic!("no value: {event}"));
            found.entry(format!("{} > {}", seen.src, seen.dest)).or_default().push(value);
        }
    }
    found
}

/// Returns a counter of a `stats` event by its path: `stats_u64(&event, &["kernel", "seen"])`.
///
/// # Panics
/// If the value at that path is not an unsigned integer; the message shows the event.
pub fn stats_u64(event: &Value, path: &[&str]) -> u64 {
    let found = path.iter().fold(&event["stats"], |value, key| &value[*key]);
    found.as_u64().unwrap_or_else(|| panic!("no counter at {path:?} in {event:#}"))
}

/// Protocol fields of an event that [`ComparedFingerprint`] compares. They depend only on the packets.
const KNOWN: [&str; 7] = ["proto", "app_proto", "tls", "quic", "http", "ssh", "dhcp"];

/// Fields of a fingerprint event that are equal whenever the same packets are processed: all except those that depend
/// on the clock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComparedFingerprint {
    kind: String,
    /// Sequence number among the fingerprints of the same type and connection.
    count: u64,
    side: String,
    src: String,
    dest: String,
    /// The fields of [`KNOWN`], as JSON.
    known: [String; KNOWN.len()],
    /// Fingerprint value. For `ja4l` and `ja4ls` only the TTL, without the times.
    value: String,
    /// First latency of a `ja4l` or `ja4ls`, microseconds.
    micros: Option<u64>,
}

impl ComparedFingerprint {
    /// Parses a fingerprint event.
    ///
    /// # Panics
    /// If a required field is missing.
    pub fn new(event: &Value) -> Self {
        let text =
            |value: &Value, what: &str| value.as_str().unwrap_or_else(|| panic!("no {what} in {event}")).to_owned();
        let fingerprint = &event["fingerprint"];
        let kind = text(&fingerprint["type"], "fingerprint.type");
        let mut value = text(&fingerprint["value"], "fingerprint.value");
        let mut micros = None;
        if kind == "ja4l" || kind == "ja4ls" {
            let mut sections = value.split('_');
            let time = sections.next().and_then(|time| time.parse().ok());
            micros = Some(time.unwrap_or_else(|| panic!("{value} does not begin with a latency")));
            value = sections.next().unwrap_or_else(|| panic!("{value} has no TTL")).to_owned();
        }
        let endpoint = |ip: &str, port: &str| format!("{} {}", text(&event[ip], ip), event[port]);
        Self {
            kind,
            count: fingerprint["count"].as_u64().unwrap_or_default(),
            side: text(&fingerprint["side"], "fingerprint.side"),
            src: endpoint("src_ip", "src_port"),
            dest: endpoint("dest_ip", "dest_port"),
            known: KNOWN.map(|name| event[name].to_string()),
            value,
            micros,
        }
    }

    fn is_near(&self, other: &Self, tolerance: Duration) -> bool {
        let untimed = |seen: &Self| Self { micros: None, ..seen.clone() };
        let apart = self.micros.unwrap_or_default().abs_diff(other.micros.unwrap_or_default());
        untimed(self) == untimed(other)
            && self.micros.is_some() == other.micros.is_some()
            && u128::from(apart) <= tolerance.as_micros()
    }
}

/// Asserts that both runs printed the same fingerprints of the same flows, in any order. Latencies may differ by at
/// most `tolerance`.
///
/// # Panics
/// If the runs differ; the message lists the fingerprints that only one run has.
pub fn assert_same_fingerprints(left: &[Value], right: &[Value], tolerance: Duration) {
    let seen = |events: &[Value]| {
        let mut seen: Vec<_> = fingerprints(events).into_iter().map(ComparedFingerprint::new).collect();
        seen.sort();
        seen
    };
    let (left, mut right) = (seen(left), seen(right));
    let mut only_left = Vec::new();
    for fingerprint in left {
        match right.iter().position(|other| fingerprint.is_near(other, tolerance)) {
            Some(at) => drop(right.remove(at)),
            None => only_left.push(fingerprint),
        }
    }
    assert!(
        only_left.is_empty() && right.is_empty(),
        "the two differ (latencies by more than {tolerance:?}, or anything else)\nonly left: {only_left:#?}\nonly right: {right:#?}"
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, value: &str) -> Value {
        json!({"event_type": "fingerprint", "src_ip": "10.0.0.1", "src_port": 5, "dest_ip": "10.0.0.2", "dest_port": 443,
               "fingerprint": {"type": kind, "value": value, "side": "client"}})
    }

    #[test]
    fn order_and_a_small_latency_do_not_matter() {
        let left = [event("ja4l", "120_64"), event("ja4", "t13")];
        let right = [event("ja4", "t13"), event("ja4l", "180_64")];
        assert_same_fingerprints(&left, &right, Duration::from_micros(60));
    }

    #[test]
    #[should_panic(expected = "the two differ")]
    fn a_large_latency_matters() {
        assert_same_fingerprints(&[event("ja4l", "120_64")], &[event("ja4l", "180_64")], Duration::from_micros(59));
    }

    #[test]
    #[should_panic(expected = "the two differ")]
    fn a_missing_duplicate_matters() {
        assert_same_fingerprints(&[event("ja4", "t13"), event("ja4", "t13")], &[event("ja4", "t13")], Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "the two differ")]
    fn an_acknowledgement_matters() {
        let event = |value| [event("ja4ssh", value)];
        assert_same_fingerprints(&event("c36s36_c9s9_c5s7"), &event("c36s36_c9s9_c5s8"), Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "the two differ")]
    fn an_attribute_matters() {
        let mut other = event("ja4", "t13");
        other["tls"] = json!({"alpn_chosen": "h2"});
        assert_same_fingerprints(&[event("ja4", "t13")], &[other], Duration::ZERO);
    }

    #[test]
    #[should_panic(expected = "the two differ")]
    fn a_number_matters() {
        let mut other = event("ja4", "t13");
        other["fingerprint"]["count"] = 2.into();
        assert_same_fingerprints(&[event("ja4", "t13")], &[other], Duration::ZERO);
    }

    #[test]
    fn values_are_found_by_connection() {
        let events = [event("ja4", "one"), event("ja4t", "other"), event("ja4", "two")];
        assert_eq!(by_connection(&events, "ja4")["10.0.0.1 5 > 10.0.0.2 443"], ["one", "two"]);
    }

    #[test]
    fn counters_are_found_by_path() {
        assert_eq!(stats_u64(&json!({"stats": {"kernel": {"seen": 7}}}), &["kernel", "seen"]), 7);
    }
}
