//! Real clients and servers of every fingerprinted protocol: live output equals the replay and has the expected
//! values.

use std::collections::BTreeMap;

use tests::events::by_connection;
use tests::packets::Sender;
use tests::quic::{QuicEnds, crypto};
use tests::random::SplitMix64;
use tests::require_python;

use super::*;

/// Runs a scene; returns the events of the sensor on the server's interface. Returns `None` if a tool is missing.
fn live_events(tools: &[&str], scene: impl FnOnce(&Wire)) -> Option<Vec<Value>> {
    if !require_tools(tools) {
        return None;
    }
    let _exclusive = exclusive()?;
    let wire = Wire::new();
    Some(live_equals_replay_of(wire.server(), &[], || scene(&wire)))
}

/// Asserts the number of values with each prefix. Each value must match one; the longest match counts.
fn assert_prefixes(values: &[&str], expected: &[(&str, usize)]) {
    let mut counts: BTreeMap<_, _> = expected.iter().map(|(prefix, _)| (*prefix, 0)).collect();
    for value in values {
        let prefix = expected.iter().map(|(prefix, _)| *prefix).filter(|prefix| value.starts_with(prefix));
        let prefix = prefix.max_by_key(|prefix| prefix.len()).unwrap_or_else(|| panic!("{value} in {values:#?}"));
        *counts.entry(prefix).or_default() += 1;
    }
    assert_eq!(counts, expected.iter().copied().collect(), "{values:#?}");
}

/// Asserts that each of `connections` connections has exactly one value of each of these types.
fn assert_once(events: &[Value], connections: usize, kinds: &[&str]) {
    for kind in kinds {
        let found = by_connection(events, kind);
        assert_eq!(found.len(), connections, "{kind}: {found:#?}");
        assert!(found.values().all(|values| values.len() == 1), "{kind}: {found:#?}");
    }
}

#[test]
fn fingerprints_of_quic() {
    let Some(python) = require_python("aioquic") else { return };
    let Some(events) = live_events(&[], |wire| scenes::quic(wire, &python)) else { return };
    assert_once(&events, scenes::QUIC_CONNECTIONS, &["ja4", "ja4s", "ja4l", "ja4ls"]);
    // Version, SNI, three cipher suites, eight extensions; two more extensions in a resumed session.
    let (first, resumed) = (scenes::QUIC_CONNECTIONS - 1, 1);
    assert_prefixes(
        &values(&events, "ja4"),
        &[("q13d0308h3_55b375c5d22e_", first), ("q13d0310h3_55b375c5d22e_", resumed)],
    );
    // supported_versions and key_share; also pre_shared_key when a session is resumed.
    assert_prefixes(&values(&events, "ja4s"), &[("q1302", first), ("q1303", resumed)]);
    for event in fingerprints(&events) {
        assert_eq!(event["proto"], "UDP", "{event}");
    }
    let names: Vec<_> = fingerprints(&events).iter().map(|event| event["tls"]["sni"].as_str().unwrap_or("")).collect();
    assert!(names.contains(&peers::NAME), "{names:?}");
}

#[test]
fn fingerprints_of_dtls() {
    let Some(events) = live_events(&[], scenes::dtls) else { return };
    // The ClientHello without a cookie is required; the one with a cookie, if output, has count 2.
    let events: Vec<_> = events
        .into_iter()
        .filter(|event| event["fingerprint"]["type"] != "ja4" || event["fingerprint"]["count"] == 1)
        .collect();
    assert_once(&events, scenes::DTLS_CONNECTIONS, &["ja4", "ja4s"]);
    // Three connections use DTLS 1.2, one of them with ALPN.
    assert_prefixes(&values(&events, "ja4"), &[("dd2d", 3), ("dd1d", 1)]);
    assert_prefixes(&values(&events, "ja4s"), &[("dd2", 3), ("dd1", 1)]);
    let with_alpn = values(&events, "ja4").into_iter().filter(|value| value.split('_').next().unwrap().ends_with("h2"));
    assert_eq!(with_alpn.count(), 1);
    let certificates = |side: &str| {
        let is_of_side =
            |event: &&&Value| event["fingerprint"]["type"] == "ja4x" && event["fingerprint"]["side"] == side;
        fingerprints(&events).iter().filter(is_of_side).count()
    };
    assert_eq!(certificates("server"), 2 * scenes::DTLS_CONNECTIONS, "leaf and root, in fragments too");
    assert_eq!(certificates("client"), 1);
}

#[test]
fn fingerprints_of_tls_and_http_after_a_proxy_protocol_header() {
    let Some(events) = live_events(&["nginx"], scenes::proxied) else { return };
    let [tls, http] = scenes::PROXIED_CONNECTIONS;
    assert_once(&events, tls, &["ja4", "ja4s"]);
    assert_once(&events, http, &["ja4h"]);
    assert_once(&events, tls + http, &["ja4t", "ja4ts", "ja4l", "ja4ls"]);
    assert_prefixes(&values(&events, "ja4"), &[("t12d", 1), ("t13d", 1)]);
    assert_prefixes(&values(&events, "ja4h"), &[("ge11nn03", http)]);
}

