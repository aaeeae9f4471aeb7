use proptest::prelude::*;

use super::*;
use crate::detect::builtin::testing::{at, record, seen};

fn profiles(own: &str) -> Profiles {
    Profiles::new(&ProfileSettings::default(), LocalNetworks::default(), own.into(), Arc::default())
}

fn sorted(rows: impl IntoIterator<Item = ProfileRow>) -> Vec<ProfileRow> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by(|one, two| {
        let id = |row: &ProfileRow| (row.pair, row.key.clone(), row.value.clone(), row.source.clone());
        id(one).cmp(&id(two))
    });
    rows
}

/// Every row to store.
fn drain(profiles: &mut Profiles) -> Vec<ProfileRow> {
    let mut rows = Vec::new();
    loop {
        let batch = profiles.drain_dirty(5);
        rows.extend_from_slice(&batch);
        if batch.len() < 5 {
            return rows;
        }
    }
}

#[test]
fn a_new_value_is_unusual_after_fifty_observations() {
    let mut profiles = profiles("a");
    let mut observe = |value: &str| profiles.observe(PairKind::HostJa4, "10.0.0.1", value, at(1), |_| false);
    for number in 0..49 {
        assert_eq!(observe(if number % 2 == 0 { "chrome" } else { "curl" }), None);
    }
    assert_eq!(observe("young"), None); // after 49
    assert_eq!(observe("odd"), Some(UnusualPair { observations: 50, values: 3 }));
    assert_eq!(observe("odd"), None);
    assert_eq!(profiles.observe(PairKind::HostJa4t, "10.0.0.1", "odd", at(1), |_| false), None); // another kind of pair
    assert_eq!(profiles.stats().unusual, 1);
}

#[test]
fn a_suppressed_pair_stays_unusual_for_other_clients() {
    let allow = Allowlist::parse(std::path::Path::new("a.toml"), "[[network]]\ncidr = \"10.0.0.9\"").unwrap();
    let mut profiles =
        Profiles::new(&ProfileSettings::default(), LocalNetworks::default(), "a".into(), Arc::new(allow));
    let (mut cooldowns, mut out) = (Cooldowns::default(), Vec::new());
    let mut send = |client, value| {
        let mut record = record(client, "198.51.100.1");
        record.history.push(seen(Method::Ja4, "client", 1));
        out.extend(profiles.fingerprint(&record, &seen(Method::Ja4s, value, 1), at(1), &mut cooldowns));
        out.len()
    };
    assert_eq!((0..50).map(|_| send("10.0.0.1", "usual")).last(), Some(0));
    assert_eq!([send("10.0.0.9", "odd"), send("10.0.0.9", "odd"), send("10.0.0.1", "odd")], [0, 0, 1]);
    assert_eq!((profiles.stats().unusual, profiles.allowlist.suppressed()), (3, 2));
}

#[test]
fn alerts_state_pair_and_history_and_have_a_cooldown() {
    let (mut profiles, mut cooldowns, mut out) = (profiles("a"), Cooldowns::default(), Vec::new());
    let mut record = record("10.0.0.1", "198.51.100.1");
    record.history.push(seen(Method::Ja4, "client", 1));
    for _ in 0..50 {
        out.extend(profiles.fingerprint(&record, &seen(Method::Ja4s, "usual", 1), at(1), &mut cooldowns));
    }
    assert_eq!(out, []);
    for odd in ["odd", "odder"] {
        out.extend(profiles.fingerprint(&record, &seen(Method::Ja4s, odd, 1), at(2), &mut cooldowns));
    }
    let [alert] = &out[..] else { panic!("{out:?}") };
    assert_eq!((&*alert.rule, alert.severity), ("unusual_pair", Severity::Low));
    assert_eq!(
        alert.reason,
        "JA4S odd was never seen for JA4 client, which was observed 50 times with 1 other values (threshold: 50 \
         observations)"
    );
    assert_eq!(cooldowns.stats().suppressed, 1);
}

