//! What the sensor reports about itself: rates, losses, interfaces.

use std::collections::VecDeque;

use serde_json::Value;

use crate::runtime::drops;
use crate::top::cell::{Tone, ToneText};
use crate::top::{row, units};

/// Rates that are remembered for the sparklines: five minutes.
const HISTORY: usize = 300;

/// Counters that only grow, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GrowingCounters {
    uptime_ms: u64,
    packets: u64,
    events: u64,
    losses: u64,
}

impl GrowingCounters {
    fn of(summary: &Value) -> Option<Self> {
        Some(Self {
            uptime_ms: row::number(summary, "stats.uptime_ms")?,
            packets: row::number(summary, "stats.kernel.seen").unwrap_or_default(),
            events: row::number(summary, "stats.engine.observations").unwrap_or_default(),
            losses: row::number(summary, "stats.drops_total").unwrap_or_default(),
        })
    }
}

/// A rate each second, the newest last.
#[derive(Clone, Debug, Default)]
pub(in crate::top) struct RateHistory(VecDeque<u64>);

impl RateHistory {
    fn push(&mut self, rate: u64) {
        if self.0.len() == HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(rate);
    }

    /// The newest rate.
    pub(in crate::top) fn newest(&self) -> Option<u64> {
        self.0.back().copied()
    }

    /// The newest rates that fit a width.
    pub(in crate::top) fn last(&self, count: usize) -> Vec<u64> {
        self.0.iter().skip(self.0.len().saturating_sub(count)).copied().collect()
    }
}

/// Losses of one kind, and the counters they are the sum of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::top) struct LossGroup {
    pub(in crate::top) name: &'static str,
    pub(in crate::top) total: u64,
    /// Path of a counter, and its value.
    pub(in crate::top) parts: Vec<(String, u64)>,
}

/// What the view `summary` reported.
#[derive(Clone, Debug, Default)]
pub(in crate::top) struct SensorStatus {
    /// The newest row.
    pub(in crate::top) summary: Value,
    counters: Option<GrowingCounters>,
    pub(in crate::top) packets: RateHistory,
    pub(in crate::top) events: RateHistory,
    pub(in crate::top) losses: RateHistory,
}

impl SensorStatus {
    /// Takes over a new row of the view.
    pub(in crate::top) fn apply(&mut self, summary: Value) {
        let new = GrowingCounters::of(&summary);
        // A restarted sensor counts from zero: the first row after it gives no rate.
        if let (Some(before), Some(now)) = (self.counters, new)
            && now.uptime_ms > before.uptime_ms
        {
            let rate = |of: fn(&GrowingCounters) -> u64| {
                of(&now).saturating_sub(of(&before)).saturating_mul(1000) / (now.uptime_ms - before.uptime_ms)
            };
            self.packets.push(rate(|counters| counters.packets));
            self.events.push(rate(|counters| counters.events));
            self.losses.push(rate(|counters| counters.losses));
        }
        (self.counters, self.summary) = (new, summary);
    }

    /// The sum of all losses since the start of the sensor.
    pub(in crate::top) fn total_losses(&self) -> Option<u64> {
        row::number(&self.summary, "stats.drops_total")
    }

    /// The losses by what was lost.
    pub(in crate::top) fn loss_groups(&self) -> Vec<LossGroup> {
        let stats = self.summary.get("stats").unwrap_or(&Value::Null);
        let group = |(name, paths): (&'static str, &[&[&str]])| {
            let mut parts = Vec::new();
            for path in paths {
                add_counters(stats, path, "", &mut parts);
            }
            LossGroup { name, total: parts.iter().map(|(_, count)| count).sum(), parts }
        };
        drops::STAGES_AND_PATHS.map(group).into()
    }

    /// The segments of the status bar, the most important first.
    pub(in crate::top) fn segments(&self) -> Vec<ToneText> {
        let summary = &self.summary;
        let mut segments: Vec<ToneText> = self.interface_segment().into_iter().collect();
        let rate = |history: &RateHistory, unit: &str| {
            history.newest().map(|rate| ToneText::plain(format!("{} {unit}", units::count(rate))))
        };
        segments.extend(rate(&self.packets, "pkt/s"));
        segments.extend(rate(&self.events, "ev/s"));
        segments.extend(self.total_losses().map(|lost| {
            let tone = if lost > 0 { Tone::Bad } else { Tone::Good };
            ToneText::new(format!("lost {}", units::count(lost)), tone)
        }));
        segments.extend(row::number(summary, "stats.shards.lag_us").map(|lag| {
            let tone = if lag > 200_000 { Tone::Warning } else { Tone::Plain };
            ToneText::new(format!("lag {}", units::microseconds(lag)), tone)
        }));
        let learning = row::number(summary, "stats.engine.first_seen.learning_left_s");
        segments.extend(
            learning
                .filter(|left| *left > 0)
                .map(|left| ToneText::new(format!("learning {}", units::largest_unit(left)), Tone::New)),
        );
        segments.extend(row::field(summary, "stats.engine.remote.breaker_open").map(|_| {
            let is_open = row::holds(summary, "stats.engine.remote.breaker_open");
            let (state, tone) = if is_open { ("open", Tone::Bad) } else { ("closed", Tone::Good) };
            ToneText::new(format!("breaker {state}"), tone)
        }));
        // Where space is short, what failed is shown.
        segments.sort_by_key(|segment| segment.tone != Tone::Bad);
        segments
    }

