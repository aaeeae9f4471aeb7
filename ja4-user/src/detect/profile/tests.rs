use proptest::prelude::*;

use super::*;
use crate::detect::builtin::testing::{at, record, seen};

fn profiles(own: &str) -> Profiles {
    Profiles::new(&Settings::default(), Locals::default(), own.into(), Arc::default())
}

fn sorted(rows: impl IntoIterator<Item = Row>) -> Vec<Row> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by(|one, two| {
        let key = |row: &Row| (row.pair, row.anchor.clone(), row.companion.clone(), row.source.clone());
        key(one).cmp(&key(two))
    });
    rows
}

/// Everything that storage is to be given.
fn drain(profiles: &mut Profiles) -> Vec<Row> {
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
fn a_companion_is_unusual_from_fifty_observations_on() {
    let mut profiles = profiles("a");
    let mut observe = |companion: &str| profiles.observe(Pair::HostJa4, "10.0.0.1", companion, at(1), |_| false);
    for number in 0..49 {
        assert_eq!(observe(if number % 2 == 0 { "chrome" } else { "curl" }), None);
    }
    assert_eq!(observe("young"), None); // 49 before it
    assert_eq!(observe("odd"), Some(Unusual { observations: 50, companions: 3 }));
    assert_eq!(observe("odd"), None);
    assert_eq!(profiles.observe(Pair::HostJa4t, "10.0.0.1", "odd", at(1), |_| false), None); // another kind of pair
    assert_eq!(profiles.stats().unusual, 1);
}

#[test]
fn a_pair_left_in_peace_is_as_unusual_for_everybody_else() {
    let allow = Allow::parse(std::path::Path::new("a.toml"), "[[network]]\ncidr = \"10.0.0.9\"").unwrap();
    let mut profiles = Profiles::new(&Settings::default(), Locals::default(), "a".into(), Arc::new(allow));
    let (mut cooldowns, mut out) = (Cooldowns::default(), Vec::new());
    let mut show = |client, value| {
        let mut record = record(client, "198.51.100.1");
        record.history.push(seen(Method::Ja4, "client", 1));
        profiles.fingerprint(&record, &seen(Method::Ja4s, value, 1), at(1), &mut cooldowns, &mut out);
        out.len()
    };
    assert_eq!((0..50).map(|_| show("10.0.0.1", "usual")).last(), Some(0));
    assert_eq!([show("10.0.0.9", "odd"), show("10.0.0.9", "odd"), show("10.0.0.1", "odd")], [0, 0, 1]);
    assert_eq!((profiles.stats().unusual, profiles.allow.suppressed()), (3, 2));
}

#[test]
fn alerts_name_the_pair_and_the_habit_and_cool_down() {
    let (mut profiles, mut cooldowns, mut out) = (profiles("a"), Cooldowns::default(), Vec::new());
    let mut record = record("10.0.0.1", "198.51.100.1");
    record.history.push(seen(Method::Ja4, "client", 1));
    for _ in 0..50 {
        profiles.fingerprint(&record, &seen(Method::Ja4s, "usual", 1), at(1), &mut cooldowns, &mut out);
    }
    assert_eq!(out, []);
    for odd in ["odd", "odder"] {
        profiles.fingerprint(&record, &seen(Method::Ja4s, odd, 1), at(2), &mut cooldowns, &mut out);
    }
    let [alert] = &out[..] else { panic!("{out:?}") };
    assert_eq!((&*alert.rule, alert.severity), ("unusual_pair", Severity::Low));
    assert_eq!(
        alert.reason,
        "JA4S odd was never seen for JA4 client, which was observed 50 times with 1 others; 50 observations are enough"
    );
    assert_eq!(cooldowns.stats().suppressed, 1);
}

#[test]
fn pairs_come_from_what_a_connection_shows() {
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
        profiles.fingerprint(&record, &seen, at(1), &mut cooldowns, &mut out);
        record.history.push(seen);
    }
    record.identity.client.0 = [9, 9, 9, 9].into(); // a stranger is no anchor
    profiles.fingerprint(&record, &seen(Method::Ja4, "c", 1), at(1), &mut cooldowns, &mut out);
    let pairs: Vec<_> = sorted(profiles.rows())
        .iter()
        .map(|row| format!("{} {} {}", row.pair.name(), row.anchor, row.companion))
        .collect();
    assert_eq!(pairs, ["host_ja4 10.0.0.1 c", "host_ja4t 10.0.0.1 t", "ja4_ja4s c s", "sni_ja4x example.org x"]);
}

