//! The metric of every number of the `stats` event.
//!
//! A test checks that the table covers an event with all optional parts. Subtrees by reason become labels. Sums over labels
//! are left out, because Prometheus can add.

use std::sync::LazyLock;

use ja4_common::counter::FilterCounters;

use super::family::MetricUnit::{Microseconds, Milliseconds};
use super::family::{MetricFamily, counter, gauge, info, left_out};

const SUM: &str = "sum over the labels of another metric";

/// All rows; the first row that matches a number applies.
pub(super) static FAMILIES: LazyLock<Vec<MetricFamily>> =
    LazyLock::new(|| filter().chain(OTHERS.iter().copied()).collect());

/// The rows of the filter's counters, which `ja4-common` declares.
fn filter() -> impl Iterator<Item = MetricFamily> {
    // Once for the process: a row borrows its texts for good.
    let text = |text: String| -> &'static str { text.leak() };
    FilterCounters::TABLE.iter().flat_map(move |row| {
        let (name, hooks) = (row.name, "kernel/{direction:ingress|egress}");
        let metric = |leaf: &str| {
            let metric = counter(text(format!("{hooks}/{leaf}")), text(format!("kernel_{name}")), row.help);
            [metric, left_out(text(format!("kernel/{leaf}")), SUM)]
        };
        let sum = |of: &str| left_out(text(format!("{of}/{name}")), SUM);
        match row.label {
            None => metric(name).to_vec(),
            Some(label) => {
                let mut rows = metric(&format!("{name}_by/{{{}}}", label.name)).to_vec();
                rows.extend([sum(hooks), sum("kernel")]);
                rows
            }
        }
    })
}

