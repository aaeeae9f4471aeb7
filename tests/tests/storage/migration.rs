//! Database files of version 1, of a later version and of other programs.

use std::fs;
use std::path::Path;

use ja4_user::model::Method;
use ja4_user::output::storage::first_seen_filter::FirstSeenFilter;
use ja4_user::output::storage::version::VERSION;
use ja4_user::output::storage::{DatabaseReader, HistoryFilter, Migrated, StorageError, Writer};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tests::Sensor;

use crate::samples::{BASE_TIME, SECOND, fast_options, fingerprint, run};
use crate::sensor::{LONG_AGO, replay, syns};
use crate::{assert_intact, query_number};

const V1: &str = include_str!("../../../ja4-user/src/output/storage/schema/v1.sql");

/// Creates a file of version 1 with rows that can be migrated and rows that cannot.
fn version_1(path: &Path) {
    let old = Connection::open(path).unwrap();
    old.execute_batch(V1).unwrap();
    old.pragma_update(None, "application_id", 0x4a41_3473).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let connection = |flow: i64, client: &str, start: i64, attributes: &str| {
        old.execute(
            "INSERT INTO connections VALUES (?1, ?2, 40000, '192.0.2.1', 443, 6, ?3, ?4, 5, 6, 500, 600, 'fin',
                'old.example', NULL, 'curl', ?5)",
            params![flow, client, start, start + SECOND as i64, attributes],
        )
        .unwrap();
    };
    let noon = BASE_TIME as i64;
    connection(1, "10.0.0.1", noon, r#"{"tls":{"sni":"old.example"}}"#);
    connection(2, "2001:db8::1", noon, "{}");
    connection(3, "10.0.0.3", noon, "{bad json");
    connection(4, "10.0.0.4", -5, "{}");
    connection(5, "not an address", noon, "{}");
    let fingerprint = |flow: i64, time: i64, method: &str, value: &str| {
        old.execute(
            "INSERT INTO fingerprints VALUES (?1, NULL, ?2, '10.0.0.1', 40000, '192.0.2.1', 443, 6, ?3, ?4, NULL, 1)",
            params![time, flow, method, value],
        )
        .unwrap();
    };
    fingerprint(1, noon + 1, "ja4", "one");
    fingerprint(1, noon + 2, "ja4s", "two");
    fingerprint(2, noon + 1, "ja4", "one");
    fingerprint(9, noon + 1, "ja4", "of no connection");
    fingerprint(1, noon + 3, "ja5", "three");
    fingerprint(1, i64::MAX, "ja4", "four");
    old.execute_batch(&format!(
        "INSERT INTO fingerprints VALUES (NULL, NULL, 1, '10.0.0.1', 1, '192.0.2.1', 443, 6, 'ja4', x'00ff', NULL, 1);
         INSERT INTO first_seen VALUES ('ja4', 'one', NULL, {noon}, {noon}, 2, 1);
         INSERT INTO first_seen VALUES ('ja4', 'one', '10.0.0.1', {noon}, {noon}, 1, 0);
         INSERT INTO first_seen VALUES ('ja4', 'one', NULL, {noon}, 'yesterday', 2, 1);
         INSERT INTO alerts VALUES ({noon}, NULL, 'known_bad', 'high', 'it matched', 1, 'ja4', 'one');
         INSERT INTO alerts VALUES ({noon}, NULL, 'known_bad', 'terrible', 'it matched', 1, 'ja4', 'one');
         INSERT INTO runs VALUES ({noon}, {noon}, '0.0.1', '[\"eth0\"]', '{{\"seen\":5}}', 1);
         INSERT INTO runs VALUES ({noon}, NULL, '0.0.1', 'eth0', NULL, 0);"
    ))
    .unwrap();
}

