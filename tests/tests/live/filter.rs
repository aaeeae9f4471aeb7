//! `--filter` on an interface.

use super::*;

#[test]
fn a_connection_that_does_not_match_is_not_captured() {
    let Some(_exclusive) = exclusive() else { return };
    let chain = Chain::new(KeyType::Ec);
    for hook in ["generic", "tc"] {
        let wire = Wire::new();
        let host = wire.server();
        let _servers = [443, 8443].map(|port| peers::openssl_server(host, port, &chain, &[]));
        let sensor = RunningSensor::start(host, &["--hook", hook, "--filter", "tcp dst port 443 and not vlan"]);
        for port in [8443, 443] {
            peers::openssl_client(wire.client(), host.v4(), port, &[]);
            peers::openssl_client(wire.client(), host.v6(), port, &[]);
        }
        let events = sensor.stop().ok().events();
        for kind in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
            assert_eq!(values(&events, kind).len(), 2, "{hook}, {kind}");
        }
        for event in fingerprints(&events) {
            assert!(event["src_port"] == 443 || event["dest_port"] == 443, "{event}");
        }
        let stats = events::of_type(&events, "stats").pop().unwrap();
        let kernel = |counter: &str| stats_u64(stats, &["kernel", counter]);
        // SYN, SYN-ACK and both hellos of each connection.
        assert!(stats_u64(stats, &["kernel", "unselected_by", "filtered"]) >= 8, "{stats:#}");
        assert_eq!(kernel("seen"), kernel("unselected") + kernel("unparseable") + kernel("selected"), "{stats:#}");
        assert_eq!(stats_u64(stats, &["shards", "opened"]), 2, "{stats:#}");
    }
}
