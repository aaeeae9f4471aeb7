//! Counters as the content of a `stats` event.

use ja4_common::counter::FilterCounters;

use super::stats::{CoreStats, Protocol};
use crate::model::{CounterGroup, EndReason};
use crate::packet::DecodeError;
use ja4::wire::WireError;

/// The filter's counters: totals first, then each by its label.
pub fn filter(counters: &FilterCounters) -> CounterGroup {
    let mut group = CounterGroup::default();
    for row in FilterCounters::TABLE {
        group.count(row.name, total((row.values)(counters)));
    }
    for row in FilterCounters::TABLE {
        if let Some(label) = row.label {
            group.group(format!("{}_by", row.name), named(label.values.iter().copied(), (row.values)(counters)));
        }
    }
    group
}

/// The shards' counters.
pub fn shards(stats: &CoreStats) -> CounterGroup {
    let mut group = CounterGroup::default();
    group
        .count("packets", stats.packets)
        .count("connections", stats.connections)
        .count("opened", stats.opened)
        .count("stray_segments", stats.stray_segments)
        .count("duplicate_bytes", stats.duplicate_bytes)
        .count("conflicting_bytes", stats.conflicting_bytes)
        .count("refused_bytes", stats.refused_bytes)
        .count("refused_attribute_bytes", stats.refused_attribute_bytes)
        .count("unfinished_messages", stats.unfinished_messages)
        .count("gave_way", stats.gave_way)
        .count("held_bytes", stats.held_bytes)
        .count("attribute_bytes", stats.attribute_bytes)
        .group("undecodable", named(DecodeError::ALL.map(DecodeError::as_str), &stats.undecodable))
        .group("malformed", malformed(stats))
        .group("decap", listed(stats.decap.counters()))
        .group("fragments", listed(stats.fragments.counters()))
        .group("ended", named(EndReason::ALL.map(EndReason::name), &stats.ended));
    group
}

/// Counters with their names.
fn listed<const N: usize>(counters: [(&'static str, u64); N]) -> CounterGroup {
    let mut group = CounterGroup::default();
    for (name, count) in counters {
        group.count(name, count);
    }
    group
}

/// What broke a rule, by protocol and reason; what did not happen is left out.
fn malformed(stats: &CoreStats) -> CounterGroup {
    let mut group = CounterGroup::default();
    for (protocol, counters) in Protocol::ALL.into_iter().zip(&stats.malformed) {
        let mut reasons = CounterGroup::default();
        for (reason, count) in WireError::ALL.into_iter().zip(counters).filter(|(_, count)| **count > 0) {
            reasons.count(reason.as_str(), *count);
        }
        if total(counters) > 0 {
            group.group(protocol.name(), reasons);
        }
    }
    group
}

fn total(counters: &[u64]) -> u64 {
    counters.iter().sum()
}

fn named(names: impl IntoIterator<Item = &'static str>, counters: &[u64]) -> CounterGroup {
    let mut group = CounterGroup::default();
    for (name, count) in names.into_iter().zip(counters) {
        group.count(name, *count);
    }
    group
}
