//! A connection seen at several capture points: each packet counts once, and none is missing.

use tests::round_robin::{RoundRobinLink, SERVER_INTERFACES};

use super::fragments::RoutedNetwork;
use super::*;

/// Size of the client's upload, bytes.
const UPLOAD: u64 = 400_000;

/// Uploads a file over TLS.
fn upload(client: &Namespace, server: &Namespace, address: IpAddr) {
    let (folder, chain) = (TempDir::new().unwrap(), Chain::new(KeyType::Ec));
    let _server = peers::openssl_server(server, 443, &chain, &["-quiet"]);
    let file = folder.path().join("upload");
    std::fs::write(&file, vec![b'u'; UPLOAD as usize]).unwrap();
    let connect = format!("openssl s_client -quiet -connect {address}:443 <{} >/dev/null 2>&1", file.display());
    client.run(&["timeout", "10", "sh", "-c", &connect]);
}

/// Asserts that the connection is output once, with all of its values and bytes. Returns the number of duplicates.
fn assert_complete(events: &[Value]) -> u64 {
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(values(events, kind).len(), 1, "{kind}");
    }
    let ends = events::of_type(events, "connection");
    let [end] = ends.as_slice() else { panic!("{ends:#?}") };
    let bytes = end["connection"]["bytes_toserver"].as_u64().unwrap();
    // Headers add less than a tenth, and retransmissions are rare.
    assert!((UPLOAD..UPLOAD * 5 / 4).contains(&bytes), "{end:#}");
    stats_u64(events::of_type(events, "stats").last().unwrap(), &["kernel", "unselected_by", "duplicates"])
}

#[test]
fn a_connection_over_two_interfaces_is_complete() {
    let Some(_exclusive) = exclusive() else { return };
    for hook in ["generic", "tc"] {
        let wire = Wire::new();
        let spread = RoundRobinLink::new(&wire);
        let sensor = RunningSensor::start_on(Some(wire.server()), &SERVER_INTERFACES, &["--hook", hook]);
        upload(wire.client(), wire.server(), spread.server());
        // A retransmission on the other interface within a second is indistinguishable from a duplicate.
        assert!(assert_complete(&sensor.stop().ok().events()) < 5, "{hook}");
    }
}

#[test]
fn a_connection_over_a_port_its_bridge_and_the_uplink_counts_once() {
    let Some(_exclusive) = exclusive() else { return };
    let routed = RoutedNetwork::new();
    let (server, address) = routed.server();
    let router = routed.router();
    let (port, own) = (router.interface(), format!("{}/24", router.v4()));
    router.ip(&["link", "add", "br0", "up", "type", "bridge"]);
    router.ip(&["link", "set", port, "master", "br0"]);
    router.ip(&["addr", "del", &own, "dev", port]);
    router.ip(&["addr", "add", &own, "dev", "br0"]);
    let mut sensor = RunningSensor::start_on(Some(router), &["any"], &[]);
    // Port, bridge and uplink.
    sensor.wait_attached(3);
    upload(routed.near.client(), server, address);
    let duplicates = assert_complete(&sensor.stop().ok().events());
    assert!(duplicates > 20, "{duplicates}");
}

#[test]
fn a_connection_through_a_router_counts_once_with_and_without_offloads() {
    let Some(_exclusive) = exclusive() else { return };
    for offloads in ["off", "on"] {
        let routed = RoutedNetwork::new();
        let (server, address) = routed.server();
        let router = routed.router();
        for (host, interface) in [
            (routed.near.client(), routed.near.client().interface()),
            (router, router.interface()),
            (router, routed.far.client().interface()),
            (server, server.interface()),
        ] {
            host.run(&["ethtool", "-K", interface, "tso", offloads, "gso", offloads, "gro", offloads]).ok();
        }
        let sensor = routed.sensor();
        upload(routed.near.client(), server, address);
        let duplicates = assert_complete(&sensor.stop().ok().events());
        assert!(duplicates > 20, "offloads {offloads}: {duplicates}");
    }
}