#[test]
fn pairs_are_taken_from_the_fingerprints_of_a_connection() {
    let (mut profiles, mut cooldowns, mut out) = (profiles("a"), Cooldowns::default(), Vec::new());
    let mut record = record("10.0.0.1", "198.51.100.1");
    record.attributes.tls.get_or_insert_default().sni = Some("example.org".into());
    for (method, value, count) in [
        (Method::Ja4t, "t", 1),
        (Method::Ja4, "c", 1),
        (Method::Ja4s, "s", 1),
        (Method::Ja4x, "x", 1),
        (Method::Ja4x, "ca", 2),
    ] {
        let seen = seen(method, value, count);
        out.extend(profiles.fingerprint(&record, &seen, at(1), &mut cooldowns));
        record.history.push(seen);
    }
    record.identity.client.0 = [9, 9, 9, 9].into(); // not a local host
    out.extend(profiles.fingerprint(&record, &seen(Method::Ja4, "c", 1), at(1), &mut cooldowns));
    let pairs: Vec<_> =
        sorted(profiles.rows()).iter().map(|row| format!("{} {} {}", row.pair.name(), row.key, row.value)).collect();
    assert_eq!(pairs, ["host_ja4 10.0.0.1 c", "host_ja4t 10.0.0.1 t", "ja4_ja4s c s", "sni_ja4x example.org x"]);
}

#[test]
fn importing_twice_changes_nothing() {
    let (mut one, mut two) = (profiles("one"), profiles("two"));
    for number in 0..60 {
        one.observe(PairKind::SniJa4x, "example.org", if number < 40 { "x" } else { "y" }, at(number), |_| false);
        two.observe(PairKind::SniJa4x, "example.org", "x", at(100 + number), |_| false);
    }
    drain(&mut two);
    two.import(one.rows());
    assert_eq!(drain(&mut two).len(), 2); // each imported row is stored once
    let imported = sorted(two.rows());
    two.import(one.rows());
    one.import(two.rows()); // and back again, with its own counts among them
    two.import(one.rows());
    assert_eq!(sorted(two.rows()), imported);
    assert_eq!(sorted(one.rows()), imported);
    assert_eq!(drain(&mut two), []);
    let Some(UnusualPair { observations, values }) =
        two.observe(PairKind::SniJa4x, "example.org", "z", at(300), |_| false)
    else {
        panic!("a new value of a key with 120 observations")
    };
    assert_eq!((observations, values), (120, 2));
}

#[test]
fn a_restart_continues_from_storage() {
    let mut before = profiles("a");
    for second in 0..50 {
        before.observe(PairKind::HostJa4, "10.0.0.1", "usual", at(second), |_| false);
    }
    let rows = drain(&mut before);
    let mut after = profiles("a");
    after.load(rows.clone());
    assert_eq!(drain(&mut after), []);
    assert!(after.observe(PairKind::HostJa4, "10.0.0.1", "odd", at(100), |_| false).is_some());
    after.observe(PairKind::HostJa4, "10.0.0.1", "usual", at(101), |_| false);
    let rows = sorted(drain(&mut after));
    let counts: Vec<_> = rows.iter().map(|row| (&*row.value, row.count, row.first, row.last)).collect();
    assert_eq!(counts, [("odd", 1, at(100), at(100)), ("usual", 51, at(0), at(101))]);
}

#[test]
fn rows_restored_late_are_this_sensors_own() {
    let mut before = profiles("a");
    (0..50).for_each(|second| _ = before.observe(PairKind::HostJa4, "10.0.0.1", "usual", at(second), |_| false));
    let rows = drain(&mut before);
    let mut late = profiles("own");
    late.observe(PairKind::HostJa4, "10.0.0.1", "early", at(60), |_| false);
    late.restore("a".into(), rows);
    assert!(late.observe(PairKind::HostJa4, "10.0.0.1", "odd", at(100), |_| false).is_some());
    let rows = sorted(drain(&mut late));
    let counts: Vec<_> = rows.iter().map(|row| (&*row.source, &*row.value, row.count)).collect();
    assert_eq!(counts, [("a", "early", 1), ("a", "odd", 1), ("a", "usual", 50)]);
}

