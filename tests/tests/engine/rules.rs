//! Custom rules and allowlist entries.

use serde_json::json;

use super::*;

const CONFIG: &str = "[rules]\nbuiltin = false\nfiles = [\"rules.toml\"]\n[allowlist]\nfiles = [\"allow.toml\"]\n";

/// Returns a rule that fires on more than `threshold` connections of one client.
fn threshold_rule(name: &str, threshold: u32, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\ndescription = \"mine\"\nseverity = \"critical\"\non = \"connection\"\n\
         group_by = [\"src_ip\"]\nthreshold = {{ op = \"gt\", value = {threshold} }}\nwindow = \"1m\"\n{more}\n"
    )
}

fn folder(rules: &str, allow: &str) -> EngineFolder {
    EngineFolder::new(CONFIG).with("rules.toml", rules).with("allow.toml", allow)
}

/// Returns `number` short connections of a client that start at this second.
fn burst(number: u64, second: u64) -> Vec<TimedFrame> {
    let conversations: Vec<_> = (0..number)
        .map(|number| {
            let client = format!("10.0.0.1:{}", 10_000 + second % 1000 * 20 + number);
            tls(&client, "192.0.2.1:443", ms(second * 1000 + number * 100), &client_hello(Shape::Curl, "a.example"))
        })
        .collect();
    merged_packets(&conversations)
}

#[test]
fn a_rule_replaces_the_builtin_rule_of_its_name_with_a_warning() {
    let folder = EngineFolder::new("[rules]\nfiles = [\"rules.toml\"]\n")
        .with("rules.toml", &threshold_rule("port_scan", 2, ""));
    let outcome =
        folder.run(&burst(3, 0), &[]).ok().stderr_has("rules.toml:2:8").stderr_has("port_scan").stderr_has_one_line();
    let events = outcome.events();
    let alert = single_alert(&events, "port_scan");
    assert_eq!((&details(alert)["description"], &details(alert)["severity"]), (&json!("mine"), &json!("critical")));
    // A scan that fires the built-in rule by default no longer does.
    let ports: Vec<_> = (0..150_u64)
        .map(|port| {
            let mut conversation =
                conversation(&format!("10.1.{port}.1:5"), &format!("192.0.2.1:{}", 1000 + port), ms(port));
            conversation.syn();
            conversation
        })
        .collect();
    assert!(alerts(&folder.replay(&merged_packets(&ports), &[]), "port_scan").is_empty());
}

#[test]
fn all_errors_in_rules_are_reported_at_once_with_line_and_column() {
    let rules = "[[rule]]\nname = \"one\"\non = \"connection\"\nwhere = [{ field = \"dst_prt\", op = \"eq\", value = 22 }]\n\
                 threshold = { op = \"gt\", value = 1 }\nwindow = \"5 minutes\"\n\n\
                 [[rule]]\nname = \"two\"\non = \"packet\"\nthreshold = { op = \"gt\", value = 1 }\nwindow = \"5m\"\n";
    let outcome = folder(rules, "").run(&burst(1, 0), &[]).status(2);
    let stderr = outcome.stderr();
    let lines: Vec<_> = stderr.lines().map(|line| line.split("rules.toml:").nth(1).unwrap_or(line)).collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    for (position, words) in [("4:", "dest_port"), ("6:", "5 minutes"), ("10:", "packet")] {
        let line = lines
            .iter()
            .find(|line| line.starts_with(position))
            .unwrap_or_else(|| panic!("line {position} in {stderr}"));
        assert!(line.contains(words), "{words:?} in {line}");
        assert!(line[position.len()..].starts_with(|digit: char| digit.is_ascii_digit()), "a column in {line}");
    }
    assert_eq!(outcome.stdout(), "", "there is output in spite of the errors");
}

