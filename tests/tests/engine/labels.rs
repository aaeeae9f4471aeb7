//! Labels of values, known-bad matches, and hints about path and use.

use std::collections::HashMap;

use serde_json::json;
use tests::http::{browser_request, response};

use super::connections::with_mss;
use super::*;

fn request() -> TcpConversation {
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    let request = browser_request("shop.example", "/", &mut SplitMix64::new(3));
    conversation.handshake().client(&request).server(&response(500)).close();
    conversation
}

/// Returns the JA4H of [`request`].
fn ja4h() -> String {
    let events = replay("", request().packets());
    of_kind(&events, "ja4h")[0]["fingerprint"]["value"].as_str().unwrap().to_owned()
}

/// Returns the label of the JA4H of [`request`], from a table with these rows in the layout of the public table.
fn label_from_table(rows: &[(&str, &str)]) -> Value {
    let rows: String = rows.iter().map(|(name, value)| format!("{name},{value}\n")).collect();
    let folder = EngineFolder::new("[lookup]\ndatabases = [\"table.csv\"]\n")
        .with("table.csv", &format!("Application,ja4h\n{rows}"));
    let events = folder.replay(request().packets(), &[]);
    let label = of_kind(&events, "ja4h")[0]["label"].clone();
    if !label.is_null() {
        assert_eq!(of_port(&events, 51_234)["app"], label, "the connection has the label of its primary fingerprint");
    }
    label
}

#[test]
fn exact_values_and_prefixes_of_two_or_three_sections_have_labels() {
    let value = ja4h();
    let sections: Vec<_> = value.split('_').collect();
    let prefix = |length: usize| sections[..length].join("_");
    let whole = label_from_table(&[("Exact", &value)]);
    assert_eq!((&whole["name"], &whole["source"]), (&json!("Exact"), &json!("table")));
    for length in [2, 3] {
        let label = label_from_table(&[("Part", &prefix(length))]);
        assert_eq!(label["name"], "Part", "{length} sections");
        assert!(label["confidence"].as_u64() <= whole["confidence"].as_u64(), "{length} sections: {label}");
    }
    let other = format!("{}_000000000000", sections[0]);
    assert!(label_from_table(&[("Other", &other)]).is_null());
}

#[test]
fn a_value_of_several_owners_has_all_their_names_and_less_confidence() {
    let value = ja4h();
    let prefix = value.split('_').take(2).collect::<Vec<_>>().join("_");
    let one = label_from_table(&[("One", &value)])["confidence"].as_u64().unwrap();
    let label = label_from_table(&[("One", &value), ("Other", &value), ("Third", &prefix)]);
    let name = label["name"].as_str().unwrap();
    assert_eq!(name.split(" / ").collect::<Vec<_>>(), ["One", "Other", "Third"]);
    assert_eq!(label["confidence"], one / 3);
    // The order of rows does not affect the label.
    assert_eq!(label_from_table(&[("Third", &prefix), ("Other", &value), ("One", &value)]), label);
}

/// Returns the rows of a CSV file, keyed by the column names of its first line. No field is quoted.
fn csv_rows(text: &str) -> Vec<HashMap<String, String>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let head = lines.next().unwrap();
    lines.map(|line| head.iter().cloned().zip(line).collect()).collect()
}

#[test]
fn a_fingerprint_has_a_label_and_a_connection_an_app_in_every_format() {
    let folder = EngineFolder::new("");
    let conversation = tls("10.0.0.1:51234", "192.0.2.1:443", ms(0), &client_hello(Shape::Curl, "a.example"));
    let database = folder.text("history.db");
    let assert_curl = |event: &Value, name: &str, other: &str| {
        assert_eq!(event[name]["name"], "curl", "{event}");
        assert!(event.get(other).is_none(), "{event}");
    };
    let events = folder.replay(conversation.packets(), &["--db", &database]);
    assert_curl(of_kind(&events, "ja4")[0], "label", "app");
    assert_curl(of_port(&events, 51_234), "app", "label");
    let of_ja4 = |rows: Vec<Value>| rows.into_iter().find(|row| row["fingerprint"]["type"] == "ja4").unwrap();
    assert_curl(&of_ja4(folder.rows(&["query", "fingerprints", "--format", "json"], &[])), "label", "app");
    assert_curl(&folder.rows(&["query", "connections", "--format", "json"], &[])[0], "app", "label");
    Sensor::new().run(&["export", "--db", &database, "-o", &folder.text("export.json")]).ok();
    let exported = events::parse(&fs::read_to_string(folder.path("export.json")).unwrap());
    assert_curl(&exported[0], "app", "label");
    let timeline = exported[0]["fingerprints"].as_array().unwrap();
    assert_curl(timeline.iter().find(|seen| seen["type"] == "ja4").unwrap(), "label", "app");

    let printed = |arguments: &[&str]| csv_rows(Sensor::new().run(arguments).ok().stdout());
    let output =
        csv_rows(folder.run(conversation.packets(), &["--format", "csv", "--types", "ja4,connection"]).ok().stdout());
    for (row, (name, other)) in output.iter().zip([("label", "app"), ("app", "label")]) {
        assert_eq!((&*row[&format!("{name}.name")], &*row[&format!("{other}.name")]), ("curl", ""), "{row:?}");
        assert_eq!((&*row[&format!("{name}.source")], &*row[&format!("{name}.confidence")]), ("builtin", "80"));
    }
    assert_eq!(output.len(), 2);
    let ja4 = ["query", "fingerprints", "--type", "ja4", "--format", "csv", "--db", &database];
    assert_eq!(printed(&ja4)[0]["label.name"], "curl");
    assert_eq!(printed(&["query", "connections", "--format", "csv", "--db", &database])[0]["app.name"], "curl");
}