#[test]
fn fingerprints_of_tls_in_openvpn() {
    let Some(events) = live_events(&["openvpn"], scenes::openvpn) else { return };
    assert_once(&events, scenes::OPENVPN_CONNECTIONS, &["ja4", "ja4s"]);
    assert_once(&events, 1, &["ja4t", "ja4ts", "ja4l", "ja4ls"]);
    assert_prefixes(&values(&events, "ja4"), &[("t13i", scenes::OPENVPN_CONNECTIONS)]);
    for event in fingerprints(&events) {
        assert!(event["app_proto"] == "tls" || event["app_proto"].is_null(), "{event}");
    }
}

#[test]
fn fingerprints_of_http_1() {
    let Some(events) = live_events(&["nginx"], scenes::http1) else { return };
    // Hashes of curl's header names, and of the sorted names of two cookies and one without a value.
    const NAMES: &str = "fe444ad14866_000000000000_000000000000";
    let expected = [
        format!("ge11nn030000_{NAMES}"),
        "ge11cr04deat_8ddaef5d77af_80a628ade88e_8dd479c5135a".to_owned(),
        format!("he11nn030000_{NAMES}"),
        "po11nn050000_5f73bf7e71e2_000000000000_000000000000".to_owned(),
        "ge11cn030000_fe444ad14866_1eb7c54d5283_06beefe2b477".to_owned(),
        "pu11nn050000_5f73bf7e71e2_000000000000_000000000000".to_owned(),
        "de11nn05en00_".to_owned(),
        format!("ge10nn030000_{NAMES}"),
    ];
    let expected: Vec<_> = expected.iter().map(|value| (value.as_str(), 1)).collect();
    assert_eq!(expected.len(), scenes::HTTP1_REQUESTS);
    assert_prefixes(&values(&events, "ja4h"), &expected);
    for (connection, values) in by_connection(&events, "ja4h") {
        assert!(values.len() == 1 || values.len() == scenes::HTTP1_REQUESTS - 1, "{connection}: {values:#?}");
    }
    assert_once(&events, 2, &["ja4t", "ja4ts", "ja4l", "ja4ls"]);
}

#[test]
fn fingerprints_of_http_2_without_tls() {
    let Some(events) = live_events(&["nginx", "nghttp"], scenes::http2) else { return };
    let expected = [
        // curl, with all three headers.
        ("ge20cr03deat_dc308f3700d9_a6210c629c5b_8fefcf3bd4b8", 1),
        ("po20nn040000_", 3),
        // nghttp: all three requests of one connection have the same value, though only the first has literal headers;
        // and two bodies.
        ("ge20cr", 3),
    ];
    assert_prefixes(&values(&events, "ja4h"), &expected);
    let found = by_connection(&events, "ja4h");
    let mut counts: Vec<_> = found.values().map(Vec::len).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2, 3], "{found:#?}");
    assert_eq!(counts.iter().sum::<usize>(), scenes::HTTP2_REQUESTS);
    for values in found.values() {
        assert!(values.iter().all(|value| value == &values[0]), "{values:#?}");
    }
}

#[test]
fn fingerprints_of_ssh() {
    let Some(events) = live_events(&["ssh", "scp", "ssh-keygen", "sshd", "taskset"], scenes::ssh) else { return };
    let connections = by_connection(&events, "ja4ssh");
    assert_eq!(connections.len(), scenes::SSH_CONNECTIONS, "{connections:#?}");
    for values in connections.values() {
        let (last, full_windows) = values.split_last().unwrap();
        assert!(full_windows.iter().all(|value| packets(value) == 200), "{values:#?}");
        assert!((1..=200).contains(&packets(last)), "{values:#?}");
    }
    // A full segment, less the 12 bytes of the TCP timestamp option: 1448 bytes over IPv4, 20 fewer over IPv6.
    let windows = scenes::COPY / 1448 / 200;
    let with_most_windows = |prefix: &str, part: &str| {
        let matching_windows = |values: &&Vec<&str>| {
            values.iter().filter(|value| value.starts_with(prefix) && value.contains(part)).count()
        };
        connections.values().filter(|values| matching_windows(values) >= windows).count()
    };
    assert_eq!(with_most_windows("c1448s", "_"), 1, "an upload: {connections:#?}");
    assert_eq!(with_most_windows("c", "s1428_"), 1, "a download: {connections:#?}");
    let typed = connections.values().filter(|values| values[0].starts_with("c36s36_")).count();
    assert_eq!(typed, 1, "keys are packets of 36 bytes: {connections:#?}");
    for event in fingerprints(&events) {
        if event["fingerprint"]["value"].as_str().is_some_and(|value| value.starts_with("c36s36_")) {
            assert!(event["label"]["name"].as_str().is_some_and(|name| name.contains("OpenSSH")), "{event}");
        }
    }
    assert_once(&events, scenes::SSH_CONNECTIONS, &["ja4t", "ja4ts", "ja4l", "ja4ls"]);
}

/// Returns the SSH packets of both sides in a JA4SSH.
fn packets(value: &str) -> u32 {
    sides(value).iter().sum()
}

