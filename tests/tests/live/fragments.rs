//! Datagrams and segments that the kernel fragments, and frames longer than a page.

use std::net::Ipv6Addr;

use tests::events::by_connection;
use tests::require_python;

use super::*;

/// MTU of the narrow wire, bytes: the IPv6 minimum (RFC 8200, section 5).
const NARROW: &str = "1280";
/// MTU that the DTLS peers assume: larger than a ClientHello with [`peers::many_protocols`].
const DTLS_MTU: [&str; 2] = ["-mtu", "4000"];

/// Returns a fragment counter of the last `stats` event.
fn fragments(events: &[Value], counter: &str) -> u64 {
    stats_u64(events::of_type(events, "stats").last().expect("the last stats event"), &["shards", "fragments", counter])
}

fn duplicates(events: &[Value]) -> u64 {
    stats_u64(
        events::of_type(events, "stats").last().expect("the last stats event"),
        &["shards", "decap", "duplicates"],
    )
}

/// Sends, for each address, a ClientHello and a server flight in datagrams that exceed the MTU of the wire.
fn dtls(client: &Namespace, server: &Namespace, addresses: &[IpAddr]) {
    let (chain, protocols) = (Chain::new(KeyType::Rsa), peers::many_protocols());
    for (number, address) in addresses.iter().enumerate() {
        let port = 4433 + number as u16;
        let options = [&["-dtls1_2"], &DTLS_MTU[..]].concat();
        let _server = peers::dtls_server(server, port, &chain, &options);
        let options = [&["-dtls1_2", "-alpn", &protocols], &DTLS_MTU[..]].concat();
        peers::dtls_client(client, *address, port, &options).stdout_has("Cipher is ");
    }
}

/// Asserts that the first ClientHello and the ServerHello of each connection are output once.
fn assert_dtls_once(events: &[Value], connections: usize) {
    for kind in ["ja4", "ja4s"] {
        let first = |event: &&&Value| event["fingerprint"]["type"] == kind && event["fingerprint"]["count"] == 1;
        let found: Vec<_> = fingerprints(events);
        let found: Vec<_> = found.iter().filter(first).collect();
        let last = events::of_type(events, "stats").last().map(|last| &last["stats"]["shards"]["decap"]);
        assert_eq!(found.len(), connections, "{kind}, {last:?}: {found:#?}");
    }
    // The ClientHello is sent twice: without and with the server's cookie. A duplicate would add a value.
    let found = by_connection(events, "ja4");
    assert!(found.values().all(|values| values.len() <= 2), "{found:#?}");
    let certificates = values(events, "ja4x").len();
    assert_eq!(certificates, 2 * connections, "leaf and root");
}

/// Asserts that live output equals the replay on a narrow wire and that both reassembled the same datagrams.
fn on_a_narrow_wire(hook: &str, traffic: impl FnOnce(&Wire)) -> Vec<Value> {
    let wire = Wire::new();
    for host in [wire.client(), wire.server()] {
        host.ip(&["link", "set", host.interface(), "mtu", NARROW]);
    }
    let LiveAndReplay { live, replayed, .. } = live_and_replay(wire.server(), &["--hook", hook], || traffic(&wire));
    for counter in ["fragments", "completed", "completed_bytes", "pending", "duplicate", "overlapping"] {
        assert_eq!(fragments(&live, counter), fragments(&replayed, counter), "{hook}, {counter}");
    }
    assert_eq!(fragments(&live, "pending"), 0, "{hook}: datagrams are incomplete");
    assert_eq!(duplicates(&live), 0, "{hook}");
    live
}

#[test]
fn dtls_hellos_in_ip_fragments_are_fingerprinted_once() {
    let Some(_exclusive) = exclusive() else { return };
    for hook in ["native", "generic", "tc"] {
        let events = on_a_narrow_wire(hook, |wire| {
            dtls(wire.client(), wire.server(), &[wire.server().v4(), wire.server().v6()]);
        });
        assert_dtls_once(&events, 2);
        // Each ClientHello, sent twice, and each server flight with its certificates.
        assert!(fragments(&events, "completed") >= 6, "{hook}: {}", fragments(&events, "completed"));
    }
}

#[test]
fn quic_initials_in_ip_fragments_are_fingerprinted_once() {
    let Some(python) = require_python("aioquic") else { return };
    let Some(_exclusive) = exclusive() else { return };
    let events = on_a_narrow_wire("native", |wire| {
        let chain = Chain::new(KeyType::Ec);
        let _server = peers::quic_server(&python, wire.server(), 443, &chain, &["--datagram", "1400"]);
        for address in [wire.server().v4(), wire.server().v6()] {
            peers::quic_client(&python, wire.client(), address, 443, &["--datagram", "1400"]);
        }
    });
    for kind in ["ja4", "ja4s", "ja4l", "ja4ls"] {
        let found = by_connection(&events, kind);
        assert!(found.len() == 2 && found.values().all(|values| values.len() == 1), "{kind}: {found:#?}");
    }
    assert!(fragments(&events, "completed") >= 4, "a client's and a server's Initial, twice");
}

