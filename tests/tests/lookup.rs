//! The `lookup` command: labels, known-bad patterns and hints.
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::conversation::TcpConversation;
use tests::hello::{self, Shape};
use tests::random::SplitMix64;
use tests::{Outcome, Sensor};

/// Exit status: the command line, or a file that it names, is invalid.
const USAGE: i32 = 2;

/// JA4 of Go's TLS stack and of programs that use it.
const GO: &str = "t13d190900_9dc949149365_97f8aa674fd9";

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Outcome {
    Sensor::new().run(arguments)
}

/// Runs `ja4sensor lookup … --format json`; returns one object for each type that the value may have.
fn lookup(arguments: &[&str]) -> Vec<Value> {
    let outcome = run(&[&["lookup", "--format", "json"], arguments].concat()).ok();
    outcome.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_value_of_the_builtin_table_has_its_name() {
    run(&["lookup", "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"])
        .ok()
        .stdout_has("ja4")
        .stdout_has("curl")
        .stdout_has("builtin");
    let [result] = &lookup(&["ge11nn030000_fe444ad14866_000000000000_000000000000"])[..] else {
        panic!("not one type")
    };
    assert_eq!(result["type"], "ja4h");
    assert_eq!(result["label"]["name"], "curl");
    assert_eq!(result["label"]["source"], "builtin");
    assert!(result.get("known_bad").is_none());
}

#[test]
fn an_unknown_value_has_no_label_and_an_invalid_value_is_rejected() {
    let unknown = "t13d0101h2_000000000000_000000000000";
    let searched = ["built-in labels", "built-in known-bad list"];
    run(&["lookup", unknown]).ok().stdout_has("unknown").stdout_has(&searched.join(", "));
    assert_eq!(lookup(&[unknown]), [json!({ "type": "ja4", "value": unknown, "searched": searched })]);
    run(&["lookup", "no\u{1b}[2Jsense"])
        .status(USAGE)
        .stderr_has("is not a fingerprint of any type")
        .stderr_has_one_line();
    run(&["lookup", unknown, "--type", "ja4s"]).status(USAGE).stderr_has("is not a ja4s").stderr_has_one_line();
    run(&["lookup", unknown, "--type", "ja5"]).status(USAGE).stderr_has("expected ja4, ja4s");
}

#[test]
fn a_value_of_several_owners_has_all_their_names_and_a_low_confidence() {
    let folder = TempDir::new().unwrap();
    let public = file(
        &folder,
        "ja4plus-mapping.csv",
        &format!("Application,Library,Device,OS,ja4,Notes\n,GoLang,,,{GO},\nSliver Agent,GoLang,,,{GO},\n"),
    );
    let own = file(
        &folder,
        "mine.toml",
        &format!("[[entry]]\ntype = 'ja4'\nvalue = '{GO}'\nname = 'deploy'\nconfidence = 90\n"),
    );
    let orders = [[&public, &own], [&own, &public]];
    let [one, other] =
        orders.map(|[first, second]| lookup(&[GO, "--database", text(first), "--database", text(second)]));
    assert_eq!(one, other);
    assert_eq!(
        one[0]["label"],
        json!({
            "name": "deploy / GoLang / Sliver Agent (GoLang)",
            "source": "ja4plus-mapping / mine",
            "category": null,
            "confidence": 30,
        }),
    );
}

#[test]
fn a_lookup_without_a_result_names_the_searched_databases() {
    let folder = TempDir::new().unwrap();
    let entry = "type = 'ja4'\nvalue = 't13d0101h2_000000000001_000000000000'\nname = 'x'\n";
    let labels = file(&folder, "mine.toml", &format!("[[entry]]\n{entry}"));
    let bad = file(&folder, "bad.toml", "");
    let options = ["--database", text(&labels), "--known-bad", text(&bad)];
    let searched = |value: &str| lookup(&[&[value][..], &options[..]].concat())[0].get("searched").cloned();
    let expected = json!(["built-in labels", text(&labels), text(&bad)]);
    assert_eq!(searched("t13d0101h2_000000000000_000000000000"), Some(expected));
    assert_eq!(searched("t13d0101h2_000000000001_000000000000"), None);
}

#[test]
fn the_example_value_of_the_help_has_a_label() {
    let help = run(&["lookup", "--help"]).ok();
    let example = help.stdout().split(&[' ', '\n'][..]).find(|word| word.matches('_').count() == 2).unwrap();
    let [result] = &lookup(&[example])[..] else { panic!("not one type: {example}") };
    assert_eq!(result["label"]["source"], "builtin", "{example}");
}

#[test]
fn go_is_known_bad_with_a_low_confidence_and_a_note() {
    let [result] = &lookup(&[GO])[..] else { panic!("not one type") };
    let bad = &result["known_bad"];
    assert_eq!(bad["category"], "c2");
    assert!(bad["confidence"].as_u64().unwrap() < 40 && bad["note"].as_str().unwrap().contains("Go"), "{bad}");
    run(&["lookup", "po10nn060000_cdb958d032b0_000000000000_000000000000"])
        .ok()
        .stdout_has("Darkgate")
        .stdout_has("malware");
    run(&["lookup", "t13d880900_fcb5b95cb75a_b0d3b4ac2a14"]).ok().stdout_has("SoftEther").stdout_has("tunnel");
}

#[test]
fn an_extra_list_adds_to_the_builtin_one() {
    let folder = TempDir::new().unwrap();
    let entry = |matches: &str| {
        format!("[[pattern]]\ntype = 'ja4'\nmatch = '{matches}'\ncategory = 'own'\nconfidence = 60\nnote = 'x'\n")
    };
    let (other, same) = (file(&folder, "other.toml", &entry("t10*")), file(&folder, "same.toml", &entry(GO)));
    let category = |value: &str, options: &[&str]| {
        lookup(&[&[value], options].concat())[0]["known_bad"]["category"].as_str().map(str::to_owned)
    };
    let old = "t10d230100_6a57a6f57151_000000000000";
    let extra = &["--known-bad-extra", text(&other)];
    assert_eq!(category(old, &[]), None);
    assert_eq!(category(old, extra).as_deref(), Some("own"));
    assert_eq!(category(GO, extra), category(GO, &[]), "the built-in list is not active");
    assert_eq!(
        category(GO, &["--known-bad-extra", text(&same)]).as_deref(),
        Some("own"),
        "the extra pattern does not take precedence"
    );
}

#[test]
fn a_custom_list_replaces_the_builtin_one() {
    let folder = TempDir::new().unwrap();
    let list = file(
        &folder,
        "bad.toml",
        "[[pattern]]\ntype = 'ja4'\nmatch = 't10*'\ncategory = 'old'\nconfidence = 60\nnote = 'TLS 1.0'\n",
    );
    let list = text(&list);
    assert!(lookup(&[GO, "--known-bad", list])[0].get("known_bad").is_none());
    let old = &lookup(&["t10d230100_6a57a6f57151_000000000000", "--known-bad", list])[0];
    assert_eq!(old["known_bad"], json!({ "pattern": "t10*", "category": "old", "confidence": 60, "note": "TLS 1.0" }));
}

#[test]
fn all_errors_of_a_list_are_reported_at_once_with_their_positions() {
    let folder = TempDir::new().unwrap();
    let list = file(
        &folder,
        "bad.toml",
        "[[pattern]]\ntype = 'ja5'\nmatch = 't10*'\ncategory = 'old'\nconfidence = 600\nnote = 'TLS 1.0'\n",
    );
    run(&["lookup", GO, "--known-bad", text(&list)])
        .status(USAGE)
        .stderr_has("bad.toml:2:8: pattern 1: type: unknown value 'ja5'; did you mean 'ja4'?")
        .stderr_has("bad.toml:5:14: pattern 1: confidence: expected an integer from 0 to 100, found 600");
    run(&["lookup", GO, "--known-bad", "/nowhere/bad.toml"])
        .status(USAGE)
        .stderr_has("/nowhere/bad.toml")
        .stderr_has_one_line();
}

#[test]
fn a_tcp_fingerprint_has_hints_about_path_and_system() {
    let [client, server] = &lookup(&["64240_2-1-3-1-1-4_1380_8"])[..] else { panic!("not both JA4T and JA4TS") };
    assert_eq!((&client["type"], &server["type"]), (&json!("ja4t"), &json!("ja4ts")));
    assert_eq!(client["hints"]["os"], "Windows");
    assert_eq!(client["hints"]["ipv4"], json!({ "mtu": 1420, "path": "wireguard", "confidence": 80, "tunnel": true }));
    assert_eq!(client["hints"]["ipv6"]["mtu"], 1440);
    run(&["lookup", "64240_2-4-8-1-3_1460_7", "--type", "ja4t"])
        .ok()
        .stdout_has("Linux")
        .stdout_has("MTU 1500, ethernet");
}

#[test]
fn ja4l_and_ja4ssh_values_have_hints() {
    let hops = lookup(&["62_113", "--type", "ja4l"]);
    assert_eq!(hops[0]["hints"], json!({ "hops": 15 }));
    run(&["lookup", "c76s76_c71s59_c0s70"]).ok().stdout_has("reverse");
    run(&["lookup", "c0s1460_c0s200_c36s0"]).ok().stdout_has("download");
    // The last, partial window has too few packets for a hint.
    assert!(lookup(&["c0s1460_c0s53_c6s0"])[0].get("hints").is_none());
}

#[test]
fn info_counts_rows_owners_and_bad_rows() {
    let folder = TempDir::new().unwrap();
    let database = file(
        &folder,
        "some.csv",
        &format!(
            "Application,ja4,ja4h\nA,{GO},po10nn060000_cdb958d032b0\nB,{GO},\n,{GO},\nC,nonsense,\n\"open,{GO},\n"
        ),
    );
    let outcome = run(&["labels", "info", text(&database), "--format", "json"])
        .ok()
        .stderr_has("some.csv:4:1: row skipped: has no name")
        .stderr_has("some.csv:5:1: row skipped: 'nonsense' is not a ja4 value")
        .stderr_has("some.csv:6:1: row skipped: has an unclosed quote");
    let info: Value = serde_json::from_str(outcome.stdout()).unwrap();
    assert_eq!((&info["rows"], &info["bad_rows"]), (&json!(3), &json!(3)));
    assert_eq!(
        info["types"],
        json!([
            { "type": "ja4", "values": 1, "prefixes": 0, "owners": 2, "shared": 1 },
            { "type": "ja4h", "values": 0, "prefixes": 1, "owners": 1, "shared": 0 },
        ]),
    );
    run(&["labels", "info", text(&database)]).ok().stdout_has("3 rows, 3 invalid");
}

#[test]
fn an_imported_table_has_the_same_labels_and_overwrites_no_file() {
    let folder = TempDir::new().unwrap();
    let database = file(&folder, "some.csv", &format!("Application,ja4\n\"A, \"\"the\"\" app\",{GO}\nB,{GO}\n"));
    let out = folder.path().join("out.toml");
    let import = ["labels", "import", text(&database), "-o", text(&out)];
    run(&import).ok().stdout_has("2 rows");
    let first = fs::read(&out).unwrap();
    let name = |database: &Path| lookup(&[GO, "--database", text(database)])[0]["label"]["name"].clone();
    assert_eq!(name(&out), "A, \"the\" app / B");
    assert_eq!(name(&out), name(&database));

    run(&import).status(USAGE).stderr_has("file exists; name another file").stderr_has_one_line();
    assert_eq!(fs::read(&out).unwrap(), first);
}

#[test]
fn an_invalid_label_file_is_rejected() {
    let folder = TempDir::new().unwrap();
    let assert_rejected = |name: &str, content: &str, message: &str| {
        let path = file(&folder, name, content);
        run(&["lookup", GO, "--database", text(&path)])
            .status(USAGE)
            .stderr_has(text(&path))
            .stderr_has(message)
            .stderr_has_one_line();
        run(&["labels", "info", text(&path)]).status(USAGE).stderr_has(message).stderr_has_one_line();
    };
    assert_rejected("a.json", "[]", "is not a label file; expected a .csv file");
    assert_rejected("a.csv", "x,y\n1,2\n", "has no header");
    let path = file(&folder, "a.toml", "[[entry]]\ntype = 'ja4'\nvalue = 'x'\n");
    run(&["lookup", GO, "--database", text(&path)])
        .status(USAGE)
        .stderr_has("a.toml:1:1: entry 1: missing key 'name'")
        .stderr_has("a.toml:3:9: entry 1: 'x' is not a ja4 value");
    assert_rejected("b.toml", "[[entry]]\nname = 'x\n", "b.toml:2:");
}

/// The public table, at the path that the environment gives; it is not part of the project.
#[test]
fn the_public_table_is_read_from_the_given_path() {
    let Ok(path) = std::env::var("JA4_MAPPING_CSV") else {
        eprintln!("skipped: JA4_MAPPING_CSV names no ja4plus-mapping.csv");
        return;
    };
    let result = lookup(&["ge11cn060000_4e59edc1297a_4da5efaf0cbd_0123456789ab", "--database", &path]);
    assert_eq!(result[0]["label"]["name"], "Cobalt Strike beacon");
    assert_eq!(run(&["labels", "info", &path]).ok().stderr(), "");
}

/// Only client fingerprints label the application of a connection: server and operating-system labels do not.
#[test]
fn server_and_system_labels_are_no_application_of_a_connection() {
    let folder = TempDir::new().unwrap();
    let mut random = SplitMix64::new(5);
    let hello = hello::records(&Shape::Device.client_hello("example.org", &mut random), usize::MAX);
    let flight = hello::server_flight_13(&mut random, 64);
    let mut conversation = TcpConversation::new();
    let capture = conversation.handshake().client(&hello).server(&flight).close().save(folder.path(), "tls.pcap");
    let events = Sensor::new().replay(&capture);
    let value = |method: &str| {
        let found = events.iter().find(|event| event["fingerprint"]["type"] == method);
        found.unwrap_or_else(|| panic!("no {method}"))["fingerprint"]["value"].as_str().unwrap().to_owned()
    };
    let entry = |method: &str, name: &str, category: &str| {
        let value = value(method);
        format!("[[entry]]\ntype = '{method}'\nvalue = '{value}'\nname = '{name}'\ncategory = '{category}'\n")
    };
    let system = entry("ja4t", "My Linux", "os");
    let server = entry("ja4ts", "My balancer", "device") + &entry("ja4s", "My server", "application");
    let client = entry("ja4", "My client", "application");
    let database = folder.path().join("history.db");
    let replayed = |name: &str, labels: String| {
        file(&folder, "labels.toml", &labels);
        let config = file(&folder, "sensor.toml", "[lookup]\ndatabases = ['labels.toml']\n");
        let database = folder.path().join(name);
        let arguments = ["replay", text(&capture), "--config", text(&config), "--db", text(&database)];
        let events = run(&arguments).ok().events();
        events.into_iter().find(|event| event["event_type"] == "connection").unwrap()["app"]["name"].clone()
    };
    assert_eq!(replayed("server.db", system.clone() + &server), Value::Null);
    assert_eq!(replayed("history.db", system + &server + &client), "My client");
    let found = |app: &str| {
        let outcome = run(&["query", "--db", text(&database), "--app", app, "--format", "json"]).ok();
        outcome.stdout().lines().count()
    };
    assert_eq!((found("My client"), found("My server"), found("My Linux")), (1, 0, 0));
}
