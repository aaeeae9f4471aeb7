//! Each built-in rule fires on its target pattern and not on a slightly weaker one.

use tests::certificate::{self, Certificate};
use tests::http::{browser_request, response};

use super::connections::with_mss;
use super::*;

const MINUTE: u64 = 60_000;

/// Returns a TLS 1.2 connection; the server sends these certificates.
pub(super) fn with_chain(client: &str, name: &str, at: Duration, chain: &[Certificate]) -> TcpConversation {
    let chain: Vec<_> = chain.iter().map(Certificate::build).collect();
    let body = certificate::message(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    let hello = hello::server_hello_12(&mut SplitMix64::new(3));
    let flight = hello::records(&[hello, message, vec![14, 0, 0, 0]].concat(), 16_000);
    let mut conversation = conversation(client, "192.0.2.1:443", at);
    conversation.handshake().client(&client_hello(Shape::Curl, name));
    for segment in flight.chunks(1400) {
        conversation.server(segment);
    }
    conversation.close();
    conversation
}

#[test]
fn a_tunnel_on_a_path_without_earlier_tunnels_raises_an_alert() {
    let conversations = |clear: u64| {
        let one = |number: u64, mss| {
            let mut conversation =
                conversation(&format!("10.0.0.1:{}", 1000 + number), "192.0.2.1:443", ms(number * 1000));
            conversation.syn_with(64_240, &with_mss(mss)).syn_ack().client_ack().close();
            conversation
        };
        let mut conversations: Vec<_> = (0..clear).map(|number| one(number, 1460)).collect();
        conversations.extend([one(clear, 1380), one(clear + 1, 1380)]);
        merged_packets(&conversations)
    };
    assert!(alerts(&replay("", &conversations(4)), "new_tunnel").is_empty());
    let events = replay("", &conversations(5));
    let alert = single_alert(&events, "new_tunnel");
    assert_reason(alert, &["MTU 1420", "wireguard", "80", "5 connections without a tunnel", "threshold: 5"]);
    assert_eq!(
        (&details(alert)["group"]["src_ip"], &details(alert)["group"]["dest_ip"]),
        (&CLIENT.into(), &SERVER.into())
    );
    assert_eq!((&details(alert)["severity"], &details(alert)["confidence"]), (&"medium".into(), &80.into()));
}

#[test]
fn a_client_that_contradicts_its_user_agent_raises_an_alert() {
    let agent = |system: &str| {
        format!("Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36")
    };
    let linux = agent("X11; Linux x86_64");
    // Returns a TLS connection of this client type and a clear-text request from the same host.
    let host = |shape, agent: &str| {
        let mut web = conversation("10.0.0.1:2", "192.0.2.1:80", ms(MINUTE));
        web.handshake().client(format!("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n").as_bytes());
        web.server(&response(10)).close();
        let hello = client_hello(shape, "a.example");
        replay("", &merged_packets(&[tls("10.0.0.1:1", "192.0.2.1:443", ms(0), &hello), web]))
    };
    for (shape, agent) in [(Shape::Browser, &*linux), (Shape::Curl, "curl/7.88.1"), (Shape::Curl, "Googlebot Chrome/1")]
    {
        assert!(alerts(&host(shape, agent), "user_agent_mismatch").is_empty(), "{shape:?}, {agent}");
    }
    let events = host(Shape::Curl, &linux);
    let alert = single_alert(&events, "user_agent_mismatch");
    assert_reason(alert, &["Chrome 130", Shape::Curl.ja4(), "belongs to curl", &linux]);
    assert_eq!(details(alert)["group"]["src_ip"], CLIENT);
    let events = host(Shape::Device, &linux);
    assert_reason(single_alert(&events, "user_agent_mismatch"), &["Chrome 130", Shape::Device.ja4(), "no TLS 1.3"]);
    let events = host(Shape::Browser, &agent("Windows NT 10.0; Win64; x64"));
    assert_reason(single_alert(&events, "user_agent_mismatch"), &["Windows", "Linux"]);
    // Both in a single connection.
    let mut web = conversation("10.0.0.1:1", "192.0.2.1:80", ms(0));
    web.handshake().client(&browser_request("a.example", "/", &mut SplitMix64::new(1))).close();
    single_alert(&replay("", web.packets()), "user_agent_mismatch");
}

#[test]
fn a_host_with_many_ja4_raises_an_alert() {
    let sprayed = |number: u16| {
        let conversations: Vec<_> = (0..number)
            .map(|number| {
                let client = format!("10.0.0.1:{}", 1000 + number);
                tls(&client, "192.0.2.1:443", ms(u64::from(number) * 100), &odd_hello(number, "a.example"))
            })
            .collect();
        replay("", &merged_packets(&conversations))
    };
    assert!(alerts(&sprayed(20), "many_ja4").is_empty());
    let events = sprayed(21);
    let alert = single_alert(&events, "many_ja4");
    assert_reason(alert, &["21 different JA4 within 10m", "more than 20"]);
    assert_eq!(details(alert)["group"]["src_ip"], CLIENT);
}

#[test]
fn a_rare_value_from_many_clients_raises_an_alert() {
    let spread = |hosts: u64, hello: &[u8]| {
        let conversations: Vec<_> = (1..=hosts)
            .map(|host| tls(&format!("10.0.0.{host}:1000"), "192.0.2.1:443", ms(host * MINUTE), hello))
            .collect();
        replay(WITHOUT_LEARNING, &merged_packets(&conversations))
    };
    let odd = odd_hello(7, "a.example");
    assert!(alerts(&spread(4, &odd), "rare_value_spread").is_empty());
    let events = spread(5, &odd);
    let alert = single_alert(&events, "rare_value_spread");
    let value = of_kind(&events, "ja4")[0]["fingerprint"]["value"].as_str().unwrap();
    assert_reason(alert, &[value, "from 5 clients", "threshold: 5", "1h", "1d"]);
    // curl is labelled, so it may come from many hosts.
    assert!(alerts(&spread(9, &client_hello(Shape::Curl, "a.example")), "rare_value_spread").is_empty());
}

#[test]
fn a_new_kind_of_certificate_chain_for_a_server_name_raises_an_alert() {
    let usual = [certificate::leaf("shop.example"), certificate::authority()];
    let other = [Certificate::new().extension(&[0x2a, 1], false, b"x")];
    let chains = |usual_count: u64| {
        let at = |number: u64| ms(number * MINUTE);
        let client = |number: u64| format!("10.0.0.1:{}", 1000 + number);
        let mut conversations: Vec<_> =
            (0..usual_count).map(|number| with_chain(&client(number), "shop.example", at(number), &usual)).collect();
        conversations.push(with_chain(&client(usual_count), "shop.example", at(usual_count), &other));
        conversations.push(with_chain("10.0.0.2:1", "new.example", at(usual_count), &other));
        replay("", &merged_packets(&conversations))
    };
    assert!(alerts(&chains(4), "new_chain").is_empty());
    let events = chains(5);
    let alert = single_alert(&events, "new_chain");
    let value = of_kind(&events, "ja4x").last().unwrap()["fingerprint"]["value"].as_str().unwrap();
    assert_reason(alert, &["shop.example", value, "5 earlier chains", "threshold: 5"]);
    assert_eq!(details(alert)["group"]["tls.sni"], "shop.example");
}

#[test]
fn a_value_at_regular_intervals_raises_an_alert() {
    let beats = |times: &[u64]| {
        let conversations: Vec<_> = (1000..)
            .zip(times)
            .map(|(port, seconds)| {
                let hello = odd_hello(1, "a.example");
                tls(&format!("10.0.0.1:{port}"), "192.0.2.1:443", ms(seconds * 1000), &hello)
            })
            .collect();
        replay("", &merged_packets(&conversations))
    };
    let regular: Vec<_> = (0..9).map(|beat| beat * 300).collect();
    assert!(alerts(&beats(&regular[..8]), "beacon").is_empty());
    let events = beats(&regular);
    let alert = single_alert(&events, "beacon");
    assert_reason(alert, &["8 intervals", "300.0 s", "0.000", "0.15"]);
    let value = &of_kind(&events, "ja4")[0]["fingerprint"]["value"];
    let group = &details(alert)["group"];
    assert_eq!((&group["src_ip"], &group["dest_ip"], &group["ja4"]), (&CLIENT.into(), &SERVER.into(), value));
    // Irregular intervals of interactive use.
    assert!(alerts(&beats(&[0, 40, 300, 330, 900, 1700, 1760, 2000, 2900, 3000]), "beacon").is_empty());
}

#[test]
fn many_ja4_after_a_quiet_period_raise_a_second_alert() {
    let conversations: Vec<_> = [0, 2 * 60 * MINUTE]
        .into_iter()
        .flat_map(|start| (0..30).map(move |number| (start, number)))
        .map(|(start, number)| {
            let client = format!("10.0.0.1:{}", 1000 + start / 1000 + u64::from(number));
            tls(&client, "192.0.2.1:443", ms(start + u64::from(number) * 100), &odd_hello(number, "a.example"))
        })
        .collect();
    let events = replay("", &merged_packets(&conversations));
    let raised = alerts(&events, "many_ja4");
    assert_eq!(raised.iter().map(|alert| details(alert)["suppressed"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 9]);
    assert_reason(raised[1], &["21 different JA4 within 10m"]);
}

#[test]
fn an_alert_suppressed_for_an_allowlisted_client_is_raised_for_the_next_client() {
    let config = format!("{WITHOUT_LEARNING}[allowlist]\nfiles = [\"allow.toml\"]\n");
    let folder = EngineFolder::new(&config).with("allow.toml", "[[network]]\ncidr = \"10.0.0.5\"\n");
    let spread = |hosts: u64| {
        let one = |host: u64| {
            tls(&format!("10.0.0.{host}:1000"), "192.0.2.1:443", ms(host * MINUTE), &odd_hello(7, "a.example"))
        };
        folder.replay(&merged_packets(&(1..=hosts).map(one).collect::<Vec<_>>()), &[])
    };
    assert!(alerts(&spread(5), "rare_value_spread").is_empty());
    let events = spread(9);
    let alert = single_alert(&events, "rare_value_spread");
    assert_eq!(alert["src_ip"], "10.0.0.6");
    assert_reason(alert, &["from 6 clients"]);
    let fired = |rule: &str| tests::stats_u64(stats(&events), &["engine", "builtin", "fired", rule]);
    assert_eq!(fired("rare_value_spread"), 2, "one of the two is suppressed");

    // A chain first seen from an allowlisted client.
    let usual = [certificate::leaf("shop.example"), certificate::authority()];
    let other = [Certificate::new().extension(&[0x2a, 1], false, b"x")];
    let mut conversations: Vec<_> = (0..5)
        .map(|at| with_chain(&format!("10.0.0.1:{}", 1000 + at), "shop.example", ms(at * MINUTE), &usual))
        .collect();
    for (client, minute) in [("10.0.0.5:1", 6), ("10.0.0.6:1", 7)] {
        conversations.push(with_chain(client, "shop.example", ms(minute * MINUTE), &other));
    }
    let events = folder.replay(&merged_packets(&conversations), &[]);
    let alert = single_alert(&events, "new_chain");
    assert_eq!(alert["src_ip"], "10.0.0.6");
    assert_eq!(alert["fingerprint"]["value"], of_kind(&events, "ja4x").last().unwrap()["fingerprint"]["value"]);
}

#[test]
fn beacons_over_one_connection_or_plain_tcp_raise_an_alert() {
    let mut persistent = conversation("10.0.0.1:1000", "192.0.2.1:80", ms(0));
    persistent.handshake();
    for beat in 0..9 {
        persistent.at(ms(beat * MINUTE + 100)).client(b"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n\r\n");
        persistent.server(b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    persistent.close();
    let events = replay("", persistent.packets());
    let alert = single_alert(&events, "beacon");
    assert_reason(alert, &["8 intervals of 60.0 s"]);
    assert_eq!(alert["fingerprint"]["type"], "ja4h");

    let plain_tcp = |end: fn(&mut TcpConversation)| {
        let conversations: Vec<_> = (0..9)
            .map(|beat| {
                let mut conversation =
                    conversation(&format!("10.0.0.1:{}", 1000 + beat), "192.0.2.7:4444", ms(beat * MINUTE));
                conversation.handshake();
                end(&mut conversation);
                conversation
            })
            .collect();
        replay("", &merged_packets(&conversations))
    };
    let events = plain_tcp(|conversation| {
        conversation.client(&[0, 1, 2, 3]).server(&[5, 6]).close();
    });
    let alert = single_alert(&events, "beacon");
    assert_reason(alert, &["8 intervals of 60.0 s"]);
    assert_eq!(alert["fingerprint"]["type"], "ja4t");
    // A port probe: the client resets the connection.
    let events = plain_tcp(|conversation| {
        conversation.client_reset();
    });
    assert!(alerts(&events, "beacon").is_empty());
}

#[test]
fn an_alert_after_a_cooldown_counts_the_suppressed_alerts() {
    let bad = "[[pattern]]\ntype = \"ja4t\"\nmatch = \"64240_*\"\ncategory = \"x\"\nconfidence = 90\nnote = \"x\"\n";
    let folder = EngineFolder::new("[lookup]\nknown_bad = \"bad.toml\"\n").with("bad.toml", bad);
    let conversations: Vec<_> = [0, 1, 2, 9, 11, 30, 31]
        .into_iter()
        .map(|minute| {
            let mut conversation =
                conversation(&format!("10.0.0.1:{}", 1000 + minute), "192.0.2.1:443", ms(minute * MINUTE));
            conversation.syn();
            conversation
        })
        .collect();
    let events = folder.replay(&merged_packets(&conversations), &[]);
    // The first alert suppresses nothing; the one after ten minutes reports three suppressed; the third reports none.
    let raised = alerts(&events, "known_bad");
    assert_eq!(
        raised.iter().map(|alert| details(alert)["suppressed"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 3, 0]
    );
    assert_eq!(raised[1]["timestamp"], "2026-11-23T07:11:00.000000000Z");
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "cooldowns", "suppressed"]), 4);
    assert_eq!(tests::stats_u64(stats(&events), &["engine", "builtin", "fired", "known_bad"]), 7);
}
