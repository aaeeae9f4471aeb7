use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const JA4: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";

fn at(seconds: u64) -> Time {
    Time(seconds * SECOND)
}

fn host(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([10, 0, 0, last]))
}

fn settings(learning: u64) -> FirstSeenSettings {
    FirstSeenSettings {
        learning: HumanDuration::seconds(learning),
        forget_after: HumanDuration::seconds(100),
        ..FirstSeenSettings::default()
    }
}

fn first_seen(settings: &FirstSeenSettings) -> FirstSeen {
    FirstSeen::new(settings, LocalNetworks::default(), None)
}

/// Everything that storage is to be given, in batches of seven.
fn drain(seen: &mut FirstSeen) -> Vec<FirstSeenFact> {
    let mut rows = Vec::new();
    loop {
        let batch = seen.drain_dirty(7);
        assert!(batch.len() <= 7);
        rows.extend_from_slice(&batch);
        if batch.len() < 7 {
            return rows;
        }
    }
}

#[test]
fn a_value_is_new_once_on_the_network_and_once_for_each_local_host() {
    let mut seen = first_seen(&settings(0));
    let mut check = |method, host, second| {
        let Sighting { first, first_for_host, .. } = seen.check(method, JA4, host, at(second));
        (first, first_for_host)
    };
    assert_eq!(check(Method::Ja4, host(1), 1), (true, true));
    assert_eq!(check(Method::Ja4, host(1), 2), (false, false)); // the same connection's second, say
    assert_eq!(check(Method::Ja4, host(2), 3), (false, true));
    assert_eq!(check(Method::Ja4, Some(IpAddr::from([9, 9, 9, 9])), 4), (false, false)); // not local
    assert_eq!(check(Method::Ja4, None, 4), (false, false));
    assert_eq!(check(Method::Ja4s, host(1), 5), (true, false)); // another method, not looked at per host
    assert_eq!(check(Method::Ja4l, host(1), 6), (false, false)); // a distance
    assert_eq!(check(Method::Ja4ssh, host(1), 7), (false, false)); // not configured
    let stats = seen.stats(at(0));
    assert_eq!((stats.values, stats.host_values), (2, 2));
    assert_eq!((stats.first, stats.first_for_host), (2, 2));
}

#[test]
fn ja4ssh_is_tracked_per_host_if_configured() {
    let settings = FirstSeenSettings { host_methods: Methods::of(&[Method::Ja4ssh]), ..settings(0) };
    let mut seen = first_seen(&settings);
    let sighting = seen.check(Method::Ja4ssh, "c36s36_c51s80_c69s0", host(1), at(1));
    assert_eq!((sighting.first, sighting.first_for_host), (false, true));
    assert!(!seen.check(Method::Ja4ssh, "c36s36_c51s80_c69s0", host(1), at(1)).first_for_host);
    assert!(!seen.check(Method::Ja4, JA4, host(1), at(1)).first_for_host);
}

#[test]
fn nothing_is_first_seen_in_the_learning_period() {
    let mut seen = first_seen(&settings(60));
    assert_eq!(seen.learning().left(at(1000)), HumanDuration::seconds(60));
    let learned = seen.check(Method::Ja4, JA4, host(1), at(1000));
    let entered = Sighting { entered: true, entered_for_host: true, ..Sighting::default() };
    assert_eq!(learned, Sighting { learning: true, ..entered });
    assert_eq!(seen.learning().left(at(1015)).to_string(), "45s");
    assert!(!seen.check(Method::Ja4, JA4, host(1), at(1061)).first);
    let late = seen.check(Method::Ja4, "t12i0100_", host(1), at(1060));
    assert_eq!((late.first, late.first_for_host, late.learning), (true, true, false));
    assert_eq!(late.new_since, Some(at(1060)));
    assert_eq!(seen.check(Method::Ja4, "t12i0100_", None, at(1070)).new_since, Some(at(1060)));
    assert_eq!(seen.check(Method::Ja4, JA4, None, at(1070)).new_since, None);
    assert_eq!((seen.learning().started(), seen.learning().left(at(1061))), (Some(at(1000)), HumanDuration::default()));
}

