//! Output of `query`, `diff`, `export` and `first-seen` for known data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use ja4_user::detect::first_seen::FirstSeenFact;
use ja4_user::detect::profile::{PairKind, ProfileRow};
use ja4_user::model::{Method, Severity, Time};
use ja4_user::output::storage::{DatabaseReader, FirstSeenRow, SeenAt, WriteOp, Writer};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tests::process::{self, until};
use tests::{Outcome, Sensor};

use crate::query_number;
use crate::samples::{
    BASE_TIME, SECOND, alert, end, ended, ended_with_names, fast_options, fingerprint, fingerprint_of,
    fingerprint_record, flow, record, run,
};

/// Longest wait for a row.
const SOON: Duration = Duration::from_secs(10);

const MINUTE: u64 = 60 * SECOND;

/// Text with special meaning in a terminal, a spreadsheet, JSON and SQL.
const HOSTILE: &str = "=cmd|'/c calc'!A0,\"\u{1b}[2J\n'; DROP TABLE connection; --";

/// Writes a database. A long connection from 07:00 to 09:30; one short connection per minute from 08:00 to 08:59, flow
/// 100+minute, every tenth to rare.example; one with a hostile name; one that is still open.
fn write_database(folder: &Path) -> PathBuf {
    let path = folder.join("history.db");
    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    let eight = BASE_TIME + 60 * MINUTE;
    let mut items = vec![fingerprint(1, "long", BASE_TIME)];
    for minute in 0..60 {
        let (flow, time) = (100 + minute, eight + minute * MINUTE);
        items.push(fingerprint(flow, "common", time));
        items.push(fingerprint(flow, &format!("own_{minute}"), time));
        let sni = if minute % 10 == 0 { "Rare.Example" } else { "www.example.org" };
        items.push(ended_with_names(record(flow, time, time + SECOND), sni, "Chromium Browser"));
    }
    items.push(alert(105, Severity::High, eight + 5 * MINUTE));
    items.push(alert(106, Severity::Low, eight + 6 * MINUTE));
    items.push(ended(1, BASE_TIME, BASE_TIME + 150 * MINUTE));
    items.push(ended_with_names(record(2, eight, eight), HOSTILE, "x"));
    items.push(fingerprint(3, "goes on", eight + 30 * MINUTE));
    // Its fingerprints arrive only with the end of the connection.
    let mut whole = record(4, eight, eight + MINUTE);
    whole.history = [
        fingerprint_record(Method::Ja4t, "65535_2-4-8-1-3_1460_7", eight),
        fingerprint_record(Method::Ja4, "late", eight + 1),
    ]
    .into();
    items.push(WriteOp::ConnectionEnd(Box::new(whole)));
    for (value, host) in [("common", None), ("common", Some("10.0.0.105".parse().unwrap())), ("own_1", None)] {
        let (first, last) = (Time(eight), Time(eight + MINUTE));
        let fact = FirstSeenFact { method: Method::Ja4, value: value.into(), host, first, last, count: 9 };
        items.push(WriteOp::FirstSeen(FirstSeenRow { fact, approved: host.is_none() }));
    }
    items.push(WriteOp::Profile(ProfileRow {
        source: "other-sensor".into(),
        pair: PairKind::HostJa4,
        key: "10.0.0.1".into(),
        value: "common".into(),
        count: 50,
        first: Time(eight),
        last: Time(eight),
    }));
    items.push(end());
    handle.send(items);
    let status = writer.finish();
    assert_eq!((status.flush_failures, status.rows_lost), (0, 0), "{status:?}");
    path
}

fn sensor(command: &[&str], database: &Path, arguments: &[&str]) -> Outcome {
    let arguments = [command, &["--db", database.to_str().unwrap()], arguments].concat();
    Sensor::new().run(&arguments)
}