    /// The first interface with its hooks, and how many more there are; a failure comes first.
    fn interface_segment(&self) -> Option<ToneText> {
        let lines = self.interfaces();
        let shown = lines.iter().find(|line| line.tone == Tone::Bad).or(lines.first())?;
        let more = if lines.len() > 1 { format!(" +{}", lines.len() - 1) } else { String::new() };
        Some(ToneText::new(format!("{}{more}", shown.text), shown.tone))
    }

    /// Each interface with its hooks, or why it is not watched.
    pub(in crate::top) fn interfaces(&self) -> Vec<ToneText> {
        let modes = row::field(&self.summary, "stats.interfaces").and_then(Value::as_object);
        let line = |(name, modes): (&String, &Value)| {
            let name = row::visible(name);
            let hooks: Vec<_> = ["ingress", "egress"]
                .iter()
                .filter_map(|side| row::text(modes, side))
                .filter(|mode| mode != "none")
                .collect();
            if hooks.is_empty() {
                let reason = row::first_text(modes, &["error", "reason"]).unwrap_or_else(|| "not attached".to_owned());
                ToneText::new(format!("{name}: {reason}"), Tone::Bad)
            } else {
                ToneText::new(format!("{name} {}", hooks.join(", ")), Tone::Good)
            }
        };
        modes.into_iter().flatten().map(line).collect()
    }
}

/// Adds the counters with a path, of which `*` is any key.
fn add_counters(stats: &Value, path: &[&str], above: &str, out: &mut Vec<(String, u64)>) {
    let Some((key, rest)) = path.split_first() else {
        if let Some(count) = stats.as_u64() {
            out.push((above.to_owned(), count));
        }
        return;
    };
    for (name, value) in stats.as_object().into_iter().flatten().filter(|(name, _)| *key == "*" || name == key) {
        let name = row::visible(name);
        let path_of_it = if above.is_empty() { name } else { format!("{above}.{name}") };
        add_counters(value, rest, &path_of_it, out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(uptime_ms: u64, seen: u64, lost: u64) -> Value {
        json!({"stats": {
            "uptime_ms": uptime_ms,
            "kernel": {"seen": seen, "ring_full": lost},
            "engine": {"observations": seen / 10, "first_seen": {"learning_left_s": 90_000},
                "remote": {"breaker_open": true}},
            "shards": {"lag_us": 1_078},
            "sinks": {"siem": {"failed": 2}, "chat": {"failed": 0}},
            "drops_total": lost + 2,
            "interfaces": {"eth0": {"ingress": "xdp native", "egress": "tcx"}, "eth1": {"reason": "not up"}},
        }})
    }

    #[test]
    fn rates_are_differences_per_second() {
        let mut status = SensorStatus::default();
        status.apply(summary(1_000, 500, 0));
        assert_eq!(status.packets.newest(), None, "one row gives no rate");
        status.apply(summary(3_000, 2_500, 0));
        assert_eq!((status.packets.newest(), status.events.newest()), (Some(1_000), Some(100)));
        // A restart.
        status.apply(summary(500, 10, 0));
        assert_eq!(status.packets.last(9), [1_000]);
        status.apply(summary(1_500, 20, 0));
        assert_eq!(status.packets.last(9), [1_000, 10]);
        for second in 2..400 {
            status.apply(summary(second * 1_000, 20, 0));
        }
        assert_eq!(status.packets.last(1_000).len(), HISTORY);
    }

    #[test]
    fn the_total_of_losses_opens_into_its_counters() {
        let mut status = SensorStatus::default();
        status.apply(summary(1_000, 500, 7));
        let groups = status.loss_groups();
        assert_eq!(status.total_losses(), Some(groups.iter().map(|group| group.total).sum()));
        assert_eq!(groups[0].parts, [("kernel.ring_full".to_owned(), 7)]);
        assert_eq!(groups[3].parts, [("sinks.chat.failed".to_owned(), 0), ("sinks.siem.failed".to_owned(), 2)]);
    }

    #[test]
    fn the_status_bar_starts_with_what_failed() {
        let mut status = SensorStatus::default();
        assert!(status.segments().is_empty());
        status.apply(summary(1_000, 500, 7));
        let texts: Vec<_> = status.segments().into_iter().map(|segment| segment.text).collect();
        assert_eq!(texts, ["eth1: not up +1", "lost 9", "breaker open", "lag 1.0ms", "learning 1d"]);
        assert_eq!(status.interfaces()[0].text, "eth0 xdp native, tcx");
    }
}