#[test]
fn rules_match_the_label_of_a_fingerprint_and_the_app_of_its_connection() {
    let rule = |name: &str, on: &str, field: &str, value: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\non = \"{on}\"\nwindow = \"1m\"\nthreshold = {{ op = \"gte\", value = 1 }}\n\
             where = [{{ field = \"{field}\", op = \"eq\", value = \"{value}\" }}]\n"
        )
    };
    let rules = rule("by_label", "fingerprint", "label.name", "Linux")
        + &rule("by_app", "fingerprint", "app.name", "Linux")
        + &rule("of_connection", "connection", "app.name", "curl");
    let config = "[rules]\nbuiltin = false\nfiles = [\"rules.toml\"]\n";
    let folder = EngineFolder::new(config).with("rules.toml", &rules).with("wrong.toml", "");
    let conversation = tls("10.0.0.1:51234", "192.0.2.1:443", ms(0), &client_hello(Shape::Curl, "a.example"));
    let events = folder.replay(conversation.packets(), &[]);
    assert_eq!(of_kind(&events, "ja4t")[0]["label"]["name"], "Linux", "the label of its operating system");
    assert_eq!((alerts(&events, "by_label").is_empty(), alerts(&events, "by_app").is_empty()), (false, true));
    single_alert(&events, "of_connection");
    // The label field does not exist for connections.
    let folder = EngineFolder::new(config).with("rules.toml", &rule("wrong", "connection", "label.name", "curl"));
    folder.run(conversation.packets(), &[]).status(2).stderr_has("label.name").stderr_has_one_line();
}

#[test]
fn a_custom_table_is_combined_with_the_builtin_one() {
    let entry = |value: &str, name: &str| {
        format!(
            "[[entry]]\ntype = \"ja4\"\nvalue = \"{value}\"\nname = \"{name}\"\nconfidence = 90\ncategory = \"agent\"\n"
        )
    };
    let folder = EngineFolder::new("[lookup]\ndatabases = [\"mine.toml\"]\n")
        .with("mine.toml", &(entry(Shape::Device.ja4(), "Our probe") + &entry(Shape::Curl.ja4(), "Our backup")));
    let label = |shape| {
        let conversation = tls("10.0.0.1:51234", "192.0.2.1:443", ms(0), &client_hello(shape, "a.example"));
        of_kind(&folder.replay(conversation.packets(), &[]), "ja4")[0]["label"].clone()
    };
    assert_eq!(
        label(Shape::Device),
        json!({ "name": "Our probe", "source": "mine", "category": "agent", "confidence": 90 })
    );
    let shared = label(Shape::Curl);
    assert_eq!((&shared["name"], &shared["confidence"]), (&json!("Our backup / curl"), &json!(45)));
    assert_eq!(shared["source"], "builtin / mine");
}

/// Returns a conversation with one request that has a cookie. Only names and order of its fields affect the JA4H.
fn request_with_cookie() -> TcpConversation {
    let request = "GET / HTTP/1.1\r\nAccept: */*\r\nHost: a\r\nUser-Agent: b\r\nConnection: c\r\nCookie: d=e\r\n\r\n";
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    conversation.handshake().client(request.as_bytes()).server(&response(10)).close();
    conversation
}

