use super::*;
use crate::detect::builtin::pending_alerts::PendingAlerts;
use crate::detect::builtin::testing::{at, record, seen};
use crate::detect::first_seen::{FirstSeen, FirstSeenSettings};
use crate::detect::local_networks::LocalNetworks;
use crate::model::{EndReason, KnownBad as Bad, Label, Latency};
use crate::units::HumanDuration;

const JA4: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";

/// The rules as the engine runs them, and the alerts so far.
struct BuiltinHarness {
    builtin: BuiltinRules,
    pending: PendingAlerts,
    cooldowns: Cooldowns,
    out: Vec<Alert>,
}

impl BuiltinHarness {
    fn new() -> Self {
        Self {
            builtin: BuiltinRules::new(BuiltinSettings::default(), Arc::default()),
            pending: PendingAlerts::default(),
            cooldowns: Cooldowns::default(),
            out: Vec::new(),
        }
    }

    fn evaluate(&mut self, event: &BuiltinEvent<'_>) {
        let Self { builtin, pending, cooldowns, out } = self;
        let mut rules = Vec::new();
        builtin.settings.concerned(event, &builtin.seed, |rule, _| rules.push(rule));
        for rule in rules {
            match builtin.evaluate(rule, event, cooldowns) {
                Some(BuiltinOutcome::Alert(alert)) => out.push(alert),
                Some(BuiltinOutcome::NewValue(new, suppressed)) => {
                    let raw = event.seen.and_then(|seen| seen.value.raw.as_ref());
                    pending.add(event.record, (event.now, event.packet), new, suppressed, raw);
                }
                None => {}
            }
        }
    }

    fn observe(&mut self, record: &ConnectionRecord, seen: &FingerprintRecord, sighting: Sighting, second: u64) {
        let (now, packet) = (at(second), Some(second));
        self.evaluate(&BuiltinEvent { record, seen: Some(seen), sighting, now, packet });
    }

    /// Raises the `first_seen` alert of a connection.
    fn raise(&mut self, record: &ConnectionRecord, second: u64) {
        let settings = &self.builtin.settings.first_seen;
        let raised = self.pending.raise(record.identity.id, at(second), settings);
        self.out.extend(raised.map(|(alert, _)| alert));
    }

    fn end(&mut self, record: &ConnectionRecord, second: u64) {
        let (now, sighting) = (at(second), Sighting::default());
        self.evaluate(&BuiltinEvent { record, seen: None, sighting, now, packet: None });
    }

    /// The alerts: rule, severity, group, reason.
    fn alerts(&self) -> Vec<String> {
        let group = |alert: &Alert| {
            alert.group.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        self.out
            .iter()
            .map(|alert| format!("{} {} [{}] {}", alert.rule, alert.severity, group(alert), alert.reason))
            .collect()
    }
}

fn not_first() -> Sighting {
    Sighting::default()
}

#[test]
fn known_bad_fires_with_the_severity_of_its_confidence() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "198.51.100.1");
    let bad = |confidence| {
        let [pattern, category, note] = ["t13d*", "c2", "Sliver"].map(Arc::from);
        Some(Arc::new(Bad { pattern, category, confidence, note }))
    };
    engine.observe(&record, &seen(Method::Ja4, "t13d1", 1).matching(bad(90)), not_first(), 1);
    engine.observe(&record, &seen(Method::Ja4, "t13d2", 1).matching(bad(20)), not_first(), 1);
    engine.observe(&record, &seen(Method::Ja4, "t13d1", 1).matching(bad(90)), not_first(), 2);
    assert_eq!(
        engine.alerts(),
        [
            "known_bad high [src_ip=10.0.0.1 ja4=t13d1] ja4 t13d1 matches t13d*: Sliver (c2, confidence 90)",
            "known_bad low [src_ip=10.0.0.1 ja4=t13d2] ja4 t13d2 matches t13d*: Sliver (c2, confidence 20)",
        ]
    );
    let alert = &engine.out[0];
    assert_eq!((alert.category.as_deref(), alert.confidence, alert.packet), (Some("c2"), Some(90), Some(1)));
    assert_eq!(alert.fingerprint, Some((Method::Ja4, "t13d1".into())));
    engine.observe(&record, &seen(Method::Ja4, "t13d1", 1).matching(bad(90)), not_first(), 601);
    assert_eq!(engine.out[2].suppressed, 1);
    assert_eq!(engine.builtin.stats().fired[BuiltinRule::KnownBad as usize], 4);
}

