//! Syslog sinks, with rsyslog as the receiver.

use std::net::UdpSocket;

use serde_json::{Value, json};
use tests::process::until;
use tests::require_tools;

use super::certificate::Certificates;
use super::rsyslog::Rsyslog;
use super::{HOSTILE, SOON, alert, start_sinks, stats_when_idle};

fn sink(transport: &str, port: u16, more: Value) -> Value {
    let mut sink = json!({
        "type": "syslog", "address": format!("127.0.0.1:{port}"), "transport": transport, "rate": 0,
        "retries": 100, "retry_initial": "50ms", "retry_max_delay": "400ms",
    });
    sink.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([sink])
}

#[test]
fn rsyslog_reads_every_field_over_udp_tcp_and_tls() {
    if !require_tools(&["rsyslogd", "openssl"]) {
        return;
    }
    let certificates = Certificates::new();
    let trusted = json!({"tls": {"ca": certificates.path("root.pem")}});
    let named = json!({"tls": {"ca": certificates.path("root.pem")}, "server_name": "logs.example"});
    let (plain, tls) = (Rsyslog::start(None), Rsyslog::start(Some(&certificates)));
    let mut received = [0, 0];
    for (rsyslog, transport, port, more) in [
        (&plain, "udp", plain.udp, json!({})),
        (&plain, "tcp", plain.tcp, json!({"facility": "authpriv"})),
        (&tls, "tls", tls.tcp, trusted),
        (&tls, "tls", tls.tcp, named),
    ] {
        let sinks = start_sinks(sink(transport, port, more));
        sinks.send(&alert(HOSTILE));
        sinks.send(&alert("second"));
        assert_eq!(stats_when_idle(&sinks).sent, 2, "{transport}: {:?}", sinks.stats());
        let count = &mut received[usize::from(transport == "tls")];
        *count += 2;
        let lines = rsyslog.lines(*count);
        for (line, reason) in lines[*count - 2..].iter().zip(["x\\\" rule=\\\"forged\\\"\\] <165>1", "second"]) {
            let priority = if transport == "tcp" { "83" } else { "131" };
            assert_eq!(line[0], priority);
            assert!(line[1].starts_with("2026-11-23T07:00:00.123456"), "{line:?}");
            assert_eq!(line[2..5], ["sensor-1", "ja4sensor", "known_bad"]);
            assert!(line[5].starts_with("[ja4sensor@32473 rule=\"known_bad\" severity=\"high\" "), "{line:?}");
            assert!(line[5].contains(&format!(" reason=\"{reason}")), "{line:?}");
            assert!(line[6].trim_start().starts_with("high known_bad: "), "{line:?}");
            assert_eq!(line.len(), 7);
        }
    }
}

/// Sending to a port without a listener succeeds: the ICMP error arrives later.
#[test]
fn a_refused_datagram_is_sent_again() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let sinks = start_sinks(sink("udp", address.port(), json!({})));
    let first = || sinks.stats()[0].clone();
    sinks.send(&alert("first"));
    assert!(until(SOON, || first().sent == 1));
    sinks.send(&alert("second"));
    assert!(until(SOON, || first().retries >= 3), "{:?}", first());
    assert_eq!((first().sent, first().waiting), (1, 1));

    let receiver = UdpSocket::bind(address).unwrap();
    receiver.set_read_timeout(Some(SOON)).unwrap();
    let mut message = [0; 2048];
    let len = receiver.recv(&mut message).unwrap();
    assert!(String::from_utf8_lossy(&message[..len]).contains("second"));
    assert!(until(SOON, || first().sent == 2), "{:?}", first());
}

#[test]
fn only_a_syslog_sink_sends_structured_data_with_cef() {
    if !require_tools(&["rsyslogd"]) {
        return;
    }
    let rsyslog = Rsyslog::start(None);
    let address = format!("127.0.0.1:{}", rsyslog.tcp);
    let sinks = start_sinks(json!([{"type": "cef", "address": address, "transport": "tcp"}]));
    sinks.send(&alert(HOSTILE));
    stats_when_idle(&sinks);
    let of_cef_sink = rsyslog.lines(1).remove(0);
    assert_eq!(of_cef_sink[5], "-");
    assert!(of_cef_sink[6].starts_with("CEF:0|ja4sensor|ja4sensor|"), "{of_cef_sink:?}");
    let sinks = start_sinks(sink("tcp", rsyslog.tcp, json!({"message": "cef"})));
    sinks.send(&alert("x"));
    stats_when_idle(&sinks);
    let of_syslog_sink = rsyslog.lines(2).remove(1);
    assert!(
        of_syslog_sink[5].starts_with("[ja4sensor@") && of_syslog_sink[6].trim_start().starts_with("CEF:0|"),
        "{of_syslog_sink:?}"
    );
}

#[test]
fn queued_alerts_are_delivered_after_the_receiver_restarts() {
    if !require_tools(&["rsyslogd", "openssl"]) {
        return;
    }
    let certificates = Certificates::new();
    for tls in [None, Some(&certificates)] {
        let mut rsyslog = Rsyslog::start(tls);
        let (transport, more) = match tls {
            None => ("tcp", json!({})),
            Some(files) => ("tls", json!({"tls": {"ca": files.path("root.pem")}})),
        };
        let sinks = start_sinks(sink(transport, rsyslog.tcp, more));
        sinks.send(&alert("before"));
        stats_when_idle(&sinks);
        rsyslog.lines(1);
        rsyslog.stop();
        for number in 0..5 {
            sinks.send(&alert(&format!("meanwhile {number}")));
        }
        assert!(until(SOON, || sinks.stats()[0].retries > 0), "{:?}", sinks.stats());
        rsyslog.run();
        assert_eq!(stats_when_idle(&sinks).sent, 6, "{transport}: {:?}", sinks.stats());
        let lines = rsyslog.lines(6);
        assert!(lines[5][5].contains("meanwhile 4"), "{lines:?}");
    }
}

#[test]
fn an_untrusted_certificate_or_name_is_refused() {
    if !require_tools(&["rsyslogd", "openssl"]) {
        return;
    }
    let (own, other) = (Certificates::new(), Certificates::new());
    let rsyslog = Rsyslog::start(Some(&own));
    let untrusted = json!({"tls": {"ca": other.path("root.pem")}, "retries": 1});
    let wrong_name = json!({"tls": {"ca": own.path("root.pem")}, "server_name": "other.example", "retries": 1});
    for more in [json!({"retries": 1}), untrusted, wrong_name] {
        let sinks = start_sinks(sink("tls", rsyslog.tcp, more));
        sinks.send(&alert("x"));
        let stats = stats_when_idle(&sinks);
        assert_eq!((stats.sent, stats.failed), (0, 1));
        assert!(stats.last_error.unwrap().contains("certificate"), "{:?}", sinks.stats());
    }
    assert!(!rsyslog.out().exists());
}
