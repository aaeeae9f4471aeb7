//! TLS: openssl on both sides.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::{Chain, NAME};
use crate::netns::Namespace;
use crate::process::{self, LIMIT, Spawned};
use crate::sensor::Outcome;

/// Starts `openssl s_server`, which answers each request with a page about the connection, on both address families.
///
/// # Panics
/// If the server does not listen in time.
pub fn openssl_server(host: &Namespace, port: u16, chain: &Chain, tls: &[&str]) -> Spawned {
    let (accept, key) = (format!("*:{port}"), chain.path("leaf.key"));
    let (leaf, root) = (chain.path("leaf.pem"), chain.path("root.pem"));
    let mut argv = vec!["openssl", "s_server", "-accept", &accept, "-cert", &leaf, "-cert_chain", &root, "-key", &key];
    argv.extend(["-www", "-quiet"]);
    argv.extend(tls);
    let mut server = host.spawn(&argv);
    host.wait_listening(&mut server, port);
    server
}

/// Completes a handshake with `openssl s_client` and closes the connection.
///
/// # Panics
/// If the handshake fails.
pub fn openssl_client(host: &Namespace, server: IpAddr, port: u16, tls: &[&str]) -> Outcome {
    let to = SocketAddr::new(server, port).to_string();
    let mut argv = vec!["openssl", "s_client", "-connect", &to, "-servername", NAME];
    argv.extend(tls);
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]);
    Outcome::new(process::run(host.enter(&command), b"Q\n", LIMIT)).ok()
}

/// Returns a value for `-alpn` so long that the ClientHello does not fit one Ethernet segment.
pub fn many_protocols() -> String {
    let mut names: Vec<String> = (0..100).map(|number| format!("protocol-number-{number}")).collect();
    names.insert(0, "h2".to_owned());
    names.join(",")
}
