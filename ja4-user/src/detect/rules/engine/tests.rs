use std::path::Path;

use super::*;
use crate::model::example::record;
use crate::model::{CowArc, EndReason, Method, TlsAttributes};

const SECOND: u64 = 1_000_000_000;

fn rules(text: &str) -> RuleEngine {
    let set = RuleSet::parse(Path::new("rules.toml"), text).unwrap();
    RuleEngine::new(&set, Arc::default(), GroupLimits::default())
}

fn builtin() -> RuleEngine {
    let (set, warnings) = RuleSet::load(true, &[]).unwrap();
    assert_eq!((set.len(), warnings), (11, Vec::new()));
    RuleEngine::new(&set, Arc::default(), GroupLimits::default())
}

fn seen(method: Method, value: &str, first_seen: bool) -> FingerprintRecord {
    FingerprintRecord::example(method, value).sighted(first_seen)
}

/// Rules and their alerts so far, with a clock in seconds.
struct RuleRun {
    rules: RuleEngine,
    alerts: Vec<Alert>,
    now: u64,
}

impl RuleRun {
    fn new(rules: RuleEngine) -> Self {
        Self { rules, alerts: Vec::new(), now: 1_000 }
    }

    /// A connection has begun, or has ended.
    fn connection(&mut self, record: &ConnectionRecord) {
        self.rules.evaluate(record, None, Time(self.now * SECOND), None, &mut self.alerts);
    }

    fn fingerprint(&mut self, record: &mut ConnectionRecord, seen: FingerprintRecord) {
        record.history.push(seen.clone());
        self.rules.evaluate(record, Some(&seen), Time(self.now * SECOND), Some(7), &mut self.alerts);
    }

    /// The names of the rules that fired since the last call, and the suppressed firings that they count.
    fn fired(&mut self) -> Vec<(String, u64)> {
        self.alerts.drain(..).map(|alert| (alert.rule.to_string(), alert.suppressed)).collect()
    }

    fn names(&mut self) -> Vec<String> {
        self.fired().into_iter().map(|(name, _)| name).collect()
    }
}

fn host(number: usize) -> String {
    format!("10.2.{}.{}", number / 250, number % 250 + 1)
}

#[test]
fn a_burst_of_ssh_fires_during_the_burst_with_a_reason() {
    let mut run = RuleRun::new(builtin());
    for number in 0..20 {
        run.connection(&record("10.1.0.1", &host(number), 22));
    }
    assert_eq!(run.alerts, []);
    run.connection(&record("10.1.0.1", "10.3.0.1", 22));
    let alert = &run.alerts[0];
    assert_eq!((&*alert.rule, alert.severity.name(), alert.suppressed), ("ssh_connection_burst", "medium", 0));
    assert_eq!(alert.group, [(Arc::from("src_ip"), Arc::from("10.1.0.1"))]);
    assert_eq!(alert.reason, "21 different dest_ip within 5m (threshold: more than 20), the last 10.3.0.1");
    assert_eq!(alert.flow.unwrap().server.1, 22);
    assert_eq!(alert.time, Time(1_000 * SECOND));
}

#[test]
fn a_cooldown_suppresses_alerts_and_counts_them() {
    let mut run = RuleRun::new(builtin());
    let burst = |run: &mut RuleRun| {
        for number in 0..25 {
            run.connection(&record("10.1.0.1", &host(number), 22));
        }
    };
    burst(&mut run);
    assert_eq!(run.fired(), [("ssh_connection_burst".to_owned(), 0)]);
    run.now += 599;
    burst(&mut run);
    assert_eq!(run.fired(), []);
    run.now += 1;
    run.connection(&record("10.1.0.1", "10.2.0.1", 22));
    assert_eq!(run.fired(), [("ssh_connection_burst".to_owned(), 4 + 5)], "connections 22 to 25, and 21 to 25");
    let total = run.rules.stats().total;
    assert_eq!((total.fired, total.suppressed), (2, 9));
}