#[test]
fn each_condition_matches_only_the_expected_values() {
    let yes_and_no = [
        ("dest_port", "eq", "443", "444"),
        ("dest_port", "ne", "80", "443"),
        ("dest_port", "lt", "444", "443"),
        ("dest_port", "lte", "443", "442"),
        ("dest_port", "gt", "442", "443"),
        ("dest_port", "gte", "443", "444"),
        ("dest_port", "in", "[1, 443]", "[1, 444]"),
        ("dest_port", "not_in", "[1, 444]", "[1, 443]"),
        ("tls.sni", "prefix", "\"shop.\"", "\"example\""),
        ("tls.sni", "contains", "\"op.ex\"", "\"oops\""),
        ("tls.sni", "regex", "\"^sh[aeiou]p\\\\.\"", "\"^hop\""),
        ("src_ip", "cidr", "\"10.0.0.0/8\"", "\"10.1.0.0/16\""),
        ("app.name", "eq", "\"curl\"", "\"Firefox\""),
        ("tls.alpn", "eq", "\"h2\"", "\"h3\""),
        ("mss", "eq", "1460", "1380"),
        ("os", "prefix", "\"Linux\"", "\"Windows\""),
        ("connection.state", "eq", "\"fin\"", "\"rst\""),
        ("connection.handshake", "eq", "\"done\"", "\"failed\""),
        ("hops.server", "eq", "7", "0"),
        ("connection.duration", "lt", "\"1s\"", "\"1ms\""),
        ("connection.pkts_toserver", "gte", "5", "6"),
    ];
    let mut rules = String::new();
    let mut expected = Vec::new();
    for (number, (field, op, yes, no)) in yes_and_no.into_iter().enumerate() {
        for (holds, value) in [("yes", yes), ("no", no)] {
            rules += &format!(
                "[[rule]]\nname = \"{holds}_{number}_{field}_{op}\"\non = \"connection\"\nwindow = \"1m\"\n\
                 where = [{{ field = \"{field}\", op = \"{op}\", value = {value} }}]\n\
                 threshold = {{ op = \"gte\", value = 1 }}\n"
            );
        }
        expected.push(format!("yes_{number}_{field}_{op}"));
    }
    for (name, value) in [("yes_exists", true), ("no_exists", false)] {
        rules += &format!(
            "[[rule]]\nname = \"{name}\"\non = \"fingerprint\"\nwindow = \"1m\"\nthreshold = {{ op = \"gte\", value = 1 }}\n\
             where = [{{ field = \"{}\", op = \"exists\" }}]\n",
            if value { "tls.sni" } else { "quic.version" }
        );
    }
    expected.push("yes_exists".to_owned());
    let conversation = tls("10.0.0.1:51234", "192.0.2.1:443", ms(0), &client_hello(Shape::Curl, "shop.example"));
    let events = folder(&rules, "").replay(conversation.packets(), &[]);
    let alerts = events::of_type(&events, "alert");
    let mut fired: Vec<_> =
        alerts.into_iter().map(|alert| details(alert)["rule"].as_str().unwrap().to_owned()).collect();
    fired.sort();
    expected.sort();
    assert_eq!(fired, expected);
}

#[test]
fn one_alert_per_cooldown_counts_the_suppressed_alerts() {
    let folder = folder(&threshold_rule("mine", 2, "cooldown = \"10m\""), "");
    let packets = [burst(10, 0), burst(5, 120), burst(10, 700)].concat();
    let events = folder.replay(&packets, &[]);
    let raised = alerts(&events, "mine");
    // Eight firings of the first burst and three of the second, one of which is output; the alert of the third burst
    // reports the rest as suppressed.
    assert_eq!(raised.iter().map(|alert| details(alert)["suppressed"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 10]);
    assert_reason(raised[0], &["3 connections within 1m", "more than 2"]);
    assert_eq!(raised[0]["timestamp"], "2026-11-23T07:00:00.200000000Z");
    assert_eq!(details(raised[0])["group"], json!({ "src_ip": "10.0.0.1" }));
}

#[test]
fn a_tumbling_window_restarts_where_a_sliding_window_does_not() {
    let rules = threshold_rule("slides", 5, "") + &threshold_rule("tumbles", 5, "mode = \"tumbling\"");
    // 07:00:58 and 07:01:02.
    let events = folder(&rules, "").replay(&[burst(3, 58), burst(3, 62)].concat(), &[]);
    single_alert(&events, "slides");
    assert!(alerts(&events, "tumbles").is_empty());
    let events = folder(&rules, "").replay(&burst(6, 10), &[]);
    single_alert(&events, "tumbles");
}

#[test]
fn an_allowlist_suppresses_and_counts_alerts() {
    let rules = threshold_rule("mine", 2, "") + &threshold_rule("other", 2, "");
    let allow = "[[network]]\ncidr = \"10.0.0.0/24\"\nrules = [\"mine\"]\nnote = \"the scanner\"\n";
    let events = folder(&rules, allow).replay(&burst(5, 0), &[]);
    assert!(alerts(&events, "mine").is_empty());
    single_alert(&events, "other");
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "allowlisted"]), 5);
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "rules", "by_rule", "mine", "allowlisted"]), 5);
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "rules", "by_rule", "other", "allowlisted"]), 0);
    // Another network, or the address as destination only.
    for other in ["cidr = \"10.0.1.0/24\"", "cidr = \"10.0.0.1\"\nside = \"destination\""] {
        let events = folder(&rules, &format!("[[network]]\n{other}\n")).replay(&burst(5, 0), &[]);
        single_alert(&events, "mine");
    }
}