#[test]
fn inserted_rows_are_returned_at_once_and_again_after_a_change() {
    let mut seen = first_seen(&settings(60));
    let entered = |seen: &mut FirstSeen, second| {
        let sighting = seen.check(Method::Ja4, JA4, host(1), at(second));
        let hosts = [(sighting.entered, None), (sighting.entered_for_host, host(1))];
        let entered = hosts.into_iter().filter(|(entered, _)| *entered);
        entered.filter_map(|(_, host)| seen.drain_entered(Method::Ja4, JA4, host)).collect::<Vec<_>>()
    };
    // In the learning period too.
    let rows = entered(&mut seen, 1000);
    assert_eq!(
        rows.iter().map(|row| (row.host, row.first, row.count)).collect::<Vec<_>>(),
        [(None, at(1000), 1), (host(1), at(1000), 1)]
    );
    assert_eq!(drain(&mut seen), []);
    assert_eq!(entered(&mut seen, 1001), []);
    let changed: Vec<_> = drain(&mut seen).into_iter().map(|row| (row.host, row.last, row.count)).collect();
    assert_eq!(changed, [(None, at(1001), 2), (host(1), at(1001), 2)]);
    // Expired and seen again, with other rows behind it in the queue.
    seen.check(Method::Ja4, JA4, None, at(1002));
    seen.check(Method::Ja4, "another", None, at(1002));
    assert_eq!(entered(&mut seen, 1200).first().map(|row| row.first), Some(at(1200)));
    assert_eq!(drain(&mut seen).iter().filter(|row| &*row.value == JA4 && row.host.is_none()).count(), 1);
}

#[test]
fn a_restart_keeps_values_and_the_learning_period() {
    let mut before = first_seen(&settings(60));
    before.check(Method::Ja4, JA4, host(1), at(1000));
    let rows = drain(&mut before);
    let mut after = FirstSeen::new(&settings(60), LocalNetworks::default(), before.learning().started());
    after.load(rows.clone());
    assert_eq!(drain(&mut after), []);
    assert!(!after.check(Method::Ja4, JA4, host(1), at(1070)).first);
    assert!(after.check(Method::Ja4, "another", host(1), at(1070)).first);
    let row = after.get(Method::Ja4, JA4, None).unwrap();
    assert_eq!((row.first, row.last, row.count), (at(1000), at(1070), 2));
    assert_eq!(after.learning().started(), Some(at(1000)));
}

#[test]
fn restored_rows_are_merged_with_those_of_the_run() {
    let mut before = first_seen(&settings(60));
    (0..3).for_each(|second| _ = before.check(Method::Ja4, JA4, host(1), at(second)));
    before.check(Method::Ja4, "t12i0100_", None, at(3));
    let rows = drain(&mut before);

    let mut late = first_seen(&settings(60));
    assert!(late.check(Method::Ja4, JA4, host(1), at(90)).learning, "its start is not restored yet");
    late.check(Method::Ja4, "t13i0100_", None, at(91));
    drain(&mut late);
    late.learning().begin(at(0));
    late.restore(rows);
    assert_eq!(late.learning().left(at(91)), HumanDuration::seconds(0));
    assert!(!late.check(Method::Ja4, "t12i0100_", None, at(92)).first, "the first run had it");
    assert!(late.check(Method::Ja4, "t13i0200_", None, at(93)).first);
    let rows = drain(&mut late);
    let row = |value, host| rows.iter().find(|row| row.value == value && row.host == host).unwrap();
    for host in [None, host(1)] {
        let FirstSeenFact { first, last, count, .. } = *row(JA4, host);
        assert_eq!((first, last, count), (at(0), at(90), 4));
    }
    assert_eq!(row("t13i0100_", None).count, 1);
    let stats = late.stats(at(0));
    assert_eq!((stats.values, stats.host_values), (4, 1));
    assert_eq!(stats.bytes, (2 * JA4.len() + 3 * "t12i0100_".len()) as u64);
}