fn query(database: &Path, table: &str, arguments: &[&str]) -> Vec<Value> {
    let outcome = sensor(&["query", table], database, &[&["--format", "json"], arguments].concat()).ok();
    outcome.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the flow ids of the query result, in result order.
fn flows(database: &Path, table: &str, arguments: &[&str]) -> Vec<u64> {
    query(database, table, arguments).iter().map(|row| row["flow_id"].as_u64().unwrap()).collect()
}

#[test]
fn a_query_returns_the_matching_rows() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let found = |arguments: &[&str]| flows(&path, "connections", arguments);

    assert_eq!(found(&[]).len(), 64);
    assert_eq!(found(&["--limit", "2"]), [1, 159]);
    // Windows select by overlap: the long connection and the open one match; the window's end is exclusive.
    let window = ["--since", "2026-11-23T08:10:00Z", "--until", "2026-11-23T08:12:00Z"];
    assert_eq!(found(&window), [1, 111, 110]);
    assert_eq!(found(&["--since", "2026-11-23T08:50:30Z", "--until", "2026-11-23T08:51:30+00:00"]), [1, 151, 3]);
    assert_eq!(found(&["--since", "2026-11-23T09:31:00Z"]), [3]);
    assert_eq!(found(&["--until", "2026-11-23T07:00:01Z"]), [1]);
    assert_eq!(found(&["--since", "2026-11-24"]), [3]);
    // By host, network, value, method, name, application and severity, and by combinations.
    assert_eq!(found(&["--host", "10.0.0.105"]), [105]);
    assert_eq!(found(&["--host", "10.0.0.0/29"]), [1, 3, 4, 2]);
    assert_eq!(found(&["--host", "192.0.2.1"]).len(), 64);
    assert_eq!(found(&["--host", "2001:db8::/32"]), [0; 0]);
    assert_eq!(found(&["--value", "own_7"]), [107]);
    assert_eq!(found(&["--value", "own_5*"]).len(), 11);
    assert_eq!(found(&["--value", "common"]).len(), 60);
    assert_eq!(found(&["--value", "common", "--type", "ja4s"]), [0; 0]);
    assert_eq!(found(&["--type", "ja4t"]), [4]);
    assert_eq!(found(&["--sni", "rare.example"]), [150, 140, 130, 120, 110, 100]);
    assert_eq!(found(&["--sni", "*.EXAMPLE.org", "--limit", "0"]).len(), 54);
    assert_eq!(found(&["--app", "chromium*"]).len(), 60);
    assert_eq!(found(&["--severity", "medium"]), [105]);
    assert_eq!(found(&["--severity", "low"]), [106, 105]);
    assert_eq!(found(&["--value", "common", "--sni", "rare.example", "--until", "2026-11-23T08:15:00Z"]), [110, 100]);

    assert_eq!(flows(&path, "fingerprints", &["--value", "common", "--limit", "3"]), [159, 158, 157]);
    assert_eq!(flows(&path, "fingerprints", &["--host", "10.0.0.4"]), [4, 4]);
    let window = ["--since", "2026-11-23T08:10:00Z", "--until", "2026-11-23T08:11:00Z"];
    assert_eq!(flows(&path, "fingerprints", &window), [110, 110]);
    assert_eq!(flows(&path, "fingerprints", &["--limit", "0"]).len(), 124);
    assert_eq!(flows(&path, "alerts", &[]), [106, 105]);
    assert_eq!(flows(&path, "alerts", &["--severity", "high"]), [105]);
    assert_eq!(flows(&path, "alerts", &["--sni", "www.example.org", "--until", "2026-11-23T08:05:30Z"]), [105]);

    sensor(&["query"], &path, &["--limit", "2"]).ok().stderr_has("--limit").stderr_has_one_line();
    sensor(&["query"], &path, &["--since", "-1h", "--until", "-2h"])
        .status(2)
        .stderr_has("--since")
        .stderr_has_one_line();
    sensor(&["query"], &path, &["--since", "yesterday"]).status(2).stderr_has("-2h");
    sensor(&["query"], &path, &["--host", "no-address"]).status(2).stderr_has("10.0.0.0/8");
}