/// A configured list replaces the built-in one.
#[test]
fn a_list_of_known_bad_values_replaces_the_builtin_one() {
    let conversation = request_with_cookie();
    let events = replay("", conversation.packets());
    let value = of_kind(&events, "ja4h")[0]["fingerprint"]["value"].as_str().unwrap();
    let pattern = value.split('_').next().unwrap();
    let list = format!(
        "[[pattern]]\ntype = \"ja4h\"\nmatch = \"{pattern}_*\"\ncategory = \"malware\"\nconfidence = 90\nnote = \"mine\"\n"
    );
    let folder = EngineFolder::new("[lookup]\nknown_bad = \"bad.toml\"\n").with("bad.toml", &list);
    let events = folder.replay(conversation.packets(), &[]);
    let alert = single_alert(&events, "known_bad");
    assert_eq!((&alert["alert"]["category"], &details(alert)["confidence"]), (&json!("malware"), &json!(90)));
    assert_eq!(details(alert)["severity"], "high");
    assert_reason(alert, &[value, &format!("{pattern}_*"), "mine", "malware", "90"]);
    let weak = EngineFolder::new("[lookup]\nknown_bad = \"bad.toml\"\n").with("bad.toml", &list.replace("90", "40"));
    assert_eq!(details(single_alert(&weak.replay(conversation.packets(), &[]), "known_bad"))["severity"], "low");
    // An empty list matches nothing; a list with an error is rejected as a whole.
    let none = EngineFolder::new("[lookup]\nknown_bad = \"bad.toml\"\n").with("bad.toml", "");
    assert!(alerts(&none.replay(conversation.packets(), &[]), "known_bad").is_empty());
    let wrong =
        EngineFolder::new("[lookup]\nknown_bad = \"bad.toml\"\n").with("bad.toml", &list.replace("ja4h\"", "ja5\""));
    wrong.run(conversation.packets(), &[]).status(2).stderr_has("bad.toml:2:").stderr_has("ja5").stderr_has_one_line();
}

fn pattern(kind: &str, matches: &str, note: &str) -> String {
    format!(
        "[[pattern]]\ntype = \"{kind}\"\nmatch = \"{matches}\"\ncategory = \"mine\"\nconfidence = 90\nnote = \"{note}\"\n"
    )
}

/// Returns the number of active patterns and their sources, as `check` reports them.
fn active_patterns(folder: &EngineFolder) -> String {
    let config = folder.text("sensor.toml");
    // A missing capability may set the exit status.
    let outcome = Sensor::new().run(&["check", "--config", &config]);
    let line = outcome.stdout().lines().find_map(|line| line.split_once("detection.known_bad: "));
    let (_, patterns) = line.unwrap_or_else(|| panic!("{}", outcome.stderr()));
    patterns.replace(&config.replace("sensor.toml", ""), "")
}

#[test]
fn extra_known_bad_patterns_are_added_to_the_active_list() {
    let conversation = request_with_cookie();
    let bad = |folder: &EngineFolder| {
        let events = folder.replay(conversation.packets(), &[]);
        of_kind(&events, "ja4h")[0]["known_bad"]["note"].as_str().map(str::to_owned)
    };
    let events = replay("", conversation.packets());
    let value = of_kind(&events, "ja4h")[0]["fingerprint"]["value"].as_str().unwrap();
    let builtin = EngineFolder::new("");
    let line = active_patterns(&builtin);
    let count: usize = line.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(line, format!("{count} known-bad patterns ({count} built-in)"));

    let with = |keys: &str| {
        let one = pattern("ja4", "t00*", "other") + &pattern("ja4t", "1_*_2", "other");
        let folder = EngineFolder::new(&format!("[lookup]\n{keys}"));
        folder.with("one.toml", &one).with("two.toml", &pattern("ja4h", value, "extra"))
    };
    // A file without a match leaves the built-in list unchanged.
    let folder = with("known_bad_extra = \"one.toml\"\n");
    assert_eq!(bad(&folder), None);
    let total = count + 2;
    assert_eq!(active_patterns(&folder), format!("{total} known-bad patterns ({count} built-in, 2 in one.toml)"));
    // Extra files also extend a replaced list, and several files are combined.
    let folder = with("known_bad = \"one.toml\"\nknown_bad_extra = [\"two.toml\"]\n");
    assert_eq!(bad(&folder).as_deref(), Some("extra"));
    assert_eq!(active_patterns(&folder), "3 known-bad patterns (2 in one.toml, 1 in two.toml)");
    assert_eq!(bad(&with("known_bad = \"one.toml\"\n")), None);
    // Of two matching patterns, the one with higher confidence is reported.
    assert_eq!(bad(&with("known_bad_extra = [\"one.toml\", \"two.toml\"]\n")).as_deref(), Some("extra"));
    // An error is reported with file and line.
    let wrong = EngineFolder::new("[lookup]\nknown_bad_extra = \"bad.toml\"\n")
        .with("bad.toml", "[[pattern]]\ntype = \"ja5\"\n");
    wrong.run(conversation.packets(), &[]).status(2).stderr_has("bad.toml:2:").stderr_has("ja5");
    let missing = EngineFolder::new("[lookup]\nknown_bad_extra = \"none.toml\"\n");
    missing
        .run(conversation.packets(), &[])
        .status(2)
        .stderr_has("sensor.toml:2:1: lookup.known_bad_extra: ")
        .stderr_has_one_line();
}

