use proptest::prelude::*;

use super::entry::matches;
use super::*;
use crate::detect::RuleSet;
use crate::model::example;

fn allow(text: &str) -> Allow {
    Allow::parse(Path::new("allow.toml"), text).unwrap()
}

fn record(client: &str, server: &str) -> ConnectionRecord {
    example::record(client, server, 443)
}

#[test]
fn fingerprints_are_covered_by_value_and_type() {
    let allow = allow(
        r#"
        [[fingerprint]]
        type = "ja4"
        match = "t13d1516h2_8daaf6152771_e5627efa2ab1"
        [[fingerprint]]
        type = "*"
        match = "*_backup_*"
        note = "the backup agent"
        "#,
    );
    let record = record("10.1.0.1", "10.2.0.1");
    for (method, value, covered) in [
        (Method::Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1", true),
        (Method::Ja4s, "t13d1516h2_8daaf6152771_e5627efa2ab1", false),
        (Method::Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab", false),
        (Method::Ja4h, "ge_backup_x", true),
    ] {
        assert_eq!(allow.covers("new_ja4_burst", &record, Some((method, value))), covered, "{value}");
    }
    assert!(!allow.covers("port_scan", &record, None), "a connection is no fingerprint");
    assert_eq!(allow.suppressed(), 2);
    assert_eq!(
        allow.counts().collect::<Vec<_>>(),
        [("ja4 t13d1516h2_8daaf6152771_e5627efa2ab1".to_owned(), 1), ("* *_backup_*".to_owned(), 1)]
    );
}

#[test]
fn networks_are_those_of_the_source_unless_said_otherwise() {
    let allow = allow(
        r#"
        [[network]]
        cidr = "10.0.0.0/8"
        rules = ["a", "b"]
        [[network]]
        cidr = "2001:db8::/32"
        side = "either"
        [[network]]
        cidr = "192.0.2.1"
        side = "destination"
        "#,
    );
    for (rule, client, server, covered) in [
        ("a", "10.255.0.1", "192.0.2.9", true),
        ("c", "10.255.0.1", "192.0.2.9", false),
        ("a", "192.0.2.9", "10.255.0.1", false),
        ("c", "2001:db8::1", "2001:db9::1", true),
        ("c", "2001:db9::1", "2001:db8::1", true),
        ("c", "198.51.100.1", "192.0.2.1", true),
        ("c", "192.0.2.1", "198.51.100.1", false),
        ("c", "198.51.100.1", "192.0.2.2", false),
    ] {
        assert_eq!(allow.covers(rule, &record(client, server), None), covered, "{rule} {client} {server}");
    }
}

#[test]
fn known_bad_is_left_in_peace_only_by_an_entry_that_names_it() {
    let record = record("10.1.0.1", "10.2.0.1");
    let bad = Some((Method::Ja4, "bad"));
    let everything = "[[fingerprint]]\ntype = \"*\"\nmatch = \"*\"\n[[network]]\ncidr = \"0.0.0.0/0\"\n";
    assert!(!allow(everything).covers(KNOWN_BAD, &record, bad));
    assert!(allow(everything).covers("first_seen", &record, bad));
    let named = "[[fingerprint]]\ntype = \"ja4\"\nmatch = \"bad\"\nrules = [\"known_bad\"]";
    assert!(allow(named).covers(KNOWN_BAD, &record, bad));
    assert!(!allow(named).covers("first_seen", &record, bad));
}

#[test]
fn counters_outlive_a_reload() {
    let text = "[[network]]\ncidr = \"10.0.0.0/8\"\n[[network]]\ncidr = \"172.16.0.0/12\"";
    let former = allow(text);
    for client in ["10.0.0.1", "10.0.0.1", "172.16.0.1"] {
        assert!(former.covers("a", &record(client, "192.0.2.1"), None));
    }
    let next = allow("[[network]]\ncidr = \"10.0.0.0/8\"").following(&former);
    assert_eq!((next.suppressed(), next.counts().next().unwrap().1), (3, 2));
}

#[test]
fn overrides_change_rules_and_unknown_ones_are_told() {
    let allow = allow(
        r#"
        [[network]]
        cidr = "10.0.0.0/8"
        rules = ["host_sweep", "known_bad", "host_swep"]
        [[override]]
        rule = "port_scan"
        severity = "critical"
        threshold = 500
        [[override]]
        rule = "host_sweep"
        enabled = false
        [[override]]
        rule = "syn_floods"
        enabled = false
        [[override]]
        rule = "first_seen"
        severity = "low"
        [[override]]
        rule = "syn_flood"
        threshold = 10_000
        "#,
    );
    let (set, _) = RuleSet::load(true, &[]).unwrap();
    let (set, warnings) = set.overridden(&allow, &["first_seen"]);
    let scan = set.iter().find(|rule| &*rule.name == "port_scan").unwrap();
    assert_eq!((scan.severity, scan.threshold.needed()), (Severity::Critical, 501));
    assert!(!set.iter().any(|rule| &*rule.name == "host_sweep"));
    assert_eq!(
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "allow.toml:4:45: there is no rule \"host_swep\"; did you mean \"host_sweep\"?",
            "allow.toml:12:9: override: there is no rule \"syn_floods\"; did you mean \"syn_flood\"?",
            "allow.toml:18:9: override: rule \"syn_flood\" can't have the threshold 10000: it counts from 1 to 10000",
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = r#"
[[fingerprint]]
type = "ja5"
match = ""
[[fingerprint]]
match = "x"
rules = []
[[network]]
cidr = "10.0.0.1/8"
side = "both"
[[network]]
cidr = "ten"
coment = "x"
[[override]]
rule = "a"
[[override]]
rule = "b"
severity = "urgent"
threshold = -1
[[override]]
rule = "c"
enabled = false
[[override]]
rule = "c"
enabled = true
"#;
    let report = Allow::parse(Path::new("allow.toml"), text).unwrap_err().to_string();
    let expected = "\
allow.toml:3:8: fingerprint: type must be one of ja4, ja4s, ja4t, ja4ts, ja4l, ja4ls, ja4h, ja4x, ja4ssh, ja4d, ja4d6, *, not \"ja5\"
allow.toml:4:9: fingerprint: match must have 1 to 512 bytes
allow.toml:5:1: fingerprint: 'type' is missing
allow.toml:7:9: fingerprint: rules names none; leave it out for every rule but known_bad
allow.toml:9:8: network: cidr must be a network; the one of that address is 10.0.0.0/8
allow.toml:10:8: network: side must be one of source, destination, either, not \"both\"
allow.toml:12:8: network: cidr must be like \"10.0.0.0/8\", not \"ten\"
allow.toml:13:1: network has no key \"coment\"; there are cidr, side, note, rules
allow.toml:14:1: override: it changes nothing; give enabled, severity or threshold
allow.toml:18:12: override: severity must be one of low, medium, high, critical, not \"urgent\"
allow.toml:19:13: override: threshold can't be -1
allow.toml:23:1: override: there is one of \"c\" already, at allow.toml:20:1";
    assert_eq!(report, expected);
}

proptest! {
    #[test]
    fn a_pattern_matches_what_a_regular_expression_of_it_does(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
        let regex = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
        prop_assert_eq!(matches(&pattern, &text), regex.is_match(&text), "{} {}", pattern, text);
    }
}

#[test]
fn of_many_entries_those_that_suppress_most_are_shown() {
    let entry = |number: usize| format!("[[network]]\ncidr = \"10.0.{}.{}\"\n", number / 256, number % 256);
    let allow = Allow::parse(Path::new("a.toml"), &(0..100).map(entry).collect::<String>()).unwrap();
    assert_eq!((allow.shown().len(), allow.shown().last().unwrap()), (MAX_SHOWN + 1, &("others".to_owned(), 0)));
    assert!(allow.covers("port_scan", &record("10.0.0.99", "203.0.113.1"), None));
    let shown = allow.shown();
    assert_eq!(shown.len(), MAX_SHOWN + 1);
    assert!(shown.contains(&("network 10.0.0.99/32".to_owned(), 1)), "{shown:?}");
}
