//! DTLS: openssl on both sides. Its server always asks for a cookie first.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::{Chain, NAME};
use crate::netns::Namespace;
use crate::process::{self, LIMIT, Spawned};
use crate::sensor::Outcome;

/// openssl refuses DTLS 1.0 for its SHA-1, unless told that nothing is at stake.
pub const DTLS_10: [&str; 3] = ["-dtls1", "-cipher", "DEFAULT@SECLEVEL=0"];

/// `openssl s_server` over UDP, for one client: what it is connected to, it does not leave again.
///
/// # Panics
/// If it does not come to listen.
pub fn dtls_server(host: &Namespace, port: u16, chain: &Chain, options: &[&str]) -> Spawned {
    let (accept, key) = (port.to_string(), chain.path("leaf.key"));
    let (leaf, root) = (chain.path("leaf.pem"), chain.path("root.pem"));
    let mut argv = vec!["openssl", "s_server", "-accept", &accept, "-cert", &leaf, "-cert_chain", &root, "-key", &key];
    // Otherwise it would end with its standard input.
    argv.push("-quiet");
    argv.extend(options);
    let mut server = host.spawn(&argv);
    host.wait_bound(&mut server, port);
    server
}

/// Handshakes with `openssl s_client` over UDP and says goodbye.
///
/// # Panics
/// If the handshake does not succeed.
pub fn dtls_client(host: &Namespace, server: IpAddr, port: u16, options: &[&str]) -> Outcome {
    let to = SocketAddr::new(server, port).to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &to, "-servername", NAME]).args(options);
    Outcome::new(process::run(host.enter(&command), b"Q\n", LIMIT)).ok()
}
