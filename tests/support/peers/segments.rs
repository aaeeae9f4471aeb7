//! A TCP stream with chosen segment boundaries.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::netns::Namespace;

/// Read timeout of the sink.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `pieces` from `client` to a sink on `server`, one segment each, at intervals of `pause`.
///
/// # Panics
/// If the connection fails or the sink receives different bytes.
pub fn send_segments(client: &Namespace, server: &Namespace, to: SocketAddr, pieces: &[&[u8]], pause: Duration) {
    let sink = sink(server, to);
    client.with(|| {
        let mut stream = TcpStream::connect(to).expect("the sink listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        for piece in pieces {
            stream.write_all(piece).expect("the sink reads");
            thread::sleep(pause);
        }
    });
    let received = sink.join().expect("the sink");
    assert_eq!(received, pieces.concat(), "the sink got what was sent");
}

/// Accepts one connection and reads it to the end of the stream.
fn sink(host: &Namespace, at: SocketAddr) -> JoinHandle<Vec<u8>> {
    let listener = host.with(|| TcpListener::bind(at).expect("the address is free"));
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the client closes");
        bytes
    })
}