#[test]
fn first_seen_lists_values_new_to_the_network_and_to_hosts() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "198.51.100.1");
    let network = Sighting { first: true, first_for_host: true, ..not_first() };
    engine.observe(&record, &seen(Method::Ja4s, "a", 1), network, 1);
    engine.observe(&record, &seen(Method::Ja4t, "b", 1), Sighting { first_for_host: true, ..not_first() }, 1);
    engine.observe(&record, &seen(Method::Ja4t, "c", 1), not_first(), 1);
    assert_eq!((engine.alerts().len(), engine.pending.due(None, at(2))), (0, Some(record.identity.id)));
    engine.raise(&record, 5);
    assert_eq!(
        engine.alerts(),
        ["first_seen low [src_ip=10.0.0.1 dest_ip=198.51.100.1] never seen on this network: ja4s a; never seen from \
             10.0.0.1: ja4t b"]
    );
    let alert = &engine.out[0];
    assert_eq!((alert.time, alert.fingerprint.clone()), (at(2), Some((Method::Ja4s, "a".into()))));
    // No new value since.
    engine.raise(&record, 9);
    assert_eq!(engine.alerts().len(), 1);
}

#[test]
fn a_rule_that_was_disabled_meanwhile_raises_no_pending_alert() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "198.51.100.1");
    engine.observe(&record, &seen(Method::Ja4s, "a", 1), Sighting { first: true, ..not_first() }, 1);
    engine.builtin.settings.first_seen.enabled = false;
    engine.raise(&record, 2);
    assert!(engine.alerts().is_empty());
    assert_eq!(engine.pending.due(None, at(9)), None);
}

#[test]
fn a_new_value_of_a_server_lists_the_server() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "10.0.0.2");
    let of_server = seen(Method::Ja4ts, "b", 1).of_side(Side::Server);
    engine.observe(&record, &of_server, Sighting { first_for_host: true, ..not_first() }, 1);
    engine.raise(&record, 2);
    assert_eq!(
        engine.alerts(),
        ["first_seen low [src_ip=10.0.0.1 dest_ip=10.0.0.2] never seen from 10.0.0.2: ja4ts b"]
    );
}

#[test]
fn a_tunnel_on_a_path_without_one_fires() {
    let mut engine = BuiltinHarness::new();
    let mut record = record("10.0.0.1", "198.51.100.1");
    for second in 1..=5 {
        engine.observe(&record, &seen(Method::Ja4t, "t", 1), not_first(), second);
    }
    record.mss = Some(1380);
    engine.observe(&record, &seen(Method::Ja4t, "u", 1), not_first(), 6);
    engine.observe(&record, &seen(Method::Ja4t, "u", 1), not_first(), 7);
    assert_eq!(
        engine.alerts(),
        [
            "new_tunnel medium [src_ip=10.0.0.1 dest_ip=198.51.100.1] MTU 1420 indicates wireguard (confidence 80) after 5 \
          connections without a tunnel (threshold: 5)"
        ]
    );
}

#[test]
fn a_browser_by_user_agent_alone_fires() {
    let mut engine = BuiltinHarness::new();
    let mut record = record("10.0.0.1", "198.51.100.1");
    record.attributes.http.get_or_insert_default().user_agent =
        Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0".into());
    engine.observe(&record, &seen(Method::Ja4h, "ge11nn", 1), not_first(), 1);
    let label = Label { name: "Go".into(), source: "builtin".into(), category: None, confidence: None };
    engine.observe(&record, &seen(Method::Ja4, JA4, 1).labelled(Some(Arc::new(label))), not_first(), 2);
    let alerts = engine.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(
        alerts[0].starts_with("user_agent_mismatch medium [src_ip=10.0.0.1] the User-Agent claims Firefox 130"),
        "{alerts:?}"
    );
}

