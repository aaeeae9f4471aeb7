use super::*;
use crate::detect::RuleSet;
use crate::model::Severity;
use crate::model::example;

fn allow(text: &str) -> Allowlist {
    Allowlist::parse(Path::new("allow.toml"), text).unwrap()
}

fn record(client: &str, server: &str) -> ConnectionRecord {
    example::record(client, server, 443)
}

#[test]
fn fingerprints_are_suppressed_by_value_and_type() {
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
        assert_eq!(allow.suppresses("new_ja4_burst", &record, Some((method, value))), covered, "{value}");
    }
    assert!(!allow.suppresses("port_scan", &record, None), "a connection is no fingerprint");
    assert_eq!(allow.suppressed(), 2);
    assert_eq!(
        allow.counts().collect::<Vec<_>>(),
        [("ja4 t13d1516h2_8daaf6152771_e5627efa2ab1".to_owned(), 1), ("* *_backup_*".to_owned(), 1)]
    );
}

#[test]
fn networks_are_those_of_the_source_by_default() {
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
        assert_eq!(allow.suppresses(rule, &record(client, server), None), covered, "{rule} {client} {server}");
    }
}

#[test]
fn known_bad_is_suppressed_only_by_an_entry_that_names_it() {
    let record = record("10.1.0.1", "10.2.0.1");
    let bad = Some((Method::Ja4, "bad"));
    let everything = "[[fingerprint]]\ntype = \"*\"\nmatch = \"*\"\n[[network]]\ncidr = \"0.0.0.0/0\"\n";
    assert!(!allow(everything).suppresses(KNOWN_BAD, &record, bad));
    assert!(allow(everything).suppresses("first_seen", &record, bad));
    let named = "[[fingerprint]]\ntype = \"ja4\"\nmatch = \"bad\"\nrules = [\"known_bad\"]";
    assert!(allow(named).suppresses(KNOWN_BAD, &record, bad));
    assert!(!allow(named).suppresses("first_seen", &record, bad));
}

#[test]
fn counters_survive_a_reload() {
    let text = "[[network]]\ncidr = \"10.0.0.0/8\"\n[[network]]\ncidr = \"172.16.0.0/12\"";
    let former = allow(text);
    for client in ["10.0.0.1", "10.0.0.1", "172.16.0.1"] {
        assert!(former.suppresses("a", &record(client, "192.0.2.1"), None));
    }
    let next = allow("[[network]]\ncidr = \"10.0.0.0/8\"").following(&former);
    assert_eq!((next.suppressed(), next.counts().next().unwrap().1), (3, 2));
}

#[test]
fn overrides_change_rules_and_unknown_rules_are_warnings() {
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
            "allow.toml:4:45: unknown rule 'host_swep'; did you mean 'host_sweep'?",
            "allow.toml:12:9: override: unknown rule 'syn_floods'; did you mean 'syn_flood'?",
            "allow.toml:18:9: override: threshold 10000 of rule 'syn_flood' is out of range; it counts from 1 to 10000",
        ]
    );
}

#[test]
fn all_errors_are_reported_at_once() {
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
    let report = Allowlist::parse(Path::new("allow.toml"), text).unwrap_err().to_string();
    let expected = "\
allow.toml:3:8: fingerprint 1: type: unknown value 'ja5'; did you mean 'ja4'?
allow.toml:4:9: fingerprint 1: match: expected 1 to 512 bytes, found 0
allow.toml:5:1: fingerprint 2: missing key 'type'
allow.toml:7:9: fingerprint 2: rules: is empty; remove the key for every rule but known_bad
allow.toml:9:8: network 1: cidr: '10.0.0.1/8' is an address in a network; write '10.0.0.0/8'
allow.toml:10:8: network 1: side: unknown value 'both': expected source, destination or either
allow.toml:12:8: network 2: cidr: 'ten' is not a network; write it as '10.0.0.0/8'
allow.toml:13:1: network 2: unknown key 'coment': expected cidr, side, note or rules
allow.toml:14:1: override 1: changes nothing; add enabled, severity or threshold
allow.toml:18:12: override 2: severity: unknown severity 'urgent': expected low, medium, high or critical
allow.toml:19:13: override 2: threshold: expected an integer from 0 to 4294967295, found -1
allow.toml:23:1: override 4: rule 'c' has an override already, at allow.toml:20:1";
    assert_eq!(report, expected);
}

#[test]
fn entries_that_suppress_most_are_listed() {
    let entry = |number: usize| format!("[[network]]\ncidr = \"10.0.{}.{}\"\n", number / 256, number % 256);
    let allow = Allowlist::parse(Path::new("a.toml"), &(0..100).map(entry).collect::<String>()).unwrap();
    assert_eq!(
        (allow.listed_counts().len(), allow.listed_counts().last().unwrap()),
        (MAX_LISTED + 1, &("others".to_owned(), 0))
    );
    assert!(allow.suppresses("port_scan", &record("10.0.0.99", "203.0.113.1"), None));
    let listed = allow.listed_counts();
    assert_eq!(listed.len(), MAX_LISTED + 1);
    assert!(listed.contains(&("network 10.0.0.99/32".to_owned(), 1)), "{listed:?}");
}
