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
fn books(packets: &[TimedFrame], client: &str) -> [[u64; 2]; 2] {
    let client: std::net::Ipv4Addr = client.parse().unwrap();
    let mut books = [[0; 2]; 2];
    for packet in packets {
        let side = usize::from(packet.frame[26..30] != client.octets());
        books[side][0] += 1;
        books[side][1] += packet.frame.len() as u64;
    }
    books
}

#[test]
fn a_connection_is_told_with_all_that_is_known_of_it() {
    let site = Site::new(
        "[first_seen]\nlearning = \"0\"\n[lookup]\nknown_bad = \"bad.toml\"\n\
         [output]\ntypes = [\"connection\", \"alert\", \"fingerprint\"]\n",
    )
    .with(
        "bad.toml",
        "[[pattern]]\ntype = \"ja4\"\nmatch = \"t13d3112h2_*\"\ncategory = \"c2\"\nconfidence = 70\nnote = \"mine\"\n\
         [[pattern]]\ntype = \"ja4t\"\nmatch = \"64240_*\"\ncategory = \"scanner\"\nconfidence = 30\nnote = \"weak\"\n",
    );
    let mut talk = talk("10.0.0.1:51234", "192.0.2.1:443", ms(0));
    talk.syn_with(64_240, &with_mss(1380)).wait(ms(30)).syn_ack().wait(Duration::from_micros(200)).client_ack();
    talk.client(&client_hello(Shape::Curl, "www.example.org")).server(&server_flight()).wait(ms(500)).close();
    let packets = in_order(talk.packets().to_vec());
    let events = site.replay(&packets, &[]);
    let connection = of_port(&events, 51_234);

    assert_eq!(connection["src_ip"], "10.0.0.1");
    assert_eq!((&connection["dest_ip"], &connection["dest_port"]), (&json!("192.0.2.1"), &json!(443)));
    assert_eq!((&connection["proto"], &connection["app_proto"]), (&json!("TCP"), &json!("tls")));
    let [client, server] = books(&packets, "10.0.0.1");
    let counted = &connection["connection"];
    for (name, count) in [
        ("pkts_toserver", client[0]),
        ("bytes_toserver", client[1]),
        ("pkts_toclient", server[0]),
        ("bytes_toclient", server[1]),
    ] {
        assert_eq!(counted[name], count, "{name}: {connection:#}");
    }
    assert_eq!(counted["state"], "fin");
    assert_eq!(counted["start"], "2026-11-23T07:00:00.000000000Z");
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
        assert!(fired.contains(&own(alert)["description"]), "{alert} is not in {fired:?}");
        assert_eq!(alert["flow_id"], connection["flow_id"]);
    }
    assert_eq!(fired.len(), 2, "known bad, and new: {fired:?}");
}