#[test]
fn many_ja4_values_of_one_host_fire() {
    let mut engine = BuiltinHarness::new();
    for number in 0..30 {
        let record = record("10.0.0.1", &format!("198.51.100.{number}"));
        engine.observe(&record, &seen(Method::Ja4, &format!("t13d{number}"), 1), not_first(), number);
    }
    assert_eq!(
        engine.alerts(),
        ["many_ja4 medium [src_ip=10.0.0.1] 21 different JA4 within 10m (threshold: more than 20)"]
    );
    assert_eq!(engine.cooldowns.stats().suppressed, 9);
}

#[test]
fn a_new_value_that_spreads_fires_unless_it_was_learned_or_labelled() {
    let settings = FirstSeenSettings { learning: HumanDuration::seconds(100), ..FirstSeenSettings::default() };
    let mut firsts = FirstSeen::new(&settings, LocalNetworks::default(), None);
    let mut engine = BuiltinHarness::new();
    engine.builtin.settings.first_seen.enabled = false;
    let label = Label { name: "Chromium".into(), source: "builtin".into(), category: None, confidence: None };
    let label = Some(Arc::new(label));
    for (second, value, label) in [(50, "learned", None), (200, "new", None), (300, "named", label)] {
        for host in 1..10 {
            let record = record(&format!("10.0.0.{host}"), "198.51.100.1");
            let seen = seen(Method::Ja4, value, 1).labelled(label.clone());
            let sighting = firsts.check(Method::Ja4, value, Some(record.identity.client.0), at(second + host));
            engine.observe(&record, &seen, sighting, second + host);
        }
    }
    assert_eq!(
        engine.alerts(),
        [
            "rare_value_spread medium [ja4=new] ja4 new, first seen on this network within 1d, came from 5 clients within \
          1h (threshold: 5)"
        ]
    );
}

#[test]
fn another_chain_for_a_known_name_fires() {
    let mut engine = BuiltinHarness::new();
    let chain = |values: &[&str]| {
        let mut record = record("10.0.0.1", "198.51.100.1");
        record.attributes.tls.get_or_insert_default().sni = Some("example.org".into());
        record.history.push(seen(Method::Ja4, JA4, 1));
        record.history.extend(values.iter().zip(1..).map(|(value, count)| seen(Method::Ja4x, value, count)));
        record
    };
    for second in 1..=5 {
        engine.end(&chain(&["leaf", "ca"]), second);
    }
    engine.end(&chain(&["leaf"]), 6); // truncated
    let mut mutual = chain(&["leaf", "ca"]);
    mutual.history.push(seen(Method::Ja4x, "badge", 3).of_side(Side::Client));
    engine.end(&mutual, 6);
    engine.end(&chain(&[]), 6); // TLS 1.3
    engine.end(&chain(&["ca", "leaf"]), 7);
    assert_eq!(
        engine.alerts(),
        [
            "new_chain low [tls.sni=example.org] 2 certificates for example.org have JA4X ca, leaf; 7 earlier chains had other \
          shapes (threshold: 5)"
        ]
    );
}

#[test]
fn a_beacon_fires_once_per_cooldown() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "198.51.100.1");
    for beat in 0..20 {
        engine.observe(&record, &seen(Method::Ja4, JA4, 1), not_first(), 60 * beat);
        engine.observe(&record, &seen(Method::Ja4, JA4, 2), not_first(), 60 * beat + 30); // of the same connection
    }
    assert_eq!(
        engine.alerts(),
        [format!(
            "beacon low [src_ip=10.0.0.1 dest_ip=198.51.100.1 dest_port=443 ja4={JA4}] 8 intervals of 60.0 s on average with a \
             coefficient of variation of 0.000 (threshold: at most 0.15)"
        )]
    );
}

