//! Alerts per second through each sink, by hand:
//! `cargo test -p tests --test alerts speed -- --ignored --nocapture`.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use tests::process::until;

use super::certificate::Certificates;
use super::server::{Server, status};
use super::{SOON, alert, start};

const ALERTS: u64 = 20_000;

#[test]
#[ignore = "a figure, not a check"]
fn alerts_per_second() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new();
    let drain = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = drain.local_addr().unwrap();
    thread::spawn(move || {
        for stream in drain.incoming() {
            thread::spawn(move || std::io::copy(&mut stream.unwrap(), &mut std::io::sink()));
        }
    });
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (http, https) = (Server::start(|_| status("200 OK")), Server::tls(&certificates, |_| status("200 OK")));
    let root = certificates.path("root.pem");
    measure("file", json!({"kind": "file", "path": folder.path().join("file")}));
    measure("cef file", json!({"kind": "cef", "path": folder.path().join("cef")}));
    measure("syslog udp", json!({"kind": "syslog", "address": udp.local_addr().unwrap()}));
    measure("syslog tcp", json!({"kind": "syslog", "address": tcp, "transport": "tcp"}));
    measure("webhook", json!({"kind": "webhook", "url": http.url("http")}));
    measure("webhook signed", json!({"kind": "webhook", "url": http.url("http"), "hmac_key": "key"}));
    measure("webhook https", json!({"kind": "webhook", "url": https.url("https"), "ca_file": root}));
}

fn measure(name: &str, mut sink: Value) {
    sink.as_object_mut().unwrap().extend([("rate".to_owned(), json!(0)), ("queue".to_owned(), json!(65_536))]);
    let sinks = start(json!([sink]));
    let line = alert("ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver");
    let before = Instant::now();
    for _ in 0..ALERTS {
        sinks.send(&Arc::clone(&line));
    }
    let sending = before.elapsed();
    assert!(until(SOON * 10, || sinks.stats()[0].waiting == 0));
    let took = before.elapsed();
    let stats = &sinks.stats()[0];
    let rate = stats.sent as f64 / took.as_secs_f64();
    let per_send = sending.as_nanos() / u128::from(ALERTS);
    eprintln!("{name:16} {rate:10.0} alerts/s, send {per_send} ns, failed {}", stats.failed);
}
