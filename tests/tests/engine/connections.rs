//! One connection record per connection, with all known attributes.

use serde_json::json;
use tests::conversation::{JA4T, LINUX_SYN_OPTIONS};
use tests::http::{browser_request, response};

use super::*;

/// Returns the options of a Linux host with another MSS.
pub(super) fn with_mss(mss: u16) -> Vec<u8> {
    let mut options = LINUX_SYN_OPTIONS.to_vec();
    options[2..4].copy_from_slice(&mss.to_be_bytes());
    options
}

/// Returns packets and bytes in a capture: client, then server.
fn traffic(packets: &[TimedFrame], client: &str) -> [[u64; 2]; 2] {
    let client: std::net::Ipv4Addr = client.parse().unwrap();
    let mut traffic = [[0; 2]; 2];
    for packet in packets {
        let side = usize::from(packet.frame[26..30] != client.octets());
        traffic[side][0] += 1;
        traffic[side][1] += packet.frame.len() as u64;
    }
    traffic
}

#[test]
fn a_connection_event_has_all_attributes() {
    let folder = EngineFolder::new(
        "[first_seen]\nlearning = \"0\"\n[lookup]\nknown_bad = \"bad.toml\"\n\
         [output]\ntypes = [\"connection\", \"alert\", \"fingerprint\"]\n",
    )
    .with(
        "bad.toml",
        "[[pattern]]\ntype = \"ja4\"\nmatch = \"t13d3112h2_*\"\ncategory = \"c2\"\nconfidence = 70\nnote = \"mine\"\n\
         [[pattern]]\ntype = \"ja4t\"\nmatch = \"64240_*\"\ncategory = \"scanner\"\nconfidence = 30\nnote = \"weak\"\n",
    );
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:443", ms(0));
    conversation.syn_with(64_240, &with_mss(1380)).wait(ms(30)).syn_ack().wait(Duration::from_micros(200)).client_ack();
    conversation.client(&client_hello(Shape::Curl, "www.example.org")).server(&server_flight()).wait(ms(500)).close();
    let packets = in_time_order(conversation.packets().to_vec());
    let events = folder.replay(&packets, &[]);
    let connection = of_port(&events, 51_234);

    assert_eq!(connection["src_ip"], "10.0.0.1");
    assert_eq!((&connection["dest_ip"], &connection["dest_port"]), (&json!("192.0.2.1"), &json!(443)));
    assert_eq!((&connection["proto"], &connection["app_proto"]), (&json!("TCP"), &json!("tls")));
    let [client, server] = traffic(&packets, "10.0.0.1");
    let counters = &connection["connection"];
    for (name, count) in [
        ("pkts_toserver", client[0]),
        ("bytes_toserver", client[1]),
        ("pkts_toclient", server[0]),
        ("bytes_toclient", server[1]),
    ] {
        assert_eq!(counters[name], count, "{name}: {connection:#}");
    }
    assert_eq!(counters["state"], "fin");
    assert_eq!(counters["start"], "2026-11-23T07:00:00.000000000Z");
    assert_eq!(
        (&connection["tls"]["sni"], &connection["tls"]["alpn"]),
        (&json!("www.example.org"), &json!(["h2", "http/1.1"]))
    );
    assert_eq!(
        (&connection["latency"]["client_us"], &connection["latency"]["server_us"]),
        (&json!(100), &json!(15_000))
    );
    assert_eq!(connection["hops"], json!({ "client": 0, "server": 7 }));
    assert_eq!(connection["mss"], 1380);
    assert_eq!(connection["tunnel"], json!({ "name": "wireguard", "confidence": 80, "mtu": 1420 }));
    assert_eq!(connection["os"], "Linux");
    assert_eq!(connection["app"]["name"], "curl");
    assert_eq!((&connection["app"]["source"], &connection["app"]["confidence"]), (&json!("builtin"), &json!(80)));
    // The more severe of two matches.
    let bad = &connection["known_bad"];
    assert_eq!((&bad["category"], &bad["confidence"], &bad["note"]), (&json!("c2"), &json!(70), &json!("mine")));
    assert_eq!(connection["first_seen"], true);
    assert_eq!(connection["primary"], json!({ "type": "ja4", "value": Shape::Curl.ja4() }));
    let fired = connection["alerts"].as_array().unwrap();
    for alert in events::of_type(&events, "alert") {
        assert!(fired.contains(&details(alert)["description"]), "{alert} is not in {fired:?}");
        assert_eq!(alert["flow_id"], connection["flow_id"]);
    }
    assert_eq!(fired.len(), 2, "not one alert for known bad and one for first seen: {fired:?}");
}

#[test]
fn an_http_connection_has_its_host_name_and_a_ja4h_as_primary_fingerprint() {
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    let request = browser_request("shop.example", "/", &mut SplitMix64::new(3));
    conversation.handshake().client(&request).server(&response(500)).close();
    let events = replay("", conversation.packets());
    let connection = of_port(&events, 51_234);
    assert_eq!(connection["http"]["hostname"], "shop.example");
    assert!(connection["http"]["http_user_agent"].as_str().unwrap().contains("Chrome/130"));
    assert_eq!(connection["primary"]["type"], "ja4h");
    assert_eq!(connection["primary"]["value"], of_kind(&events, "ja4h")[0]["fingerprint"]["value"]);
    for absent in ["first_seen", "known_bad", "tunnel", "ssh_session"] {
        assert!(connection.get(absent).is_none(), "{absent} is present: {connection}");
    }
}