#[test]
fn a_beacon_within_one_connection_fires() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "198.51.100.1");
    for beat in 0..9 {
        engine.observe(&record, &seen(Method::Ja4h, "ge11nn", 1 + beat as u32), not_first(), 60 * beat);
    }
    let alerts = engine.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(alerts[0].contains("ja4h=ge11nn] 8 intervals of 60.0 s"), "{alerts:?}");
}

/// Regular connections that show only a JA4T, each modified by `change`.
fn bare_connections(engine: &mut BuiltinHarness, change: impl Fn(&mut ConnectionRecord)) {
    for beat in 0..9 {
        let mut record = record("10.0.0.1", "198.51.100.1");
        record.history.push(seen(Method::Ja4t, "64240_2_1460_7", 1));
        record.latency = Some(Box::new(Latency { client: Some(100), ..Latency::default() }));
        (record.start, record.ended, record.packets) = (at(60 * beat), Some(EndReason::Fin), [6, 5].into());
        change(&mut record);
        // Durations differ.
        engine.end(&record, 60 * beat + beat * beat % 7);
    }
}

#[test]
fn a_beacon_of_connections_without_a_payload_fires_by_their_syns() {
    let mut engine = BuiltinHarness::new();
    bare_connections(&mut engine, |_| {});
    let alerts = engine.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(
        alerts[0]
            .contains("ja4t=64240_2_1460_7] 8 intervals of 60.0 s on average with a coefficient of variation of 0.000"),
        "{alerts:?}"
    );
    assert_eq!(engine.out[0].fingerprint, Some((Method::Ja4t, "64240_2_1460_7".into())));
    // Connections with another fingerprint are measured by it; failed connections are probes.
    let mut engine = BuiltinHarness::new();
    bare_connections(&mut engine, |record| record.history.push(seen(Method::Ja4ssh, "c36s36_c51s80_c69s0", 1)));
    bare_connections(&mut engine, |record| (record.ended, record.packets) = (Some(EndReason::Rst), [3, 1].into()));
    bare_connections(&mut engine, |record| record.latency = None);
    assert_eq!(engine.alerts(), [""; 0]);
}

#[test]
fn a_chain_is_suppressed_by_any_of_its_values_and_named_by_its_leaf() {
    let chain = |values: [&str; 2]| {
        let mut record = record("10.0.0.1", "198.51.100.1");
        record.attributes.tls.get_or_insert_default().sni = Some("example.org".into());
        record.history.extend(values.iter().zip(1..).map(|(value, count)| seen(Method::Ja4x, value, count)));
        record
    };
    for (allowed, expected) in [("other", 1), ("odd", 0), ("odd_ca", 0)] {
        let entry = format!("[[fingerprint]]\ntype = \"ja4x\"\nmatch = \"{allowed}\"\n");
        let allow = Arc::new(Allowlist::parse(std::path::Path::new("a.toml"), &entry).unwrap());
        let mut engine = BuiltinHarness {
            builtin: BuiltinRules::new(BuiltinSettings::default(), Arc::clone(&allow)),
            ..BuiltinHarness::new()
        };
        (1..=5).for_each(|second| engine.end(&chain(["leaf", "ca"]), second));
        engine.end(&chain(["odd", "odd_ca"]), 6);
        assert_eq!((engine.out.len(), allow.suppressed()), (expected, 1 - expected as u64), "{allowed}");
        for alert in &engine.out {
            assert_eq!(alert.fingerprint, Some((Method::Ja4x, "odd".into())));
        }
    }
}