#[test]
fn seeding_twice_changes_nothing() {
    let (mut one, mut two) = (profiles("one"), profiles("two"));
    for number in 0..60 {
        one.observe(Pair::SniJa4x, "example.org", if number < 40 { "x" } else { "y" }, at(number), |_| false);
        two.observe(Pair::SniJa4x, "example.org", "x", at(100 + number), |_| false);
    }
    drain(&mut two);
    two.seed(one.rows());
    assert_eq!(drain(&mut two).len(), 2); // what came is stored, once
    let seeded = sorted(two.rows());
    two.seed(one.rows());
    one.seed(two.rows()); // and back again, with its own counts among them
    two.seed(one.rows());
    assert_eq!(sorted(two.rows()), seeded);
    assert_eq!(sorted(one.rows()), seeded);
    assert_eq!(drain(&mut two), []);
    let Some(Unusual { observations, companions }) = two.observe(Pair::SniJa4x, "example.org", "z", at(300), |_| false)
    else {
        panic!("a new companion of an anchor with 120 observations")
    };
    assert_eq!((observations, companions), (120, 2));
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut before = profiles("a");
    for second in 0..50 {
        before.observe(Pair::HostJa4, "10.0.0.1", "usual", at(second), |_| false);
    }
    let rows = drain(&mut before);
    let mut after = profiles("a");
    after.load(rows.clone());
    assert_eq!(drain(&mut after), []);
    assert!(after.observe(Pair::HostJa4, "10.0.0.1", "odd", at(100), |_| false).is_some());
    after.observe(Pair::HostJa4, "10.0.0.1", "usual", at(101), |_| false);
    let rows = sorted(drain(&mut after));
    let counts: Vec<_> = rows.iter().map(|row| (&*row.companion, row.count, row.first, row.last)).collect();
    assert_eq!(counts, [("odd", 1, at(100), at(100)), ("usual", 51, at(0), at(101))]);
}

#[test]
fn what_is_recalled_late_is_this_sensors_own() {
    let mut before = profiles("a");
    (0..50).for_each(|second| _ = before.observe(Pair::HostJa4, "10.0.0.1", "usual", at(second), |_| false));
    let rows = drain(&mut before);
    let mut late = profiles("own");
    late.observe(Pair::HostJa4, "10.0.0.1", "meanwhile", at(60), |_| false);
    late.recall("a".into(), rows);
    assert!(late.observe(Pair::HostJa4, "10.0.0.1", "odd", at(100), |_| false).is_some());
    let rows = sorted(drain(&mut late));
    let counts: Vec<_> = rows.iter().map(|row| (&*row.source, &*row.companion, row.count)).collect();
    assert_eq!(counts, [("a", "meanwhile", 1), ("a", "odd", 1), ("a", "usual", 50)]);
}

#[test]
fn anchors_and_companions_are_bounded_and_what_goes_is_stored() {
    let settings = Settings { max_anchors: 10, max_companions: 4, ..Settings::default() };
    let mut profiles = Profiles::new(&settings, Locals::default(), "a".into(), Arc::default());
    for number in 0..100 {
        profiles.observe(Pair::HostJa4, "10.0.0.1", "usual", at(number), |_| false);
        profiles.observe(Pair::HostJa4, "10.0.0.1", &format!("random {number}"), at(number), |_| false);
        profiles.observe(Pair::HostJa4, &format!("10.0.1.{number}"), "usual", at(number), |_| false);
    }
    let stats = profiles.stats();
    assert_eq!((stats.anchors, stats.companions), (10, 4 + 9));
    assert_eq!((stats.evicted_anchors, stats.evicted_companions), (91, 97));
    assert_eq!(profiles.observe(Pair::HostJa4, "10.0.0.1", "usual", at(200), |_| false), None); // what is usual stays
    assert_eq!(drain(&mut profiles).len(), 1 + 100 + 100);
}

#[test]
fn profiles_are_exported_as_lines_that_are_read_again() {
    let mut profiles = profiles("a");
    profiles.observe(Pair::SniJa4x, "a\"b\n", "x", at(7), |_| false);
    let mut lines = Vec::new();
    assert_eq!(export(profiles.rows(), &mut lines).unwrap(), 1);
    assert_eq!(
        String::from_utf8(lines.clone()).unwrap(),
        "{\"source\":\"a\",\"pair\":\"sni_ja4x\",\"anchor\":\"a\\\"b\\n\",\"companion\":\"x\",\"count\":1,\
         \"first\":7000000000,\"last\":7000000000}\n"
    );
    assert_eq!(import(&lines[..]).unwrap(), profiles.rows().collect::<Vec<_>>());
    lines.extend_from_slice(b"{}\n");
    assert!(import(&lines[..]).unwrap_err().to_string().starts_with("line 2 is no pair: "));
}

#[test]
fn addresses_are_anchors_as_they_are_printed() {
    for text in ["10.0.0.1", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:255.255.255.255"] {
        assert_eq!(address(text.parse().unwrap(), &mut [0; MAX_ADDRESS]), text);
    }
}

proptest! {
    /// In whatever order and however often rows of several sensors come, the same is known in the end.
    #[test]
    fn merging_knows_no_order(
        counts in prop::collection::vec((0..3_u8, 0..3_u8, 1..100_u64), 1..40),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let rows: Vec<_> = counts.iter().map(|(source, companion, count)| Row {
            source: format!("sensor {source}").into(),
            pair: Pair::HostJa4,
            anchor: "10.0.0.1".into(),
            companion: format!("{companion}").into(),
            count: *count,
            first: at(*count),
            last: at(*count + 1),
        }).collect();
        let (mut once, mut often) = (profiles("sensor 0"), profiles("another"));
        once.seed(rows.clone());
        often.seed(again.iter().map(|index| index.get(&rows).clone()));
        often.seed(rows.iter().rev().cloned());
        prop_assert_eq!(sorted(once.rows()), sorted(often.rows()));
        let total: u64 = once.rows().map(|row| row.count).sum();
        once.observe(Pair::HostJa4, "10.0.0.1", "0", at(1), |_| false);
        prop_assert_eq!(once.rows().map(|row| row.count).sum::<u64>(), total + 1);
    }
}