#[test]
fn a_database_is_named_by_the_first_operand_or_by_an_option() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let path = path.to_str().unwrap();
    let output = |arguments: &[&str]| Sensor::new().run(arguments).ok().stdout().to_owned();
    let window = ["2026-11-23T07:00:00Z..2026-11-23T08:30:00Z", "2026-11-23T08:30:00Z..2026-11-23T09:00:00Z"];
    for (operand, option) in [
        (vec!["query", path], vec!["query", "--db", path]),
        (vec!["query", path, "alerts"], vec!["query", "alerts", "--db", path]),
        (vec!["diff", path, window[0], window[1]], vec!["diff", window[0], window[1], "--db", path]),
        (vec!["export", path, "-o", "-"], vec!["export", "--db", path, "-o", "-"]),
        (vec!["first-seen", "list", path], vec!["first-seen", "list", "--db", path]),
    ] {
        let by_operand = output(&operand);
        assert!(by_operand.lines().count() > 1, "{operand:?}: {by_operand}");
        assert_eq!(by_operand, output(&option), "{operand:?}");
    }
    let refused = |arguments: &[&str], message: &str| {
        Sensor::new().run(arguments).status(2).stderr_has(message).stderr_has_one_line();
    };
    refused(&["query"], "no database given");
    refused(&["query", path, "rows"], "'rows' for WHAT: expected connections, fingerprints or alerts");
    refused(&["query", path, "alerts", "--db", path], "both name a database");
    refused(&["diff", path, window[0]], "FILE A B");
    Sensor::new().run(&["export", "-o", "-"]).status(2).stderr_has("<FILE>");
}

#[test]
fn a_time_ago_needs_no_minus() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    sensor(&["query"], &path, &["--since", "5000d"]).status(2).stderr_has("longer than ten years");
    // The connection that is still open ends now.
    assert_eq!(flows(&path, "connections", &["--since", "10m"]), flows(&path, "connections", &["--since", "-10m"]));
    assert_eq!(flows(&path, "connections", &["--since", "3000d", "--until", "10m"]).len(), 64);
}

#[test]
fn a_row_has_all_attributes() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let [row] = &query(&path, "connections", &["--value", "own_0"])[..] else { panic!("not one row") };
    assert_eq!(row["event_type"], "connection");
    assert_eq!((&row["sensor"], &row["in_iface"]), (&"web1".into(), &"eth0".into()));
    assert_eq!((&row["src_ip"], &row["src_port"]), (&"10.0.0.100".into(), &40_000.into()));
    assert!(row["community_id"].as_str().unwrap().starts_with("1:"));
    assert_eq!(row["connection"]["start"], "2026-11-23T08:00:00.000000000Z");
    assert_eq!(row["connection"]["bytes_toclient"], 9000);
    assert_eq!(row["connection"]["state"], "fin");
    assert_eq!(row["tls"]["sni"], "Rare.Example");
    assert_eq!(row["tls"]["alpn"][0], "h2");
    assert_eq!((&row["app_proto"], &row["app"]["confidence"]), (&"tls".into(), &80.into()));
    assert_eq!((&row["hops"]["client"], &row["mss"], &row["os"]), (&3.into(), &1460.into(), &"Linux".into()));
    assert_eq!(row["latency"]["client_us"], 120);
    let [row] = &query(&path, "connections", &["--value", "late"])[..] else { panic!("not one row") };
    assert_eq!(row["primary"]["value"], "late");
    let [row] = &query(&path, "connections", &["--value", "goes on"])[..] else { panic!("not one row") };
    assert_eq!(row["connection"]["state"], "open");
    let [row] = &query(&path, "alerts", &["--severity", "high"])[..] else { panic!("not one row") };
    assert_eq!(row["alert"]["ja4sensor"]["group"]["src_ip"], "10.0.0.105");
    assert_eq!((&row["alert"]["severity"], &row["alert"]["category"]), (&2.into(), &"c2".into()));

    let runs = DatabaseReader::open(&path, None).unwrap().runs().unwrap();
    assert!(runs[0].clean && runs[0].ended.is_some());
    assert_eq!(runs[0].counters.as_deref(), Some(r#"{"seen":1}"#));
    assert_eq!(DatabaseReader::open(&path, None).unwrap().profiles().unwrap()[0].count, 50);
}

#[test]
fn rows_have_the_name_of_an_interface_that_appeared_during_the_run() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let run = run();
    let (handle, writer) = Writer::start(&path, fast_options(), &run).unwrap();
    let store = |number, value: &str| {
        let interface = run.interfaces.index_of(value);
        let at = SeenAt { time: Time(BASE_TIME), packet: None, count: 1 };
        let seen = fingerprint_record(Method::Ja4, value, BASE_TIME);
        handle.send(vec![WriteOp::Fingerprint { flow: flow(number), interface, seen, at }]);
        handle.wait_written();
    };
    for (number, name) in [(1, "eth0"), (2, "veth7"), (3, "eth0"), (4, "veth8")] {
        store(number, name);
        // Queries find the name while the run goes on.
        let rows = query(&path, "connections", &["--value", name]);
        assert!(!rows.is_empty() && rows.iter().all(|row| row["in_iface"] == name), "{rows:#?}");
    }
    let _status = writer.finish();
    let runs = DatabaseReader::open(&path, None).unwrap().runs().unwrap();
    assert_eq!(runs[0].interfaces, ["eth0", "veth7", "veth8"]);
}

