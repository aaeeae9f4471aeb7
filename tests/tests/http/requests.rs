//! Responses of each API path.

use std::collections::BTreeSet;
use std::thread;

use super::*;

#[test]
fn open_connections_are_listed() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let open = served.open(5);
    let list = served.wait_connections(5);
    let connections = list["connections"].as_array().unwrap();
    let listed: BTreeSet<_> = connections.iter().map(|connection| connection["src_port"].as_u64().unwrap()).collect();
    let opened: BTreeSet<_> = open.iter().map(|(client, _)| u64::from(client.local_addr().unwrap().port())).collect();
    assert_eq!(listed, opened, "{list:#}");
    for connection in connections {
        assert_eq!(connection["event_type"], "connection", "{connection}");
        assert_eq!(connection["src_ip"], served.wire.client().v4().to_string(), "{connection}");
        assert_eq!(connection["primary"]["type"], "ja4t", "{connection}");
    }
    let count_of = |host: &str| {
        let list = served.json(&format!("/api/v1/connections?host={host}&limit=3"));
        list["connections"].as_array().unwrap().len()
    };
    let client = served.wire.client().v4().to_string();
    assert_eq!((count_of(&client), count_of("192.0.2.1"), count_of("fd00::1")), (3, 0, 0));
    drop(open);
    served.sensor.stop().ok();
}

#[test]
fn bytes_of_an_open_connection_are_counted_during_the_transfer() {
    const SENT: u64 = 1 << 20;
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let mut open = served.open(1);
    served.wait_connections(1);
    let (client, server) = &mut open[0];
    thread::scope(|scope| {
        scope.spawn(|| client.write_all(&vec![0; SENT as usize]).unwrap());
        server.read_exact(&mut vec![0; SENT as usize]).unwrap();
    });
    let mut counters = Value::Null;
    let complete = until(SOON, || {
        counters = served.json("/api/v1/connections")["connections"][0]["connection"].clone();
        counters["bytes_toserver"].as_u64().unwrap() > SENT
    });
    assert!(complete && counters["state"] == "open", "{counters:#}");
    assert!(counters["pkts_toclient"].as_u64().unwrap() > 0, "{counters:#}");
    served.sensor.stop().ok();
}

#[test]
fn alerts_rules_and_first_seen_agree_with_the_stats() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let _open = served.open(2);
    served.wait_connections(2);
    // The engine publishes its counters once a second, and new events may arrive in between.
    let (mut stats, mut first_seen, mut alerts) = (Value::Null, Value::Null, Value::Null);
    let agreed = until(SOON, || {
        stats = served.json("/api/v1/stats");
        alerts = served.json("/api/v1/alerts?limit=1000");
        first_seen = served.json("/api/v1/first-seen");
        let counted = stats["stats"]["engine"]["alerts"].as_object().unwrap();
        let counted: u64 = counted.values().map(|count| count.as_u64().unwrap()).sum();
        stats_u64(&stats, &["engine", "first_seen", "values"]) > 0
            && first_seen["first_seen"] == stats["stats"]["engine"]["first_seen"]
            && alerts["alerts"].as_array().unwrap().len() as u64 == counted
    });
    assert!(agreed, "{stats:#}\n{first_seen:#}\n{alerts:#}");
    assert_eq!(first_seen["learning"], stats_u64(&stats, &["engine", "first_seen", "learning_left_s"]) > 0);
    let alerts = alerts["alerts"].as_array().unwrap();
    assert!(alerts.iter().all(|alert| alert["event_type"] == "alert"), "{alerts:#?}");

    let rules = served.json("/api/v1/rules");
    let rules = rules["rules"].as_array().unwrap();
    let of_kind = |kind: &str| rules.iter().filter(|rule| rule["kind"] == kind).count() as u64;
    assert_eq!((of_kind("builtin"), of_kind("profile")), (8, 1), "{rules:#?}");
    assert_eq!(of_kind("threshold"), stats_u64(&stats, &["engine", "rules", "rules"]));
    for rule in rules {
        assert!(rule["rule"].is_string() && rule["severity"].is_string() && rule["description"].is_string(), "{rule}");
        assert!(rule["fired"].is_u64() || rule["unusual"].is_u64(), "{rule}");
    }
    served.sensor.stop().ok();
}

#[test]
fn curl_accepts_the_responses_of_a_healthy_sensor() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let url = |path: &str| format!("http://{}{path}", served.address);
    let curl = |options: &[&str], path: &str| {
        let mut argv = vec!["curl", "-sS", "--max-time", "10"];
        let url = url(path);
        argv.extend(options);
        argv.push(&url);
        served.host().run(&argv).ok().stdout().to_owned()
    };
    assert_eq!(curl(&["--fail"], "/healthz"), "{\"status\":\"ok\"}\n");
    assert!(curl(&["--head"], "/metrics").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(curl(&["--http1.0", "--fail"], "/metrics").contains("ja4sensor_build_info"));
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let rejected = ["-o", "/dev/null", "-w", "%{http_code}", "-H", &authorization, "-d", "x=1"];
    assert_eq!(curl(&rejected, "/api/v1/rules"), "405");
    assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}"], "/nothing"), "404");
    // Two consecutive requests, each on a connection of its own.
    let twice = served.host().run(&["curl", "-sS", "--fail", &url("/healthz"), &url("/healthz")]).ok();
    assert_eq!(twice.stdout().matches("ok").count(), 2);
    assert!(!curl(&["-i", "-H", "Origin: http://evil.example"], "/healthz").to_lowercase().contains("access-control"));
    served.sensor.stop().ok();
}

#[test]
fn an_invalid_request_gets_one_error() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    for (method, path, status, error) in [
        ("GET", "/api/v1/connections?limit=many", 400, "invalid limit 'many'; expected 1 to 1000"),
        ("GET", "/api/v1/connections?host=a.b", 400, "invalid host 'a.b'; expected an IPv4 or IPv6 address"),
        ("GET", "/api/v1/alerts?since=1", 400, "unknown parameter 'since'; expected limit"),
        ("GET", "/api/v2/alerts", 404, "unknown path '/api/v2/alerts'"),
        ("PUT", "/api/v1/rules", 405, "method PUT not allowed; use GET or HEAD"),
    ] {
        let response = served.request(method, path);
        assert_eq!(response.status, status, "{response:?}");
        assert!(response.json()["error"].as_str().unwrap().starts_with(error), "{response:?}");
    }
    served.sensor.stop().ok();
}
