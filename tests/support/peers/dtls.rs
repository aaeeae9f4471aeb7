//! DTLS: openssl on both sides. The server always requests a cookie first.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::{Chain, NAME};
use crate::netns::Namespace;
use crate::process::{self, LIMIT, Spawned};
use crate::sensor::Outcome;

/// Options for DTLS 1.0. Security level 0 is required because DTLS 1.0 uses SHA-1.
pub const DTLS_10: [&str; 3] = ["-dtls1", "-cipher", "DEFAULT@SECLEVEL=0"];

/// Starts `openssl s_server` over UDP, for one client: its socket stays connected to the first peer.
///
/// # Panics
/// If the server does not listen in time.
pub fn dtls_server(host: &Namespace, port: u16, chain: &Chain, options: &[&str]) -> Spawned {
    let (accept, key) = (port.to_string(), chain.path("leaf.key"));
    let (leaf, root) = (chain.path("leaf.pem"), chain.path("root.pem"));
    let mut argv = vec!["openssl", "s_server", "-accept", &accept, "-cert", &leaf, "-cert_chain", &root, "-key", &key];
    // Without -quiet, s_server exits at the end of its standard input.
    argv.push("-quiet");
    argv.extend(options);
    let mut server = host.spawn(&argv);
    host.wait_bound(&mut server, port);
    server
}

/// Completes a handshake with `openssl s_client` over UDP and closes the connection.
///
/// # Panics
/// If the handshake fails.
pub fn dtls_client(host: &Namespace, server: IpAddr, port: u16, options: &[&str]) -> Outcome {
    let to = SocketAddr::new(server, port).to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &to, "-servername", NAME]).args(options);
    Outcome::new(process::run(host.enter(&command), b"Q\n", LIMIT)).ok()
}
