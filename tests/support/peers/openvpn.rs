//! OpenVPN on both sides. The tunnels use no device (`--dev null`): only the handshake is tested.

use std::net::IpAddr;

use super::Chain;
use crate::netns::Namespace;
use crate::process::Spawned;

/// Runs a handshake between two OpenVPN processes over TCP or UDP, with the options in `more` on both sides.
///
/// # Panics
/// If the client does not complete the handshake.
pub fn openvpn(
    client: &Namespace,
    server: &Namespace,
    (address, port): (IpAddr, u16),
    tcp: bool,
    more: &[&str],
    chain: &Chain,
) {
    let (root, leaf, key) = (chain.path("root.pem"), chain.path("leaf.pem"), chain.path("leaf.key"));
    let (port, remote) = (port.to_string(), address.to_string());
    let [serve, connect] = match (tcp, address) {
        (false, IpAddr::V4(_)) => ["udp4", "udp4"],
        (false, IpAddr::V6(_)) => ["udp6", "udp6"],
        (true, IpAddr::V4(_)) => ["tcp4-server", "tcp4-client"],
        (true, IpAddr::V6(_)) => ["tcp6-server", "tcp6-client"],
    };
    let mut common =
        vec!["--dev", "null", "--verb", "3", "--log", "/dev/stderr", "--ca", &root, "--cert", &leaf, "--key", &key];
    common.extend(["--data-ciphers", "AES-256-GCM"]);
    common.extend(more);
    let start = |host: &Namespace, options: &[&str]| host.spawn(&[&["openvpn"], options, &common].concat());
    let completed = |process: &Spawned| process.stderr().contains("Initialization Sequence Completed");
    let mut listening = start(server, &["--proto", serve, "--port", &port, "--tls-server", "--dh", "none"]);
    listening.wait_until("openvpn listens", |process| {
        let log = process.stderr();
        log.contains("link local (bound)") || log.contains("Listening for incoming TCP connection")
    });
    let connecting = ["--proto", connect, "--remote", &remote, &port, "--nobind", "--tls-client"];
    start(client, &connecting).wait_until("openvpn is connected", completed);
}