#[test]
fn an_override_changes_severity_and_threshold_or_disables_a_rule() {
    let rules = threshold_rule("mine", 2, "") + &threshold_rule("other", 2, "") + &threshold_rule("gone", 2, "");
    let allow = "[[override]]\nrule = \"mine\"\nseverity = \"low\"\nthreshold = 4\n[[override]]\nrule = \"gone\"\nenabled = false\n\
                 [[override]]\nrule = \"known_bad\"\nseverity = \"critical\"\n";
    let folder = folder(&rules, allow);
    let events = folder.replay(&burst(4, 0), &[]);
    assert!(alerts(&events, "mine").is_empty() && alerts(&events, "gone").is_empty());
    single_alert(&events, "other");
    let events = folder.replay(&burst(5, 0), &[]);
    assert_eq!(details(single_alert(&events, "mine"))["severity"], "low");
    assert_reason(single_alert(&events, "mine"), &["5 connections", "more than 4"]);
}

#[test]
fn known_bad_alerts_are_suppressed_only_by_entries_that_name_the_rule() {
    let bad = format!(
        "[[pattern]]\ntype = \"ja4\"\nmatch = \"{}\"\ncategory = \"c2\"\nconfidence = 90\nnote = \"x\"\n",
        Shape::Curl.ja4()
    );
    let config = format!(
        "{CONFIG}[lookup]\nknown_bad = \"bad.toml\"\n[first_seen]\nlearning = \"0\"\nmethods = [\"ja4\"]\nhost_methods = []\n"
    );
    let with = |allow: &str| {
        let folder = EngineFolder::new(&config).with("rules.toml", "").with("bad.toml", &bad).with("allow.toml", allow);
        folder.replay(&burst(2, 0), &[])
    };
    let suppressed = |events: &[Value]| tests::stats_u64(stats(events), &["engine", "allowlisted"]);
    let fingerprint = format!("[[fingerprint]]\ntype = \"ja4\"\nmatch = \"{}\"\n", Shape::Curl.ja4());
    let network = "[[network]]\ncidr = \"10.0.0.0/8\"\n";
    let wide = "[[fingerprint]]\ntype = \"*\"\nmatch = \"*\"\n";
    for allow in [&*fingerprint, network, wide] {
        let events = with(allow);
        single_alert(&events, "known_bad");
        assert!(alerts(&events, "first_seen").is_empty(), "{allow}");
        assert_eq!(suppressed(&events), 1, "{allow}");
    }
    for allow in [format!("{fingerprint}rules = [\"known_bad\"]\n"), format!("{network}rules = [\"known_bad\"]\n")] {
        let events = with(&allow);
        assert!(alerts(&events, "known_bad").is_empty(), "{allow}");
        single_alert(&events, "first_seen");
        assert_eq!(suppressed(&events), 2, "{allow}");
        // The match is still in the fingerprint events.
        assert_eq!(of_kind(&events, "ja4")[0]["known_bad"]["category"], "c2");
    }
}
