//! TLS between real programs, captured on interfaces that are not Ethernet devices: live output equals the replay of what
//! tcpdump captures there. And the selection of interfaces.

use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, send};
use tests::conversation::TcpConversation;
use tests::events::by_connection;
use tests::hello;
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::random::SplitMix64;
use tests::tunnel::{self, Encapsulation, KernelInterface, LiveTunnel};
use tests::vlan;

use super::*;

/// Asserts that a sensor on the interface of a tunnel, at either end, detects both connections.
fn assert_fingerprinted_on(wire: &Wire, tunnel: &LiveTunnel, v6: bool, name: &str) {
    for (host, [client, server]) in [(wire.server(), ["ingress", "egress"]), (wire.client(), ["egress", "ingress"])] {
        let seen = live_and_replay_on(host, tunnel::NAME, &[], || scenes::tunnelled(wire, tunnel, v6));
        let status = &events::of_type(&seen.live, "stats").last().expect("the last stats event")["stats"];
        assert_eq!(status["kernel"]["unparseable"], 0, "{name}: {status}");
        for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
            let found = by_connection(&seen.live, kind);
            assert_eq!(found.len(), scenes::TUNNELLED_CONNECTIONS, "{name}, {kind}: {found:#?}");
            let has_v6 = found.keys().any(|connection| connection.starts_with("fd99::1 "));
            assert!(found.values().all(|values| values.len() == 1) && has_v6 == v6, "{name}, {kind}: {found:#?}");
        }
        assert_directions(&seen.live, client, server);
    }
}

fn assert_fingerprinted_on_kernel_interface(kind: KernelInterface) {
    if !require_tools(&["nginx"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let Some(tunnel) = LiveTunnel::of_kernel(&wire, kind) else { return };
    assert_fingerprinted_on(&wire, &tunnel, kind.carries_v6(), &format!("{kind:?}"));
}

#[test]
fn connections_on_tun_interfaces_are_fingerprinted() {
    if !require_tools(&["nginx"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    assert_fingerprinted_on(&wire, &LiveTunnel::new(&wire, Encapsulation::Gre), true, "tun");
}

/// Userspace decodes the second tunnel, and has to start where the kernel did.
#[test]
fn tunnels_in_tunnels_behind_an_mpls_label_are_decoded_on_tun_interfaces() {
    const MPLS: u16 = 0x8847;
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let _tunnel = LiveTunnel::new(&wire, Encapsulation::Gre);
    let tunnel = |kind| OuterLayer::between("192.0.2.1", "192.0.2.2", kind);
    let layers = vec![OuterLayer::Mpls(vec![16]), tunnel(TunnelKind::Vxlan(1)), tunnel(TunnelKind::Ip)];
    let mut conversation = TcpConversation::new().through(layers);
    let hello = Shape::Browser.client_hello("example.com", &mut SplitMix64::new(1));
    conversation.handshake().client(&hello::records(&hello, usize::MAX));
    let sensor = RunningSensor::start_on(Some(wire.client()), &[tunnel::NAME], &[]);
    wire.client().with(|| {
        let socket = vlan::raw_socket(tunnel::NAME, MPLS).unwrap();
        for packet in conversation.packets() {
            let label = &packet.frame[14..];
            send(socket.as_raw_fd(), label, MsgFlags::empty()).unwrap();
        }
    });
    let events = sensor.stop().ok().events();
    let status = events::of_type(&events, "stats").pop();
    assert_eq!(values(&events, "ja4"), [Shape::Browser.ja4()], "{status:?}");
}

#[test]
fn connections_on_ip_in_ip_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::IpInIp);
}

#[test]
fn connections_on_gre_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::Gre);
}

#[test]
fn connections_on_sit_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::Sit);
}

#[test]
fn connections_on_ip_in_ipv6_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::IpInIp6);
}

#[test]
fn connections_on_gre_over_ipv6_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::Gre6);
}

#[test]
fn connections_on_wireguard_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::WireGuard);
}

#[test]
fn connections_on_ppp_interfaces_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::Ppp);
}

#[test]
fn connections_on_bonds_are_fingerprinted() {
    assert_fingerprinted_on_kernel_interface(KernelInterface::Bond);
}

#[test]
fn patterns_and_exclusions_select_interfaces() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let host = wire.server();
    host.ip(&["link", "add", "other1", "type", "veth", "peer", "name", "other2"]);
    host.ip(&["link", "set", "other1", "up"]);
    let veth = host.interface();
    for (selections, expected) in [
        // The peer of other1 is down.
        (&["any"][..], &[veth, "other1"][..]),
        (&["!other*"], &[veth]),
        (&["other*,lo", "!other1"], &["lo", "other2"]),
    ] {
        let sensor = RunningSensor::start_on(Some(host), selections, &[]);
        let attached = || {
            let stderr = sensor.stderr();
            let names = stderr.lines().filter_map(|line| line.split_once(": attached"));
            let mut names: Vec<_> = names.map(|(start, _)| start.rsplit(' ').next().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert!(until(Duration::from_secs(10), || attached() == expected), "{selections:?}: {:?}", attached());
        sensor.stop().ok();
    }
}