#[test]
fn the_mss_identifies_tunnels() {
    let table = [
        (4, 1460, None),
        (4, 1452, Some(("pppoe", 1492))),
        (4, 1440, Some(("ipip", 1480))),
        (4, 1436, Some(("gre", 1476))),
        (4, 1410, Some(("vxlan", 1450))),
        (4, 1380, Some(("wireguard", 1420))),
        (4, 1400, Some(("wireguard", 1440))),
        (4, 1240, Some(("overlay", 1280))),
        (4, 1390, Some(("ipsec", 1430))),
        (4, 8961, None),
        (4, 65_495, None),
        (6, 1440, None),
        (6, 1432, Some(("pppoe", 1492))),
        (6, 1390, Some(("vxlan", 1450))),
        (6, 1360, Some(("wireguard", 1420))),
        (6, 1220, Some(("overlay", 1280))),
    ];
    let conversations: Vec<_> = (1..)
        .zip(table)
        .map(|(port, (family, mss, _))| {
            let ends = match family {
                4 => (format!("10.0.0.1:{port}"), "192.0.2.1:443"),
                _ => (format!("[fd00::1]:{port}"), "[2001:db8::1]:443"),
            };
            let mut conversation = conversation(&ends.0, ends.1, ms(port));
            conversation.syn_with(64_240, &with_mss(mss)).syn_ack().client_ack();
            conversation
        })
        .collect();
    let events = replay("", &merged_packets(&conversations));
    for (port, (family, mss, tunnel)) in (1..).zip(table) {
        let connection = of_port(&events, port);
        assert_eq!(connection["mss"], mss);
        match tunnel {
            None => assert!(connection.get("tunnel").is_none(), "IPv{family}, MSS {mss}: {connection}"),
            Some((name, mtu)) => {
                let reported = (&connection["tunnel"]["name"], &connection["tunnel"]["mtu"]);
                // 1430 is also the MTU of VXLAN over IPv6.
                let name = if mtu == 1430 { "vxlan" } else { name };
                assert_eq!(reported, (&json!(name), &json!(mtu)), "IPv{family}, MSS {mss}");
                assert!((1..=95).contains(&connection["tunnel"]["confidence"].as_u64().unwrap()));
            }
        }
    }
}

#[test]
fn ssh_sessions_are_classified_by_their_use() {
    let banner = b"SSH-2.0-OpenSSH_9.2\r\n";
    type SshExchange = fn(&mut TcpConversation);
    let uses: [(&str, SshExchange); 5] = [
        ("interactive", |conversation| {
            for _ in 0..110 {
                conversation.client(&[0x80; 36]).server(&[0x81; 36]).client_ack();
            }
        }),
        ("reverse", |conversation| {
            for _ in 0..110 {
                conversation.server(&[0x80; 76]).client(&[0x81; 76]).server_ack();
            }
        }),
        ("download", |conversation| {
            for _ in 0..220 {
                conversation.server(&[0x80; 1400]);
            }
        }),
        ("upload", |conversation| {
            for _ in 0..220 {
                conversation.client(&[0x80; 1400]);
            }
        }),
        // Too short for any classification.
        ("", |conversation| {
            for _ in 0..20 {
                conversation.client(&[0x80; 36]).server(&[0x81; 36]).client_ack();
            }
        }),
    ];
    let conversations: Vec<_> = (1..)
        .zip(uses)
        .map(|(port, (_, exchange))| {
            let mut conversation = conversation(&format!("10.0.0.1:{port}"), "192.0.2.1:22", ms(0));
            conversation.handshake().server(banner).client(banner);
            exchange(&mut conversation);
            conversation.close();
            conversation
        })
        .collect();
    let events = replay("", &merged_packets(&conversations));
    for (port, (session, _)) in (1..).zip(uses) {
        let reported = of_port(&events, port)["ssh_session"].as_str().unwrap_or_default();
        assert_eq!(reported, session, "{:#?}", of_kind(&events, "ja4ssh"));
    }
}

#[test]
fn without_builtin_labels_only_label_files_count() {
    let entry = format!("[[entry]]\ntype = \"ja4\"\nvalue = \"{}\"\nname = \"Probe\"\n", Shape::Device.ja4());
    let folder =
        EngineFolder::new("[lookup]\nbuiltin_labels = false\ndatabases = [\"mine.toml\"]\n").with("mine.toml", &entry);
    let label = |shape| {
        let talk = tls("10.0.0.1:51234", "192.0.2.1:443", ms(0), &client_hello(shape, "a.example"));
        of_kind(&folder.replay(talk.packets(), &[]), "ja4")[0]["label"]["name"].clone()
    };
    assert_eq!((label(Shape::Curl), label(Shape::Device)), (Value::Null, json!("Probe")));
}