#[test]
fn profiles_are_imported_idempotently_from_another_sensor() {
    let folder = TempDir::new().unwrap();
    let (from, to) = (write_database(folder.path()), folder.path().join("other.db"));
    let printed = sensor(&["profiles", "export"], &from, &[]).ok().stdout().to_owned();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let row: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&row["pair"], &row["key"], &row["count"]), (&"host_ja4".into(), &"10.0.0.1".into(), &50.into()));

    let lines = folder.path().join("profiles.jsonl");
    fs::write(&lines, &printed).unwrap();
    for (source, changed) in [(&from, "1 of 1"), (&from, "0 of 1"), (&lines, "0 of 1")] {
        sensor(&["profiles", "import"], &to, &[source.to_str().unwrap()]).ok().stderr_has(changed);
    }
    assert_eq!(sensor(&["profiles", "export"], &to, &[]).ok().stdout(), printed);

    fs::write(&lines, printed.replace("\"count\":50", "\"count\":70") + "no row\n").unwrap();
    sensor(&["profiles", "import"], &to, &[lines.to_str().unwrap()])
        .status(1)
        .stderr_has("line 2 is not a profile row");
    assert_eq!(
        sensor(&["profiles", "export"], &to, &[]).ok().stdout(),
        printed,
        "an invalid file was imported in part"
    );
}

