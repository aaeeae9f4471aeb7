//! TLS, DTLS and HTTP inside a framing produce the same values as without it, each once.

mod openvpn;
mod proxy;
mod tds;
mod turn;

use super::*;

/// Asserts that this connection produces these values and those of its TCP handshake, each exactly this often.
fn assert_values(conversation: &TcpConversation, expected: &[(&str, &str)], case: &str) {
    let handshake = [("ja4t", JA4T), ("ja4ts", JA4TS), ("ja4l", JA4L), ("ja4ls", JA4LS)];
    assert_types_and_values(&replay(conversation), handshake.iter().chain(expected), case);
}
