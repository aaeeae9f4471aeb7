use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ja4_common::counter::FilterCounters;

use super::family::PREFIX;
use super::*;
use crate::api::HttpStats;
use crate::capture::attachment_set::AttachmentStats;
use crate::detect::rules::{RuleEngineStats, RuleStats};
use crate::enrich::remote::RemoteStats;
use crate::model::CounterSet;
use crate::output::alert::SinkStats;
use crate::output::attach::AttachStats;
use crate::output::files::EventFileStats;
use crate::output::packet_file::PacketFileStats;
use crate::output::storage::WriterStatus;
use crate::runtime::drops::add_drops;
use crate::runtime::engine::stats::{AllowlistStats, EngineStats};
use crate::runtime::run_state::{OutputStats, RingStats};
use crate::runtime::sensor_stats::{self, InterfaceModes, SensorStats, ShardTotals};
use crate::shard::{FilterStats, ShardStats};

fn table() -> MetricTable {
    MetricTable::new(sensor_stats::declarations())
}

fn text(stats: &CounterGroup) -> String {
    table().text(stats)
}

/// A stats event with all optional parts.
fn everything() -> CounterGroup {
    let hook = FilterCounters { seen: 7, ..FilterCounters::default() };
    let mut shards = ShardStats::default();
    shards.protocol.malformed.0.iter_mut().flatten().for_each(|count| *count = 1);
    let engine = EngineStats {
        remote: Some(RemoteStats::default()),
        rules: RuleEngineStats {
            by_rule: vec![("port_scan".into(), RuleStats { fired: 3, ..RuleStats::default() })],
            ..RuleEngineStats::default()
        },
        allowlist: Some(AllowlistStats(vec![("ja4 t13d* for port_scan".into(), 2), ("others".into(), 1)])),
        ..EngineStats::default()
    };
    let mut modes = CounterGroup::default();
    modes.text("ingress", "xdp generic").text("reason", "a \"b\" \\ c\nd").text("egress", "tcx");
    let mut interfaces = CounterGroup::default();
    interfaces.group("eth0", modes);
    let error = Some("refused".to_owned());
    let mut sinks = CounterGroup::default();
    sinks.group("siem", SinkStats { last_error: error.clone(), sent: 5, ..SinkStats::default() }.group());
    let mut files = CounterGroup::default();
    files.group("events.json", EventFileStats { last_error: error.clone(), ..EventFileStats::default() }.group());
    let mut stats = SensorStats {
        uptime_ms: 61_007,
        kernel: FilterStats { total: FilterCounters::default(), hooks: Some([hook; 2]) },
        shards: ShardTotals {
            shards,
            rings: Some(RingStats { bad_record_version: 0, lag_us: 1_500_020, queued_bytes: 0 }),
        },
        engine: Arc::new(engine),
        output: Some(OutputStats::default()),
        interfaces: Some(InterfaceModes(interfaces)),
        attachments: Some(AttachmentStats::default()),
        http: Some(HttpStats::default()),
    }
    .group();
    stats
        .group("storage", WriterStatus { failing: true, last_error: error, ..WriterStatus::default() }.group())
        .group("sinks", sinks)
        .group("files", files)
        .group("pcap", PacketFileStats::default().group())
        .group("attach", AttachStats::default().group());
    add_drops(&mut stats);
    stats
}

/// Metrics by name: type, and samples by labels.
type Metrics = HashMap<String, (String, HashMap<Vec<(String, String)>, f64>)>;

