//! Output format: fields, field order, formats, options.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use super::*;

/// Order of the fields in a line.
const ORDER: [&str; 16] = [
    "timestamp",
    "event_type",
    "sensor",
    "in_iface",
    "direction",
    "flow_id",
    "community_id",
    "pcap_cnt",
    "vlan",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "app_proto",
    "fingerprint",
];

#[test]
fn fields_of_a_line_are_in_the_documented_order() {
    let outcome = run(&plain(), &[]);
    assert_eq!(fingerprints(&outcome.events()).len(), 6);
    for line in outcome.stdout().lines().filter(|line| line.contains(r#""event_type":"fingerprint""#)) {
        let offsets: Vec<_> = ORDER.iter().filter_map(|field| line.find(&format!("\"{field}\":"))).collect();
        assert!(offsets.is_sorted(), "{line}");
        for field in
            ["timestamp", "flow_id", "community_id", "pcap_cnt", "src_ip", "src_port", "dest_ip", "dest_port", "proto"]
        {
            assert!(line.contains(&format!("\"{field}\":")), "{field} is missing: {line}");
        }
        assert!(!line.contains("null"), "an absent field is null: {line}");
    }
}

#[test]
fn a_fingerprint_event_has_the_attributes_of_its_flow() {
    let events = replay(&plain());
    let ja4 = only(&events, "ja4");
    assert_eq!(ja4["fingerprint"]["side"], "client");
    assert_eq!(ja4["fingerprint"]["count"], 1);
    assert_eq!(ja4["proto"], "TCP");
    assert_eq!(ja4["app_proto"], "tls");
    assert_eq!(ja4["tls"]["sni"], "example.org");
    assert_eq!(ja4["tls"]["version"], "TLS 1.3");
    assert_eq!(ja4["tls"]["alpn"], serde_json::json!(["h2", "http/1.1"]));
    assert_eq!(ja4["pcap_cnt"], 4, "not the number of the packet in the file, from 1");
    // Computed with another implementation of Community ID version 1, seed 0.
    assert_eq!(ja4["community_id"], "1:3Wq31B/svcJh3Oj7C0+oub5devI=");
    // The fourth packet is sent 30.2 ms after the SYN.
    assert_eq!(ja4["timestamp"], "2026-11-23T07:00:00.030200000Z");
}

#[test]
fn src_is_the_client_in_fingerprints_of_the_server() {
    let events = replay(&plain());
    assert_eq!(fingerprints(&events).len(), 6);
    for event in fingerprints(&events) {
        assert_eq!((&event["src_ip"], &event["src_port"]), (&"10.0.0.1".into(), &51_234.into()), "{event}");
        assert_eq!((&event["dest_ip"], &event["dest_port"]), (&"10.0.0.2".into(), &443.into()), "{event}");
        let kind = event["fingerprint"]["type"].as_str().unwrap();
        let side = if matches!(kind, "ja4s" | "ja4ts" | "ja4ls") { "server" } else { "client" };
        assert_eq!(event["fingerprint"]["side"], side, "{kind}");
    }
    let flows: Vec<_> = fingerprints(&events).into_iter().map(|event| &event["flow_id"]).collect();
    assert!(flows.iter().all(|flow| *flow == flows[0]), "one flow has several flow_ids: {flows:?}");
}

#[test]
fn a_connection_ends_with_a_connection_event_and_a_replay_with_a_stats_event() {
    let conversation = plain();
    let events = replay(&conversation);
    assert_eq!(events::of_type(&events, "connection").len(), 1);
    assert!(!events::of_type(&events, "stats").is_empty());
    assert_eq!(events.last().unwrap()["event_type"], "stats", "the last event is not stats");
}

#[test]
fn types_selects_the_printed_fingerprints() {
    let events = run(&plain(), &["--types", "ja4,ja4ts"]).events();
    let kinds: Vec<_> = fingerprints(&events).into_iter().map(|event| event["fingerprint"]["type"].clone()).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&"ja4".into()) && kinds.contains(&"ja4ts".into()));
}

#[test]
fn raw_values_are_printed_on_request_only() {
    let events = run(&plain(), &["--raw"]).events();
    let ja4 = &only(&events, "ja4")["fingerprint"];
    // The example in the specification has the same lists.
    assert_eq!(
        ja4["raw"],
        "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_0005,000a,000b,000d,0012,\
             0015,0017,001b,0023,002b,002d,0033,4469,ff01_0403,0804,0401,0503,0805,0501,0806,0601"
    );
    let suites = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035";
    let original = ja4["raw_original"].as_str().unwrap();
    assert!(original.starts_with(&format!("t13d1516h2_{suites}_")), "suites are not as sent: {original}");
    assert!(original.contains("0000") && original.contains("0010"), "SNI or ALPN is missing: {original}");
    assert!(ja4["original"].as_str().unwrap().starts_with("t13d1516h2_acb858a92679_"));
    assert_eq!(only(&events, "ja4s")["fingerprint"]["raw"], "t130200_1301_0033,002b");

    let events = replay(&plain());
    for field in ["raw", "original", "raw_original"] {
        assert!(only(&events, "ja4")["fingerprint"].get(field).is_none(), "{field}");
    }
}

#[test]
fn csv_output_has_a_header() {
    let outcome =
        run(&plain(), &["--format", "csv", "--types", "ja4,ja4t"]).stdout_has(Shape::Browser.ja4()).stdout_has(JA4T);
    let lines: Vec<_> = outcome.stdout().lines().collect();
    assert!(lines[0].contains("src_ip") && lines[0].contains("value"), "no header: {}", lines[0]);
    let columns = |line: &str| line.split(',').count();
    for line in lines.iter().filter(|line| !line.contains('"')) {
        assert_eq!(columns(line), columns(lines[0]), "{line}");
    }
    assert_eq!(lines.len(), 3, "not a header and two fingerprints:\n{}", outcome.stdout());
}