#[test]
fn each_builtin_rule_fires_at_its_threshold_and_not_below() {
    type RuleStep = fn(&mut RuleRun, usize);
    fn end(run: &mut RuleRun, record: &mut ConnectionRecord, ended: EndReason) {
        record.ended = Some(ended);
        run.connection(record);
    }
    fn emit(run: &mut RuleRun, number: usize, method: Method, first: bool) {
        let mut record = record("10.1.0.1", &host(number), 443);
        run.fingerprint(&mut record, seen(method, &format!("value{number}"), first));
    }
    let table: [(&str, usize, RuleStep); 11] = [
        ("port_scan", 100, |run, n| run.connection(&record("10.1.0.1", "10.2.0.1", n as u16))),
        ("host_sweep", 50, |run, n| run.connection(&record("10.1.0.1", &host(n), 445))),
        ("dst_port_spread", 300, |run, n| run.connection(&record("10.1.0.1", &host(n), n as u16))),
        ("ssh_connection_burst", 20, |run, n| run.connection(&record("10.1.0.1", &host(n), 22))),
        ("new_ja4_burst", 10, |run, n| emit(run, n, Method::Ja4, true)),
        ("certificate_diversity", 40, |run, n| emit(run, n, Method::Ja4x, false)),
        ("syn_flood", 1000, |run, n| {
            let mut record = record(&host(n), "10.9.0.1", 443);
            record.packets = [2, 0].into();
            end(run, &mut record, EndReason::Idle);
        }),
        ("dhcp_starvation", 100, |run, n| {
            let mut record = record("0.0.0.0", "255.255.255.255", 67);
            let client_mac = Some(format!("02:00:00:00:{:02x}:{:02x}", n >> 8, n & 255));
            record.attributes.dhcp =
                Some(CowArc::new(crate::model::DhcpAttributes { client_mac, ..Default::default() }));
            run.fingerprint(&mut record, seen(Method::Ja4d, "disco", false));
        }),
        ("quic_initial_flood", 5000, |run, n| {
            let mut record = record(&host(n), "10.9.0.1", 443);
            record.attributes.quic = Some(CowArc::new(crate::model::QuicAttributes { version: 1 }));
            run.fingerprint(&mut record, seen(Method::Ja4, "q13", false));
        }),
        ("failed_handshake_burst", 100, |run, n| {
            let mut record = record("10.1.0.1", &host(n), 443);
            record.packets = [1, 1].into();
            end(run, &mut record, EndReason::Rst);
        }),
        ("rare_server_burst", 10, |run, n| emit(run, n, Method::Ja4s, true)),
    ];
    let names: Vec<_> = builtin().matcher.definitions().map(|rule| rule.name.to_string()).collect();
    assert_eq!(names, table.map(|(name, ..)| name));
    for (name, threshold, step) in table {
        let mut run = RuleRun::new(builtin());
        (0..threshold).for_each(|number| step(&mut run, number));
        assert!(!run.names().iter().any(|fired| fired == name), "{name} below its threshold");
        step(&mut run, threshold);
        assert!(run.names().iter().any(|fired| fired == name), "{name} above its threshold");
    }
}

#[test]
fn failed_first_seen_and_ordinary_connections_are_distinguished() {
    let mut run = RuleRun::new(builtin());
    for number in 0..6_000 {
        // Answered connections, values that are known.
        let mut record = record(&host(number), "10.9.0.1", 443);
        run.now += 1;
        run.connection(&record);
        run.fingerprint(&mut record, seen(Method::Ja4, &format!("v{number}"), false));
        record.attributes.tls = Some(CowArc::new(TlsAttributes { cipher: Some(0x1301), ..TlsAttributes::default() }));
        (record.packets, record.ended) = ([10, 10].into(), Some(EndReason::Rst));
        run.connection(&record);
    }
    assert_eq!(run.names(), Vec::<String>::new());
}

/// Any connection that the rule counts is an alert.
fn any(conditions: &str) -> String {
    format!(
        r#"[[rule]]
        name = "any"
        on = "connection"
        where = [{conditions}]
        group_by = ["flow_id"]
        threshold = {{ op = "gte", value = 1 }}
        window = "1s"
        cooldown = "1s""#
    )
}