#[test]
fn keys_and_values_are_bounded_and_evicted_rows_stored() {
    let settings = ProfileSettings { max_keys: 10, max_values: 4, ..ProfileSettings::default() };
    let mut profiles = Profiles::new(&settings, LocalNetworks::default(), "a".into(), Arc::default());
    for number in 0..100 {
        profiles.observe(PairKind::HostJa4, "10.0.0.1", "usual", at(number), |_| false);
        profiles.observe(PairKind::HostJa4, "10.0.0.1", &format!("random {number}"), at(number), |_| false);
        profiles.observe(PairKind::HostJa4, &format!("10.0.1.{number}"), "usual", at(number), |_| false);
    }
    let stats = profiles.stats();
    assert_eq!((stats.keys, stats.values), (10, 4 + 9));
    assert_eq!((stats.evicted_keys, stats.evicted_values), (91, 97));
    assert_eq!(profiles.observe(PairKind::HostJa4, "10.0.0.1", "usual", at(200), |_| false), None); // a frequent value is not evicted
    assert_eq!(drain(&mut profiles).len(), 1 + 100 + 100);
}

#[test]
fn what_is_not_stored_yet_is_bounded_over_all_parts() {
    const PARTS: usize = 10;
    let settings = ProfileSettings { max_keys: 1_000, ..ProfileSettings::default() };
    let mut part = Profiles::part(&settings, LocalNetworks::default(), "a".into(), Arc::default(), PARTS);
    for number in 0..10_000 {
        part.observe(PairKind::HostJa4, &format!("host {number}"), "usual", at(number), |_| false);
        assert!(part.dirty.len() <= 2 * 1_000 / PARTS && part.evicted_rows.len() <= MAX_EVICTED_ROWS / PARTS);
    }
    assert_eq!(part.stats().persist_lost, (10_000 - 1_000 / PARTS - MAX_EVICTED_ROWS / PARTS) as u64);
    assert_eq!(drain(&mut part).len(), 1_000 / PARTS + MAX_EVICTED_ROWS / PARTS);
}

#[test]
fn exported_lines_are_imported_unchanged() {
    let mut profiles = profiles("a");
    profiles.observe(PairKind::SniJa4x, "a\"b\n", "x", at(7), |_| false);
    let mut lines = Vec::new();
    assert_eq!(export(profiles.rows(), &mut lines).unwrap(), 1);
    assert_eq!(
        String::from_utf8(lines.clone()).unwrap(),
        "{\"source\":\"a\",\"pair\":\"sni_ja4x\",\"key\":\"a\\\"b\\n\",\"value\":\"x\",\"count\":1,\
         \"first\":7000000000,\"last\":7000000000}\n"
    );
    assert_eq!(import(&lines[..]).unwrap(), profiles.rows().collect::<Vec<_>>());
    lines.extend_from_slice(b"{}\n");
    assert!(import(&lines[..]).unwrap_err().to_string().starts_with("line 2 is not a profile row: "));
}

#[test]
fn addresses_are_keys_as_they_are_displayed() {
    for text in ["10.0.0.1", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:255.255.255.255"] {
        assert_eq!(address(text.parse().unwrap(), &mut [0; MAX_ADDRESS]), text);
    }
}

proptest! {
    /// The result does not depend on the order and the number of imports of a row.
    #[test]
    fn merging_does_not_depend_on_order(
        counts in prop::collection::vec((0..3_u8, 0..3_u8, 1..100_u64), 1..40),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let rows: Vec<_> = counts.iter().map(|(source, value, count)| ProfileRow {
            source: format!("sensor {source}").into(),
            pair: PairKind::HostJa4,
            key: "10.0.0.1".into(),
            value: format!("{value}").into(),
            count: *count,
            first: at(*count),
            last: at(*count + 1),
        }).collect();
        let (mut once, mut often) = (profiles("sensor 0"), profiles("another"));
        once.import(rows.clone());
        often.import(again.iter().map(|index| index.get(&rows).clone()));
        often.import(rows.iter().rev().cloned());
        prop_assert_eq!(sorted(once.rows()), sorted(often.rows()));
        let total: u64 = once.rows().map(|row| row.count).sum();
        once.observe(PairKind::HostJa4, "10.0.0.1", "0", at(1), |_| false);
        prop_assert_eq!(once.rows().map(|row| row.count).sum::<u64>(), total + 1);
    }
}
