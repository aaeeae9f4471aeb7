//! Behaviour profiles: the values usually seen with a profile key.

use serde_json::json;
use tests::certificate::{self, Certificate};

use super::builtin::with_chain;
use super::connections::with_mss;
use super::*;

/// Returns `usual` connections followed by one with an unusual value.
fn usual_then_unusual(usual: u64, conversation: impl Fn(&str, Duration, bool) -> TcpConversation) -> Vec<TimedFrame> {
    let conversations: Vec<_> = (0..=usual)
        .map(|number| conversation(&format!("10.0.0.1:{}", 1000 + number), ms(number * 10_000), number == usual))
        .collect();
    merged_packets(&conversations)
}

fn host_ja4(usual: u64) -> Vec<TimedFrame> {
    usual_then_unusual(usual, |client, at, is_odd| {
        let hello = if is_odd { odd_hello(1, "a.example") } else { client_hello(Shape::Curl, "a.example") };
        tls(client, "192.0.2.1:443", at, &hello)
    })
}

fn unusual<'a>(events: &'a [Value], pair: &str) -> Vec<&'a Value> {
    alerts(events, "unusual_pair").into_iter().filter(|alert| details(alert)["group"]["pair"] == pair).collect()
}

#[test]
fn a_new_value_is_unusual_after_fifty_observations() {
    assert!(unusual(&replay("", &host_ja4(49)), "host_ja4").is_empty());
    let events = replay("", &host_ja4(50));
    let [alert] = unusual(&events, "host_ja4")[..] else { panic!("{:#?}", alerts(&events, "unusual_pair")) };
    assert_eq!((&details(alert)["severity"], &details(alert)["group"]["key"]), (&json!("low"), &json!(CLIENT)));
    let value = of_kind(&events, "ja4").last().unwrap()["fingerprint"]["value"].as_str().unwrap();
    assert_reason(alert, &[value, CLIENT, "observed 50 times", "1 other values", "threshold: 50 observations"]);
}

#[test]
fn every_type_of_pair_has_a_profile() {
    let usual_chain = [certificate::leaf("shop.example")];
    let odd_chain = [Certificate::new().extension(&[0x2a, 1], false, b"x")];
    let events = replay(
        "",
        &usual_then_unusual(50, |client, at, is_odd| {
            with_chain(client, "shop.example", at, if is_odd { &odd_chain } else { &usual_chain })
        }),
    );
    let [alert] = unusual(&events, "sni_ja4x")[..] else { panic!("{:#?}", alerts(&events, "unusual_pair")) };
    assert_eq!(details(alert)["group"]["key"], "shop.example");

    let events = replay(
        "",
        &usual_then_unusual(50, |client, at, is_odd| {
            let mut conversation = conversation(client, "192.0.2.1:443", at);
            conversation.syn_with(64_240, &with_mss(if is_odd { 1380 } else { 1460 })).syn_ack().client_ack().close();
            conversation
        }),
    );
    let [alert] = unusual(&events, "host_ja4t")[..] else { panic!("{:#?}", alerts(&events, "unusual_pair")) };
    assert_reason(alert, &["64240_2-4-8-1-3_1380_7"]);

    let events = replay(
        "",
        &usual_then_unusual(50, |client, at, is_odd| {
            let suite = if is_odd { 0xc02f } else { 0xc030 };
            let hello = HelloMessageBuilder::new(0x0303, &[suite]).extension(0xff01, &[0]).server();
            let mut conversation = conversation(client, "192.0.2.1:443", at);
            conversation.handshake().client(&client_hello(Shape::Go, "a.example"));
            conversation.server(&hello::records(&hello, usize::MAX)).close();
            conversation
        }),
    );
    let [alert] = unusual(&events, "ja4_ja4s")[..] else { panic!("{:#?}", alerts(&events, "unusual_pair")) };
    assert_eq!(details(alert)["group"]["key"], Shape::Go.ja4());
}

#[test]
fn profiles_survive_a_restart_and_can_be_imported_elsewhere() {
    let folder = EngineFolder::new("");
    let database = folder.text("history.db");
    let packets = host_ja4(50);
    let is_odd = |packet: &TimedFrame| packet.time >= packets.last().unwrap().time - ms(5000);
    let (odd, usual): (Vec<_>, Vec<_>) = packets.iter().cloned().partition(is_odd);
    assert!(unusual(&folder.replay(&usual, &["--db", &database]), "host_ja4").is_empty());

    let exported = Sensor::new().run(&["profiles", "export", "--db", &database]).ok();
    let rows: Vec<Value> = exported.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let host = rows.iter().find(|row| row["pair"] == "host_ja4").unwrap_or_else(|| panic!("{rows:#?}"));
    assert_eq!((&host["key"], &host["value"]), (&json!(CLIENT), &json!(Shape::Curl.ja4())));
    assert_eq!(host["count"], 50);
    assert!(rows.iter().all(|row| row["source"].as_str().is_some_and(|source| !source.is_empty())), "{rows:#?}");

    // Another sensor imports the profiles, twice, and then detects the unusual value.
    let (lines, other) = (folder.path("profiles.jsonl"), folder.text("other.db"));
    fs::write(&lines, exported.stdout()).unwrap();
    for from in [&database, lines.to_str().unwrap()] {
        Sensor::new().run(&["profiles", "import", "--db", &other, from]).ok();
    }
    for known in [&database, &other] {
        let events = folder.replay(&odd, &["--db", known]);
        let [alert] = unusual(&events, "host_ja4")[..] else { panic!("{known}: {events:#?}") };
        assert_reason(alert, &["observed 50 times"]);
    }
    // A sensor without these profiles reports nothing.
    assert!(unusual(&folder.replay(&odd, &[]), "host_ja4").is_empty());
}
