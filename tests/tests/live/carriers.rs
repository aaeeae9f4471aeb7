//! TLS between real programs through each encapsulation: live output equals the replay and reports the inner
//! connections.

use std::collections::BTreeSet;

use tests::events::by_connection;
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::peers::Nginx;
use tests::tunnel::{Encapsulation, LayeredTunnel, LiveTunnel};

use super::*;

/// Returns the tcpdump filter of the encapsulated packets.
fn filter(encapsulation: Encapsulation) -> &'static str {
    match encapsulation {
        Encapsulation::Vxlan(4789) => "udp dst port 4789",
        Encapsulation::Vxlan(_) => "udp dst port 15000",
        Encapsulation::Gre => "ip proto 47 and (ip[22:2] = 0x0800 or ip[22:2] = 0x86dd)",
        Encapsulation::IpInIp => "ip proto 4",
        Encapsulation::Mpls => "mpls 16 and mpls 1000",
        Encapsulation::ErspanTwo => "ip proto 47 and ip[22:2] = 0x88be",
        Encapsulation::ErspanThree => "ip proto 47 and ip[22:2] = 0x22eb",
        Encapsulation::Geneve => "udp dst port 6081",
        Encapsulation::GtpU => "udp dst port 2152",
    }
}

/// Asserts that the sensor at the server's end of the wire detects both connections in this tunnel; the tunnel carries
/// IPv6 if `v6`.
fn assert_fingerprinted_in(encapsulation: Encapsulation, v6: bool, options: &[&str]) {
    if !require_tools(&["nginx"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let tunnel = LiveTunnel::new(&wire, encapsulation);
    let seen = live_and_replay(wire.server(), options, || scenes::tunnelled(&wire, &tunnel, v6));
    // Two connections have more packets than this, and no packet bypasses the tunnel.
    let packets_matching =
        |filter: &str| seen.recording.dissected(&["-q", filter]).lines().filter(|line| line.contains(" > ")).count();
    assert!(packets_matching(filter(encapsulation)) > 40, "{encapsulation:?}");
    assert_eq!(packets_matching("tcp port 443"), 0, "{encapsulation:?}");
    let events = seen.live;
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        let found = by_connection(&events, kind);
        assert_eq!(found.len(), scenes::TUNNELLED_CONNECTIONS, "{encapsulation:?}, {kind}: {found:#?}");
        assert!(found.values().all(|values| values.len() == 1), "{encapsulation:?}, {kind}: {found:#?}");
        let client = if v6 { "fd99::1 " } else { "10.99.0.1 " };
        for (prefix, suffix) in
            [("10.99.0.1 ", "10.99.0.2 443"), (client, if v6 { "fd99::2 443" } else { "10.99.0.2 443" })]
        {
            let matches = |connection: &String| connection.starts_with(prefix) && connection.ends_with(suffix);
            assert!(found.keys().any(matches), "{encapsulation:?}, {kind}: {found:#?}");
        }
    }
    let mut versions: Vec<_> = values(&events, "ja4").iter().map(|value| value[..4].to_owned()).collect();
    versions.sort_unstable();
    assert_eq!(versions, ["t12d", "t13d"], "{encapsulation:?}");
    assert_directions(&events, "ingress", "egress");
}

#[test]
fn connections_in_vxlan_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::Vxlan(4789), true, &[]);
}

#[test]
fn connections_in_vxlan_on_a_configured_port_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::Vxlan(15_000), true, &["--vxlan-port", "15000"]);
}

#[test]
fn connections_in_gre_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::Gre, true, &[]);
}

#[test]
fn connections_in_ip_in_ip_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::IpInIp, false, &[]);
}

#[test]
fn connections_in_mpls_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::Mpls, true, &["--hook", "native"]);
}

#[test]
fn connections_in_erspan_type_two_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::ErspanTwo, true, &["--hook", "generic"]);
}

#[test]
fn connections_in_erspan_type_three_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::ErspanThree, true, &["--hook", "tc"]);
}

#[test]
fn connections_in_geneve_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::Geneve, true, &["--hook", "native"]);
}

#[test]
fn connections_in_gtp_u_are_fingerprinted() {
    assert_fingerprinted_in(Encapsulation::GtpU, true, &["--hook", "generic"]);
}

/// Asserts that the sensor reads a TLS connection over IPv4 and one over IPv6 through each carrier, and one through Teredo,
/// which carries IPv6 alone.
fn assert_fingerprinted_in_every_carrier(hook: &str) {
    if !require_tools(&["nginx", "curl"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let tunnel = LayeredTunnel::new(&wire);
    let on_port = |port, kind| OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::OnPort(port, Box::new(kind)));
    let geneve = TunnelKind::Geneve { vni: 9, options: Vec::new(), ethernet: true };
    let configured = [on_port(15_000, TunnelKind::Vxlan(42)), on_port(15_001, geneve)];
    let carriers = [OuterLayer::every(), configured.to_vec()].concat();
    let teredo = TunnelKind::Teredo { authentication: true, origin: true };
    let teredo = OuterLayer::between("192.0.2.1", "192.0.2.2", teredo);
    let both = carriers.iter().flat_map(|carrier| tunnel.server().map(|server| (carrier, server)));
    let connections: Vec<_> = both.chain([(&teredo, tunnel.server()[1])]).collect();
    let chain = Chain::new(KeyType::Ec);
    let _nginx = Nginx::start(wire.server(), 443, &chain);
    let options = ["--hook", hook, "--vxlan-port", "15000", "--geneve-port", "15001"];
    let seen = live_and_replay(wire.server(), &options, || {
        for (port, (carrier, server)) in (10_000..).zip(&connections) {
            tunnel.set(vec![(*carrier).clone()]);
            peers::curl(wire.client(), *server, 443, &["--local-port", &port.to_string()]);
        }
    });
    assert!(seen.recording.dissected(&["-q", "tcp port 443"]).is_empty(), "{hook}: a packet without a carrier");
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        let found = by_connection(&seen.live, kind);
        for (port, (carrier, _)) in (10_000..).zip(&connections) {
            let of_port = found.iter().filter(|(connection, _)| connection.contains(&format!(" {port} > ")));
            let counts: Vec<_> = of_port.map(|(_, values)| values.len()).collect();
            assert_eq!(counts, [1], "{hook}, {kind} through {carrier:?}");
        }
    }
    let hellos: BTreeSet<_> = values(&seen.live, "ja4").into_iter().collect();
    assert_eq!(hellos.len(), 1, "{hook}: {hellos:?}");
}

#[test]
fn connections_in_every_carrier_are_fingerprinted_with_tc() {
    assert_fingerprinted_in_every_carrier("tc");
}

#[test]
fn connections_in_every_carrier_are_fingerprinted_with_generic_xdp() {
    assert_fingerprinted_in_every_carrier("generic");
}

#[test]
fn connections_in_every_carrier_are_fingerprinted_with_native_xdp() {
    assert_fingerprinted_in_every_carrier("native");
}