/// The other rows.
const OTHERS: &[MetricFamily] = &[
    gauge("uptime_ms", "uptime_seconds", "Time since the sensor started.").of(Milliseconds),
    info("interfaces/{interface}/*", "interface_info", "Hooks that the programs are attached to, by interface."),
    // The shards.
    counter("shards/packets", "shard_packets", "Records processed by the shards."),
    gauge("shards/connections", "shard_connections", "Open connections."),
    counter("shards/opened", "shard_connections_opened", "Connections opened."),
    counter("shards/ended/{how}", "shard_connections_ended", "Connections ended, by reason."),
    counter("shards/stray_segments", "shard_stray_segments", "TCP segments outside a handshake."),
    counter("shards/duplicate_bytes", "shard_duplicate_bytes", "Stream bytes received before."),
    counter(
        "shards/conflicting_bytes",
        "shard_conflicting_bytes",
        "Retransmitted bytes with different content; the first copy is used.",
    ),
    counter(
        "shards/refused_bytes",
        "shard_refused_bytes",
        "Out-of-order bytes dropped because the reassembly buffer was full.",
    ),
    counter(
        "shards/refused_attribute_bytes",
        "shard_refused_attribute_bytes",
        "Attribute bytes dropped because the budget was exceeded.",
    ),
    counter(
        "shards/memory_evicted",
        "shard_memory_evicted",
        "Connections whose incomplete messages were evicted under memory pressure.",
    ),
    counter(
        "shards/incomplete_messages",
        "shard_incomplete_messages",
        "Streams that ended with an incomplete message.",
    ),
    gauge("shards/buffered_bytes", "shard_buffered_bytes", "Bytes in reassembly buffers and incomplete messages."),
    gauge("shards/attribute_bytes", "shard_attribute_bytes", "Bytes of connection attributes."),
    counter("shards/undecodable/{reason}", "shard_undecodable", "Records with truncated headers, by reason."),
    counter("shards/malformed/{protocol}/{reason}", "shard_malformed", "Malformed messages, by protocol and reason."),
    counter("shards/bad_record_version", "shard_bad_record_version", "Records with an unknown layout version."),
    gauge(
        "shards/lag_us",
        "shard_lag_seconds",
        "Age of the last record when its shard read it; maximum over the shards.",
    )
    .of(Microseconds),
    // Packets decapsulated in user space.
    counter("shards/decap/records", "decap_records", "Records of fragments and nested tunnels."),
    counter("shards/decap/processed", "decap_processed", "Inner packets processed."),
    counter("shards/decap/unselected", "decap_unselected", "Inner packets not selected."),
    counter("shards/decap/unparseable", "decap_unparseable", "Inner packets that could not be parsed."),
    counter(
        "shards/decap/duplicates",
        "decap_duplicates",
        "Reassembled datagrams already seen at another capture point.",
    ),
    counter("shards/decap/fragments", "decap_fragments", "Fragments inside nested tunnels."),
    counter("shards/decap/too_deep", "decap_too_deep", "Packets with too many nested tunnels."),
    counter("shards/decap/handed_off", "decap_handed_off", "Reassembled datagrams handed to another shard."),
    counter(
        "shards/decap/handoff_lost",
        "decap_handoff_lost",
        "Reassembled datagrams dropped because the queue of the other shard was full.",
    ),
    counter("shards/fragments/fragments", "fragments", "IP fragments received."),
    counter("shards/fragments/duplicate", "fragments_duplicate", "Fragments without new bytes."),
    counter("shards/fragments/overlapping", "fragments_overlapping", "Fragments that overlap earlier ones."),
    counter("shards/fragments/started", "fragments_datagrams_started", "Datagrams with at least one fragment."),
    counter("shards/fragments/completed", "fragments_datagrams_completed", "Datagrams reassembled."),
    counter(
        "shards/fragments/expired",
        "fragments_datagrams_expired",
        "Datagrams that expired before they were complete.",
    ),
    counter("shards/fragments/evicted", "fragments_datagrams_evicted", "Incomplete datagrams evicted for newer ones."),
    gauge("shards/fragments/pending", "fragments_datagrams_pending", "Incomplete datagrams."),
    counter("shards/fragments/bytes", "fragments_bytes", "Payload bytes of accepted fragments."),
    counter(
        "shards/fragments/completed_bytes",
        "fragments_completed_bytes",
        "Fragment bytes in reassembled datagrams.",
    ),
    counter("shards/fragments/expired_bytes", "fragments_expired_bytes", "Fragment bytes in expired datagrams."),
    counter("shards/fragments/evicted_bytes", "fragments_evicted_bytes", "Fragment bytes in evicted datagrams."),
    counter("shards/fragments/duplicate_bytes", "fragments_duplicate_bytes", "Fragment bytes of duplicates."),
    counter(
        "shards/fragments/overlapped_bytes",
        "fragments_overlapped_bytes",
        "Fragment bytes that overlap earlier ones.",
    ),
    counter("shards/fragments/refused_bytes", "fragments_refused_bytes", "Fragment bytes of rejected fragments."),
    gauge("shards/fragments/buffered_bytes", "fragments_buffered_bytes", "Fragment bytes in incomplete datagrams."),
    // The engine.
    counter("engine/observations", "engine_observations", "Observations received from the shards."),
    gauge("engine/connections", "engine_connections", "Open connections in the engine."),
    counter("engine/ended", "engine_connections_ended", "Connections ended."),
    counter("engine/evicted", "engine_connections_evicted", "Connection records evicted before their end."),
    counter("engine/end_lost", "engine_connections_end_lost", "Connections with a dropped end event."),
    counter("engine/reloads", "engine_reloads", "Reloads of rules and labels."),
    counter("engine/alerts/{severity}", "alerts", "Alerts, by severity."),
    counter("engine/allowlisted", "alerts_allowlisted", "Matches suppressed by the allowlists."),
    left_out("engine/allowlist/others", "not monotonic: an entry may move to its own counter"),
    counter("engine/allowlist/{entry}", "allowlist_suppressed", "Matches suppressed, by allowlist entry."),
    gauge("engine/first_seen/learning_left_s", "first_seen_learning_left_seconds", "Remaining learning period."),
    gauge("engine/first_seen/values", "first_seen_values", "First-seen values in memory."),
    gauge("engine/first_seen/host_values", "first_seen_host_values", "First-seen pairs of host and value in memory."),
    gauge("engine/first_seen/bytes", "first_seen_bytes", "Bytes of first-seen values."),
    counter("engine/first_seen/evicted", "first_seen_evicted", "First-seen values evicted."),
    counter("engine/first_seen/expired", "first_seen_expired", "First-seen values expired."),
    counter(
        "engine/first_seen/persist_lost",
        "first_seen_persist_lost",
        "First-seen values evicted before they were stored.",
    ),
    counter("engine/first_seen/first", "first_seen", "Observations of a new value."),
    counter(
        "engine/first_seen/first_for_host",
        "first_seen_for_host",
        "Observations of a value that is new for a host.",
    ),
    gauge("engine/profiles/keys", "profile_keys", "Keys of behaviour profiles."),
    gauge("engine/profiles/values", "profile_values", "Values of behaviour profiles."),
    counter("engine/profiles/evicted_keys", "profile_keys_evicted", "Profile keys evicted."),
    counter("engine/profiles/evicted_values", "profile_values_evicted", "Profile values evicted."),
    counter("engine/profiles/refused", "profile_refused", "Profile rows rejected because of too many sources."),
    counter("engine/profiles/persist_lost", "profile_persist_lost", "Profile rows evicted before they were stored."),
    counter("engine/profiles/unusual", "profile_unusual", "Unusual pairs."),
    counter("engine/builtin/fired/{rule}", "builtin_fired", "Firings of a built-in rule, before its cooldown."),
    counter("engine/builtin/evicted/{rule}", "builtin_evicted", "Entries of a built-in rule evicted."),
    // Threshold rules: each rule, then the sum, which includes rules removed by a reload.
    counter("engine/rules/by_rule/{rule}/matched", "rule_matched", "Events that match a rule."),
    counter("engine/rules/by_rule/{rule}/ungrouped", "rule_ungrouped", "Matches without a value to group by."),
    counter("engine/rules/by_rule/{rule}/allowlisted", "rule_allowlisted", "Matches suppressed by an allowlist."),
    counter("engine/rules/by_rule/{rule}/late", "rule_late", "Matches too late for their window."),
    counter(
        "engine/rules/by_rule/{rule}/restarted",
        "rule_restarted",
        "Groups of a rule reset because the clock went back.",
    ),
    counter("engine/rules/by_rule/{rule}/fired", "rule_fired", "Alerts of a rule."),
    counter(
        "engine/rules/by_rule/{rule}/suppressed",
        "rule_suppressed",
        "Firings of a rule suppressed by its cooldown.",
    ),
    counter("engine/rules/by_rule/{rule}/evicted", "rule_evicted", "Groups of a rule evicted."),
    gauge("engine/rules/by_rule/{rule}/groups", "rule_groups", "Groups of a rule."),
    gauge("engine/rules/by_rule/{rule}/bytes", "rule_bytes", "Bytes of the groups of a rule."),
    gauge("engine/rules/rules", "rules", "Active threshold rules."),
    counter("engine/rules/matched", "rules_matched", "Events that match a rule, over all rules."),
    counter("engine/rules/ungrouped", "rules_ungrouped", "Matches without a value to group by."),
    counter("engine/rules/allowlisted", "rules_allowlisted", "Matches suppressed by an allowlist."),
    counter("engine/rules/late", "rules_late", "Matches too late for their window."),
    counter("engine/rules/restarted", "rules_restarted", "Groups of all rules reset because the clock went back."),
    counter("engine/rules/fired", "rules_fired", "Alerts of all rules."),
    counter("engine/rules/suppressed", "rules_suppressed", "Firings of all rules suppressed by a cooldown."),
    counter("engine/rules/evicted", "rules_evicted", "Groups of all rules evicted."),
    gauge("engine/rules/groups", "rules_groups", "Groups of all rules."),
    gauge("engine/rules/bytes", "rules_bytes", "Bytes of the groups of all rules."),
    gauge("engine/cooldowns/groups", "cooldown_groups", "Groups of built-in rules in a cooldown."),
    counter("engine/cooldowns/evicted", "cooldown_evicted", "Cooldown groups evicted."),
    counter("engine/cooldowns/suppressed", "cooldown_suppressed", "Firings suppressed by a cooldown."),
    counter("engine/cooldowns/unnamed", "cooldown_unnamed", "Suppressed firings that no alert reports."),
    counter("engine/remote/cached", "remote_cached", "Remote lookups served from the cache."),
    counter("engine/remote/joined", "remote_joined", "Remote lookups of a value with a pending request."),
    counter("engine/remote/requested", "remote_requested", "Remote lookups that need a request."),
    counter("engine/remote/dropped", "remote_dropped", "Requests dropped because the queue was full."),
    counter("engine/remote/queued", "remote_queued", "Requests enqueued."),
    counter("engine/remote/hits", "remote_hits", "Requests with a label in the response."),
    counter("engine/remote/misses", "remote_misses", "Requests without a label in the response."),
    counter("engine/remote/failed", "remote_failed", "Requests that failed."),
    counter("engine/remote/refused", "remote_refused", "Requests rejected because the circuit breaker was open."),
    counter("engine/remote/breaker_opened", "remote_breaker_opened", "Times the circuit breaker opened."),
    gauge("engine/remote/breaker_open", "remote_breaker_open", "Whether the circuit breaker is open."),
    counter("engine/remote/unsupported", "remote_unsupported", "Values that remote lookup does not support."),
    counter("engine/remote/evicted", "remote_evicted", "Cache entries evicted."),
    // The outputs.
    counter("output/lines_dropped", "output_lines_dropped", "Lines dropped because a queue was full."),
    counter(
        "output/observations_dropped",
        "output_observations_dropped",
        "Observations dropped because the engine's queue was full.",
    ),
    counter("sinks/{sink}/offered", "sink_offered", "Alerts offered to a sink."),
    counter(
        "sinks/{sink}/{outcome:below_severity|queue_full|rate_limited|sent|failed|abandoned}",
        "sink_alerts",
        "Alerts of a sink, by outcome.",
    ),
    gauge("sinks/{sink}/waiting", "sink_waiting", "Alerts queued or in delivery, by sink."),
    counter("sinks/{sink}/retries", "sink_retries", "Delivery retries of a sink."),
    gauge("sinks/{sink}/failing", "sink_failing", "Whether the last delivery of a sink failed."),
    left_out("sinks/{sink}/error", "a text"),
    counter(
        "storage/{table:connections|fingerprints|alerts|knowledge}",
        "storage_rows_written",
        "Rows written to the database.",
    ),
    counter("storage/expired_connections", "storage_connections_expired", "Connections deleted by retention."),
    counter("storage/expired_fingerprints", "storage_fingerprints_expired", "Fingerprints deleted by retention."),
    counter("storage/expired_alerts", "storage_alerts_expired", "Alerts deleted by retention."),
    counter("storage/commits", "storage_commits", "Transactions committed."),
    counter("storage/flush_failures", "storage_flush_failures", "Failed transactions, including retries."),
    counter("storage/rows_lost", "storage_rows_lost", "Rows lost because the database could not be written."),
    counter("storage/rows_dropped", "storage_rows_dropped", "Rows dropped because the queue was full."),
    counter("storage/file_replaced", "storage_file_replaced", "Times the open database file was deleted or replaced."),
    gauge("storage/queued", "storage_queued_batches", "Batches in the queue of the writer."),
    gauge("storage/failing", "storage_failing", "Whether the last transaction failed."),
    left_out("storage/error", "a text"),
    gauge("attach/readers", "attach_readers", "Attached readers."),
    counter("attach/attached", "attach_readers_attached", "Readers attached since the start."),
    counter("attach/refused", "attach_readers_refused", "Readers rejected."),
    counter("attach/lost", "attach_lines_lost", "Lines dropped for slow readers."),
    gauge("http/open", "http_connections", "Open HTTP connections."),
    counter("http/accepted", "http_connections_accepted", "HTTP connections accepted."),
    counter("http/evicted", "http_connections_evicted", "Slow HTTP connections evicted for new ones."),
    counter("http/timed_out", "http_connections_timed_out", "HTTP connections closed by a time limit."),
    counter("http/broken", "http_connections_broken", "HTTP connections that failed or did not carry HTTP."),
    counter("http/answered/{code}", "http_answers", "HTTP responses, by status code."),
];
