//! The sum of all losses: what alerts of a monitoring system watch.

use crate::model::{CounterDeclarations, CounterGroup, CounterSet, CounterValue, LabelledMetric, counter_set};

counter_set! {
    /// Losses of a run, each counted once, at the stage where it happened. Packets over a rate limit, duplicates and packets
    /// that no filter wants are not losses.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct DropStats as drops {
        /// Packets lost.
        counter packets in STAGES,
        /// Lines lost.
        counter lines in STAGES,
        /// Rows lost.
        counter rows in STAGES,
        /// Alerts lost.
        counter alerts in STAGES,
        /// Packets that are missing in the packet file.
        counter pcap in STAGES,
    }
}

/// Losses by stage.
const STAGES: LabelledMetric = LabelledMetric {
    label: "stage",
    metric: "drops",
    help: "All losses, each once, by what was lost: packets, lines, rows of the database, alerts, or packets of the packet file (pcap).",
};

/// Key of [`DropStats`] in the `stats` event, and of their sum.
const DROPS: &str = "drops";
const TOTAL: &str = "drops_total";

/// The counters of losses by stage: keys from the top of the `stats` event, `*` for any key.
const PACKETS: &[&[&str]] =
    &[&["kernel", "ring_full"], &["shards", "bad_record_version"], &["shards", "decap", "handoff_lost"]];
const LINES: &[&[&str]] = &[
    &["output", "lines_dropped"],
    &["files", "*", "failed"],
    &["files", "*", "queue_full"],
    &["attach", "lost"],
    &["engine", "end_lost"],
];
const ROWS: &[&[&str]] = &[&["storage", "rows_lost"], &["storage", "rows_dropped"]];
const ALERTS: &[&[&str]] = &[&["sinks", "*", "failed"], &["sinks", "*", "queue_full"], &["sinks", "*", "abandoned"]];
const PCAP: &[&[&str]] = &[&["pcap", "failed"], &["pcap", "queue_full"]];

/// The counters of losses by what was lost, under the names of [`DropStats`].
pub(crate) const STAGES_AND_PATHS: [(&str, &[&[&str]]); 5] =
    [("packets", PACKETS), ("lines", LINES), ("rows", ROWS), ("alerts", ALERTS), ("pcap", PCAP)];

/// Adds the losses to the numbers of a run.
pub(crate) fn add_drops(stats: &mut CounterGroup) {
    let sums = STAGES_AND_PATHS.map(|(_, paths)| paths.iter().map(|path| sum_of(stats, path)).sum());
    let [packets, lines, rows, alerts, pcap] = sums;
    DropStats { packets, lines, rows, alerts, pcap }.write_group(DROPS, stats);
    stats.count(TOTAL, sums.iter().sum());
}

/// Declares what [`add_drops`] adds.
pub(crate) fn declare_drops(to: &mut CounterDeclarations) {
    to.group(DROPS, DropStats::declare);
    to.left_out(TOTAL, "sum over the labels of another metric");
}

/// The sum of the counters with these keys.
fn sum_of(CounterGroup(entries): &CounterGroup, path: &[&str]) -> u64 {
    let Some((key, rest)) = path.split_first() else { return 0 };
    let with_key = entries.iter().filter(|(name, _)| *key == "*" || name == key);
    with_key
        .map(|(_, value)| match value {
            CounterValue::Group(group) => sum_of(group, rest),
            CounterValue::Count(count) if rest.is_empty() => *count,
            CounterValue::Count(_) | CounterValue::Text(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::sensor_stats::declarations;

    #[test]
    fn each_loss_is_a_declared_counter() {
        let declared: Vec<String> = declarations().into_iter().map(|counter| counter.path).collect();
        for path in [PACKETS, LINES, ROWS, ALERTS, PCAP].concat() {
            let fits = |declared: &&String| {
                let segments: Vec<&str> = declared.split('/').collect();
                let is_one = |(segment, key): (&&str, &&str)| {
                    segment == key || *key == "*" || segment.starts_with('{') && segment.contains(*key)
                };
                segments.len() == path.len() && segments.iter().zip(path).all(is_one)
            };
            assert!(declared.iter().any(|path| fits(&path)), "{path:?} is not in {declared:#?}");
        }
    }

    #[test]
    fn losses_are_summed_by_stage() {
        let mut stats = CounterGroup::default();
        let (mut kernel, mut sinks) = (CounterGroup::default(), CounterGroup::default());
        kernel.count("ring_full", 5).count("rate_limited", 100);
        for (name, failed) in [("one", 2), ("two", 3)] {
            let mut sink = CounterGroup::default();
            sink.count("failed", failed).count("sent", 9);
            sinks.group(name, sink);
        }
        stats.group("kernel", kernel).group("sinks", sinks);
        add_drops(&mut stats);
        assert_eq!(sum_of(&stats, &["drops", "packets"]), 5);
        assert_eq!(sum_of(&stats, &["drops", "alerts"]), 5);
        assert_eq!(sum_of(&stats, &["drops_total"]), 10);
    }
}
