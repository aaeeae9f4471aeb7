//! TLS and DTLS hellos (RFC 5246, RFC 8446, RFC 6347) and the record layer that carries them over TCP.
//!
//! [`HandshakeStream`] turns one direction's stream bytes into whole handshake messages;
//! [`ClientHello`] and [`ServerHello`] are what the fingerprints read.

mod certificate;
mod client_hello;
mod extension;
mod handshake;
mod record;
mod server_hello;

#[cfg(test)]
pub(crate) mod builder;

pub use certificate::{CertificateList, MAX_CERTIFICATES};
pub use client_hello::ClientHello;
pub use extension::{AlpnNames, Extension, Extensions, U16List, extension_type};
pub use handshake::{End, HandshakeMessage, HandshakeStream, HandshakeType, MAX_HANDSHAKE_MESSAGE, Status};
pub use record::{ContentType, MAX_RECORD_PAYLOAD, RecordHeader};
pub use server_hello::ServerHello;

/// Longest session id a hello may carry (RFC 8446, section 4.1.2; the same since SSL 3.0).
const MAX_SESSION_ID: usize = 32;

/// Which of the two ClientHello layouts the bytes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// TLS over TCP, and TLS inside QUIC CRYPTO frames.
    Tls,
    /// DTLS: a cookie follows the session id (RFC 6347, section 4.2.1).
    Dtls,
}

/// True for the sixteen reserved values 0x0a0a, 0x1a1a … 0xfafa (RFC 8701): both bytes equal, and
/// the low nibble of each is 0xa.
#[inline]
#[must_use]
pub const fn is_grease(value: u16) -> bool {
    // Not short-circuited, so that lists are checked without branches.
    (value & 0x0f0f == 0x0a0a) & (value >> 8 == value & 0xff)
}

/// The name of a protocol version for people, such as `TLS 1.3`; `None` for drafts and the unknown.
#[must_use]
pub const fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0002 => "SSL 2.0",
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        0xfeff => "DTLS 1.0",
        0xfefd => "DTLS 1.2",
        0xfefc => "DTLS 1.3",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grease_is_sixteen_values_and_no_more() {
        let found: Vec<u16> = (0..=u16::MAX).filter(|&value| is_grease(value)).collect();
        let reserved: Vec<u16> = (0..16).map(|high| high * 0x1010 + 0x0a0a).collect();
        assert_eq!(found, reserved);
        assert!(!is_grease(0x0a1a) && !is_grease(0xeeee) && !is_grease(0xca34));
    }
}
