//! Statistics: the counters that Suricata has, and all others in `ja4plus`.

use super::event::{close, key, object};
use crate::encode::json::{group, number};
use crate::model::{CounterGroup, CounterValue, StatsRecord};

/// A counter: its name, and the paths of the counters that it is the sum of.
type Counter = (&'static [u8], &'static [&'static [&'static str]]);

/// The objects of `stats` and their counters.
const COUNTERS: [(&[u8], &[Counter]); 4] = [
    (
        b"capture",
        &[
            (b"kernel_packets", &[&["kernel", "seen"]]),
            (b"kernel_drops", &[&["kernel", "ring_full"], &["kernel", "rate_limited"]]),
        ],
    ),
    (b"decoder", &[(b"pkts", &[&["shards", "packets"]]), (b"invalid", &[&["kernel", "unparseable"]])]),
    (b"flow", &[(b"total", &[&["shards", "opened"]]), (b"active", &[&["shards", "connections"]])]),
    (
        b"detect",
        &[(
            b"alert",
            &[
                &["engine", "alerts", "low"],
                &["engine", "alerts", "medium"],
                &["engine", "alerts", "high"],
                &["engine", "alerts", "critical"],
            ],
        )],
    ),
];

/// Writes `stats` and `ja4plus`.
pub(super) fn write(record: &StatsRecord, out: &mut Vec<u8>) {
    key(b"stats", out);
    out.extend_from_slice(b"{\"uptime\":");
    number(count(record, &["uptime_ms"]).unwrap_or(0) / 1000, out);
    out.push(b',');
    for (name, counters) in COUNTERS {
        object(name, out, |out| {
            for (name, paths) in counters {
                let mut found = paths.iter().filter_map(|path| count(record, path)).peekable();
                if found.peek().is_some() {
                    key(name, out);
                    number(found.fold(0, u64::saturating_add), out);
                    out.push(b',');
                }
            }
        });
    }
    close(out);
    key(b"ja4plus", out);
    group(record, out);
    out.push(b',');
}

/// The counter with this path.
fn count(CounterGroup(entries): &CounterGroup, path: &[&str]) -> Option<u64> {
    let (first, rest) = path.split_first()?;
    let (_, value) = entries.iter().find(|(name, _)| name == first)?;
    match value {
        CounterValue::Count(count) => rest.is_empty().then_some(*count),
        CounterValue::Group(group) => count(group, rest),
        CounterValue::Text(_) => None,
    }
}
