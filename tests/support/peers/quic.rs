//! QUIC: aioquic on both sides.

use std::net::IpAddr;
use std::path::Path;

use super::{Chain, NAME};
use crate::netns::Namespace;
use crate::process::Spawned;
use crate::sensor::Outcome;

/// Script with the server and the client; its header describes the command line.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/peers/quic.py");

/// Starts a server for QUIC versions 1 and 2 that echoes every stream, on both address families. `options`: `--retry`.
///
/// # Panics
/// If the server does not listen in time.
pub fn quic_server(python: &Path, host: &Namespace, port: u16, chain: &Chain, options: &[&str]) -> Spawned {
    let (python, number) = (python.to_str().expect("UTF-8"), port.to_string());
    let (chain, key) = (chain.path("chain.pem"), chain.path("leaf.key"));
    let mut argv = vec![python, SCRIPT, "serve", "::", &number, &chain, &key];
    argv.extend(options);
    let mut server = host.spawn(&argv);
    host.wait_bound(&mut server, port);
    server
}

/// Sends one stream and checks that the server echoes it. `options`: see the header of the script.
///
/// # Panics
/// If the client fails.
pub fn quic_client(python: &Path, host: &Namespace, server: IpAddr, port: u16, options: &[&str]) -> Outcome {
    let (python, address, port) = (python.to_str().expect("UTF-8"), server.to_string(), port.to_string());
    let mut argv = vec![python, SCRIPT, "fetch", &address, &port, "--name", NAME];
    argv.extend(options);
    host.run(&argv).ok()
}