#[test]
fn hostile_text_is_escaped_in_every_format() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let filter = ["--host", "10.0.0.2"];
    let [row] = &query(&path, "connections", &filter)[..] else { panic!("not one row") };
    assert_eq!(row["tls"]["sni"], HOSTILE);
    let has_control_characters = |text: &str| text.chars().any(|one| one.is_control() && one != '\n');
    for format in ["json", "table"] {
        let outcome = sensor(&["query"], &path, &[&["--format", format], &filter[..]].concat()).ok();
        assert!(!has_control_characters(outcome.stdout()), "{format}: {:?}", outcome.stdout());
        assert_eq!(outcome.stdout().lines().count(), if format == "json" { 1 } else { 2 });
    }
    let csv = sensor(&["query"], &path, &[&["--format", "csv"], &filter[..]].concat()).ok();
    assert!(csv.stdout().contains(r#","'=cmd|'/c calc'!A0,"""#), "{}", csv.stdout());
    // As filters these strings match only literally.
    assert_eq!(flows(&path, "connections", &["--sni", HOSTILE]), [2]);
    assert_eq!(flows(&path, "connections", &["--sni", "' OR '1'='1"]), [0; 0]);
    assert_eq!(flows(&path, "connections", &["--value", "own_[0-9]*"]), [0; 0]);
    assert_eq!(query_number(&path, "SELECT count(*) FROM connection"), 64);
}

#[test]
fn a_diff_reports_new_gone_spiked_and_dropped_values() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    let hour = 60 * MINUTE;
    // Occurrences in the first hour and in the second.
    for (value, counts) in [
        ("new", [0, 1]),
        ("gone", [1, 0]),
        ("spiked", [4, 12]),
        ("nearly", [4, 11]),
        ("small", [1, 9]),
        ("dropped", [30, 10]),
        ("steady", [50, 60]),
    ] {
        for (window, count) in (0..).zip(counts) {
            for number in 0..count {
                handle.send(vec![fingerprint(number, value, BASE_TIME + window * hour + number * SECOND)]);
            }
        }
    }
    handle.send(vec![fingerprint_of(9, Method::Ja4l, "120_64", BASE_TIME)]);
    let _status = writer.finish();

    let windows = ["2026-11-23T07:00:00Z..2026-11-23T08:00:00Z", "2026-11-23T08:00:00Z..2026-11-23T09:00:00Z"];
    let diff = |arguments: &[&str]| {
        let outcome =
            sensor(&["diff", windows[0], windows[1]], &path, &[&["--format", "json"], arguments].concat()).ok();
        let rows = outcome.stdout().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| {
            format!(
                "{} {} {} {}",
                row["change"].as_str().unwrap(),
                row["value"].as_str().unwrap(),
                row["first"],
                row["second"]
            )
        })
        .collect::<Vec<_>>()
    };
    let usual = ["new new 0 1", "gone gone 1 0", "spiked spiked 4 12", "dropped dropped 30 10"];
    assert_eq!(diff(&[]), usual);
    assert_eq!(diff(&["--minimum", "9"])[2..4], ["spiked spiked 4 12", "spiked small 1 9"]);
    assert_eq!(diff(&["--factor", "2.5"])[2..4], ["spiked spiked 4 12", "spiked nearly 4 11"]);
    assert_eq!(diff(&["--type", "ja4l"]), ["gone 120_64 1 0"]);
    sensor(&["diff", windows[0], "-2h"], &path, &[]).status(2).stderr_has("..");
    sensor(&["diff", "-3h..-2h", "-2h..-1h"], &path, &["--factor", "0.5"]).status(2).stderr_has("--factor");
    sensor(&["diff", "-3h..-2h", "-2h..-1h"], &path, &[]).ok();
    for (format, head) in [("csv", "change,type,value,first,second,label"), ("table", "change")] {
        let outcome = sensor(&["diff", windows[0], windows[1]], &path, &["--format", format]).ok();
        assert!(outcome.stdout().starts_with(head));
        assert_eq!(outcome.stdout().lines().count(), 5);
    }
}

#[test]
fn an_export_has_all_rows_and_overwrites_no_file() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let target = folder.path().join("out.json");
    let target_text = target.to_str().unwrap();
    sensor(&["export"], &path, &["-o", target_text]).ok().stderr_has("64 connections with 124 fingerprints");
    let text = fs::read_to_string(&target).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 64);
    let timeline = |row: &Value| row["fingerprints"].as_array().unwrap().len();
    assert_eq!(rows.iter().map(timeline).sum::<usize>(), 124);
    let hundred = rows.iter().find(|row| row["flow_id"] == 100).unwrap();
    assert_eq!(hundred["fingerprints"][0]["value"], "common");
    assert_eq!(hundred["fingerprints"][0]["pcap_cnt"], 7);
    assert_eq!(hundred["fingerprints"][1]["timestamp"], "2026-11-23T08:00:00.000000000Z");
    assert_eq!(hundred["ja4"]["ja4"][0], "common");
    let ends: Vec<&str> = rows.iter().map(|row| row["timestamp"].as_str().unwrap()).collect();
    assert!(ends.is_sorted());

    sensor(&["export"], &path, &["-o", target_text])
        .status(2)
        .stderr_has("out.json")
        .stderr_has("exists")
        .stderr_has_one_line();
    assert_eq!(fs::read_to_string(&target).unwrap(), text);
    let csv = folder.path().join("out.csv");
    let arguments = ["-o", csv.to_str().unwrap(), "--format", "csv", "--sni", "rare.example"];
    sensor(&["export"], &path, &arguments).ok();
    let csv = fs::read_to_string(&csv).unwrap();
    assert_eq!(csv.lines().count(), 1 + 12);
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
    // A failed export leaves no partial file.
    let nowhere = folder.path().join("none.json");
    sensor(&["export"], &folder.path().join("none.db"), &["-o", nowhere.to_str().unwrap()]).status(1);
    assert!(!nowhere.exists());
}

