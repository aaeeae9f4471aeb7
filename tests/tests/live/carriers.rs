//! TLS between real programs through each encapsulation: live output equals the replay and reports the inner
//! connections.

use tests::events::by_connection;
use tests::tunnel::{Encapsulation, LiveTunnel};

use super::*;

/// Returns the tcpdump filter of the encapsulated packets.
fn filter(encapsulation: Encapsulation) -> &'static str {
    match encapsulation {
        Encapsulation::Vxlan => "udp dst port 4789",
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
fn inside(encapsulation: Encapsulation, v6: bool, options: &[&str]) {
    if !require_tools(&["nginx"]) {
        return;
    }
    let Some(_alone) = alone() else { return };
    let wire = Wire::new();
    let tunnel = LiveTunnel::new(&wire, encapsulation);
    let seen = witnessed(wire.server(), options, || scenes::tunnelled(&wire, &tunnel, v6));
    // Two connections have more packets than this, and no packet bypasses the tunnel.
    let carried =
        |filter: &str| seen.recording.dissected(&["-q", filter]).lines().filter(|line| line.contains(" > ")).count();
    assert!(carried(filter(encapsulation)) > 40, "{encapsulation:?}");
    assert_eq!(carried("tcp port 443"), 0, "{encapsulation:?}");
    let events = seen.live;
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        let found = by_connection(&events, kind);
        assert_eq!(found.len(), scenes::TUNNELLED_CONNECTIONS, "{encapsulation:?}, {kind}: {found:#?}");
        assert!(found.values().all(|values| values.len() == 1), "{encapsulation:?}, {kind}: {found:#?}");
        let client = if v6 { "fd99::1 " } else { "10.99.0.1 " };
        for (begin, end) in
            [("10.99.0.1 ", "10.99.0.2 443"), (client, if v6 { "fd99::2 443" } else { "10.99.0.2 443" })]
        {
            let is = |connection: &String| connection.starts_with(begin) && connection.ends_with(end);
            assert!(found.keys().any(is), "{encapsulation:?}, {kind}: {found:#?}");
        }
    }
    let mut versions: Vec<_> = values(&events, "ja4").iter().map(|value| value[..4].to_owned()).collect();
    versions.sort_unstable();
    assert_eq!(versions, ["t12d", "t13d"], "{encapsulation:?}");
    assert_directions(&events, "ingress", "egress");
}

#[test]
fn vxlan() {
    inside(Encapsulation::Vxlan, true, &[]);
}

#[test]
fn gre() {
    inside(Encapsulation::Gre, true, &[]);
}

#[test]
fn ip_in_ip() {
    inside(Encapsulation::IpInIp, false, &[]);
}

#[test]
fn mpls() {
    inside(Encapsulation::Mpls, true, &["--hook", "native"]);
}

#[test]
fn erspan_type_two() {
    inside(Encapsulation::ErspanTwo, true, &["--hook", "generic"]);
}

#[test]
fn erspan_type_three() {
    inside(Encapsulation::ErspanThree, true, &["--hook", "tc"]);
}

#[test]
fn geneve() {
    inside(Encapsulation::Geneve, true, &["--hook", "native"]);
}

#[test]
fn gtp_u() {
    inside(Encapsulation::GtpU, true, &["--hook", "generic"]);
}