/// Returns the SSH packets of client and server in a JA4SSH.
fn sides(value: &str) -> [u32; 2] {
    let section = value.split('_').nth(1).unwrap();
    let (client, server) = section.strip_prefix('c').unwrap().split_once('s').unwrap();
    [client, server].map(|count| count.parse().unwrap())
}

/// Segments of up to 64 KiB leave the host and are segmented on the wire: each counts as its number of wire segments.
#[test]
fn ssh_packets_in_frames_merged_by_offloads_are_counted_as_segments() {
    if !require_tools(&["ssh", "scp", "ssh-keygen", "sshd", "taskset"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::with(WireLayout { offloads: true, ..WireLayout::default() });
    let sensor = RunningSensor::start(wire.client(), &["--hook", "tc"]);
    let tcpdump = Tcpdump::start(wire.client());
    scenes::ssh(&wire);
    let recorded = tcpdump.stop().dissected(&["greater", "3000"]);
    assert!(recorded.lines().count() > 50, "no large frame was recorded:\n{recorded}");
    let events = sensor.stop().ok().events();
    let connections = by_connection(&events, "ja4ssh");
    assert_eq!(connections.len(), scenes::SSH_CONNECTIONS, "{connections:#?}");
    let sums = connections.values().map(|values| {
        values.iter().map(|value| sides(value)).fold([0, 0], |[a, b], [client, server]| [a + client, b + server])
    });
    let sums: Vec<_> = sums.collect();
    // A full segment holds 1448 bytes over IPv4 and 1428 over IPv6. SSH overhead and partial segments make the total
    // slightly larger than the file.
    let fits = |sum: u32, mss: usize| {
        let least = (scenes::COPY / mss) as u32;
        (least..least + least / 4).contains(&sum)
    };
    assert_eq!(sums.iter().filter(|[client, _]| fits(*client, 1448)).count(), 1, "an upload: {sums:?}");
    assert_eq!(sums.iter().filter(|[_, server]| fits(*server, 1428)).count(), 1, "a download: {sums:?}");
}

/// UDP segmentation offload: several datagrams pass the hooks as one frame, and the UDP length covers all of them.
#[test]
fn fingerprints_of_quic_in_frames_merged_by_offloads() {
    const SEND: &str = "import socket, sys\n\
        family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n\
        out = socket.socket(family, socket.SOCK_DGRAM)\n\
        out.setsockopt(17, 103, int(sys.argv[2]))\n\
        out.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[1], 443))";
    if !require_tools(&["python3"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::with(WireLayout { offloads: true, ..WireLayout::default() });
    let sensors = [wire.client(), wire.server()].map(|host| RunningSensor::start(host, &["--hook", "tc"]));
    let tcpdump = Tcpdump::start(wire.client());
    let hello = Shape::PostQuantum.client_hello("one.example", &mut SplitMix64::new(1));
    let (first, second) = hello.split_at(1000);
    for (number, server) in [(1, wire.server().v4()), (2, wire.server().v6())] {
        let ends = QuicEnds::new(&[number; 8], &[0x80 | number; 8]);
        let initial = |number, offset, data| ends.initial(Sender::Client, number, &crypto(offset, data));
        let datagrams = [initial(0, 0, first), initial(1, first.len(), second)];
        assert_eq!(datagrams[0].len(), datagrams[1].len());
        let bytes: String = datagrams.concat().iter().map(|byte| format!("{byte:02x}")).collect();
        let size = datagrams[0].len().to_string();
        wire.client().run(&["python3", "-c", SEND, &server.to_string(), &size, &bytes]).ok();
    }
    let recorded = tcpdump.stop().dissected(&["greater 2000 and udp dst port 443"]);
    assert_eq!(recorded.matches(" > ").count(), 2 * 2, "no large frame was recorded:\n{recorded}");
    for (sensor, host) in sensors.into_iter().zip(["client", "server"]) {
        sensor.wait_for("both hellos", |events| values(events, "ja4").len() >= 2);
        let events = sensor.stop().ok().events();
        assert_once(&events, 2, &["ja4"]);
        let found = values(&events, "ja4");
        assert!(found[0] == found[1] && found[0].starts_with("q13d"), "{host}: {found:?}");
    }
}

#[test]
fn fingerprints_of_dhcp() {
    let Some(events) = live_events(&["dnsmasq", "udhcpc", "dhclient"], scenes::dhcp) else { return };
    // Twice for IPv4; udhcpc cannot release an address that its script has not configured.
    let expected = [("disco", 2), ("offer0000nn_", 2), ("reqst", 2), ("dpack0000nn_", 2), ("relse0000nn_", 1)];
    assert_prefixes(&values(&events, "ja4d"), &expected);
    // A DUID-LLT (link-layer address plus time) has 14 bytes.
    let expected = [
        ("solct0014nn_1-", 1),
        ("advrt0014nn_1-2-3-5", 1),
        ("reqst0014nn_1-2-", 1),
        ("relse0014nn_1-2-", 1),
        ("reply0014nn_1-2-", 2),
    ];
    assert_prefixes(&values(&events, "ja4d6"), &expected);
}