#[test]
fn a_connection_is_counted_once_when_the_rules_fields_are_known() {
    // Where each rule fires of: start, JA4T, JA4, JA4S, a second JA4, the end.
    for (conditions, expected) in [
        (r#"{ field = "dest_port", op = "eq", value = 443 }"#, 0),
        (r#"{ field = "mss", op = "exists", value = false }"#, 1),
        (r#"{ field = "tls.sni", op = "eq", value = "a.example" }"#, 2),
        (r#"{ field = "tls.sni", op = "exists" }, { field = "ja4s", op = "exists" }"#, 3),
        (r#"{ field = "app_proto", op = "eq", value = "TLS" }"#, 2),
        (r#"{ field = "http.hostname", op = "exists", value = false }"#, 5),
        (r#"{ field = "connection.state", op = "eq", value = "fin" }"#, 5),
        (r#"{ field = "connection.duration", op = "gte", value = "90s" }"#, 5),
        (
            r#"{ field = "connection.bytes_toclient", op = "gt", value = 0x10 }, { field = "dest_ip", op = "cidr", value = "10.0.0.0/8" }"#,
            5,
        ),
    ] {
        let mut run = RuleRun::new(rules(&any(conditions)));
        let mut record = record("10.1.0.1", "10.2.0.1", 443);
        let mut fired = Vec::new();
        let mut after = |run: &mut RuleRun| {
            run.now += 10;
            fired.push(run.names().len());
        };
        run.connection(&record);
        after(&mut run);
        run.fingerprint(&mut record, seen(Method::Ja4t, "t", false));
        after(&mut run);
        record.attributes.tls =
            Some(CowArc::new(TlsAttributes { sni: Some("a.example".into()), ..TlsAttributes::default() }));
        run.fingerprint(&mut record, seen(Method::Ja4, "j", false));
        after(&mut run);
        run.fingerprint(&mut record, seen(Method::Ja4s, "s", false));
        after(&mut run);
        run.fingerprint(&mut record, FingerprintRecord::numbered_example(Method::Ja4, "k", 2));
        after(&mut run);
        (record.last, record.bytes, record.ended) = (Time(90 * SECOND), [1, 17].into(), Some(EndReason::Fin));
        run.connection(&record);
        after(&mut run);
        let mut once = vec![0; 6];
        once[expected] = 1;
        assert_eq!(fired, once, "{conditions}");
    }
}

#[test]
fn a_fingerprint_rule_is_evaluated_on_its_types_only() {
    let mut run = RuleRun::new(rules(
        r#"
        [[rule]]
        name = "bad_hash"
        severity = "high"
        on = "fingerprint"
        where = [
            { field = "fingerprint.type", op = "in", value = ["ja4", "JA4S"] },
            { field = "known_bad", op = "eq", value = true },
        ]
        group_by = ["fingerprint.type", "fingerprint.value"]
        threshold = { op = "gt", value = 0 }
        window = "1s"
        "#,
    ));
    let bad = crate::model::KnownBad { pattern: "p".into(), category: "c2".into(), confidence: 90, note: "n".into() };
    let mut record = record("10.1.0.1", "10.2.0.1", 443);
    run.fingerprint(&mut record, seen(Method::Ja4, "good", false));
    record.known_bad = Some(Arc::new(bad.clone()));
    run.fingerprint(&mut record, seen(Method::Ja4s, "good too", false));
    run.fingerprint(&mut record, seen(Method::Ja4x, "x", false).matching(Some(Arc::new(bad.clone()))));
    assert_eq!(run.alerts, []);
    run.fingerprint(&mut record, seen(Method::Ja4s, "bad", false).matching(Some(Arc::new(bad))));
    let alert = &run.alerts[0];
    assert_eq!(alert.reason, "1 fingerprints within 1s (threshold: more than 0)");
    assert_eq!(alert.fingerprint, Some((Method::Ja4s, "bad".into())));
    assert_eq!(alert.packet, Some(7));
}

#[test]
fn events_without_a_group_are_not_counted_as_matches() {
    let text = any("").replace("\"flow_id\"", "\"tls.sni\"");
    let mut run = RuleRun::new(rules(&text));
    let mut record = record("10.1.0.1", "10.2.0.1", 443);
    record.ended = Some(EndReason::Fin);
    run.connection(&record);
    let total = run.rules.stats().total;
    assert_eq!((run.names().len(), total.matched, total.ungrouped), (0, 1, 1));
}

#[test]
fn a_reload_keeps_the_windows_of_unchanged_rules() {
    let two = |severity: &str, value: u32| {
        format!(
            r#"
            [[rule]]
            name = "a"
            severity = "{severity}"
            on = "connection"
            threshold = {{ op = "gt", value = 3 }}
            window = "1h"
            [[rule]]
            name = "b"
            on = "connection"
            threshold = {{ op = "gt", value = {value} }}
            window = "1h"
            "#
        )
    };
    let set = |text: &str| RuleSet::parse(Path::new("r.toml"), text).unwrap();
    let mut run = RuleRun::new(rules(&two("low", 3)));
    let record = record("10.1.0.1", "10.2.0.1", 443);
    (0..3).for_each(|_| run.connection(&record));
    run.rules.reload(&set(&two("high", 2)), Arc::default());
    run.connection(&record);
    assert_eq!((run.alerts.len(), &*run.alerts[0].rule), (1, "a"), "b restarts, because it counts differently");
    assert_eq!(run.alerts[0].severity.name(), "high", "the new definition is in force");
    run.alerts.clear();
    run.rules.reload(&set(&two("high", 2)), Arc::default());
    run.connection(&record);
    run.connection(&record);
    assert_eq!(run.names(), ["b"], "a's cooldown lasts");
    let before = run.rules.stats().total;
    run.rules.reload(&RuleSet::default(), Arc::default());
    run.connection(&record);
    let after = run.rules.stats();
    assert_eq!((after.rules, after.total.fired, after.total.groups), (0, before.fired, 0));
}

#[test]
fn allowlisted_events_are_not_counted() {
    let allow = Allowlist::parse(
        Path::new("a.toml"),
        "[[network]]\ncidr = \"10.1.0.0/16\"\nrules = [\"ssh_connection_burst\"]",
    );
    let allow = Arc::new(allow.unwrap());
    let (set, _) = RuleSet::load(true, &[]).unwrap();
    let mut run = RuleRun::new(RuleEngine::new(&set, Arc::clone(&allow), GroupLimits::default()));
    for number in 0..40 {
        run.connection(&record("10.1.0.1", &host(number), 22));
    }
    assert_eq!((run.names().len(), allow.suppressed()), (0, 40));
    assert_eq!(run.rules.stats().total.allowlisted, 40);
    for number in 0..40 {
        run.connection(&record("10.5.0.1", &host(number), 22));
    }
    assert_eq!(run.names(), ["ssh_connection_burst"]);
}

#[test]
fn a_flood_in_one_rule_evicts_no_windows_of_others() {
    let text = r#"
        [[rule]]
        name = "flooded"
        on = "connection"
        group_by = ["src_ip", "dest_ip"]
        measure = { count_distinct = "dest_port" }
        threshold = { op = "gt", value = 100 }
        window = "1h"
        [[rule]]
        name = "calm"
        on = "connection"
        where = [{ field = "dest_port", op = "eq", value = 22 }]
        group_by = ["src_ip"]
        threshold = { op = "gt", value = 3 }
        window = "1h"
    "#;
    let set = RuleSet::parse(Path::new("r.toml"), text).unwrap();
    let bounds = GroupLimits { groups: 50_000, bytes: 256 * 1024 };
    let mut run = RuleRun::new(RuleEngine::new(&set, Arc::default(), bounds));
    let calm = record("10.1.0.1", "10.2.0.1", 22);
    (0..3).for_each(|_| run.connection(&calm));
    for number in 0..30_000_u32 {
        let source = std::net::Ipv4Addr::from_bits(number).to_string();
        run.connection(&record(&source, "10.2.0.1", 443));
        assert!(run.rules.stats().total.bytes <= bounds.bytes as u64);
    }
    assert!(run.rules.stats().total.evicted > 20_000);
    run.connection(&calm);
    assert_eq!(run.names(), ["calm"]);
}