#[test]
fn the_state_of_a_connection_is_how_it_ended() {
    let mut conversations = Vec::new();
    for port in 1..=4 {
        let mut conversation = conversation(&format!("10.0.0.1:{port}"), "192.0.2.1:443", ms(port));
        conversation.handshake().client(&client_hello(Shape::Go, "a.example"));
        match port {
            1 => conversation.close(),
            2 => conversation.server_reset(),
            3 => conversation.client_reset(),
            _ => conversation.server(&server_flight()),
        };
        conversations.push(conversation);
    }
    let events = replay("", &merged_packets(&conversations));
    for (port, state) in [(1, "fin"), (2, "rst"), (3, "rst"), (4, "open")] {
        assert_eq!(of_port(&events, port)["connection"]["state"], state, "port {port}");
    }
    assert_eq!(connections(&events).len(), 4);

    // The ports are reused for a new connection.
    let mut conversation = conversation("10.0.0.1:5", "192.0.2.1:443", ms(0));
    conversation.handshake().client(&client_hello(Shape::Go, "a.example")).wait(ms(200_000));
    conversation.again(0x2000_0000, 0x9000_0000).handshake().client(&client_hello(Shape::Curl, "b.example")).close();
    let events = replay("", conversation.packets());
    let reported = connections(&events);
    let fields =
        |event: &Value| ["/connection/state", "/tls/sni", "/primary/value"].map(|at| event.pointer(at).cloned());
    assert_eq!(fields(reported[0]), [json!("reused"), json!("a.example"), json!(Shape::Go.ja4())].map(Some));
    assert_eq!(fields(reported[1]), [json!("fin"), json!("b.example"), json!(Shape::Curl.ja4())].map(Some));
}

/// The flow table is far too small, and an evicted connection keeps its known attributes. Each connection has
/// completed its handshake by then: packets after the eviction belong to a new connection.
#[test]
fn an_evicted_connection_is_reported_once_with_its_attributes_and_stored() {
    const CONNECTIONS: u16 = 600;
    let folder = EngineFolder::new("");
    let conversations: Vec<_> = (1..=CONNECTIONS)
        .map(|port| {
            let mut conversation =
                conversation(&format!("10.0.0.1:{port}"), "192.0.2.1:443", ms(u64::from(port) * 100));
            conversation.handshake().client(&client_hello(Shape::Go, "a.example"));
            conversation
        })
        .collect();
    let database = folder.text("history.db");
    let events = folder.replay(&merged_packets(&conversations), &["--max-connections", "1", "--db", &database]);
    let reported = connections(&events);
    assert_eq!(reported.len(), usize::from(CONNECTIONS));
    let in_state = |state| reported.iter().filter(|event| event["connection"]["state"] == state).count();
    assert!(in_state("evicted") > 0, "{:#}", stats(&events));
    assert_eq!(in_state("evicted") + in_state("open"), reported.len());
    for connection in &reported {
        assert_eq!(connection["primary"]["value"], Shape::Go.ja4(), "{connection}");
        assert_eq!(connection["mss"], 1460, "{connection}");
    }
    let database = Path::new(&database);
    assert_eq!(query_number(database, "SELECT count(*) FROM connection"), i64::from(CONNECTIONS));
    let rows =
        folder.rows(&["query", "connections", "--format", "json"], &["--limit", "0", "--value", Shape::Go.ja4()]);
    assert_eq!(rows.len(), usize::from(CONNECTIONS));
    assert_eq!(rows.iter().filter(|row| row["connection"]["state"] == "evicted").count(), in_state("evicted"));
}

#[test]
fn every_value_is_stored_with_its_time_and_packet_number_in_capture_order() {
    let folder = EngineFolder::new("");
    let mut conversation = conversation("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    conversation.handshake();
    for number in 0..40 {
        // Each request has a different set of fields.
        let fields: String = (0..=number).map(|field| format!("X-{field}: 1\r\n")).collect();
        conversation.wait(ms(100)).client(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").as_bytes());
        conversation.server(b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    conversation.close();
    let events = folder.replay(conversation.packets(), &["--db", &folder.text("history.db")]);
    let printed = of_kind(&events, "ja4h");
    assert_eq!(printed.len(), 40);
    let mut rows = folder.rows(&["query", "fingerprints", "--format", "json"], &["--type", "ja4h", "--limit", "0"]);
    rows.reverse();
    let identity = |event: &Value| {
        ["/timestamp", "/pcap_cnt", "/fingerprint/value", "/fingerprint/count"].map(|at| event.pointer(at).cloned())
    };
    assert!(identity(printed[0]).iter().all(Option::is_some), "{}", printed[0]);
    assert_eq!(rows.iter().map(identity).collect::<Vec<_>>(), printed.into_iter().map(identity).collect::<Vec<_>>());
    assert_eq!(of_kind(&events, "ja4t")[0]["fingerprint"]["value"], JA4T);
}