#[test]
fn table_output_is_text_without_json() {
    let outcome = run(&plain(), &["--format", "table"])
        .stdout_has(Shape::Browser.ja4())
        .stdout_has("example.org")
        .stdout_has("10.0.0.1");
    assert!(!outcome.stdout().contains("{\""), "{}", outcome.stdout());
}

#[test]
fn a_table_ends_with_the_raw_forms_on_request_only() {
    let events = run(&plain(), &["--raw"]).events();
    let table = run(&plain(), &["--format", "table", "--raw"]).ok();
    for method in ["ja4", "ja4s", "ja4t"] {
        let form = |name: &str| only(&events, method)["fingerprint"][name].as_str().map(str::to_owned);
        let line = table.stdout().lines().find(|line| line.contains(&format!("  {method} "))).unwrap();
        let raw = line.rsplit_once("  raw=").map(|(_, raw)| raw.to_owned());
        assert_eq!(raw, form("raw"), "{line}");
        for name in ["original", "raw_original"] {
            let shown = line.split_once(&format!("  {name}=")).and_then(|(_, rest)| rest.split("  ").next());
            assert_eq!(shown, form(name).as_deref(), "{name}: {line}");
        }
    }
    let plain = run(&plain(), &["--format", "table"]).ok();
    assert!(!plain.stdout().contains("raw=") && !plain.stdout().contains("original="), "{}", plain.stdout());
}

#[test]
fn by_connection_prints_one_line_for_each_connection() {
    let outcome = run(&plain(), &["--format", "table", "--by", "connection"]).ok();
    let lines: Vec<_> = outcome.stdout().lines().collect();
    assert_eq!(lines.len(), 2, "not a header and one connection:\n{}", outcome.stdout());
    let offset = |line: &str, part: &str| line.find(part).map(|at| line[..at].chars().count());
    for (column, value) in [("ja4, ", Shape::Browser.ja4()), ("ja4t", JA4T), ("name", "example.org")] {
        let [of_column, of_value] = [offset(lines[0], column), offset(lines[1], value)];
        assert!(of_column.is_some() && of_column == of_value, "{column}:\n{}", outcome.stdout());
    }
    let kinds = |arguments: &[&str]| -> Vec<_> {
        run(&plain(), arguments).events().iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&["--by", "connection"]), ["connection", "stats"]);
    assert_eq!(kinds(&["--by", "connection", "--types", "ja4"]), ["connection"]);
}

#[test]
fn version_reports_the_embedded_kernel_programs() {
    let short = Sensor::new().run(&["-V"]).ok();
    assert_eq!(short.stdout().lines().count(), 1);
    let long = Sensor::new().run(&["--version"]).ok();
    let lines: Vec<_> = long.stdout().lines().collect();
    assert_eq!(lines[0], short.stdout().trim_end());
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ja4-ebpf/object/provenance.toml");
    let record = fs::read_to_string(record).unwrap();
    let digest = lines[1].strip_prefix("kernel programs: SHA-256 ").unwrap();
    assert!(record.contains(&format!("object-sha256 = \"{digest}\"")), "{digest}");
    assert!(lines[2].starts_with("built with: rustc "), "{}", lines[2]);
    let command = Sensor::new().run(&["version"]).ok();
    command.stdout_has(long.stdout()).stdout_has("programs: ja4_xdp (XDP ingress").stdout_has("methods: ja4, ");
}

#[test]
fn packets_from_a_pipe_are_processed_as_they_arrive() {
    let conversation = plain();
    let folder = TempDir::new().unwrap();
    let capture = fs::read(conversation.save(folder.path(), "talk.pcap")).unwrap();
    // Offset of the end of the SYN: file header, packet header, frame.
    let syn = 24 + 16 + conversation.packets()[0].frame.len();
    for shards in ["1", "2", "3"] {
        let mut command = Sensor::new().command(&["replay", "--types", "ja4t,ja4", "--shards", shards, "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut pipe, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (sender, receiver) = mpsc::channel();
        let reader = thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut assert_printed = |bytes: &[u8], kind: &str| {
            pipe.write_all(bytes).unwrap();
            let line = receiver.recv_timeout(process::LIMIT).unwrap_or_else(|_| panic!("{kind}, --shards {shards}"));
            assert!(line.contains(&format!(r#""type":"{kind}""#)), "--shards {shards}: {line}");
        };
        assert_printed(&capture[..syn], "ja4t");
        assert_printed(&capture[syn..], "ja4");
        drop(pipe);
        assert!(process::wait(&mut child, process::LIMIT).is_some_and(|status| status.success()));
        reader.join().unwrap().unwrap();
    }
}

#[test]
fn invisible_characters_are_escaped_in_table_and_csv() {
    // Soft hyphen, invisible separator, tag, variation selector: format and default-ignorable characters.
    const HIDDEN: [char; 4] = ['\u{ad}', '\u{2063}', '\u{e0041}', '\u{fe0f}'];
    let host = format!("shop{}.example", HIDDEN.map(String::from).concat());
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).close();
    let json = run(&conversation, &["--types", "ja4h"]).events();
    assert_eq!(json[0]["http"]["hostname"], host);
    let escaped = format!("shop{}.example", HIDDEN.map(|hidden| hidden.escape_unicode().to_string()).concat());
    for format in ["table", "csv"] {
        let outcome = run(&conversation, &["--types", "ja4h", "--format", format]).stdout_has(&escaped);
        assert!(!outcome.stdout().contains(HIDDEN), "{}", outcome.stdout());
    }
}