#[test]
fn events_before_the_learning_period_start_a_new_one() {
    let mut seen = FirstSeen::new(&settings(60), LocalNetworks::default(), Some(at(100_000)));
    assert!(seen.check(Method::Ja4, "a", None, at(1000)).learning);
    assert!(seen.check(Method::Ja4, "b", None, at(1059)).learning);
    assert!(seen.check(Method::Ja4, "c", None, at(1060)).first);
    assert_eq!(seen.learning().started(), Some(at(1000)));
}

#[test]
fn a_time_in_the_future_delays_no_expiry() {
    let mut seen = first_seen(&settings(0));
    seen.check(Method::Ja4, "bogus", None, at(9_000_000));
    seen.check(Method::Ja4, "old", None, at(1000));
    seen.tick(at(1200));
    seen.tick(at(1200));
    assert!(seen.get(Method::Ja4, "old", None).is_none());
    assert!(seen.get(Method::Ja4, "bogus", None).is_some());
    // At its true time, it was first seen then.
    seen.check(Method::Ja4, "bogus", None, at(1201));
    assert_eq!(seen.get(Method::Ja4, "bogus", None).unwrap().first, at(1201));
}

#[test]
fn rows_that_storage_lost_are_returned_again() {
    let mut seen = first_seen(&settings(0));
    for number in 0..20 {
        seen.check(Method::Ja4, &number.to_string(), host(1), at(number));
    }
    let rows = drain(&mut seen);
    seen.check(Method::Ja4, "19", host(1), at(19));
    seen.store_again();
    assert_eq!((rows.len(), drain(&mut seen).len(), drain(&mut seen).len()), (40, 40, 0));
}

#[test]
fn storage_gets_one_row_for_many_sightings() {
    let mut seen = first_seen(&settings(0));
    for second in 1..=50 {
        seen.check(Method::Ja4, JA4, host(1), at(second));
    }
    let mut rows = drain(&mut seen);
    rows.sort_by_key(|row| row.host);
    let row =
        |host| FirstSeenFact { method: Method::Ja4, value: JA4.into(), host, first: at(1), last: at(50), count: 50 };
    assert_eq!(rows, [row(None), row(host(1))]);
    assert_eq!(drain(&mut seen), []);
    seen.check(Method::Ja4, JA4, None, at(51));
    assert_eq!(drain(&mut seen), [FirstSeenFact { last: at(51), count: 51, ..row(None) }]);
}

#[test]
fn evicted_rows_are_stored_and_counted() {
    let settings = FirstSeenSettings { max_values: 10, ..settings(0) };
    let mut seen = first_seen(&settings);
    for number in 0..100_u64 {
        assert!(seen.check(Method::Ja4, &format!("value {number}"), None, at(number)).first);
    }
    assert_eq!((seen.stats(at(0)).values, seen.stats(at(0)).evicted), (10, 90));
    let mut numbers: Vec<_> = drain(&mut seen).iter().map(|row| row.first).collect();
    numbers.sort();
    assert_eq!(numbers, (0..100).map(at).collect::<Vec<_>>());
    for number in 0..60_000_u64 {
        seen.check(Method::Ja4, &format!("flood {number}"), None, at(200));
    }
    let stats = seen.stats(at(0));
    assert_eq!(stats.persist_lost as usize + drain(&mut seen).len(), 60_000);
    assert_eq!(stats.persist_lost, 60_000 - 10 - MAX_EVICTED_ROWS as u64);
}

#[test]
fn long_values_are_bounded_in_bytes() {
    let settings = FirstSeenSettings { max_bytes: ByteSize(10_000), ..settings(0) };
    let mut seen = first_seen(&settings);
    for number in 0..100 {
        seen.check(Method::Ja4d, &format!("{number:01000}"), None, at(1));
        assert!(seen.stats(at(0)).bytes <= 10_000);
    }
    assert_eq!((seen.stats(at(0)).values, seen.stats(at(0)).evicted), (10, 90));
}