/// Parses the exposition format strictly: every family has a help and a type line, is contiguous, and has samples without
/// duplicates.
fn read(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut helped: Option<&str> = None;
    let mut current: Option<String> = None;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') || help.ends_with("a bug."), "{line}");
            helped = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take(), Some(name), "{line}");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            let old = metrics.insert(name.to_owned(), (kind.to_owned(), HashMap::new()));
            assert!(old.is_none(), "twice: {line}");
            current = Some(name.to_owned());
        } else {
            let (name, labels, value) = sample(line);
            assert_eq!(Some(&name), current.as_ref(), "{line}");
            let samples = &mut metrics.get_mut(&name).unwrap().1;
            assert!(samples.insert(labels, value).is_none(), "twice: {line}");
        }
    }
    for (name, (_, samples)) in &metrics {
        assert!(!samples.is_empty(), "{name}");
        let rest = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix("process_"));
        assert!(rest.is_some_and(is_name), "{name}");
    }
    metrics
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_')
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let name = line[..end].to_owned();
    let mut rest = &line[end..];
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().unwrap() {
                    (end, '"') => break end,
                    (_, '\\') => value.push(match characters.next().unwrap().1 {
                        'n' => '\n',
                        plain @ ('\\' | '"') => plain,
                        other => panic!("\\{other} in {line}"),
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            assert!(labels.iter().all(|(other, _)| other != label), "{line}");
            labels.push((label.to_owned(), value));
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    (name, labels, rest.strip_prefix(' ').unwrap().parse().unwrap())
}

/// Returns the value of a metric with these labels.
fn value(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    metrics.get(name)?.1.get(&labels).copied()
}

/// The paths of all leaves.
fn leaves(CounterGroup(entries): &CounterGroup, at: &str, out: &mut Vec<String>) {
    for (name, value) in entries {
        let path = if at.is_empty() { name.to_string() } else { format!("{at}/{name}") };
        match value {
            CounterValue::Group(group) => leaves(group, &path, out),
            CounterValue::Count(_) | CounterValue::Text(_) => out.push(path),
        }
    }
}

/// Whether a row of the table matches a leaf.
fn is_covered(path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    table().0.iter().any(|family| {
        let fits = names.iter().enumerate().all(|(depth, name)| match family.segment(depth) {
            Some(PathSegment::Texts) => true,
            segment => segment.is_some_and(|segment| segment.fits(name)),
        });
        fits && family.segment(names.len()).is_none()
    })
}

#[test]
fn every_number_of_the_stats_event_has_a_metric() {
    let mut all = Vec::new();
    leaves(&everything(), "", &mut all);
    assert!(all.len() > 300, "{}", all.len());
    let forgotten: Vec<_> = all.into_iter().filter(|path| !is_covered(path)).collect();
    assert!(forgotten.is_empty(), "no declaration of {forgotten:#?}");
    assert_eq!(value(&read(&text(&everything())), "ja4sensor_stats_without_metric", &[]), Some(0.0));
}

#[test]
fn every_row_of_the_table_has_a_number() {
    let metrics = read(&text(&everything()));
    let table = table();
    let names: HashSet<_> =
        table.0.iter().filter(|family| family.kind() != CounterKind::LeftOut).map(MetricFamily::full_name).collect();
    for name in &names {
        assert!(metrics.contains_key(name), "{name}: no number of the stats event matches");
    }
    let of_process = metrics.keys().filter(|name| name.starts_with("process_")).count();
    assert_eq!((metrics.len(), of_process), (names.len() + 2 + of_process, 7));
}

#[test]
fn numbers_without_a_metric_are_counted() {
    let mut inner = CounterGroup::default();
    inner.count("new", 1).text("word", "w");
    let mut stats = everything();
    stats.count("another", 1).group("engine", inner);
    assert_eq!(value(&read(&text(&stats)), "ja4sensor_stats_without_metric", &[]), Some(3.0));
}

#[test]
fn names_labels_and_units() {
    let metrics = read(&text(&everything()));
    let read_value = |name, labels: &[_]| value(&metrics, name, labels);
    assert_eq!(read_value("ja4sensor_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(read_value("ja4sensor_uptime_seconds", &[]), Some(61.007));
    assert_eq!(read_value("ja4sensor_shard_lag_seconds", &[]), Some(1.50002));
    assert_eq!(read_value("ja4sensor_kernel_seen_total", &[("direction", "egress")]), Some(7.0));
    let unselected =
        read_value("ja4sensor_kernel_unselected_total", &[("direction", "ingress"), ("reason", "untracked")]);
    assert_eq!(unselected, Some(0.0));
    assert_eq!(read_value("ja4sensor_rule_fired_total", &[("rule", "port_scan")]), Some(3.0));
    assert_eq!(read_value("ja4sensor_builtin_fired_total", &[("rule", "beacon")]), Some(0.0));
    assert_eq!(read_value("ja4sensor_sink_alerts_total", &[("sink", "siem"), ("outcome", "sent")]), Some(5.0));
    assert_eq!(read_value("ja4sensor_sink_failing", &[("sink", "siem")]), Some(1.0));
    let modes = [("interface", "eth0"), ("ingress", "xdp generic"), ("reason", "a \"b\" \\ c\nd"), ("egress", "tcx")];
    assert_eq!(read_value("ja4sensor_interface_info", &modes), Some(1.0));
}

#[test]
fn the_reference_has_every_row_with_its_metric_and_unit() {
    let table = table();
    let rows = table.reference();
    assert_eq!(rows.len(), table.0.len());
    let row = |path: &str| rows.iter().find(|row| row.path == path).unwrap();
    let uptime = row("uptime_ms");
    assert_eq!(uptime.metric.as_deref(), Some("ja4sensor_uptime_seconds"));
    assert_eq!((uptime.is_counter, uptime.unit), (false, Some("milliseconds")));
    let seen = row("kernel.{direction:ingress|egress}.seen");
    assert_eq!((seen.metric.as_deref(), seen.is_counter), (Some("ja4sensor_kernel_seen_total"), true));
    assert_eq!(row("shards.buffered_bytes").unit, Some("bytes"));
    assert_eq!(row("storage.error").metric, None);
}