#[test]
fn a_request_names_its_host_and_is_the_primary() {
    let mut talk = talk("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    let request = browser_request("shop.example", "/", &mut SplitMix64::new(3));
    talk.handshake().client(&request).server(&response(500)).close();
    let events = replay("", talk.packets());
    let connection = of_port(&events, 51_234);
    assert_eq!(connection["http"]["hostname"], "shop.example");
    assert!(connection["http"]["http_user_agent"].as_str().unwrap().contains("Chrome/130"));
    assert_eq!(connection["primary"]["type"], "ja4h");
    assert_eq!(connection["primary"]["value"], of_kind(&events, "ja4h")[0]["fingerprint"]["value"]);
    for absent in ["first_seen", "known_bad", "tunnel", "ssh_session"] {
        assert!(connection.get(absent).is_none(), "nothing to say of {absent}: {connection}");
    }
}

#[test]
fn each_end_has_its_name() {
    let mut talks = Vec::new();
    for port in 1..=4 {
        let mut talk = talk(&format!("10.0.0.1:{port}"), "192.0.2.1:443", ms(port));
        talk.handshake().client(&client_hello(Shape::Go, "a.example"));
        match port {
            1 => talk.close(),
            2 => talk.server_reset(),
            3 => talk.client_reset(),
            _ => talk.server(&server_flight()),
        };
        talks.push(talk);
    }
    let events = replay("", &together(&talks));
    for (port, state) in [(1, "fin"), (2, "rst"), (3, "rst"), (4, "open")] {
        assert_eq!(of_port(&events, port)["connection"]["state"], state, "port {port}");
    }
    assert_eq!(connections(&events).len(), 4);

    // The ports are reused for a new connection.
    let mut talk = talk("10.0.0.1:5", "192.0.2.1:443", ms(0));
    talk.handshake().client(&client_hello(Shape::Go, "a.example")).wait(ms(200_000));
    talk.again(0x2000_0000, 0x9000_0000).handshake().client(&client_hello(Shape::Curl, "b.example")).close();
    let events = replay("", talk.packets());
    let told = connections(&events);
    let of = |event: &Value| ["/connection/state", "/tls/sni", "/primary/value"].map(|at| event.pointer(at).cloned());
    assert_eq!(of(told[0]), [json!("reused"), json!("a.example"), json!(Shape::Go.ja4())].map(Some));
    assert_eq!(of(told[1]), [json!("fin"), json!("b.example"), json!(Shape::Curl.ja4())].map(Some));
}

/// The flow table is far too small, and an evicted connection keeps its known attributes. Each connection has
/// completed its handshake by then: packets after the eviction belong to a new connection.
#[test]
fn an_evicted_connection_is_told_once_with_what_is_known_and_stored() {
    const CONNECTIONS: u16 = 600;
    let site = Site::new("");
    let talks: Vec<_> = (1..=CONNECTIONS)
        .map(|port| {
            let mut talk = talk(&format!("10.0.0.1:{port}"), "192.0.2.1:443", ms(u64::from(port) * 100));
            talk.handshake().client(&client_hello(Shape::Go, "a.example"));
            talk
        })
        .collect();
    let database = site.text("history.db");
    let events = site.replay(&together(&talks), &["--max-connections", "1", "--db", &database]);
    let told = connections(&events);
    assert_eq!(told.len(), usize::from(CONNECTIONS));
    let of_state = |state| told.iter().filter(|event| event["connection"]["state"] == state).count();
    assert!(of_state("evicted") > 0, "{:#}", stats(&events));
    assert_eq!(of_state("evicted") + of_state("open"), told.len());
    for connection in &told {
        assert_eq!(connection["primary"]["value"], Shape::Go.ja4(), "{connection}");
        assert_eq!(connection["mss"], 1460, "{connection}");
    }
    let database = Path::new(&database);
    assert_eq!(ask(database, "SELECT count(*) FROM connection"), i64::from(CONNECTIONS));
    let rows = site.rows(&["query", "connections", "--format", "json"], &["--limit", "0", "--value", Shape::Go.ja4()]);
    assert_eq!(rows.len(), usize::from(CONNECTIONS));
    assert_eq!(rows.iter().filter(|row| row["connection"]["state"] == "evicted").count(), of_state("evicted"));
}

#[test]
fn every_value_is_kept_with_its_time_and_packet_in_the_order_seen() {
    let site = Site::new("");
    let mut talk = talk("10.0.0.1:51234", "192.0.2.1:80", ms(0));
    talk.handshake();
    for number in 0..40 {
        // Each request has a different set of fields.
        let fields: String = (0..=number).map(|field| format!("X-{field}: 1\r\n")).collect();
        talk.wait(ms(100)).client(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").as_bytes());
        talk.server(b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    talk.close();
    let events = site.replay(talk.packets(), &["--db", &site.text("history.db")]);
    let printed = of_kind(&events, "ja4h");
    assert_eq!(printed.len(), 40);
    let mut rows = site.rows(&["query", "fingerprints", "--format", "json"], &["--type", "ja4h", "--limit", "0"]);
    rows.reverse();
    let known = |event: &Value| {
        ["/timestamp", "/pcap_cnt", "/fingerprint/value", "/fingerprint/count"].map(|at| event.pointer(at).cloned())
    };
    assert!(known(printed[0]).iter().all(Option::is_some), "{}", printed[0]);
    assert_eq!(rows.iter().map(known).collect::<Vec<_>>(), printed.into_iter().map(known).collect::<Vec<_>>());
    assert_eq!(of_kind(&events, "ja4t")[0]["fingerprint"]["value"], JA4T);
}
