//! Counters as the content of a `stats` event.

use ja4_common::counter::FilterCounters;

use super::stats::ShardStats;
use crate::model::{CounterGroup, EndReason};
use crate::packet::DecodeError;
use crate::protocol::MalformedProtocol;
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
pub fn shards(stats: &ShardStats) -> CounterGroup {
    let protocol = &stats.protocol;
    let mut group = CounterGroup::default();
    group
        .count("packets", stats.packets)
        .count("connections", stats.connections)
        .count("opened", stats.opened)
        .count("stray_segments", protocol.stray_segments)
        .count("duplicate_bytes", protocol.duplicate_bytes)
        .count("conflicting_bytes", protocol.conflicting_bytes)
        .count("refused_bytes", protocol.refused_bytes)
        .count("refused_attribute_bytes", stats.refused_attribute_bytes)
        .count("incomplete_messages", protocol.incomplete_messages)
        .count("memory_evicted", stats.memory_evicted)
        .count("buffered_bytes", stats.buffered_bytes)
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

/// Malformed messages by protocol and reason, without counters that are 0.
fn malformed(stats: &ShardStats) -> CounterGroup {
    let mut group = CounterGroup::default();
    for (protocol, counters) in MalformedProtocol::ALL.into_iter().zip(&stats.protocol.malformed) {
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
