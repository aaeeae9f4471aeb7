//! `/metrics`, read by a Prometheus parser.

use std::process::Command;

use tests::{Outcome, optional_python, process, scenes};

use super::*;

/// Python program that parses metrics from standard input with Prometheus' own client and prints each sample.
const PARSE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type in ('counter', 'gauge'), family
    for sample in family.samples:
        print(json.dumps([sample.name, sample.labels, sample.value]))
";

#[test]
fn every_number_of_the_stats_event_is_a_metric() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    scenes::tls(&served.wire);
    // The engine publishes its counters once a second.
    let mut before = Value::Null;
    let published = until(SOON, || {
        before = served.json("/api/v1/stats");
        stats_u64(&before, &["engine", "observations"]) > 0
    });
    assert!(published, "{before:#}");
    let response = served.request("GET", "/metrics");
    assert_eq!(response.status, 200);
    assert!(
        response.head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{}",
        response.head
    );
    assert!(response.body.contains("\nja4sensor_stats_without_metric 0\n"), "{}", response.body);
    let value = |name: &str| {
        let sum = response.body.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        });
        sum.sum::<f64>()
    };
    for (metric, path) in [
        ("ja4sensor_kernel_seen_total", &["kernel", "seen"][..]),
        ("ja4sensor_kernel_unselected_total", &["kernel", "unselected"]),
        ("ja4sensor_kernel_emitted_total", &["kernel", "emitted"]),
        ("ja4sensor_shard_connections_opened_total", &["shards", "opened"]),
        ("ja4sensor_engine_observations_total", &["engine", "observations"]),
    ] {
        let counted = stats_u64(&before, path);
        assert!(value(metric) >= counted as f64 && counted > 0, "{metric}: {} and {counted}", value(metric));
    }
    let interface = format!("ja4sensor_interface_info{{interface=\"{}\",ingress=\"", served.host().interface());
    assert!(response.body.contains(&interface), "{}", response.body);
    served.sensor.stop().ok();
}

#[test]
fn prometheus_parses_the_metrics() {
    let Some(_exclusive) = exclusive() else { return };
    let Some(python) = optional_python("prometheus_client") else { return };
    let served = HttpSensor::start();
    let _open = served.open(3);
    served.wait_connections(3);
    let text = served.request("GET", "/metrics").body;
    let mut command = Command::new(python);
    command.args(["-c", PARSE]);
    let parsed = Outcome::new(process::run(command, text.as_bytes(), process::LIMIT)).ok();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(parsed.stdout().lines().count(), samples, "{text}");
    parsed
        .stdout_has(r#"["ja4sensor_kernel_seen_total", {"direction": "ingress"}, "#)
        .stdout_has(r#"["ja4sensor_uptime_seconds", {}, "#);
    served.sensor.stop().ok();
}
