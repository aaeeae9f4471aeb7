//! Which values were never seen before.

use std::collections::HashMap;

use super::*;

/// Many connections of few values, from many hosts and ports.
fn crowd(at: u64) -> Vec<Packet> {
    let hello = |number: u64| match number % 4 {
        0 => client_hello(Shape::Curl, "a.example"),
        1 => client_hello(Shape::Go, "b.example"),
        2 => client_hello(Shape::Browser, "c.example"),
        _ => odd_hello((number % 40) as u16, "d.example"),
    };
    let talks: Vec<_> = (0..400)
        .map(|number| {
            let client = format!("10.0.{}.{}:{}", number % 7, number % 50 + 1, 20_000 + number);
            tls(&client, "192.0.2.1:443", ms(at + number), &hello(number))
        })
        .collect();
    together(&talks)
}

/// How often each value was told as new.
fn firsts(events: &[Value]) -> HashMap<(String, String), usize> {
    let mut firsts = HashMap::new();
    for event in tests::fingerprints(events) {
        let text = |name: &str| event["fingerprint"][name].as_str().unwrap().to_owned();
        *firsts.entry((text("type"), text("value"))).or_default() += usize::from(event["first_seen"] == true);
    }
    firsts
}

const ALL: &str = "[first_seen]\nlearning = \"0\"\n[builtin.first_seen]\nenabled = false\n";

/// `ja4l` and `ja4ls` are no values of software.
fn asked_for(kind: &str) -> bool {
    !matches!(kind, "ja4l" | "ja4ls" | "ja4ssh")
}

#[test]
fn one_connection_is_the_first_whichever_shard_sees_it() {
    let (site, packets) = (Site::new(ALL), crowd(0));
    let one = site.replay(&packets, &["--shards", "1"]);
    let firsts = firsts(&one);
    assert!(firsts.len() > 13, "{firsts:#?}");
    for ((kind, value), count) in firsts {
        assert_eq!(count, usize::from(asked_for(&kind)), "{kind} {value}");
    }
    // It is the first in the capture.
    let mut known = std::collections::HashSet::new();
    for event in tests::fingerprints(&one) {
        let fingerprint = &event["fingerprint"];
        let new = known.insert((fingerprint["type"].to_string(), fingerprint["value"].to_string()));
        let asked = asked_for(fingerprint["type"].as_str().unwrap());
        assert_eq!(event["first_seen"] == true, new && asked, "{event}");
    }
    for shards in ["2", "4"] {
        assert_eq!(site.replay(&packets, &["--shards", shards]), one, "--shards {shards}");
    }
}

#[test]
fn while_it_learns_everything_is_approved() {
    let site = Site::new("[first_seen]\nlearning = \"1h\"\n");
    let hour = 3_600_000;
    let talks = [
        tls("10.0.0.1:1", "192.0.2.1:443", ms(0), &odd_hello(1, "a.example")),
        tls("10.0.0.1:2", "192.0.2.1:443", ms(hour - 1000), &odd_hello(2, "a.example")),
        tls("10.0.0.1:3", "192.0.2.1:443", ms(hour + 1000), &odd_hello(3, "a.example")),
        tls("10.0.0.1:4", "192.0.2.1:443", ms(hour + 2000), &odd_hello(1, "a.example")),
    ];
    let events = site.replay(&together(&talks), &[]);
    let new: Vec<_> = of_kind(&events, "ja4").iter().map(|event| event["first_seen"] == true).collect();
    assert_eq!(new, [false, false, true, false]);
    let alert = the_alert(&events, "first_seen");
    assert_reason(alert, &["never seen on this network"]);
    assert_eq!(alert["fingerprint"]["value"], of_kind(&events, "ja4")[2]["fingerprint"]["value"]);
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "first_seen", "learning_left_s"]), 0);
    let begun = site.replay(talks[0].packets(), &[]);
    let left = tests::stats_u64(stats(&begun), &["engine", "first_seen", "learning_left_s"]);
    assert!((3590..=3600).contains(&left), "{left}");
}

#[test]
fn a_value_that_is_new_to_a_host_alone_is_told_of_local_hosts() {
    let site = Site::new("[first_seen]\nlearning = \"0\"\nmethods = [\"ja4\"]\nhost_methods = [\"ja4\"]\n");
    let hello = client_hello(Shape::Curl, "a.example");
    let talks = [
        tls("10.0.0.1:1", "192.0.2.1:443", ms(0), &hello),
        tls("10.0.0.2:2", "192.0.2.1:443", ms(1000), &hello),
        tls("10.0.0.2:3", "192.0.2.1:443", ms(2000), &hello),
        // Not of this network.
        tls("203.0.113.9:4", "192.0.2.1:443", ms(3000), &hello),
    ];
    let events = site.replay(&together(&talks), &[]);
    let told = alerts(&events, "first_seen");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_reason(told[0], &["on this network"]);
    assert_reason(told[1], &["never seen from 10.0.0.2"]);
    assert_eq!(own(told[1])["group"]["src_ip"], "10.0.0.2");
    let new: Vec<_> = of_kind(&events, "ja4").iter().map(|event| event["first_seen"] == true).collect();
    assert_eq!(new, [true, false, false, false]);
}

#[test]
fn a_restart_neither_forgets_nor_learns_anew() {
    let site = Site::new("[first_seen]\nlearning = \"1h\"\n[builtin.first_seen]\nenabled = false\n");
    let database = site.text("history.db");
    let run = |packets: &[Packet]| site.replay(packets, &["--db", &database]);
    let two_hours = 7_200_000;
    run(&crowd(0));
    // Known values are known; it does not learn again.
    let later = crowd(two_hours);
    assert_eq!(firsts(&run(&later)).values().sum::<usize>(), 0);
    let odd = tls("10.0.0.1:9", "192.0.2.1:443", ms(two_hours + 5000), &odd_hello(77, "a.example"));
    let odd_is_new = |packets: &[Packet]| of_kind(&run(packets), "ja4")[0]["first_seen"] == true;
    assert!(odd_is_new(odd.packets()), "the hour of learning was over long ago");
    assert!(!odd_is_new(odd.packets()), "now it is known");

    let list = |options: &[&str]| site.rows(&["first-seen", "list", "--format", "json"], options);
    let curl = list(&["--value", Shape::Curl.ja4()]);
    let network: Vec<_> = curl.iter().filter(|row| row.get("host").is_none_or(Value::is_null)).collect();
    assert_eq!(network.len(), 1, "{curl:#?}");
    assert_eq!(network[0]["count"], 200, "100 in each run: {}", network[0]);
    assert_eq!(network[0]["first"], "2026-11-23T07:00:00.030200000Z", "{}", network[0]);

    let forget = ["first-seen", "forget", "--db", &database, "--value", Shape::Curl.ja4()];
    Sensor::new().run(&forget).ok().says("forgotten");
    assert!(list(&["--value", Shape::Curl.ja4()]).is_empty());
    let again = firsts(&run(&later));
    let told: Vec<_> = again.iter().filter(|(_, count)| **count > 0).map(|((_, value), _)| &**value).collect();
    assert_eq!(told, [Shape::Curl.ja4()]);
}
