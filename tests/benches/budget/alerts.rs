//! Alerts per second through each sink, to real receivers: files, an HTTP server, rsyslog.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use ja4_user::config::Config;
use ja4_user::encode::EncodeContext;
use ja4_user::model::{Alert, Method, Severity, Time};
use ja4_user::output::alert::{AlertLine, AlertSinks, check_sinks};
use serde_json::{Value, json};
use tests::privilege::require_tools;
use tests::process::until;
use tests::sinks::sinks_toml;

use self::certificate::Certificates;
use self::rsyslog::Rsyslog;
use self::server::{Server, status};
use crate::Scale;
use crate::figure::Figure;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/alerts/certificate.rs"]
mod certificate;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/alerts/rsyslog.rs"]
mod rsyslog;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/alerts/server.rs"]
mod server;

/// Maximum duration of a measurement. A slower sink is measured by the alerts it has sent so far, so that the row ends
/// within half a minute.
const LONGEST: Duration = Duration::from_secs(3);

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let server = Server::start(|_| status("200 OK"));
    let url = server.url("http");
    let alerts = scale.of(20_000, 500);
    let mut figures = vec![
        through("file", json!({"type": "file", "path": path("file")}), alerts)?,
        through("CEF, into a file", json!({"type": "cef", "path": path("cef")}), alerts)?,
        through("webhook, JSON", json!({"type": "webhook", "url": url}), alerts)?,
        through("webhook, Slack form", json!({"type": "webhook", "url": url, "format": "slack"}), alerts)?,
    ];
    if !require_tools(&["rsyslogd", "openssl"]) {
        figures.push(Figure::new("syslog", f64::NAN, "alerts/s").note("not measured: rsyslogd or openssl is missing"));
        return Ok(figures);
    }
    let certificates = Certificates::new();
    let (plain, tls) = (Rsyslog::start(None), Rsyslog::start(Some(&certificates)));
    for (transport, port, receiver) in [("udp", plain.udp, &plain), ("tcp", plain.tcp, &plain), ("tls", tls.tcp, &tls)]
    {
        let written = || fs::read_to_string(receiver.out()).map_or(0, |text| text.lines().count());
        let before = written();
        let mut sink = json!({
            "type": "syslog", "address": format!("127.0.0.1:{port}"), "transport": transport,
        });
        if transport == "tls" {
            extend(&mut sink, "tls", json!({"ca": certificates.path("root.pem")}));
        }
        let figure = through(&format!("syslog over {}, to rsyslog", transport.to_uppercase()), sink, alerts)?;
        // The rate over UDP is meaningful only with the number of alerts that arrived.
        let all = until(Duration::from_secs(1), || written() - before >= alerts as usize);
        let came = if all {
            "all were written there".to_owned()
        } else {
            format!("{} were written there", written() - before)
        };
        figures.push(figure.note(came));
    }
    Ok(figures)
}

fn extend(sink: &mut Value, name: &str, value: Value) {
    if let Some(sink) = sink.as_object_mut() {
        sink.insert(name.to_owned(), value);
    }
}

/// Measures alerts per second, from the first alert enqueued to the last one sent.
fn through(what: &str, mut sink: Value, alerts: u32) -> Result<Figure> {
    extend(&mut sink, "rate", json!(0));
    extend(&mut sink, "queue", json!(65_536));
    let config = Config::parse(Path::new("sinks.toml"), &sinks_toml(&json!([sink])))?;
    let checked = check_sinks(&config.alerts.sink).map_err(|errors| anyhow!("{errors:?}"))?;
    let sinks = AlertSinks::start(checked, Arc::new(EncodeContext::default()))?;
    let line = alert();
    let begun = Instant::now();
    for _ in 0..alerts {
        sinks.send(&line);
    }
    until(LONGEST, || sinks.stats().iter().all(|stats| stats.waiting == 0));
    let (sent, took) = (sinks.stats().iter().map(|stats| stats.sent).sum::<u64>(), begun.elapsed());
    let _stopped = sinks.stop(Duration::ZERO);
    ensure!(sent > 0, "{what}: nothing was sent");
    Ok(Figure::new(what, sent as f64 / took.as_secs_f64(), "alerts/s"))
}

fn alert() -> Arc<AlertLine> {
    let alert = Alert {
        time: Time(crate::sqlite::EPOCH),
        packet: None,
        rule: "known_bad".into(),
        sid: None,
        description: "a fingerprint is known to be bad".into(),
        severity: Severity::High,
        group: vec![("src_ip".into(), "10.0.0.1".into())],
        reason: "ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver".to_owned(),
        flow: None,
        interface: None,
        fingerprint: Some((Method::Ja4, "t13d190900_9dc949149365_97f8aa674fd9".into())),
        category: Some("c2".into()),
        confidence: Some(90),
        suppressed: 0,
    };
    Arc::new(AlertLine { alert, raw: None })
}
