//! `--format eve`: an unchanged consumer of Suricata's EVE can read it.

use std::collections::{BTreeMap, BTreeSet};

use tests::require_python;

use super::conformance::conformance;
use super::*;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/eve_schema.py");

/// Environment variable with the path of Suricata's `etc/schema.json`, which is not part of the project.
const SCHEMA: &str = "JA4_EVE_SCHEMA";

/// Returns Suricata's schema of EVE, if it is present.
fn schema() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/eve-schema.json");
    let file = std::env::var_os(SCHEMA).map_or(beside, PathBuf::from);
    if !file.is_file() {
        privilege::skipped(&format!("Suricata's schema of EVE, in the file that {SCHEMA} names"));
        return None;
    }
    Some(file)
}

/// Returns what a replay of a capture prints.
fn eve(capture: &Path, options: &[&str]) -> String {
    let mut arguments = vec![OsStr::new("replay"), OsStr::new("--format"), OsStr::new("eve")];
    arguments.extend(options.iter().map(OsStr::new));
    arguments.push(capture.as_os_str());
    Sensor::new().run(&arguments).ok().stdout().to_owned()
}

/// Writes a capture of every protocol.
fn everything(folder: &Path) -> PathBuf {
    let path = folder.join("everything.pcap");
    generate::write(CaptureKind::Everything, 0.02, 14, &mut File::create(&path).unwrap()).unwrap();
    path
}

#[test]
fn every_line_validates_against_suricatas_schema() {
    let (Some(schema), Some(python)) = (schema(), require_python("jsonschema")) else { return };
    let folder = TempDir::new().unwrap();
    let mut captures = vec![everything(folder.path())];
    if let Some(public) = conformance() {
        captures.extend(fs::read_dir(public.join("pcap")).unwrap().map(|entry| entry.unwrap().path()));
    }
    let lines: String = captures.iter().map(|capture| eve(capture, &["--sensor", "web1", "--raw", "--ja3"])).collect();
    let types: BTreeSet<_> =
        events::parse(&lines).iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        types.iter().map(String::as_str).collect::<Vec<_>>(),
        ["alert", "dhcp", "flow", "http", "quic", "ssh", "stats", "tls"]
    );
    assert!(lines.contains(r#""ja3":{"#) && lines.contains(r#""ja3s":{"#));
    let mut validate = Command::new(python);
    validate.args([SCRIPT.as_ref(), schema.as_os_str()]);
    let outcome = Outcome::new(process::run(validate, lines.as_bytes(), process::LIMIT * 3));
    assert!(outcome.stdout().contains(&format!("{} lines are valid, 0 are not", lines.lines().count())), "{outcome}");
}

/// Returns how often each method has each value in the objects at this path.
fn values_at<'a>(events: impl IntoIterator<Item = &'a Value>, path: &str) -> BTreeMap<(&'a str, &'a str), usize> {
    let mut counts = BTreeMap::new();
    for (method, values) in events.into_iter().filter_map(|event| event.pointer(path)?.as_object()).flatten() {
        for value in values.as_array().unwrap() {
            *counts.entry((method.as_str(), value.as_str().unwrap())).or_default() += 1;
        }
    }
    counts
}

#[test]
fn it_has_every_fingerprint_that_json_has() {
    let folder = TempDir::new().unwrap();
    let capture = everything(folder.path());
    let json = Sensor::new().replay(&capture);
    let eve = events::parse(&eve(&capture, &[]));
    assert!(eve.iter().all(|event| event["timestamp"].as_str().unwrap().ends_with("+0000")));
    let flows = events::of_type(&eve, "flow");
    assert_eq!(
        values_at(flows, "/ja4plus/ja4"),
        values_at(events::of_type(&json, "connection"), "/ja4"),
        "flow events have not the fingerprints of the connections"
    );
    for (event_type, protocol) in [("tls", "tls"), ("quic", "quic")] {
        let mut printed: Vec<_> =
            events::of_type(&eve, event_type).iter().filter_map(|event| event[event_type]["ja4"].as_str()).collect();
        let is_first = |event: &&Value| {
            event["app_proto"] == protocol
                && event["fingerprint"]["type"] == "ja4"
                && event["fingerprint"]["count"] == 1
        };
        let hellos = fingerprints(&json).into_iter().filter(is_first);
        let mut expected: Vec<_> = hellos.map(|event| event["fingerprint"]["value"].as_str().unwrap()).collect();
        printed.sort_unstable();
        expected.sort_unstable();
        assert!(!expected.is_empty());
        assert_eq!(printed, expected, "{event_type}");
    }
    for (event_type, methods) in [("http", &["ja4h"][..]), ("dhcp", &["ja4d", "ja4d6"])] {
        let expected: usize = methods.iter().map(|method| values(&json, method).len()).sum();
        assert_eq!(events::of_type(&eve, event_type).len(), expected, "{event_type}");
    }
}

#[test]
fn it_is_the_same_for_any_number_of_shards() {
    let folder = TempDir::new().unwrap();
    let capture = everything(folder.path());
    let one = eve(&capture, &["--shards", "1"]);
    for shards in ["2", "7"] {
        assert!(eve(&capture, &["--shards", shards]) == one, "the output differs with {shards} shards");
    }
}

#[test]
fn a_signature_id_depends_on_the_rule_alone() {
    let rule = |name: &str, sid: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\n{sid}\non = \"connection\"\nthreshold = {{ op = \"gte\", value = 1 }}\nwindow = \"1m\"\n"
        )
    };
    let folder = TempDir::new().unwrap();
    let capture = plain().save(folder.path(), "talk.pcap");
    let config = folder.path().join("config.toml");
    fs::write(&config, "[rules]\nfiles = ['rules.toml']\n").unwrap();
    let ids = |rules: &[String]| -> BTreeMap<String, u64> {
        fs::write(folder.path().join("rules.toml"), rules.concat()).unwrap();
        let options = ["--types", "alert", "--config", config.to_str().unwrap()];
        let alerts = events::parse(&eve(&capture, &options));
        let id = |event: &Value| event["alert"]["signature_id"].as_u64().unwrap();
        alerts.iter().map(|event| (event["alert"]["signature"].as_str().unwrap().to_owned(), id(event))).collect()
    };
    let (own, numbered, other) = (rule("own_rule", ""), rule("numbered", "sid = 4_000_000"), rule("other", ""));
    let all = ids(&[own.clone(), numbered.clone(), other]);
    assert_eq!(all.len(), 3, "{all:?}");
    // Computed with another implementation of FNV-1a.
    assert_eq!((all["own_rule"], all["numbered"]), (1_175_872_990, 4_000_000));
    let expected = BTreeMap::from(["own_rule", "numbered"].map(|name| (name.to_owned(), all[name])));
    assert_eq!(ids(&[numbered, own]), expected);
}