#[test]
fn expired_values_are_new_again() {
    let mut seen = first_seen(&settings(0));
    seen.check(Method::Ja4, JA4, host(1), at(1));
    assert!(seen.delete(Method::Ja4, JA4, None) && !seen.delete(Method::Ja4, JA4, None));
    let again = seen.check(Method::Ja4, JA4, host(1), at(2));
    assert_eq!((again.first, again.first_for_host), (true, false));
    seen.tick(at(102));
    assert_eq!(seen.stats(at(0)).values, 1);
    seen.tick(at(103));
    assert_eq!((seen.stats(at(0)).values, seen.stats(at(0)).bytes, seen.stats(at(0)).expired), (0, 0, 2));
}

/// The rules, as simply as they can be put.
#[derive(Default)]
struct UnboundedTable {
    seen: HashMap<(Method, Option<IpAddr>, String), FirstSeenFact>,
}

impl UnboundedTable {
    fn check(&mut self, method: Method, value: &str, host: Option<IpAddr>, now: Time) -> bool {
        let key = (method, host, value.to_owned());
        if self.seen.get(&key).is_some_and(|row| now.0.saturating_sub(row.last.0) > 100 * SECOND) {
            self.seen.remove(&key);
        }
        let new = !self.seen.contains_key(&key);
        let fresh = FirstSeenFact { method, value: value.into(), host, first: now, last: now, count: 0 };
        let row = self.seen.entry(key).or_insert(fresh);
        row.count += 1;
        row.last = now;
        new
    }
}

#[derive(Clone, Debug)]
enum SightingStep {
    See(Method, u8, u8),
    Pass(u64),
    Store,
    Restart,
}

fn step() -> impl Strategy<Value = SightingStep> {
    let method = prop::sample::select(vec![Method::Ja4, Method::Ja4t, Method::Ja4s]);
    prop_oneof![
        8 => (method, 0..6_u8, 0..4_u8).prop_map(|(method, value, host)| SightingStep::See(method, value, host)),
        2 => (0..60_u64).prop_map(SightingStep::Pass),
        1 => Just(SightingStep::Store),
        1 => Just(SightingStep::Restart),
    ]
}

proptest! {
    /// Whatever is seen, stored, aged or restarted in between: what a plain table would say.
    #[test]
    fn it_agrees_with_an_unbounded_table(learning in 0..100_u64, steps in prop::collection::vec(step(), 1..200)) {
        let settings = settings(learning);
        let (mut seen, mut model) = (first_seen(&settings), UnboundedTable::default());
        let mut stored = HashMap::new();
        let (mut now, mut started) = (at(1000), None);
        for step in steps {
            match step {
                SightingStep::See(method, value, last) => {
                    let started = *started.get_or_insert(now);
                    let approved = now.0 - started.0 < learning * SECOND;
                    let value = format!("value {value}");
                    let first = model.check(method, &value, None, now);
                    let for_host = last > 0 && method != Method::Ja4s && model.check(method, &value, host(last), now);
                    let sighting = seen.check(method, &value, host(last).filter(|_| last > 0), now);
                    prop_assert_eq!(sighting.first, first && !approved);
                    prop_assert_eq!(sighting.first_for_host, for_host && !approved);
                    prop_assert_eq!(sighting.learning, approved);
                }
                SightingStep::Pass(seconds) => {
                    now.0 += seconds * SECOND;
                    seen.tick(now);
                }
                SightingStep::Store | SightingStep::Restart => {
                    for row in drain(&mut seen) {
                        stored.insert((row.method, row.host, row.value.to_string()), row);
                    }
                    let horizon = seen.horizon(now);
                    stored.retain(|_, row| row.last >= horizon);
                    model.seen.retain(|_, row| row.last >= horizon);
                    prop_assert_eq!(&stored, &model.seen);
                    if matches!(step, SightingStep::Restart) {
                        seen = FirstSeen::new(&settings, LocalNetworks::default(), seen.learning().started());
                        let mut rows: Vec<_> = stored.values().cloned().collect();
                        rows.sort_by_key(|row| row.last);
                        seen.load(rows);
                    }
                }
            }
        }
    }
}
