//! Webhook sinks.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::process;

use super::certificate::Certificates;
use super::server::{Reply, Server, free_port, status};
use super::{HOSTILE, alert, start_sinks, stats_when_idle};

/// Returns a webhook configuration with short retry delays.
fn webhook(url: &str, more: Value) -> Value {
    let mut sink = json!({
        "type": "webhook", "url": url, "timeout": "500ms", "retries": 3, "retry_initial": "20ms", "retry_max_delay": "100ms",
    });
    sink.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([sink])
}

#[test]
fn an_alert_is_sent_as_signed_json() {
    let server = Server::start(|_| status("204 No Content\r\nX: y"));
    let key = "it's a key";
    let sinks = start_sinks(webhook(&server.url("http"), json!({"hmac_key": key, "headers": {"X-Team": "blue"}})));
    sinks.send(&alert(HOSTILE));
    assert_eq!(stats_when_idle(&sinks).sent, 1);
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /hook/secret-path HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-team"), Some("blue"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["event_type"], &body["sensor"]), (&json!("alert"), &json!("sensor-1")));
    assert_eq!(body["alert"]["ja4sensor"]["reason"], HOSTILE);
    assert_eq!(body["alert"]["severity"], 2);

    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", key, "-r"]);
    let digest = process::run(openssl, &request.body, Duration::from_secs(10));
    let digest = String::from_utf8(digest.stdout).unwrap();
    let digest = digest.split(' ').next().unwrap();
    assert_eq!(digest.len(), 64);
    assert_eq!(request.header("x-signature-256"), Some(&*format!("sha256={digest}")));
}

#[test]
fn slack_messages_are_sent_by_put_over_one_connection() {
    let server = Server::start(|_| status("200 OK"));
    let sinks = start_sinks(webhook(&server.url("http"), json!({"format": "slack", "method": "put"})));
    for _ in 0..3 {
        sinks.send(&alert(HOSTILE));
    }
    assert_eq!(stats_when_idle(&sinks).sent, 3);
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.connection == 0), "{requests:?}");
    assert!(requests[0].line.starts_with("PUT "));
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("known_bad") && text.contains("&lt;!channel&gt;") && !text.contains(['<', '\n']), "{text}");
}

#[test]
fn temporary_failures_are_retried() {
    for bad in [
        status("500 Internal Server Error"),
        status("503 Busy"),
        Reply::Stall(Duration::from_secs(2)),
        Reply::Close(Vec::new()),
        Reply::Close(b"HTTP/1.1 200".to_vec()),
        Reply::Close(b"\x16\x03\x01\0garbage\r\n\r\n".to_vec()),
        Reply::Forever(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec()),
    ] {
        let reply = bad.clone();
        let server = Server::start(move |number| if number < 2 { reply.clone() } else { status("200 OK") });
        let sinks = start_sinks(webhook(&server.url("http"), json!({})));
        sinks.send(&alert("x"));
        let stats = stats_when_idle(&sinks);
        assert_eq!((stats.sent, stats.retries, stats.failed), (1, 2, 0), "{bad:?}: {stats:?}");
        assert_eq!(stats.last_error, None);
        let requests = server.requests();
        assert!(requests.iter().all(|request| request.body == requests[0].body));
    }
}

#[test]
fn a_success_status_counts_even_if_the_body_never_ends() {
    let server =
        Server::start(|_| Reply::Forever(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nxxxxxxxx".to_vec()));
    let sinks = start_sinks(webhook(&server.url("http"), json!({})));
    sinks.send(&alert("x"));
    sinks.send(&alert("x"));
    assert_eq!(stats_when_idle(&sinks).sent, 2);
}

#[test]
fn client_errors_are_not_retried_and_redirects_are_not_followed() {
    let other = Server::start(|_| status("200 OK"));
    let elsewhere = format!("302 Found\r\nLocation: {}", other.url("http"));
    for refusal in ["400 Bad Request", "404 Not Found", "410 Gone", &elsewhere] {
        let answer = refusal.to_owned();
        let server = Server::start(move |_| status(&answer));
        let sinks = start_sinks(webhook(&server.url("http"), json!({})));
        sinks.send(&alert("x"));
        let stats = stats_when_idle(&sinks);
        assert_eq!((stats.failed, stats.retries, server.requests().len()), (1, 0, 1), "{refusal}: {stats:?}");
        let error = stats.last_error.unwrap();
        assert_eq!(error, format!("127.0.0.1: HTTP status {}", &refusal[..3]));
    }
    assert!(other.requests().is_empty());
}

#[test]
fn retry_after_is_honoured_up_to_a_limit() {
    let server = Server::start(|number| match number {
        0 => status("429 Too Many Requests\r\nRetry-After: 1"),
        1 => status("200 OK"),
        _ => status("503 Later\r\nRetry-After: 86400"),
    });
    let sinks = start_sinks(webhook(&server.url("http"), json!({})));
    sinks.send(&alert("x"));
    assert_eq!(stats_when_idle(&sinks).sent, 1);
    let requests = server.requests();
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
    // An alert is not held for a day.
    let before = Instant::now();
    sinks.send(&alert("x"));
    assert_eq!(stats_when_idle(&sinks).failed, 1);
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[test]
fn retries_are_limited_by_count_and_deadline() {
    let sinks = start_sinks(webhook(&format!("http://127.0.0.1:{}/", free_port()), json!({})));
    sinks.send(&alert("x"));
    let stats = stats_when_idle(&sinks);
    assert_eq!((stats.failed, stats.retries), (1, 3));
    assert!(stats.last_error.unwrap().contains("127.0.0.1: "));
    let sinks = start_sinks(webhook("http://127.0.0.1:1/", json!({"retries": 100, "retry_deadline": "300ms"})));
    let before = Instant::now();
    sinks.send(&alert("x"));
    assert_eq!(stats_when_idle(&sinks).failed, 1);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

#[test]
fn https_trusts_no_certificates_but_the_systems_and_the_configured_ones() {
    let certificates = Certificates::new();
    let server = Server::tls(&certificates, |_| status("200 OK"));
    let sinks = start_sinks(webhook(&server.url("https"), json!({"tls": {"ca": certificates.path("root.pem")}})));
    sinks.send(&alert("x"));
    assert_eq!(stats_when_idle(&sinks).sent, 1, "{:?}", sinks.stats());

    let other = Certificates::new();
    for more in [json!({}), json!({"tls": {"ca": other.path("root.pem")}})] {
        let sinks = start_sinks(webhook(&server.url("https"), more));
        sinks.send(&alert("x"));
        let stats = stats_when_idle(&sinks);
        assert_eq!((stats.sent, stats.failed), (0, 1));
        let error = stats.last_error.unwrap();
        assert!(error.contains("certificate") && !error.contains("secret-path"), "{error}");
    }
    assert_eq!(server.requests().len(), 1);
}