#[test]
fn disabled_rules_do_not_fire() {
    let mut settings = BuiltinSettings::default();
    for rule in BuiltinRule::ALL {
        settings.apply(rule, Some(false), None);
        assert!(!settings.common(rule).enabled);
        assert_eq!(BuiltinRule::named(rule.name()), Some(rule));
    }
    let mut engine = BuiltinHarness { builtin: BuiltinRules::new(settings, Arc::default()), ..BuiltinHarness::new() };
    let record = record("10.0.0.1", "198.51.100.1");
    for number in 0..50 {
        let seen = seen(Method::Ja4, &format!("t{}", number % 25), 1);
        engine.observe(&record, &seen, Sighting { first: true, ..not_first() }, number * 60);
    }
    assert_eq!(engine.alerts(), [""; 0]);
}

#[test]
fn a_reload_keeps_the_state_of_rules() {
    let mut engine = BuiltinHarness::new();
    let record = record("10.0.0.1", "198.51.100.1");
    for number in 0..20 {
        engine.observe(&record, &seen(Method::Ja4, &format!("t{number}"), 1), not_first(), number);
    }
    let mut settings = BuiltinSettings::default();
    settings.many_ja4.severity = Severity::Critical;
    engine.builtin.reload(settings, Arc::default());
    engine.observe(&record, &seen(Method::Ja4, "t20", 1), not_first(), 21);
    assert!(engine.alerts()[0].starts_with("many_ja4 critical"));
}

/// CPU time of this thread, nanoseconds.
fn spent() -> u64 {
    let spent = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    spent.tv_sec() as u64 * 1_000_000_000 + spent.tv_nsec() as u64
}

/// Prints costs: `cargo test --release --lib -- --ignored --nocapture cost_per_fingerprint`.
#[test]
#[ignore = "prints figures"]
#[allow(clippy::print_stdout, reason = "this test prints its results")]
fn cost_per_fingerprint() {
    let mut firsts = FirstSeen::new(&FirstSeenSettings::default(), LocalNetworks::default(), None);
    let mut engine = BuiltinHarness::new();
    let mut profiles = crate::detect::profile::Profiles::new(
        &Default::default(),
        LocalNetworks::default(),
        "a".into(),
        Arc::default(),
    );
    let values: Vec<_> =
        (0..500).map(|number| seen(Method::Ja4, &format!("t13d{number:04}h2_8daaf6152771_e5627efa2ab1"), 1)).collect();
    let records: Vec<_> =
        (0..2000).map(|host| record(&format!("10.0.{}.{}", host / 250, host % 250), "198.51.100.1")).collect();
    let (mut new, rounds) = (0, 2_000_000_u64);
    for (name, host) in [("first-seen, network", false), ("first-seen, network and host", true)] {
        for _ in 0..2 {
            let start = spent();
            for round in 0..rounds {
                let value = &values[(round * 7919 % 500) as usize];
                let record = &records[(round * 104_729 % 2000) as usize];
                let sighting = firsts.check(
                    Method::Ja4,
                    &value.value.text,
                    host.then_some(record.identity.client.0),
                    Time(round * 1000),
                );
                new += u64::from(sighting.first);
            }
            println!("{name}: {} ns", (spent() - start) / rounds);
        }
    }
    firsts.drain_dirty(usize::MAX);
    let each = |name: &str, work: &mut dyn FnMut(u64, &ConnectionRecord, &FingerprintRecord)| {
        for _ in 0..2 {
            let start = spent();
            for round in 0..rounds {
                let host = (round * 104_729 % 2000) as usize;
                work(round, &records[host], &values[host * 3 % 500]);
            }
            println!("{name}: {} ns", (spent() - start) / rounds);
        }
    };
    each("built-in rules, JA4", &mut |round, record, seen| engine.observe(record, seen, Sighting::default(), round));
    let mut engine = BuiltinHarness::new();
    let tcp = seen(Method::Ja4t, "64240_2-1-3-1-1-4_1460_8", 1);
    each("built-in rules, JA4T", &mut |round, record, _| engine.observe(record, &tcp, Sighting::default(), round));
    let mut cooldowns = Cooldowns::default();
    each("profiles, JA4", &mut |round, record, seen| {
        profiles.fingerprint(record, seen, at(round), &mut cooldowns);
    });
    assert!(new <= 500);
}
