//! Delivery of alerts to real receivers: an HTTP server that responds, stalls, fails and sends garbage; rsyslog;
//! journald; files. Also the notifications to systemd.
mod certificate;
mod file;
mod journald;
mod live;
mod notify;
mod queues;
mod replayed;
mod rsyslog;
mod server;
mod syslog;
mod webhook;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ja4_user::config::Config;
use ja4_user::encode::EncodeContext;
use ja4_user::model::{Alert, Method, Severity, Time};
use ja4_user::output::alert::{AlertLine, AlertSinks, SinkStats, check_sinks};
use serde_json::Value;
use tests::process::until;
use tests::sinks::sinks_toml;

/// Timeout of any wait. Most operations finish within milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// Text that would inject fields or lines into one of the formats if unescaped.
const HOSTILE: &str =
    "x\" rule=\"forged\"] <165>1 - evil\nCEF:0|a|b|c|d|e|10|src=6.6.6.6 \\ | = <!channel> \u{1b}[2J\u{202e}";

/// Returns an alert with this reason.
fn alert(reason: &str) -> Arc<AlertLine> {
    let alert = Alert {
        time: Time(1_795_417_200_123_456_789),
        packet: None,
        rule: "known_bad".into(),
        sid: None,
        description: "a fingerprint is known to be bad".into(),
        severity: Severity::High,
        group: vec![("sni".into(), reason.into())],
        reason: reason.to_owned(),
        flow: None,
        interface: None,
        fingerprint: Some((Method::Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1".into())),
        category: Some("c2".into()),
        confidence: Some(90),
        suppressed: 0,
    };
    Arc::new(AlertLine { alert, raw: None })
}

/// Parses sinks as in a configuration file.
fn parse_sinks(configs: Value) -> Vec<ja4_user::output::alert::Sink> {
    let text = sinks_toml(&configs);
    let config = Config::parse(Path::new("sinks.toml"), &text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    check_sinks(&config.alerts.sink).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn start_sinks(configs: Value) -> AlertSinks {
    let context = EncodeContext { sensor: Some("sensor-1".to_owned()), ..EncodeContext::default() };
    AlertSinks::start(parse_sinks(configs), Arc::new(context)).unwrap()
}

/// Waits until no sink has waiting alerts; returns the statistics of the first sink.
fn stats_when_idle(sinks: &AlertSinks) -> SinkStats {
    assert!(until(SOON, || sinks.stats().iter().all(|stats| stats.waiting == 0)), "{:#?}", sinks.stats());
    let stats = sinks.stats();
    stats.iter().for_each(assert_balanced);
    stats.first().unwrap().clone()
}

/// Asserts that every alert is counted exactly once.
fn assert_balanced(stats: &SinkStats) {
    let SinkStats { below_severity, queue_full, rate_limited, sent, failed, abandoned, waiting, .. } = stats;
    let sum = below_severity + queue_full + rate_limited + sent + failed + abandoned + waiting;
    assert_eq!(stats.offered, sum, "{stats:#?}");
}