#[test]
fn a_file_of_version_1_is_migrated_and_invalid_rows_are_set_aside() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("old.db");
    version_1(&path);

    // A read-only command does not migrate the file.
    let sensor = Sensor::new();
    let path_text = path.to_str().unwrap();
    sensor
        .run(&["query", "--db", path_text])
        .status(1)
        .stderr_has("version 1")
        .stderr_has("--db")
        .stderr_has_one_line();
    assert_eq!(query_number(&path, "PRAGMA user_version"), 1);

    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    assert_eq!(writer.migrated, Some(Migrated { from: 1, rows: 10, set_aside: 9 }));
    handle.send(vec![fingerprint(77, "one", BASE_TIME + 9 * SECOND)]);
    let _status = writer.finish();
    assert_intact(&path);

    let reader = DatabaseReader::open(&path, None).unwrap();
    let set_aside_rows: Vec<String> =
        reader.unmigrated().unwrap().into_iter().map(|[table, reason, _]| format!("{table}: {reason}")).collect();
    for (reason, expected) in set_aside_rows.iter().zip([
        "runs: sources is not JSON",
        "connections: attributes is not JSON",
        "connections: start is out of range: -5",
        "connections: client is no address",
        "fingerprints: unknown method 'ja5'",
        "fingerprints: time is out of range",
        "fingerprints: time is missing",
        "first_seen: last is no number",
        "alerts: unknown severity 'terrible': expected low, medium, high or critical",
    ]) {
        assert!(reason.starts_with(expected), "{reason:?} is not {expected:?}");
    }
    assert_eq!(set_aside_rows.len(), 9);
    let [.., content] = &reader.unmigrated().unwrap()[6];
    assert!(content.contains(r#""value":"00ff""#), "{content}");

    let known = reader.first_seen(&FirstSeenFilter::default()).unwrap();
    assert_eq!(known.len(), 2);
    let mut rows = Vec::new();
    let filter = HistoryFilter { oldest_first: true, ..HistoryFilter::default() };
    reader
        .timelines(&filter, |connection, timeline| {
            let values = timeline
                .iter()
                .map(|fingerprint_record| format!("{} {}", fingerprint_record.method.name(), fingerprint_record.value));
            rows.push((connection.flow.id, connection.flow.client.0.to_string(), values.collect::<Vec<_>>()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    rows.sort();
    assert_eq!(
        rows,
        [
            (1, "10.0.0.1".to_owned(), owned(&["ja4 one", "ja4s two"])),
            (2, "2001:db8::1".to_owned(), owned(&["ja4 one"])),
            (9, "10.0.0.1".to_owned(), owned(&["ja4 of no connection"])),
            (77, "10.0.0.77".to_owned(), owned(&["ja4 one"])),
        ]
    );
    // A value has one row, whichever version wrote it.
    let values = format!("SELECT count(*) FROM fingerprint_value WHERE value = 'one' AND method = {}", 0);
    assert_eq!(query_number(&path, &values), 1);
    assert_eq!(Method::ALL[0], Method::Ja4);
    // Auto-vacuum is enabled: free pages can be returned to the file system.
    assert_eq!(query_number(&path, "PRAGMA auto_vacuum"), 2);

    // A second start migrates nothing.
    let (_, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    assert_eq!(writer.migrated, None);
    let _status = writer.finish();
}

#[test]
fn a_command_that_migrates_a_file_reports_it() {
    let folder = TempDir::new().unwrap();
    for (command, options) in [(&["first-seen", "delete"][..], &["--all"][..]), (&["profiles", "import", "--db"], &[])]
    {
        let path = folder.path().join(format!("{}.db", command[0]));
        version_1(&path);
        let name = path.to_str().unwrap();
        let arguments = match options {
            [] => [command, &[name, "-"]].concat(),
            options => [command, &["--db", name], options].concat(),
        };
        Sensor::new().run(&arguments).ok().stderr_has("migrated from schema version 1").stderr_has("set aside");
    }
}

#[test]
fn a_new_file_has_the_schema_of_a_migrated_one_and_only_its_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
    version_1(&old);
    let schema = |path: &Path| {
        let _status = Writer::start(path, fast_options(), &run()).unwrap().1.finish();
        let database = Connection::open(path).unwrap();
        let mut tables = database.prepare("SELECT sql FROM sqlite_schema WHERE sql NOTNULL ORDER BY name").unwrap();
        tables.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(schema(&new), schema(&old), "a migrated file is not like a new one");
    assert_eq!(query_number(&new, "PRAGMA user_version"), VERSION);
    assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_of_another_program_is_refused_and_not_changed() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);

    fs::write(path("text.db"), "Dear sir or madam,\n".repeat(100)).unwrap();
    let foreign = Connection::open(path("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE cookies (a); PRAGMA application_id = 7; PRAGMA user_version = 2").unwrap();
    let nameless = Connection::open(path("nameless.db")).unwrap();
    nameless.execute_batch("CREATE TABLE connection (a)").unwrap();
    let _status = Writer::start(&path("newer.db"), fast_options(), &run()).unwrap().1.finish();
    let newer = Connection::open(path("newer.db")).unwrap();
    newer.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop((foreign, nameless, newer));

    let error_of = |name: &str| Writer::start(&path(name), fast_options(), &run()).map(drop).unwrap_err();
    assert!(matches!(error_of("text.db"), StorageError::NotADatabase(_)));
    assert!(matches!(error_of("foreign.db"), StorageError::Foreign(_)));
    assert!(matches!(error_of("nameless.db"), StorageError::Foreign(_)));
    assert!(matches!(error_of("newer.db"), StorageError::Newer { found, .. } if found == VERSION + 1));
    assert!(matches!(error_of("no/such/folder.db"), StorageError::Open { .. }));
    assert!(fs::read(path("text.db")).unwrap().starts_with(b"Dear sir"));

    let sensor = Sensor::new();
    for (name, words) in [
        ("text.db", "not a database"),
        ("foreign.db", "another program"),
        ("nameless.db", "another program"),
        ("newer.db", "schema version 4"),
        ("missing.db", "cannot open database"),
    ] {
        for command in [&["query", "--db"][..], &["first-seen", "delete", "--all", "--db"]] {
            let file = path(name);
            let arguments = [command, &[file.to_str().unwrap()]].concat();
            sensor.run(&arguments).status(1).stderr_has(name).stderr_has(words).stderr_has_one_line();
        }
    }
    assert!(!path("missing.db").exists(), "a query created a file");
}

#[test]
fn alerts_of_version_1_have_the_endpoints_of_their_connections_or_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("old.db");
    version_1(&path);
    let noon = BASE_TIME as i64;
    // An alert of a flow without a connection row, and an alert without a flow.
    Connection::open(&path)
        .unwrap()
        .execute_batch(&format!(
            "INSERT INTO alerts VALUES ({noon}, NULL, 'lost', 'high', 'it matched', 4711, NULL, NULL);
             INSERT INTO alerts VALUES ({noon}, NULL, 'flowless', 'high', 'it matched', NULL, NULL, NULL);"
        ))
        .unwrap();
    let capture = syns(folder.path(), "some.pcap", 0..1, LONG_AGO);
    replay(&capture, &path).ok();
    let query = |more: &[&str]| {
        let arguments = [&["query", "alerts", "--db", path.to_str().unwrap()], more].concat();
        Sensor::new().run(&arguments).ok().stdout().to_owned()
    };
    let rows: Vec<serde_json::Value> =
        query(&["--format", "json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let alert_of = |rule: &str| rows.iter().find(|row| row["alert"]["ja4sensor"]["rule"] == rule).unwrap();
    let found = alert_of("known_bad");
    assert_eq!((&found["src_ip"], &found["src_port"]), (&"10.0.0.1".into(), &40_000.into()));
    assert_eq!((&found["dest_ip"], &found["dest_port"]), (&"192.0.2.1".into(), &443.into()));
    assert_eq!((&found["proto"], &found["flow_id"]), (&"TCP".into(), &1.into()));
    assert!(found["community_id"].as_str().unwrap().starts_with("1:"));
    assert_eq!(alert_of("lost")["flow_id"], 4711);
    for rule in ["lost", "flowless"] {
        for field in ["src_ip", "src_port", "dest_ip", "dest_port", "proto", "community_id"] {
            assert!(alert_of(rule).get(field).is_none(), "{rule}: {}", alert_of(rule));
        }
    }
    assert!(alert_of("flowless").get("flow_id").is_none());
    for format in ["csv", "table"] {
        assert!(!query(&["--format", format]).contains("0.0.0.0"), "{format}");
    }
    let csv = query(&["--format", "csv"]);
    let lost = csv.lines().find(|line| line.contains(",lost,")).unwrap();
    assert!(lost.contains(",alert,,,,4711,,,,,,,,") && lost.contains(",lost,lost,high,"), "{lost}");
    assert_eq!(query(&["--format", "json", "--host", "10.0.0.1"]).lines().count(), 1);
    assert_eq!(query(&["--format", "json", "--host", "0.0.0.0"]), "");
}

#[test]
fn a_file_of_version_2_keeps_its_rows_under_the_current_names() {
    const V2: &str = include_str!("../../../ja4-user/src/output/storage/schema/v2.sql");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("two.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(V2).unwrap();
    old.pragma_update(None, "application_id", 0x4a41_3473).unwrap();
    old.pragma_update(None, "user_version", 2).unwrap();
    old.execute_batch(&format!(
        "INSERT INTO fingerprint_value (id, method, value, app, app_source, bad, bad_category, bad_note)
            VALUES (1, 0, 't13d', 'curl', 'builtin', 't13*', 'c2', '');
         INSERT INTO connection (id, flow, client, client_port, server, server_port, proto, start, last, span,
            packets_to_server, packets_to_client, bytes_to_server, bytes_to_client, ended, protocol, sni, app, client_us,
            mss, tunnel, is_new, primary_value, fired, attributes)
            VALUES (1, 5, x'0a000001', 4000, x'c0000201', 443, 6, {BASE_TIME}, {BASE_TIME}, 0, 7, 8, 700, 800, 'fin', 'tls', 'a.example',
            'curl', 12, 1380, 'wireguard', 1, 1, '[\"it fired\"]', '{{\"tls\":{{\"sni\":\"a.example\",\"version\":\"TLS 1.3\"}}}}');
         INSERT INTO fingerprint VALUES (1048577, 1, {BASE_TIME}, NULL, 0, 1, 1);
         INSERT INTO alert (time, rule, description, severity, grouped, reason, flow, client, client_port, server,
            server_port, proto, suppressed)
            VALUES ({BASE_TIME}, 'first_seen', 'new', 1, '[[\"src_ip\",\"10.0.0.1\"]]', 'x', 5, x'0a000001', 4000, x'c0000201', 443, 6, 0);"
    ))
    .unwrap();
    drop(old);

    let (_handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    assert_eq!(writer.migrated, Some(Migrated { from: 2, rows: 0, set_aside: 0 }));
    let _status = writer.finish();
    assert_intact(&path);
    assert_eq!(query_number(&path, "PRAGMA user_version"), VERSION);
    let columns = "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info('connection') ORDER BY cid)";
    let columns_of =
        |path: &Path| Connection::open(path).unwrap().query_row(columns, [], |row| row.get::<_, String>(0)).unwrap();
    let fresh = folder.path().join("fresh.db");
    let _status = Writer::start(&fresh, fast_options(), &run()).unwrap().1.finish();
    assert_eq!(columns_of(&path), columns_of(&fresh), "a migrated file has the columns of a new one");

    let rows = |table: &str| {
        let printed = Sensor::new().run(&["query", table, "--format", "json", "--db", path.to_str().unwrap()]).ok();
        tests::events::parse(printed.stdout())
    };
    let connection = &rows("connections")[0];
    for (pointer, expected) in [
        ("/flow_id", 5.into()),
        ("/src_ip", "10.0.0.1".into()),
        ("/connection/pkts_toclient", 8.into()),
        ("/connection/state", "fin".into()),
        ("/app_proto", "tls".into()),
        ("/tls/sni", "a.example".into()),
        ("/tls/version", "TLS 1.3".into()),
        ("/latency/client_us", 12.into()),
        ("/app/name", "curl".into()),
        ("/first_seen", true.into()),
        ("/path/mtu", 1420.into()),
        ("/tunnel/name", "wireguard".into()),
        ("/primary/value", "t13d".into()),
        ("/alerts/0", serde_json::Value::from("it fired")),
    ] {
        assert_eq!(connection.pointer(pointer), Some(&expected), "{pointer}: {connection:#}");
    }
    let fingerprint = &rows("fingerprints")[0];
    assert_eq!((&fingerprint["label"]["name"], &fingerprint["fingerprint"]["type"]), (&"curl".into(), &"ja4".into()));
    assert_eq!(fingerprint["known_bad"], serde_json::json!({ "pattern": "t13*", "category": "c2" }));
    assert_eq!(rows("alerts")[0]["alert"]["ja4sensor"]["group"]["src_ip"], "10.0.0.1");
}
