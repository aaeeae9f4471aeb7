//! TLS, DTLS and HTTP inside a framing give what they give without it, each value once.

mod openvpn;
mod proxy;
mod tds;
mod turn;

use super::*;

/// The fingerprints of an event list as `type value` pairs, sorted.
fn told(events: &[Value]) -> Vec<String> {
    let text = |event: &&Value| {
        let fingerprint = &event["fingerprint"];
        format!("{} {}", fingerprint["type"].as_str().unwrap(), fingerprint["value"].as_str().unwrap())
    };
    let mut all: Vec<_> = fingerprints(events).iter().map(text).collect();
    all.sort();
    all
}

/// Asserts that this connection gives these values beside those of its TCP handshake, each exactly this often.
fn assert_values(talk: &TcpConversation, expected: &[(&str, &str)], what: &str) {
    let events = replay(talk);
    let handshake = [("ja4t", JA4T), ("ja4ts", JA4TS), ("ja4l", JA4L), ("ja4ls", JA4LS)];
    let mut all: Vec<_> = handshake.iter().chain(expected).map(|(kind, value)| format!("{kind} {value}")).collect();
    all.sort();
    assert_eq!(told(&events), all, "{what}");
}