#[test]
fn first_seen_values_are_listed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let listed = |arguments: &[&str]| {
        let outcome = sensor(&["first-seen", "list"], &path, &[&["--format", "csv"], arguments].concat()).ok();
        outcome.stdout().lines().count() - 1
    };
    assert_eq!(listed(&[]), 3);
    assert_eq!(listed(&["--value", "common"]), 2);
    assert_eq!(listed(&["--host", "10.0.0.0/8"]), 1);
    assert_eq!(listed(&["--type", "ja4t"]), 0);
    sensor(&["first-seen", "list"], &path, &["--format", "json"])
        .ok()
        .stdout_has(r#""host":"10.0.0.105""#)
        .stdout_has(r#""approved":true"#);
    sensor(&["first-seen", "delete"], &path, &[]).status(2).stderr_has("--all").stderr_has_one_line();
    sensor(&["first-seen", "delete"], &path, &["--host", "10.0.0.105"]).ok().stderr_has("1 first-seen value deleted");
    assert_eq!(listed(&[]), 2);
    sensor(&["first-seen", "delete"], &path, &["--all"]).ok().stderr_has("2 first-seen values deleted");
    assert_eq!(listed(&[]), 0);
    // Deleting first-seen values deletes no fingerprints.
    assert_eq!(query_number(&path, "SELECT count(*) FROM fingerprint"), 124);
}

#[test]
fn a_query_ends_at_its_timeout() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    for batch in 0..100_u64 {
        let numbers = batch * 1000..(batch + 1) * 1000;
        handle.send(numbers.map(|number| fingerprint(number / 100, "one", BASE_TIME + number)).collect());
    }
    let _status = writer.finish();
    let reader = DatabaseReader::open(&path, Some(Duration::from_millis(50))).unwrap();
    let start = std::time::Instant::now();
    let slow = reader.fingerprints(&Default::default(), |_, _| {
        std::thread::sleep(Duration::from_millis(1));
        std::ops::ControlFlow::Continue(())
    });
    let error = slow.unwrap_err().to_string();
    assert!(error.contains("longer than 0.05 s") && error.contains("--timeout"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    // The next query has its own timeout.
    assert_eq!(reader.runs().unwrap().len(), 1);
}

/// Datagrams between the same ports have the same flow id at any time.
#[test]
fn an_alert_belongs_to_the_connection_at_its_time() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    let day = 86_400 * SECOND;
    for (start, name) in [(BASE_TIME, "one.example"), (BASE_TIME + day, "other.example")] {
        handle.send(vec![
            fingerprint(1, name, start),
            alert(1, if start == BASE_TIME { Severity::Low } else { Severity::High }, start),
            ended_with_names(record(1, start, start + SECOND), name, "App"),
        ]);
    }
    assert_eq!(writer.finish().connections, 2);
    let times = |arguments: &[&str]| -> Vec<String> {
        let rows = query(&path, "alerts", arguments);
        rows.iter().map(|row| row["timestamp"].as_str().unwrap()[..10].to_owned()).collect()
    };
    assert_eq!(times(&["--sni", "one.example"]), ["2026-11-23"]);
    assert_eq!(times(&["--sni", "other.example", "--app", "app"]), ["2026-11-24"]);
    assert_eq!(times(&["--app", "app"]).len(), 2);
    let names = |min_severity: &str| query(&path, "connections", &["--severity", min_severity]).len();
    assert_eq!((names("low"), names("high")), (2, 1));
}

#[test]
fn an_export_can_be_written_to_standard_output() {
    let folder = TempDir::new().unwrap();
    let path = write_database(folder.path());
    let outcome = sensor(&["export"], &path, &["-o", "-", "--sni", "rare.example"]).ok().stderr_has("fingerprints");
    assert!(outcome.stdout().lines().all(|line| line.starts_with('{')) && !outcome.stdout().is_empty());
    assert!(!Path::new("-").exists());
}

/// A `query --follow` with its output in a file.
struct Follower {
    process: Child,
    output: PathBuf,
}

impl Follower {
    /// Starts it, and waits until it has written the header: rows that are stored later are new.
    fn start(folder: &Path, database: &Path, arguments: &[&str]) -> Self {
        let output = folder.join(arguments.concat());
        let database = database.to_str().unwrap();
        let arguments = [&["query", database], arguments, &["--follow", "--format", "csv"]].concat();
        let mut command = Sensor::new().command(&arguments);
        let process = command.stdin(Stdio::null()).stdout(fs::File::create(&output).unwrap()).spawn().unwrap();
        let follower = Self { process, output };
        assert!(until(SOON, || follower.lines().len() == 1), "{arguments:?}: no header");
        follower
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.output).unwrap().lines().map(str::to_owned).collect()
    }

    /// Waits for rows behind the header; each has its part.
    fn wait_for(&self, parts: &[&str]) {
        let has_all = || {
            let lines = self.lines();
            lines.len() == parts.len() + 1 && lines.iter().skip(1).zip(parts).all(|(line, part)| line.contains(part))
        };
        assert!(until(SOON, has_all), "{parts:?} are not\n{}", self.lines().join("\n"));
    }

    fn stop(mut self) {
        process::send(&self.process, Signal::SIGINT);
        assert_eq!(process::wait(&mut self.process, SOON).and_then(|status| status.code()), Some(0));
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn a_follower_gets_rows_as_they_are_stored() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    handle.send(vec![
        fingerprint(1, "open", BASE_TIME),
        fingerprint(2, "old", BASE_TIME),
        alert(1, Severity::High, BASE_TIME),
    ]);
    assert!(until(SOON, || query_number(&path, "SELECT count(*) FROM alert") == 1));
    let start = |arguments: &[&str]| Follower::start(folder.path(), &path, arguments);
    let (connections, fingerprints, alerts) = (start(&["connections"]), start(&["fingerprints"]), start(&["alerts"]));
    let filtered = start(&["fingerprints", "--value", "late*"]);
    // A connection that was open gets one more fingerprint, and a new connection appears.
    let time = BASE_TIME + SECOND;
    handle.send(vec![fingerprint(1, "more", time), fingerprint(3, "new", time), alert(3, Severity::Low, time)]);
    fingerprints.wait_for(&["more", "new"]);
    alerts.wait_for(&["low"]);
    connections.wait_for(&["open"]);
    // A connection is written again when it has ended.
    handle.send(vec![fingerprint(3, "later", time), ended(3, time, time + SECOND)]);
    connections.wait_for(&["open", "10.0.0.3"]);
    fingerprints.wait_for(&["more", "new", "later"]);
    filtered.wait_for(&["later"]);
    [connections, fingerprints, alerts, filtered].into_iter().for_each(Follower::stop);
    assert_eq!(writer.finish().lost(), 0);
}

#[test]
fn a_table_has_raw_forms_on_request() {
    let folder = TempDir::new().unwrap();
    let mut random = tests::random::SplitMix64::new(3);
    let hello = tests::hello::records(&tests::hello::Shape::Curl.client_hello("example.org", &mut random), usize::MAX);
    let mut conversation = tests::conversation::TcpConversation::new();
    let capture = conversation.handshake().client(&hello).close().save(folder.path(), "tls.pcap");
    let path = folder.path().join("history.db");
    sensor(&["replay", capture.to_str().unwrap()], &path, &["--raw"]).ok();
    let table = |options: &[&str]| sensor(&["query", "fingerprints"], &path, options).ok().stdout().to_owned();
    let json = table(&["--format", "json", "--type", "ja4"]);
    let line: Value = serde_json::from_str(&json).unwrap();
    let raw = line["fingerprint"]["raw"].as_str().unwrap();
    let shown = &raw[..200.min(raw.len())];
    assert!(table(&["--raw"]).contains(shown), "{shown} is not in\n{}", table(&["--raw"]));
    assert!(!table(&[]).contains(shown));
}