#[test]
fn fragments_on_loopback_count_once() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let host = wire.server();
    host.ip(&["link", "set", "lo", "mtu", NARROW]);
    let sensor = RunningSensor::start_on(Some(host), &["lo"], &[]);
    dtls(host, host, &[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    let events = sensor.stop().ok().events();
    assert_dtls_once(&events, 2);
    assert_eq!((fragments(&events, "completed"), duplicates(&events)), (6, 0));
}

/// A client, a router and a server, with traffic through the router.
pub(super) struct RoutedNetwork {
    pub(super) near: Wire,
    pub(super) far: Wire,
}

impl RoutedNetwork {
    /// Builds the topology: the router is the server of one wire, and the client's end of the other becomes its second
    /// interface.
    pub(super) fn new() -> Self {
        let (near, far) = (Wire::new(), Wire::new());
        let (router, second) = (near.server(), far.client().interface());
        far.client().ip(&["link", "set", second, "netns", router.name()]);
        router.ip(&["addr", "add", "10.97.0.1/24", "dev", second]);
        router.ip(&["link", "set", second, "up"]);
        router.run(&["ethtool", "-K", second, "tso", "off", "gso", "off", "gro", "off"]).ok();
        router.run(&["sysctl", "-qw", "net.ipv4.ip_forward=1"]).ok();
        let server = far.server();
        server.ip(&["addr", "add", "10.97.0.2/24", "dev", server.interface()]);
        server.ip(&["addr", "del", &format!("{}/24", server.v4()), "dev", server.interface()]);
        server.ip(&["route", "add", "10.98.0.0/24", "via", "10.97.0.1"]);
        near.client().ip(&["route", "add", "10.97.0.0/24", "via", &router.v4().to_string()]);
        Self { near, far }
    }

    pub(super) fn router(&self) -> &Namespace {
        self.near.server()
    }

    /// Starts a sensor on both interfaces of the router.
    pub(super) fn sensor(&self) -> RunningSensor {
        RunningSensor::start_on(Some(self.router()), &[self.router().interface(), self.far.client().interface()], &[])
    }

    pub(super) fn server(&self) -> (&Namespace, IpAddr) {
        (self.far.server(), Ipv4Addr::new(10, 97, 0, 2).into())
    }
}

#[test]
fn fragments_that_are_forwarded_count_once() {
    let Some(_exclusive) = exclusive() else { return };
    let routed = RoutedNetwork::new();
    let (server, address) = routed.server();
    for (host, interface) in [
        (routed.near.client(), routed.near.client().interface()),
        (routed.router(), routed.router().interface()),
        (routed.router(), routed.far.client().interface()),
        (server, server.interface()),
    ] {
        host.ip(&["link", "set", interface, "mtu", NARROW]);
    }
    let sensor = routed.sensor();
    dtls(routed.near.client(), server, &[address]);
    let events = sensor.stop().ok().events();
    assert_dtls_once(&events, 1);
    let completed = fragments(&events, "completed");
    assert!(completed >= 6 && 2 * duplicates(&events) == completed, "{completed}, {}", duplicates(&events));
}

#[test]
fn segments_that_a_router_fragments_count_once() {
    let Some(_exclusive) = exclusive() else { return };
    let routed = RoutedNetwork::new();
    let (server, address) = routed.server();
    let client = routed.near.client();
    // Only the path from the router to the server has a small MTU, and the client allows fragmentation.
    client.run(&["sysctl", "-qw", "net.ipv4.ip_no_pmtu_disc=1"]).ok();
    // The MTU is set on the route: an interface would reject packets larger than its MTU.
    let second = routed.far.client().interface();
    routed.router().ip(&["route", "replace", "10.97.0.0/24", "dev", second, "mtu", "lock", NARROW]);
    let chain = Chain::new(KeyType::Rsa);
    let _server = peers::openssl_server(server, 443, &chain, &[]);
    let sensor = routed.sensor();
    peers::openssl_client(client, address, 443, &["-tls1_3", "-alpn", &peers::many_protocols()]);
    let events = sensor.stop().ok().events();
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(values(&events, kind).len(), 1, "{kind}: {events:#?}");
    }
    assert!(fragments(&events, "completed") >= 1, "the hello was not fragmented");
    assert_eq!(
        fragments(&events, "completed"),
        duplicates(&events),
        "a datagram was not captured before it was fragmented"
    );
}

/// The ClientHello is one segment larger than a page, so native XDP receives it in a multi-buffer frame.
#[test]
fn hellos_in_jumbo_frames_are_fingerprinted() {
    const JUMBO: &str = "9000";
    let Some(_exclusive) = exclusive() else { return };
    for hook in ["native", "generic", "tc"] {
        let wire = Wire::new();
        for host in [wire.client(), wire.server()] {
            host.ip(&["link", "set", host.interface(), "mtu", JUMBO]);
        }
        // The protocol names total 7 KiB; the fingerprinted fields are before and after them.
        let protocols: Vec<_> = (0..60).map(|number| format!("{number}-{}", "n".repeat(110))).collect();
        let protocols = protocols.join(",");
        let chain = Chain::new(KeyType::Ec);
        let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
        let outputs = live_and_replay(wire.server(), &["--hook", hook], || {
            for address in [wire.server().v4(), wire.server().v6()] {
                peers::openssl_client(wire.client(), address, 443, &["-tls1_3", "-alpn", &protocols]);
            }
        });
        for kind in ["ja4", "ja4s", "ja4t", "ja4ts"] {
            assert_eq!(values(&outputs.live, kind).len(), 2, "{hook}, {kind}");
        }
        let status =
            &events::of_type(&outputs.live, "stats").last().expect("the last stats event")["stats"]["interfaces"];
        assert!(status.to_string().contains(hook), "{hook}: {status}");
        let long = outputs.recording.dissected(&["-q", "greater 6000"]);
        assert!(long.lines().filter(|line| line.contains(" > ")).count() >= 2, "{hook}: {long}");
    }
}
